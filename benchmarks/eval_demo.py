"""Do metrics of videos move the way they must when videos that are right are spoiled?

    python benchmarks/eval_demo.py --out runs/eval_demo        (make eval-demo)

Makes theatre clips with their tracks (the ground truth), what the preset tiny makes of their prompts and tracks, and
versions of the ground truth that are frozen, noisy or of other colours, or have the sound of another clip or their own
sound 1 or 5 frames late. Scores all by the metrics of `evaluate`, FVD against other clips of the theatre, and prints
a table; and by AV-Align clips of strikes alone, whose sounds are changed in the same ways. Exits with 1 if a figure
does not move as `EXPECTED` says. A run that was stopped goes on.

    OUT/videos/VERSION/ID.mp4, OUT/tracks/SOUND/ID/*.flac, OUT/VERSION.jsonl   what is measured: manifests of `evaluate`
    OUT/results/VERSION/index.html, results.json                             the report on each version
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mtv_jax.evaluation.report.output import write_report
from mtv_jax.evaluation.theatre.cases import Case
from mtv_jax.evaluation.videos.catalogue import METRICS
from mtv_jax.evaluation.videos.manifest import Item, read_manifest
from mtv_jax.evaluation.videos.metric import Weights
from mtv_jax.evaluation.videos.options import Part
from mtv_jax.evaluation.videos.report import videos_report
from mtv_jax.evaluation.videos.run import Task, gather, measure, open_tools
from mtv_jax.io.audio import write_audio
from mtv_jax.io.files import write_text
from mtv_jax.io.progress import progress
from mtv_jax.io.video import write_video
from mtv_jax.names import TRACK_RATE
from mtv_jax.text.theatre_language import theatre_prompt
from mtv_jax.theatre import EVALUATION_SEEDS, TheatreClip, TheatreConfig, render_clip

SEED = EVALUATION_SEEDS + 300
"""Of the clips; the reference set of FVD is of the next one."""
CLIPS = 8
"""Of each version; FVD and AV-Align depend on their number, and so do the margins of `EXPECTED`."""
STAGE = TheatreConfig(actors=(0, 0.5, 0.5), speech=1.0, prop=1.0, effects=1.0)
"""Clips in which somebody speaks and something is struck; otherwise they are as the preset tiny knows them."""
STRIKES = TheatreConfig(actors=(1, 0, 0), effects=1.0, music=0.0)
"""Clips in which something is struck and nothing else is heard or moves, for AV-Align: where somebody speaks, much is
near something by chance."""
TRUTH, REFERENCE, STRUCK = "ground_truth", "reference", "strikes"
METRIC_NAMES = [name for name in METRICS if name != "av_align_v1"]
"""The version of 2023 is for old tables only."""


class Column(NamedTuple):
    """A figure of the table: its claim, its name there, and which values are better."""

    figure: str
    name: str
    better: str


COLUMNS = (
    Column("fvd.i3d_k400", "fvd", "lower"),
    Column("flicker.score", "flicker", "higher"),
    Column("motion.flow", "motion", "neither"),
    Column("warping.error", "warping", "lower"),
    Column("av_align.score", "av_align", "higher"),
    Column("sync.confidence", "syncsynth", "higher"),
    Column("sync.significant", "p < .01", "higher"),
    Column("lips.correlation", "lips", "higher"),
    Column("lips.exact_lag", "lips at lag 0", "higher"),
    Column("events.f1", "events", "higher"),
    Column("looks.correct", "looks", "higher"),
)


class Change(NamedTuple):
    """A figure of a version against that of the right one, `base`: the difference must be from `low` to `high`."""

    version: str
    figure: str
    low: float
    high: float
    base: str = TRUTH


INF = float("inf")
_FVD, _FLICKER, _MOTION, _WARPING, _ALIGNED, _CONFIDENCE, _SIGNIFICANT, _LIPS, _LAG, _EVENTS, _LOOKS = (
    column.figure for column in COLUMNS
)
_SOUND_ONLY = ("shifted_1", "shifted_5", "swapped_sound")
_PICTURE_ONLY = ("noisy", "recoloured")
EXPECTED = (
    # A frozen video gets perfect flicker and warping scores, so motion is measured too.
    Change("frozen", _FVD, 100, INF),
    Change("frozen", _FLICKER, 0.01, INF),
    Change("frozen", _MOTION, -INF, -0.1),
    Change("frozen", _WARPING, -INF, -0.001),
    Change("frozen", _ALIGNED, -INF, -0.3),
    Change("frozen", _CONFIDENCE, -INF, -0.7),
    Change("frozen", _SIGNIFICANT, -INF, -0.9),
    Change("frozen", _LIPS, -INF, -0.6),
    Change("frozen", _EVENTS, -INF, -0.8),
    Change("noisy", _FVD, 500, INF),
    Change("noisy", _FLICKER, -INF, -0.03),
    Change("noisy", _WARPING, 0.003, INF),
    Change("recoloured", _FVD, 50, INF),
    Change("recoloured", _LOOKS, -INF, -0.1),
    # What keeps time with the sound does not depend on the picture's quality.
    *(Change(version, _CONFIDENCE, -0.05, 0.05) for version in _PICTURE_ONLY),
    *(Change(version, _LIPS, -0.05, 0.05) for version in _PICTURE_ONLY),
    *(Change(version, _EVENTS, -0.1, 0.1) for version in _PICTURE_ONLY),
    # The other way round: sounds do not change what is measured of pictures.
    *(
        Change(version, figure, 0, 0)
        for version in _SOUND_ONLY
        for figure in (_FVD, _FLICKER, _MOTION, _WARPING)
    ),
    Change("shifted_1", _ALIGNED, -INF, -0.1),
    Change("shifted_1", _CONFIDENCE, -INF, -0.3),
    Change("shifted_1", _LAG, -INF, -0.9),
    # In two seconds with many sounds much is near something by chance, so AV-Align says little of other shifts here.
    Change("strikes_shifted_1", _ALIGNED, -INF, -0.25, STRUCK),
    *(Change(f"strikes_{name}", _ALIGNED, -INF, -0.4, STRUCK) for name in ("shifted_5", "swapped_sound")),
    *(Change(version, _CONFIDENCE, -INF, -0.7) for version in ("shifted_5", "swapped_sound")),
    *(Change(version, _LIPS, -INF, -0.7) for version in ("shifted_5", "swapped_sound")),
    *(Change(version, _EVENTS, -INF, -0.4) for version in ("shifted_5", "swapped_sound")),
    *(Change(version, _SIGNIFICANT, -INF, -0.9) for version in _SOUND_ONLY),
    # What the preset makes looks worse than the theatre, but follows its tracks nearly as well.
    Change("tiny", _FVD, 100, INF),
    Change("tiny", _CONFIDENCE, -0.15, INF),
    Change("tiny", _LIPS, -0.1, INF),
    Change("tiny", _EVENTS, -0.1, INF),
    Change("tiny", _LOOKS, -0.1, INF),
)

Table = Mapping[str, Mapping[str, float]]
"""Values of figures by version and id of the claim."""


def frozen(frames: np.ndarray) -> np.ndarray:
    return np.repeat(frames[:1], len(frames), axis=0)


def noisy(frames: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 20, frames.shape)
    return np.clip(frames + noise, 0, 255).astype(np.uint8)


def recoloured(frames: np.ndarray) -> np.ndarray:
    return np.clip(frames + np.array([40.0, 0.0, -40.0]), 0, 255).astype(np.uint8)


PICTURES: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "frozen": frozen,
    "noisy": noisy,
    "recoloured": recoloured,
}
DELAYS = {"shifted_1": 1, "shifted_5": 5}
SWAPPED, GENERATED = "swapped_sound", "tiny"


def make(
    out: Path, count: int, generate: Callable[[Sequence[TheatreClip]], Sequence[np.ndarray]] | None
) -> None:
    """Writes the videos and tracks of all versions, and their manifests; no version `GENERATED` without `generate`."""
    clips = [render_clip(SEED, index, STAGE) for index in range(count)]
    own = [clip.frames for clip in clips]
    tracks = [clip.tracks for clip in clips]
    sounds = {TRUTH: tracks, **other_sounds(tracks)}
    videos = {TRUTH: own, **{name: [change(frames) for frames in own] for name, change in PICTURES.items()}}
    if generate is not None:
        videos[GENERATED] = list(generate(clips))
    for name, found in sounds.items():
        _write_tracks(out, name, found)
    for name, found in videos.items():
        _write_videos(out / "videos" / name, found)
        _write_manifest(out, name, clips, video=name, sound=TRUTH)
    for name in (SWAPPED, *DELAYS):
        _write_manifest(out, name, clips, video=TRUTH, sound=name)
    others = [render_clip(SEED + 1, index, STAGE) for index in range(count)]
    _write_videos(out / "videos" / REFERENCE, [clip.frames for clip in others])
    lines = [{"id": f"{REFERENCE}/{i}", "video": f"videos/{REFERENCE}/{i}.mp4"} for i in range(count)]
    write_text(out / f"{REFERENCE}.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


def make_strikes(out: Path, count: int) -> None:
    """Writes the clips of strikes alone, and their manifests: the right one, and those with other sounds."""
    clips = [render_clip(SEED, index, STRIKES) for index in range(count)]
    tracks = [clip.tracks for clip in clips]
    sounds = {STRUCK: tracks}
    sounds |= {f"{STRUCK}_{name}": found for name, found in other_sounds(tracks).items()}
    _write_videos(out / "videos" / STRUCK, [clip.frames for clip in clips])
    for name, found in sounds.items():
        _write_tracks(out, name, found)
        _write_manifest(out, name, clips, video=STRUCK, sound=name)


def other_sounds(
    tracks: Sequence[Mapping[str, np.ndarray]],
) -> Mapping[str, Sequence[Mapping[str, np.ndarray]]]:
    """The wrong sounds of clips by the names of their versions: those of the next clip, and late ones."""
    sounds = {SWAPPED: [*tracks[1:], *tracks[:1]]}
    return sounds | {name: [late(found, frames) for found in tracks] for name, frames in DELAYS.items()}


def late(tracks: Mapping[str, np.ndarray], frames: int) -> dict[str, np.ndarray]:
    """Tracks that begin with silence of so many frames, at their old length."""
    silence = np.zeros(round(frames * TRACK_RATE / STAGE.fps), np.float32)
    return {name: np.concatenate([silence, wave])[: len(wave)] for name, wave in tracks.items()}


def _write_tracks(out: Path, sound: str, found: Sequence[Mapping[str, np.ndarray]]) -> None:
    for number, tracks in enumerate(found):
        for name, wave in tracks.items():
            write_audio(out / "tracks" / sound / str(number) / f"{name}.flac", wave, TRACK_RATE)


def _write_videos(folder: Path, videos: Sequence[np.ndarray]) -> None:
    for number, frames in enumerate(videos):
        write_video(folder / f"{number}.mp4", frames, STAGE.fps, crf=10)


def _write_manifest(out: Path, version: str, clips: Sequence[TheatreClip], *, video: str, sound: str) -> None:
    lines = []
    for number, clip in enumerate(clips):
        folder = f"tracks/{sound}/{number}"
        files = {name: f"{folder}/{name}.flac" for name in clip.tracks if name != "mix"}
        files |= {"video": f"videos/{video}/{number}.mp4", "audio": f"{folder}/mix.flac"}
        lines.append({"id": f"{version}/{number}", "prompt": theatre_prompt(clip.words), **files})
    write_text(out / f"{version}.jsonl", "".join(json.dumps(line) + "\n" for line in lines))


def tiny(clips: Sequence[TheatreClip]) -> Sequence[np.ndarray]:
    """What the preset tiny makes of the clips' prompts and tracks, in 8 steps."""
    from mtv_jax.evaluation.theatre.pipeline import generated
    from mtv_jax.pipelines.base import Pipeline

    cases = [Case(clip, clip, clip, clip, clip, seed=0) for clip in clips]
    pipe = Pipeline.from_pretrained("tiny")
    return list(generated(pipe, cases, steps=8, guidance_scale=1.0, batch_size=len(cases)))


