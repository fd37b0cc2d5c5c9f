"""How well are the mouths of one to four heads read from the theatre's own pictures, and through an autoencoder?

    python benchmarks/theatre_speakers.py [--clips 40] [--vae tiny]

Prints JSON: for each number of heads the correlation of the openings of those who speak with the truth (mean and
least), the mean error of openings, the widest opening that is read of a silent mouth, and the share of clips whose
heads, prop and colours are all read rightly. Readers are fitted on scenes of zero to four heads; the clips are of seeds
that training cannot reach.
"""

import argparse
import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from benchmarks.theatre_vae import Coder
from mtv_jax.evaluation.metrics.statistics import correlation
from mtv_jax.evaluation.theatre.readers import Readers, fit_readers
from mtv_jax.io.progress import progress
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.theatre import EVALUATION_SEEDS, TheatreClip, TheatreConfig, render_clip
from mtv_jax.theatre.plan import MOST_ACTORS, actors_of


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=40, help="of each number of heads")
    parser.add_argument("--vae", help="read through the autoencoder of this preset or pipeline folder")
    args = parser.parse_args(argv)
    stage = TheatreConfig(actors=actors_of(MOST_ACTORS), num_speakers=MOST_ACTORS)
    readers = fit_readers(stage)
    code = Coder(pipeline_folder(args.vae)) if args.vae else (lambda videos: videos)
    found = {str(heads): _measure(readers, heads, args.clips, code) for heads in range(1, MOST_ACTORS + 1)}
    print(json.dumps({"clips": args.clips, "vae": args.vae, "heads": found}))


def _measure(readers: Readers, heads: int, count: int, code: Any) -> dict[str, float]:
    """The figures of clips of so many heads."""
    chances = tuple(float(number == heads) for number in range(MOST_ACTORS + 1))
    stage = TheatreConfig(actors=chances, num_speakers=MOST_ACTORS, speech=1.0)
    clips = [
        render_clip(EVALUATION_SEEDS, index, stage) for index in progress(count, f"clips of {heads} heads")
    ]
    follows, errors, silent, looks = [], [], [0.0], []
    for clip, frames in zip(clips, _coded(clips, code), strict=True):
        read = readers.openings(frames, clip.plan)
        for actor in range(heads):
            if actor in clip.plan.speakers:
                follows.append(correlation(read[actor], clip.truth.openings[actor]))
                errors.append(float(np.abs(read[actor] - clip.truth.openings[actor]).mean()))
            else:
                silent.append(float(read[actor].max()))
        looks.append(_looks_are_right(readers, clip, frames))
    return {
        "correlation": round(float(np.mean(follows)), 4),
        "least_correlation": round(min(follows), 4),
        "error": round(float(np.mean(errors)), 4),
        "widest_silent": round(max(silent), 4),
        "looks_right": float(np.mean(looks)),
    }


def _coded(clips: list[TheatreClip], code: Any) -> Iterable[np.ndarray]:
    return code(clip.frames for clip in clips)


def _looks_are_right(readers: Readers, clip: TheatreClip, frames: np.ndarray) -> bool:
    """Whether heads, prop and all colours are those of the plan."""
    seen, actors = readers.looks(frames, clip.plan), clip.plan.actors
    prop = clip.plan.prop.name if clip.plan.prop else "none"
    colours = [(a.look.skin, a.look.hair, a.look.shirt) for a in actors]
    return (
        seen.heads == len(actors)
        and seen.prop == prop
        and list(zip(seen.skins, seen.hairs, seen.shirts, strict=True)) == colours
    )


if __name__ == "__main__":
    main()
