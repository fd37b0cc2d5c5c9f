"""Does the right thing stand in its box, by which way of placing it, and when is it located?

    python benchmarks/maestro.py --out runs/maestro/table

Draws mixes of sounding objects with vanilla attention, Object Locating, Mosaic Denoising and both, which take turns
after so many steps (Maestro's Fig. 7 and 14), on pairs, on triples, on what a separator finds in pairs, and at other
lengths (C.18), and writes `table.json` and `table.md`. `pairs/controls` draws each pair with other sounds, with other
boxes and silent, too; in `pairs/within` loudness changes in the middle of segments, each of which has its own tokens
(Fig. 10a). A row at a time (`--rows`, `--clips`); rows of another call are kept, what was done is not repeated, and
what was stopped resumes.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from mtv_jax.evaluation.objects.options import ObjectsOptions
from mtv_jax.evaluation.objects.pipeline import evaluate_objects
from mtv_jax.evaluation.report.schema import Report
from mtv_jax.io.files import read_json_object, write_json, write_text

WAYS: dict[str, dict[str, Any]] = {
    "both": {},
    "locating": {"method": "locating"},
    "denoising": {"method": "denoising"},
    "vanilla": {"method": "vanilla"},
    "located-1": {"locating_steps": 1},
    "located-2": {"locating_steps": 2},
    "located-4": {"locating_steps": 4},
}
"""Options of each way. `both` locates in as many steps as the folder says (`maestro-tiny`: 6 of 17), `locating` in all,
`denoising` never. 1, 2 and 4 of 17 steps are 3, 6 and 12 of the paper's 50."""
ROWS: dict[str, dict[str, Any]] = {
    **{f"pairs/{name}": {"things": 2, **options} for name, options in WAYS.items()},
    "pairs/controls": {"things": 2, "without_controls": False},
    **{f"triples/{name}": {"things": 3, **options} for name, options in WAYS.items()},
    "pairs/separated": {"separated": True},
    "frames/32": {"num_frames": 32},
    "frames/48": {"num_frames": 48},
    "pairs/within": {"changes_at": 1.0},
}
SHOWN = (
    *("accuracy", "all_right", "overlap", "changes_f1", "changes_of_others"),
    *("brightness", "size", "brightness_of_sounding", "size_of_sounding"),
)
CEILINGS = {"theatre": "the world's frames", "autoencoder": "after the autoencoder"}
CONTROLS = ("other_boxes", "other_sounds", "other_sounds_followed", "silence")


def measure(name: str, preset: str, out: Path, given: dict[str, Any]) -> Report:
    """The report of a row, made unless it is there."""
    options = ObjectsOptions(preset, **{"without_controls": True, **ROWS[name], **given})
    options.check()
    return evaluate_objects(options, out / name.replace("/", "-"), overwrite=True)[0]


def cells(report: Report, names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Value, interval and number of clips of some figures, with their ceilings."""
    found = {figure.id.removeprefix("objects."): figure for figure in report.figures}
    return {
        name: {
            "value": found[name].value,
            "interval": found[name].interval,
            "clips": found[name].n,
            "ceilings": found[name].baselines,
        }
        for name in names
        if name in found
    }


def origin(report: Report) -> dict[str, Any]:
    """What a row was measured with: seed, code, packages, and the SHA-256 of the weights."""
    kept = {key: report.provenance[key] for key in ("seed", "code", "packages")}
    weights = {
        name: found for name, found in report.provenance["files"].items() if name.endswith(".safetensors")
    }
    return {**kept, "weights": weights}


def table(rows: dict[str, dict[str, Any]], shown: tuple[str, ...] = SHOWN) -> str:
    """The table in Markdown: values with 95 % intervals."""
    lines = ["| | clips | " + " | ".join(shown) + " |", "|---" * (len(shown) + 2) + "|"]
    for name, figures in rows.items():
        values = [str(figures["accuracy"]["clips"]), *(_cell(figures.get(key)) for key in shown)]
        lines.append(f"| {name} | " + " | ".join(values) + " |")
    return "\n".join(lines) + "\n"


def with_ceilings(rows: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The rows, and as rows the figures of the world's own frames and of these after the autoencoder."""
    found = dict(rows)
    for mixes in ("pairs", "triples"):
        for ceiling, shown in CEILINGS.items():
            if (whole := f"{mixes}/both") in rows:
                found[f"{mixes}/{shown}"] = {
                    key: {"value": cell["ceilings"][ceiling], "interval": None, "clips": cell["clips"]}
                    for key, cell in rows[whole].items()
                }
    return found


def _cell(figure: dict[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return "-"
    interval = figure["interval"]
    bounds = f" ({interval[0]:.2f} to {interval[1]:.2f})" if interval else ""
    return f"{figure['value']:.2f}{bounds}"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--preset", default="maestro-tiny", help="folder of a Maestro")
    parser.add_argument("--out", type=Path, required=True, help="folder for the reports and the table")
    parser.add_argument("--rows", nargs="+", choices=tuple(ROWS), default=list(ROWS), help="which to measure")
    for field in dataclasses.fields(ObjectsOptions):
        if field.name in ("clips", "seed", "steps", "batch_size"):
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=int, default=field.default)
    args = vars(parser.parse_args(argv))
    preset, out, names = (args.pop(name) for name in ("preset", "out", "rows"))
    file, text = out / "table.json", ""
    before = read_json_object(file) if file.exists() else {"rows": {}, "provenance": {}}
    rows, origins = before["rows"], before["provenance"]
    for name in names:
        report = measure(name, preset, out, args)
        rows[name] = cells(report, SHOWN + CONTROLS)
        rows = {name: rows[name] for name in ROWS if name in rows}
        origins[name] = origin(report)
        write_json(file, {"rows": rows, "provenance": origins})
        controls = {name: row for name, row in rows.items() if CONTROLS[0] in row}
        text = table(with_ceilings(rows)) + "\n" + table(controls, ("accuracy", *CONTROLS))
        write_text(out / "table.md", text)
    print(text)


if __name__ == "__main__":
    main()