def score(out: Path, names: Sequence[str]) -> tuple[Table, Mapping[str, str]]:
    """Scores all versions whose manifests are there, writes the report on each; values, and why metrics are missing.

    All versions share one store of measurements: those with the same pictures do not cost I3D again.
    """
    tools, missing = open_tools([METRICS[name] for name in names], Weights())
    references = read_manifest(out / f"{REFERENCE}.jsonl").items
    versions = {path.stem: read_manifest(path).items for path in sorted(out.glob("*.jsonl"))}
    del versions[REFERENCE]
    aligned = [tool for tool in tools if tool.metric.name == "av_align"]
    of = {version: aligned if version.startswith(STRUCK) else tools for version in versions}
    for chosen in (tools, aligned):
        every: list[Item] = [
            item for version in versions if of[version] is chosen for item in versions[version]
        ]
        measure(Task(chosen, every, references, out), part=Part())
    table: dict[str, dict[str, float]] = {}
    for version, items in progress(versions.items(), "reporting"):
        task = Task(of[version], items, references, out)
        report = videos_report(replace(task, out=out / "results" / version), gather(task), missing, {})
        write_report(out / "results" / version, report)
        table[version] = {figure.id: figure.value for figure in report.figures if figure.value is not None}
    return table, missing


def wrong(table: Table) -> list[str]:
    """What does not move as `EXPECTED` says, of the figures that were measured."""
    found = []
    for version, figure, low, high, base in EXPECTED:
        if version in table and figure in table[base]:
            change = table[version].get(figure, float("nan")) - table[base][figure]
            if not low <= change <= high:
                found.append(
                    f"{version}: {figure} changes by {change:.4g}; it must be from {low:g} to {high:g}"
                )
    return found


