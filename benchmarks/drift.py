"""Does a long video drift: does its colour, sharpness, looks and timing change from window to window?

    python benchmarks/drift.py --out benchmarks/results/tiny/drift.json --svg docs/drift.svg --work /tmp/drift

For theatre clips of a minute, all with speech, strikes and music, it samples videos with the preset in windows that
continue each other in two ways: `latent` (the last latent frames are the prefix of the next window) and `released`
(the last frames are decoded and encoded again). Both are read every five seconds, as are the theatre's own frames and
those frames after the autoencoder; colour and sharpness are compared with the first five seconds. On the autoencoder
alone, frames are encoded and decoded again and again. A call that was stopped goes on with `--work`.
"""

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

from mtv_jax import Pipeline
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.evaluation.metrics.statistics import f1_score, lagged_correlation
from mtv_jax.evaluation.theatre.crops import crop
from mtv_jax.evaluation.theatre.readers import Readers, fit_readers, match_events, mood_of
from mtv_jax.evaluation.theatre.suite import looks_right
from mtv_jax.io.files import atomic_path, write_json, write_text
from mtv_jax.pipelines.run import GenerateConfig, film, reconstruct, row_request
from mtv_jax.pipelines.timeline.grid import Grid
from mtv_jax.pipelines.timeline.plan import StoryOptions, plan_timeline
from mtv_jax.text.theatre_language import theatre_prompt
from mtv_jax.theatre import EVALUATION_SEEDS, TheatreClip, TheatreConfig, plan_clip, render_clip

MEASURES = ("lab", "sharpness", "looks", "lips", "opening_error", "events", "mood_error")
_CELLS = 12


@dataclass(frozen=True)
class Way:
    """How windows continue, and their sizes in frames; written as `latent:25:5`."""

    long_video: Any
    window: int
    overlap: int

    @classmethod
    def parse(cls, text: str) -> "Way":
        """Of its text."""
        name, window, overlap = text.split(":")
        return cls(name, int(window), int(overlap))

    def __str__(self) -> str:
        return f"{self.long_video}:{self.window}:{self.overlap}"


def clips(config: TheatreConfig, count: int) -> Iterator[TheatreClip]:
    """The first clips with speech, strikes and music."""
    plans = (plan_clip(EVALUATION_SEEDS, index, config) for index in itertools.count())
    fit = (p for p in plans if p.speaker is not None and p.prop and p.prop.onsets and p.mood)
    for plan in itertools.islice(fit, count):
        yield render_clip(EVALUATION_SEEDS, plan.index, config)


def sampled(pipe: Pipeline, clip: TheatreClip, way: Way, work: Path) -> np.ndarray:
    """Frames of a clip's words and sounds, kept in `work`."""
    file = work / f"{clip.plan.index}_{len(clip.frames)}_{str(way).replace(':', '_')}.npy"
    if not file.is_file():
        size = pipe.defaults.clip.replace(num_frames=len(clip.frames))
        request = row_request(theatre_prompt(clip.words), clip.tracks, 0, clip.plan.index)
        options = StoryOptions(
            window_frames=way.window, window_overlap=way.overlap, long_video=way.long_video
        )
        grid = Grid(size.num_frames, size.fps, pipe.vae.config.temporal_compression_ratio)
        timeline = plan_timeline(grid, request.prompt, longest=None, options=options)
        config = GenerateConfig(SamplerConfig("ddim", 8), guidance_scale=1.0)
        pieces = film(pipe, [request], size, config, timeline=timeline)
        with atomic_path(file) as temporary, temporary.open("wb") as out:
            np.save(out, np.concatenate(list(pieces), axis=1)[0])
    return np.load(file)


def to_lab(colours: np.ndarray) -> np.ndarray:
    """sRGB [... 3] in 0..255 to CIELAB (D65)."""
    share = colours / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = linear @ np.array(matrix).T / [0.95047, 1.0, 1.08883]
    x, y, z = np.moveaxis(np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116), -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def picture(frames: np.ndarray) -> np.ndarray:
    """The median picture in Lab, in 12 x 12 cells, so that what moves does not count."""
    return to_lab(np.median(crop(frames, (0, 0, 64, 64), (_CELLS, _CELLS)), axis=0))


def sharpness(frames: np.ndarray) -> float:
    """Mean gradient of the luma."""
    luma = frames.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    down, right = np.diff(luma, axis=1)[:, :, :-1], np.diff(luma, axis=2)[:, :-1]
    return float(np.hypot(down, right).mean())


def colour_and_sharpness(frames: np.ndarray, first: np.ndarray) -> dict[str, float]:
    """Distance in Lab from the picture of other frames, and sharpness as a share of theirs."""
    distance = np.linalg.norm(picture(frames) - picture(first), axis=-1).mean()
    return {"lab": float(distance), "sharpness": sharpness(frames) / sharpness(first)}


def read(readers: Readers, clip: TheatreClip, frames: np.ndarray, length: int) -> list[dict[str, float]]:
    """The measures of each part of `length` frames."""
    plan, truth = clip.plan, clip.truth
    assert plan.speaker is not None
    assert plan.mood is not None
    lips = readers.openings(frames, plan)[plan.speaker]
    struck, rows = readers.event_frames(frames, plan), []
    for start in range(0, len(frames) - length + 1, length):
        part = slice(start, start + length)
        wanted, seen = (
            tuple(i for i in events if start <= i < start + length) for events in (truth.event_frames, struck)
        )
        mood = np.abs(np.subtract(mood_of(frames[part]), (plan.mood.valence, plan.mood.energy)))
        rows.append(
            colour_and_sharpness(frames[part], frames[:length])
            | {
                "looks": looks_right(plan, readers.looks(frames[part], plan)),
                "lips": lagged_correlation(lips[part], truth.envelope[part], 0),
                "opening_error": float(np.abs(lips[part] - truth.envelope[part]).mean()),
                "events": f1_score(match_events(seen, wanted), len(seen), len(wanted)),
                "mood_error": float(mood.mean()),
            }
        )
    return rows


