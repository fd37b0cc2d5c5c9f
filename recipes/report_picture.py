"""Draws a picture of a curation's report, as the documentation shows it, by a headless Chromium.

    make demo-data
    python recipes/report_picture.py runs/demo-data/shards/report.html --open motion.flow --out docs/curation_report.png

The page is laid out in columns side by side, with the clips of the score `--open` unfolded; what is below is left out.
"""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from mtv_jax.io.errors import UserError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT, COLUMNS = 1860, 1560, 3
COLOURS = 128
"""Of the picture, which keeps it small."""
STYLE = f"""<style>body{{max-width:none;height:{HEIGHT - 40}px;columns:{COLUMNS};column-gap:2rem;column-fill:auto;
padding:20px;font-size:12px}}h1,h2{{break-after:avoid}}h2{{margin-top:1.2rem}}.scroll,svg,figure{{break-inside:avoid}}
th,td{{padding:.25rem .4rem}}th{{white-space:normal!important}}audio{{height:1.6rem}}</style></head>"""


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("report", type=Path)
    parser.add_argument("--open", default="motion.flow", help="score whose clips are shown")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise UserError(f"none of {', '.join(BROWSERS)} is installed")
    with tempfile.TemporaryDirectory() as folder:
        page, drawn = Path(folder) / "page.html", Path(folder) / "page.png"
        page.write_text(laid_out(args.report.read_text(), args.open))
        options = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--screenshot={drawn}",
        ]
        size = f"--window-size={WIDTH},{HEIGHT}"
        subprocess.run([browser, *options, size, page.as_uri()], check=True, stderr=subprocess.DEVNULL)
        small = Image.open(drawn).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        small.save(args.out, optimize=True)


def laid_out(page: str, score: str) -> str:
    """The page in columns, with the clips of a score unfolded."""
    before, heading, after = page.replace("</head>", STYLE, 1).partition(f"<h3>{score}")
    return before + heading + after.replace("<details class=marks>", "<details open class=marks>", 1)


if __name__ == "__main__":
    main()
