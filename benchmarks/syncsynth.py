"""Does SyncSynth distinguish theatre clips whose lips are in time from those whose lips are not?

    python benchmarks/syncsynth.py [--clips 120]

Prints JSON: the figures over ground truth (the ceiling of any generator) and their controls; the shares of clips with
p < 0.01 by how late the pictures are; and those shares where pictures are coarse or noisy, or lips follow
only roughly.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable

import numpy as np

from mtv_jax.evaluation.metrics.base import measured
from mtv_jax.evaluation.metrics.statistics import correlation
from mtv_jax.evaluation.report.claims import SYNC_SHIFTS
from mtv_jax.evaluation.syncsynth import (
    SyncSynth,
    hear_clip,
    hear_others,
    load_syncsynth,
    other_speech,
    sync_metric,
    sync_test,
)
from mtv_jax.evaluation.syncsynth.figures import SIGNIFICANT
from mtv_jax.io.progress import progress
from mtv_jax.theatre import EVALUATION_SEEDS, TheatreClip, render_clip, render_frames
from mtv_jax.theatre.sounds import Performance

SEED = EVALUATION_SEEDS + 200
"""Of the clips; the null's speech is of the next one."""


def spoken_clips(count: int) -> list[TheatreClip]:
    clips, index = [], 0
    while len(clips) < count:
        clip = render_clip(SEED, index)
        index += 1
        if clip.plan.speaker is not None:
            clips.append(clip)
    return clips


def coarse(clip: TheatreClip) -> np.ndarray:
    """Pixels of twice the size: 64 x 64 shown as 32 x 32."""
    f, h, w, _ = clip.frames.shape
    blocks = clip.frames.reshape(f, h // 2, 2, w // 2, 2, 3).mean(axis=(2, 4))
    return np.repeat(np.repeat(blocks, 2, axis=1), 2, axis=2).astype(np.uint8)


def noisy(clip: TheatreClip) -> np.ndarray:
    """Gaussian noise of 12 of 255 in each pixel."""
    noise = 12 * np.random.default_rng(clip.plan.index).standard_normal(clip.frames.shape)
    return np.clip(clip.frames + noise, 0, 255).astype(np.uint8)


def rough_opening(clip: TheatreClip, noise: float) -> np.ndarray:
    """The mouth's opening with an error of so much in each frame, [F] in 0..1."""
    rng = np.random.default_rng(clip.plan.index)
    error = noise * rng.standard_normal(len(clip.truth.envelope))
    return np.clip(clip.truth.envelope + error, 0, 1)


def rough(clip: TheatreClip, noise: float) -> np.ndarray:
    mood = clip.plan.mood
    return render_frames(clip.plan, Performance({}, {"speech": rough_opening(clip, noise)}, mood))


def p_values(
    instrument: SyncSynth,
    clips: list[TheatreClip],
    null: np.ndarray,
    show: Callable[[TheatreClip], np.ndarray],
    shift: int = 0,
) -> list[float]:
    values = []
    for clip in clips:
        config = clip.plan.config
        place = clip.plan.actors[clip.plan.speaker or 0].place
        own = instrument.hear(clip.tracks["speech"], config.num_frames, config.fps)
        values.append(sync_test(instrument.watch(show(clip), place, config.fps), own, null, shift))
    return values


def share(values: list[float]) -> float:
    return float(np.mean(np.array(values) < SIGNIFICANT))


def measure(instrument: SyncSynth, clips: list[TheatreClip]) -> dict[str, object]:
    null = hear_others(instrument, clips[0].plan.config, other_speech(SEED + 1))
    heard = [hear_clip(instrument, clip, clip.frames) for clip in clips]
    table = [figure.to_json() for figure in measured(sync_metric(null), heard)]
    late = {
        shift: share(p_values(instrument, clips, null, lambda c: c.frames, shift))
        for shift in progress(SYNC_SHIFTS, "shifts")
    }
    worse = {"coarse": coarse, "noisy": noisy}
    significant = {name: share(p_values(instrument, clips, null, show)) for name, show in worse.items()}
    for noise in (0.1, 0.2, 0.3):
        follows = [correlation(rough_opening(clip, noise), clip.truth.envelope) for clip in clips]
        name = f"lips that correlate {np.mean(follows):.2f} with loudness"
        significant[name] = share(p_values(instrument, clips, null, lambda c, noise=noise: rough(c, noise)))
    return {"figures": table, "significant_by_shift": late, "significant_where_worse": significant}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clips", type=int, default=120)
    args = parser.parse_args(argv)
    instrument = load_syncsynth()
    fit = dataclasses.asdict(instrument)["fit"]
    print(json.dumps({"fit": fit, **measure(instrument, spoken_clips(args.clips))}, indent=2))


if __name__ == "__main__":
    main()