def averaged(rows: Sequence[list[dict[str, float]]]) -> dict[str, list[float]]:
    """The mean over clips of each measure, by part."""
    return {
        name: [round(mean(part[name] for part in parts), 4) for parts in zip(*rows, strict=True)]
        for name in rows[0][0]
    }


def of_autoencoder(pipe: Pipeline, found: Sequence[TheatreClip], rounds: int) -> dict[str, list[float]]:
    """Colour and sharpness of the clips' first frames after each round of encoding and decoding."""
    first = [clip.frames[:25] for clip in found]
    frames, rows = first, []
    for _ in range(rounds):
        frames = list(reconstruct(pipe, frames, batch_size=4))
        rows.append([colour_and_sharpness(a, b) for a, b in zip(frames, first, strict=True)])
    return averaged([list(row) for row in zip(*rows, strict=True)])


def draw(results: dict[str, dict[str, list[float]]], seconds: int) -> str:
    """An SVG of two curves, colour and sharpness over time."""
    colours = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")
    parts, width, height = [], 330, 180
    for column, (name, title) in enumerate((("lab", "Lab distance"), ("sharpness", "sharpness"))):
        left = 50 + column * (width + 60)
        values = [value for rows in results.values() for value in rows[name]]
        low, high = (0.0 if name == "lab" else min(values)), max(values)
        parts.append(f'<text x="{left}" y="22">{title}, compared with the first {seconds} s</text>')
        parts.append(f'<path d="M{left} 30V{30 + height}H{left + width}" fill="none" stroke="#888"/>')
        for value in (low, high):
            y = 30 + height * (1 - (value - low) / (high - low))
            parts.append(f'<text x="{left - 6}" y="{y + 4:.0f}" text-anchor="end">{value:.2f}</text>')
        for colour, rows in zip(colours, results.values(), strict=False):
            step = width / max(len(rows[name]) - 1, 1)
            points = " ".join(
                f"{left + i * step:.1f},{30 + height * (1 - (value - low) / (high - low)):.1f}"
                for i, value in enumerate(rows[name])
            )
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        count = len(next(iter(results.values()))[name])
        parts.append(
            f'<text x="{left + width}" y="{height + 46}" text-anchor="end">{count * seconds} s</text>'
        )
    for number, (colour, name) in enumerate(zip(colours, results, strict=False)):
        y = height + 70 + 16 * number
        parts.append(f'<path d="M50 {y - 4}h24" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="82" y="{y}">{name}</text>')
    total = f"{2 * (width + 60) + 20} {height + 80 + 16 * len(results)}"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total}" font-family="sans-serif" font-size="12">'
    return "\n".join([head, '<rect width="100%" height="100%" fill="#fff"/>', *parts, "</svg>\n"])


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="tiny", help="preset or pipeline folder")
    parser.add_argument("--seconds", type=int, default=60, help="of each video")
    parser.add_argument("--part", type=int, default=5, help="seconds that are read together")
    parser.add_argument("--clips", type=int, default=6, help="number of clips")
    parser.add_argument("--rounds", type=int, default=36, help="of the autoencoder alone")
    parser.add_argument(
        "--ways",
        type=Way.parse,
        nargs="+",
        default=[
            Way("latent", 25, 5),
            Way("released", 25, 5),
            Way("latent", 241, 5),
            Way("released", 241, 5),
        ],
        help="how windows continue, frames of a window, and frames that it shares with the one before",
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for sampled videos")
    parser.add_argument("--out", type=Path, help="JSON to write too")
    parser.add_argument("--svg", type=Path, help="curves to write")
    args = parser.parse_args(argv)
    pipe, readers = Pipeline.from_pretrained(args.preset), fit_readers()
    fps = pipe.defaults.clip.fps
    found = list(clips(TheatreConfig(num_frames=round(args.seconds * fps), fps=fps), args.clips))
    length, results = round(args.part * fps), {}

    def keep(name: str, shown: Sequence[np.ndarray]) -> None:
        rows = [read(readers, clip, frames, length) for clip, frames in zip(found, shown, strict=True)]
        results[name] = averaged(rows)
        print(json.dumps({name: results[name]}), flush=True)

    args.work.mkdir(parents=True, exist_ok=True)
    keep("theatre", [clip.frames for clip in found])
    keep("autoencoder", list(reconstruct(pipe, [clip.frames for clip in found], batch_size=1)))
    for way in args.ways:
        keep(str(way), [sampled(pipe, clip, way, args.work) for clip in found])
    alone = of_autoencoder(pipe, found, args.rounds)
    print(json.dumps({"rounds": alone}), flush=True)
    if args.out is not None:
        write_json(
            args.out,
            {
                "preset": args.preset,
                "clips": args.clips,
                "part": args.part,
                "parts": results,
                "rounds": alone,
            },
        )
    if args.svg is not None:
        write_text(args.svg, draw({n: r for n, r in results.items() if n != "autoencoder"}, args.part))


if __name__ == "__main__":
    main()
