"""Makes the small films that `make demo-data` curates: theatre and real footage with cuts, and files that are no use.

python recipes/demo_films.py --out runs/demo_data/films
"""

import argparse
import json
import shutil
import tempfile
from fractions import Fraction
from pathlib import Path

from mtv_jax.curation.films import Film, FilmConfig, Footage, make_film, write_film
from mtv_jax.theatre import SoundLibrary

CLIP = Path(__file__).resolve().parents[1] / "mtv_jax" / "assets" / "clips" / "big_buck_bunny.mp4"
CONFIG = FilmConfig(height=96, width=144, fps=Fraction(12), shots=4, shot_seconds=(3.0, 4.5))
STAGE = "No conversation. Scene Description: A stage with a bell in the middle, arch behind."


def main() -> None:
    """Writes the films."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of films")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    sounds = SoundLibrary.training()
    footage = [Footage.whole(CLIP)]
    for number in range(3):
        film = make_film(number, CONFIG, footage=footage, recordings=sounds)
        _write(film, out / f"film_{number}.mp4", people=1 + number % 2)
    head = make_film(9, FilmConfig(height=96, width=96, fps=Fraction(12), shots=1, shot_seconds=(4.5, 5.0)))
    _write(head, out / "head.mp4", kind="talking_head")
    for suffix in (".mp4", ".json"):
        shutil.copy(CLIP.with_suffix(suffix), out)
    shutil.copy(out / "film_0.mp4", out / "film_0_copy.mp4")
    (out / "no_video.mp4").write_text("This is text.\n")
    (out / "notes.txt").write_text("Not a video.\n")


def _write(film: Film, path: Path, **about: str | int) -> None:
    with tempfile.TemporaryDirectory() as truth:
        write_film(film, path, truth)
    described = {"prompt": STAGE, "licence": "CC0-1.0", **about}
    path.with_suffix(".json").write_text(json.dumps(described))


if __name__ == "__main__":
    main()