def lines_of(table: Table, missing: Mapping[str, str]) -> list[str]:
    """Tables in Markdown, of all metrics and of strikes alone, and the metrics that could not be tested."""
    order = sorted(table, key=lambda version: (version != TRUTH, version == GENERATED, version))
    whole = [version for version in order if not version.startswith(STRUCK)]
    struck = [version for version in order if version.startswith(STRUCK)]
    alone = [column for column in COLUMNS if column.figure == _ALIGNED]
    lines = [*_table(table, whole, COLUMNS), "", *(_table(table, struck, alone) if struck else [])]
    return [*lines, "", *(f"{name}: untested: no weights" for name in missing)]


def _table(table: Table, versions: Sequence[str], columns: Sequence[Column]) -> list[str]:
    arrows = {"higher": " ↑", "lower": " ↓", "neither": ""}
    head = [column.name + arrows[column.better] for column in columns]
    rows = [[v, *(_shown(table[v].get(column.figure)) for column in columns)] for v in versions]
    return ["| " + " | ".join(row) + " |" for row in (["", *head], ["---"] * (len(head) + 1), *rows)]


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}" if abs(value) >= 0.01 else f"{value:.4f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/eval_demo"))
    args = parser.parse_args()
    if not (args.out / f"{REFERENCE}.jsonl").exists():
        make_strikes(args.out, CLIPS)
        make(args.out, CLIPS, tiny)
    table, missing = score(args.out, METRIC_NAMES)
    print("\n".join(lines_of(table, missing)))
    problems = wrong(table)
    print("\n".join(problems) or "every figure moves the way it must")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
