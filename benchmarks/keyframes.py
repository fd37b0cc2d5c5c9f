"""Is a keyframe in the middle of a video what was given, and is it approached rather than jumped to?

    python benchmarks/keyframes.py --out benchmarks/results/tiny/keyframes.json

For theatre clips, the theatre's own frame in the middle is given to the preset as a keyframe. `psnr` is that of the
frame that comes back against the picture after the autoencoder alone. `jump` is the larger of the frame's differences
from its two neighbours, in medians of all differences between neighbouring frames of the video; `jump_without` is the
same of a video of the same noise without the keyframe, and `jump_theatre` of the theatre's own frames.
"""

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from mtv_jax import Pipeline
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.io.files import write_json
from mtv_jax.pipelines.run import GenerateConfig, Request, reconstruct, row_request, sample
from mtv_jax.text.theatre_language import theatre_prompt
from mtv_jax.theatre import EVALUATION_SEEDS, TheatreClip, TheatreConfig, plan_clip, render_clip


def clips(config: TheatreConfig, count: int) -> Iterator[TheatreClip]:
    """The first clips with speech."""
    plans = (plan_clip(EVALUATION_SEEDS, index, config) for index in itertools.count())
    for plan in itertools.islice((plan for plan in plans if plan.speaker is not None), count):
        yield render_clip(EVALUATION_SEEDS, plan.index, config)


def jump(frames: np.ndarray, place: int) -> float:
    """The larger difference of a frame from its neighbours, in medians of all differences of neighbours."""
    differences = np.abs(np.diff(frames.astype(np.float32), axis=0)).mean(axis=(1, 2, 3))
    return float(differences[place - 1 : place + 1].max() / max(np.median(differences), 1e-6))


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """In dB, of pictures in 0..255."""
    return float(10 * np.log10(255**2 / max(np.square(a.astype(np.float64) - b).mean(), 1e-9)))


def measure(pipe: Pipeline, clip: TheatreClip, place: int) -> dict[str, float]:
    """The figures of one clip."""
    size = pipe.defaults.clip.replace(num_frames=len(clip.frames))
    config = GenerateConfig(SamplerConfig("ddim", 8), guidance_scale=1.0)
    plain = row_request(theatre_prompt(clip.words), clip.tracks, 0, clip.plan.index)
    picture = clip.frames[place]
    options: dict[str, Any] = vars(plain) | {"keyframes": {place: picture}}
    keyed, without = sample(pipe, [Request(**options), plain], size, config)
    (coded,) = reconstruct(pipe, [picture[None]], batch_size=1)
    return {
        "psnr": psnr(keyed[place], coded[0]),
        "psnr_autoencoder": psnr(coded[0], picture),
        "jump": jump(keyed, place),
        "jump_without": jump(without, place),
        "jump_theatre": jump(clip.frames, place),
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="tiny", help="preset or pipeline folder")
    parser.add_argument("--frames", type=int, default=49, help="of each video")
    parser.add_argument("--clips", type=int, default=24, help="number of clips")
    parser.add_argument("--out", type=Path, help="JSON to write too")
    args = parser.parse_args(argv)
    pipe = Pipeline.from_pretrained(args.preset)
    config = TheatreConfig(num_frames=args.frames, fps=pipe.defaults.clip.fps)
    rows = [measure(pipe, clip, args.frames // 2) for clip in clips(config, args.clips)]
    found = {name: round(median(row[name] for row in rows), 3) for name in rows[0]}
    found |= {"jumps_up_to_2": round(float(np.mean([row["jump"] <= 2 for row in rows])), 3)}
    found |= {"jumps_up_to_2_theatre": round(float(np.mean([row["jump_theatre"] <= 2 for row in rows])), 3)}
    print(json.dumps(found))
    if args.out is not None:
        write_json(args.out, {"preset": args.preset, "clips": args.clips, "frames": args.frames, **found})


if __name__ == "__main__":
    main()
