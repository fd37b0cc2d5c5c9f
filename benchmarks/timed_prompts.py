"""Do the looks of a video change when its prompt does?

    python benchmarks/timed_prompts.py --out benchmarks/results/tiny/timed_prompts.json

In the middle of theatre clips of ten seconds with one actor, the text gives the actor another skin, hair and shirt. The
colours are read from each frame of a video of the preset, with and without a transition. `late` is how many seconds
after the time asked the first frame is from which on most of the next half second has two of the three new colours
(the median over clips, and its largest distance from 0); `within` the share of clips in which that is at most .5 s
either way; `before` and `after` are the shares of colours that are right more than .5 s before and after the time.
"""

import argparse
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax import Pipeline
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.evaluation.theatre.readers import Readers, fit_readers
from mtv_jax.io.files import write_json
from mtv_jax.pipelines.run import GenerateConfig, film, row_request
from mtv_jax.pipelines.timeline.grid import Grid
from mtv_jax.pipelines.timeline.plan import StoryOptions, plan_timeline
from mtv_jax.text.theatre_language import theatre_prompt
from mtv_jax.theatre import EVALUATION_SEEDS, ClipPlan, TheatreConfig, plan_clip
from mtv_jax.theatre.clip import describe, render_tracks
from mtv_jax.theatre.plan import HAIRS, SHIRTS, SKINS

SECONDS, CHANGE = 10, 5
KINDS = {"skin": SKINS, "hair": HAIRS, "shirt": SHIRTS}


def plans(config: TheatreConfig, count: int) -> Iterator[ClipPlan]:
    """The first plans of one actor, who speaks."""
    found = (plan_clip(EVALUATION_SEEDS, index, config) for index in itertools.count())
    return itertools.islice((p for p in found if len(p.actors) == 1 and p.speaker is not None), count)


def changed(plan: ClipPlan) -> ClipPlan:
    """The plan with the other colours."""
    (actor,) = plan.actors
    colours = {}
    for kind, names in KINDS.items():
        order = list(names)
        colours[kind] = order[(order.index(getattr(actor.look, kind)) + len(order) // 2) % len(order)]
    return replace(plan, actors=(replace(actor, look=replace(actor.look, **colours)),))


def sampled(pipe: Pipeline, plan: ClipPlan, options: StoryOptions, longest: int) -> np.ndarray:
    """Frames of a plan that changes."""
    tracks = {name: track for name, track in render_tracks(plan).items() if name in pipe.tracks}
    texts = [theatre_prompt(describe(each)) for each in (plan, changed(plan))]
    size = pipe.defaults.clip.replace(num_frames=plan.config.num_frames)
    grid = Grid(size.num_frames, size.fps, pipe.vae.config.temporal_compression_ratio)
    prompts = list(zip((0.0, float(CHANGE)), texts, strict=True))
    timeline = plan_timeline(grid, prompts, longest=longest, options=options)
    config = GenerateConfig(SamplerConfig("ddim", 8), guidance_scale=1.0)
    request = row_request(texts[0], tracks, 0, plan.index)
    return np.concatenate(list(film(pipe, [request], size, config, timeline=timeline)), axis=1)[0]


def right(readers: Readers, plan: ClipPlan, frames: np.ndarray) -> np.ndarray:
    """Share of a plan's colours in each frame."""
    shares = []
    for frame in frames:
        looks, look = readers.looks(frame[None], plan), plan.actors[0].look
        seen = (looks.skins[0], looks.hairs[0], looks.shirts[0])
        shares.append(
            np.mean([a == b for a, b in zip(seen, (look.skin, look.hair, look.shirt), strict=True)])
        )
    return np.array(shares)


def measure(readers: Readers, plan: ClipPlan, frames: np.ndarray) -> dict[str, float]:
    """The figures of one video."""
    fps, near = float(plan.config.fps), round(float(plan.config.fps) / 2)
    change = round(CHANGE * fps)
    new = right(readers, changed(plan), frames)
    has = new > 0.5
    lasting = [i for i in range(len(has)) if has[i] and has[i : i + near].mean() > 0.5]
    return {
        "late": (lasting[0] - change) / fps if lasting else SECONDS - CHANGE,
        "before": float(right(readers, plan, frames[: change - near]).mean()),
        "after": float(new[change + near :].mean()),
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="tiny", help="preset or pipeline folder")
    parser.add_argument("--clips", type=int, default=12, help="number of clips")
    parser.add_argument("--window-frames", type=int, default=61, help="most frames of a window")
    parser.add_argument("--transitions", type=float, nargs="+", default=[0.0, 0.5], help="seconds")
    parser.add_argument("--out", type=Path, help="JSON to write too")
    args = parser.parse_args(argv)
    pipe, readers = Pipeline.from_pretrained(args.preset), fit_readers()
    fps, results = pipe.defaults.clip.fps, []
    found = list(plans(TheatreConfig(num_frames=round(SECONDS * fps), fps=fps), args.clips))
    for transition in args.transitions:
        options = StoryOptions(transition=transition)
        rows = [measure(readers, p, sampled(pipe, p, options, args.window_frames)) for p in found]
        late = np.array([row["late"] for row in rows])
        row: dict[str, Any] = {
            "transition": transition,
            "late": float(np.median(late)),
            "largest": float(np.abs(late).max()),
            "within": float((np.abs(late) <= 0.5).mean()),
        }
        row |= {name: float(np.mean([row[name] for row in rows])) for name in ("before", "after")}
        results.append({name: round(value, 3) for name, value in row.items()})
        print(json.dumps(results[-1]), flush=True)
    if args.out is not None:
        write_json(args.out, {"preset": args.preset, "clips": args.clips, "rows": results})


if __name__ == "__main__":
    main()
