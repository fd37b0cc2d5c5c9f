"""How much of the theatre's figures is given by a formula, without any network?

    python benchmarks/theatre_formulas.py [--mixed dfn3+mask]

Lips: the sum of the log-mel band powers that the preset `tiny` receives, to Stevens' exponent, which the theatre uses.
Events: the frames in which the effects' level rises by more than one threshold, chosen on other clips. A model that
does as well has learnt which track is whose, which actor and prop to move, and how to paint; the relation itself is
not hard to find.

With `--mixed` the formula is given tracks that were mixed and separated, as `mtv_jax.evaluate --suite theatre --mixed`
gives them to a model; the threshold is chosen on true tracks. What it then lacks is lost in separation.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mtv_jax.audio.pretrained import load_audio_encoder
from mtv_jax.evaluation.metrics.statistics import correlation, f1_score
from mtv_jax.evaluation.theatre.mixed import check_mixed, mixed_tracks
from mtv_jax.evaluation.theatre.readers import FITTING_SEED, match_events
from mtv_jax.models.mel import MelConfig
from mtv_jax.names import TRACKS
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.theatre import EVALUATION_SEEDS, TheatreClip, TheatreConfig, render_clip

POWER = 0.6
"""Of Stevens' law, loudness against RMS."""


def heard(clip: TheatreClip, mixed: str | None) -> TheatreClip:
    """The clip with the tracks that are separated from their mix by `mixed`, if that is given."""
    return replace(clip, tracks=mixed_tracks({name: clip.tracks[name] for name in TRACKS}, mixed))


def levels(clip: TheatreClip, track: str) -> np.ndarray:
    """RMS of each frame [F], from the log-mel bands that the preset receives."""
    encoder = load_audio_encoder(pipeline_folder("tiny") / "audio_encoder")
    config = clip.plan.config
    bands = encoder(clip.tracks[track].astype(np.float32), config.num_frames, config.fps)
    # The inverse of `log_mel_features`: -1 is the floor in dB, +1 is 0 dB.
    decibels = MelConfig.floor_db * (1 - bands) / 2
    return np.sqrt((10 ** (decibels / 10)).sum(axis=-1).mean(axis=-1))


def rises(clip: TheatreClip) -> np.ndarray:
    """By how many dB the effects are louder than in the frame before, [F]."""
    decibels = 20 * np.log10(np.maximum(levels(clip, "effects"), 1e-4))
    return np.append(0.0, np.diff(decibels))


def lips(clips: Sequence[TheatreClip]) -> float:
    """Mean correlation of the formula with what opens the mouth."""
    spoken = [clip for clip in clips if clip.plan.speaker is not None]
    return float(np.mean([correlation(levels(c, "speech") ** POWER, c.truth.envelope) for c in spoken]))


def events(clips: Sequence[TheatreClip], threshold: float, tolerance: int) -> float:
    """F1 of the frames in which the effects rise by more than `threshold` dB."""
    counts = np.zeros(3, int)
    for clip in clips:
        if clip.truth.event_frames:
            found = tuple(int(i) for i in np.flatnonzero(rises(clip) > threshold))
            pairs = match_events(found, clip.truth.event_frames, tolerance)
            counts += [pairs, len(found), len(clip.truth.event_frames)]
    return f1_score(*(int(n) for n in counts))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--clips", type=int, default=200, help="of evaluation; a third as many choose the threshold"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the clips, as for the suite")
    parser.add_argument("--mixed", metavar="SEPARATOR", help="separates the mix of the tracks first")
    args = parser.parse_args(argv)
    if args.mixed:
        check_mixed(args.mixed)
    stage = TheatreConfig()
    held_out = [
        heard(render_clip(EVALUATION_SEEDS + args.seed, index, stage), args.mixed)
        for index in range(args.clips)
    ]
    others = [render_clip(FITTING_SEED + 1, index, stage) for index in range(max(args.clips // 3, 1))]
    threshold = max(np.arange(1.0, 40.0), key=lambda level: events(others, level, 1))
    figures = {
        "lips_correlation": round(lips(held_out), 4),
        "events_threshold_db": float(threshold),
        "events_f1_within_a_frame": round(events(held_out, threshold, 1), 4),
        "events_f1_in_the_very_frame": round(events(held_out, threshold, 0), 4),
        "clips": args.clips,
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
