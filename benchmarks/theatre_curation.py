"""How often is curation right about clips of which the truth is known?

    python benchmarks/theatre_curation.py --out runs/theatre_curation

Clips of the theatre are joined to films with hard cuts, `python -m mtv_jax.curate run` makes shards of the films and
their mixed sound, and its report compares what the stages found with the truth beside the films, which no stage reads.
Heads are found by `theatre_heads.py`; all else is as by default, or by flags `--config.KEY=VALUE`. Close-ups of a
speaker are in films of talking heads, as DEMIX knows of the source of its basic faces. The same command goes on where
it was stopped.
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.curation.decide import subsets
from mtv_jax.io.files import read_json, write_json, write_text
from mtv_jax.io.progress import progress
from mtv_jax.io.video import write_video
from mtv_jax.names import TRACK_RATE, TRACKS
from mtv_jax.theatre import SoundLibrary, TheatreClip, TheatreConfig, plan_clip, render_clip
from mtv_jax.theatre.clip import audible

SEED = 16
CONFIG = TheatreConfig(num_frames=28)
WINDOW = slice(1, 26)
"""Frames of a shot that become a clip: 25, of which curation leaves one out beside each cut."""
PAUSE = 4
"""Frames that a mouth may be shut within a turn."""


def films_of(clips: int, each: int) -> Iterator[tuple[str, list[int]]]:
    """Names of films, and the clips of the theatre that each shows: talking heads apart from the others."""
    kinds: dict[str, list[int]] = {"talking_head": [], "film": []}
    for index in range(clips):
        plan = plan_clip(SEED, index, CONFIG)
        close_up = len(plan.actors) == 1 and plan.prop is None and plan.speaker is not None
        kinds["talking_head" if close_up else "film"].append(index)
    for kind, indices in kinds.items():
        for number, first in enumerate(range(0, len(indices), each)):
            yield f"{kind}_{number:02d}", indices[first : first + each]


def make_films(folder: Path, clips: int, each: int) -> None:
    """Writes the films, with `film.json` beside each, unless they are there."""
    done = folder.parent / "films.txt"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    films = dict(films_of(clips, each))
    sounds = SoundLibrary.training()
    for name, indices in progress(list(films.items()), "films"):
        write_film(folder / f"{name}.mp4", [render_clip(SEED, index, CONFIG, sounds) for index in indices])
    write_text(done, "".join(f"{name} {' '.join(map(str, indices))}\n" for name, indices in films.items()))


def write_film(path: Path, clips: Sequence[TheatreClip]) -> None:
    """Clips in a row, with their mixed sound, and what is true of them."""
    sound = np.concatenate([clip.tracks["mix"] for clip in clips])
    frames = np.concatenate([clip.frames for clip in clips])
    write_video(path, frames, CONFIG.fps, audio=sound, sample_rate=TRACK_RATE, crf=12)
    kind = "talking_head" if path.stem.startswith("talking_head") else "film"
    parts = [truth_of(clip, kind, number * CONFIG.num_frames) for number, clip in enumerate(clips)]
    write_json(path.with_suffix(".json"), {"kind": kind, "licence": "CC0-1.0", "truth": parts})


def truth_of(clip: TheatreClip, kind: str, first: int) -> dict[str, Any]:
    """What is true of a clip that begins with frame `first` of its film (`mtv_jax.curation.report.truth`)."""
    count, heard = len(clip.plan.actors), heard_in(clip)
    facts = {"source": {"kind": kind}, "people": {"count": count}, "separation": {"heard": heard}}
    speaks = "speech" in heard
    faces = []
    for number, boxes in enumerate(clip.truth.head_boxes):
        x = float(np.mean(boxes[:, [0, 2]])) / CONFIG.width
        faces.append({"x": x, "speaks": turns(clip.truth.openings[number] > 0.1, first) if speaks else []})
    return {
        "start": float(first / CONFIG.fps),
        "end": float((first + CONFIG.num_frames) / CONFIG.fps),
        "index": clip.plan.index,
        "subsets": list(subsets(facts)),
        "people": count,
        "speakers": int(speaks),
        "participants": int(speaks),
        "heard": heard,
        "faces": sorted(faces, key=lambda face: face["x"]),
    }


def heard_in(clip: TheatreClip) -> list[str]:
    """The tracks that are not silent in what becomes a clip."""
    first, last = (round(frame / CONFIG.fps * TRACK_RATE) for frame in (WINDOW.start, WINDOW.stop))
    return [name for name in TRACKS if audible(clip.tracks[name][first:last])]


def turns(opened: np.ndarray, first: int) -> list[list[float]]:
    """When a mouth is open, but for pauses of up to `PAUSE` frames: seconds of the film."""
    frames = np.flatnonzero(opened)
    if not len(frames):
        return []
    parts = np.split(frames, np.flatnonzero(np.diff(frames) > PAUSE + 1) + 1)
    edges = [(first + int(part[0]), first + int(part[-1]) + 1) for part in parts]
    return [[float(start / CONFIG.fps), float(end / CONFIG.fps)] for start, end in edges]


def curate(films: Path, out: Path, config: Sequence[str]) -> None:
    """The pipeline and its report."""
    here = Path(__file__).resolve().parent
    finder = f"jsonl:{shlex.join([sys.executable, str(here / 'theatre_heads.py')])}"
    options = ["--videos", str(films), "--out", str(out), "--workers", "0"]
    _run("run", *options, f"--config.person_detector={finder}", *config)
    _run("report", str(out))


def _run(*options: str) -> None:
    """Runs a command, whose output goes to stderr: stdout is for the result."""
    subprocess.run([sys.executable, "-m", "mtv_jax.curate", *options], check=True, stdout=2)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=Path("runs/theatre_curation"), help="folder of films and shards"
    )
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--each", type=int, default=10, help="clips in a film")
    args, config = parser.parse_known_args(argv)
    make_films(args.out / "films", args.clips, args.each)
    curate(args.out / "films", args.out / "shards", config)
    found = read_json(args.out / "shards" / "report.json")
    print(
        json.dumps(
            {key: found[key] for key in ("clips", "kept", "funnel", "truth", "captions", "costs")}, indent=1
        )
    )


if __name__ == "__main__":
    main()
