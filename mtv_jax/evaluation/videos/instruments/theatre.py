"""Metrics of theatre clips as files: what is on the stage is read from the prompt, what is heard from the tracks."""

import functools
from typing import Any

import numpy as np

from mtv_jax.evaluation.metrics.statistics import f1_score, lagged_correlation
from mtv_jax.evaluation.report.contact_sheet import onsets
from mtv_jax.evaluation.syncsynth import (
    NULLS,
    agreements,
    hear_others,
    load_syncsynth,
    other_speech,
    sync_test,
)
from mtv_jax.evaluation.syncsynth.instrument import SyncSynth, bundled
from mtv_jax.evaluation.theatre import readers as theatre_readers
from mtv_jax.evaluation.theatre.readers import FITTING_SEED, Readers, match_events
from mtv_jax.evaluation.theatre.suite import LAGS, best_lag, looks_right
from mtv_jax.evaluation.videos.clip import Clip
from mtv_jax.evaluation.videos.metric import Measure, Weights
from mtv_jax.io.audio import fit_length
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import sha256
from mtv_jax.names import TRACK_RATE
from mtv_jax.text.theatre_language import plan_of_prompt
from mtv_jax.theatre import EVALUATION_SEEDS, ClipPlan, TheatreConfig
from mtv_jax.theatre.plan import VERSION, actors_of
from mtv_jax.theatre.sounds import loudness

_NULL_SEED = EVALUATION_SEEDS + 2**31 + 17
"""Of the theatre whose voices are SyncSynth's null; clips to measure are of lower seeds."""
_LEAST_FRAMES = 8
"""Fewer frames leave too few at the largest lag for a correlation."""


def open_syncsynth(weights: Weights) -> Measure:
    """SyncSynth's confidence and p-value, of the manifest's speech or else the video's sound."""
    del weights  # the bundled ones
    instrument = load_syncsynth()
    null = functools.cache(functools.partial(_null, instrument))

    def measure(clip: Clip) -> dict[str, float]:
        plan = _plan(clip)
        if plan.speaker is None:
            raise UserError(f"{clip.item.id}: nobody speaks in its prompt")
        count = len(clip.frames)
        seen = instrument.watch(clip.frames, plan.actors[plan.speaker].place, clip.fps)
        own = instrument.hear(_speech(clip), count, clip.fps)
        return {"score": float(agreements(seen, own[None])[0]), "p": sync_test(seen, own, null(count))}

    facts = {
        "weights": sha256(bundled() / "model.safetensors"),
        "fps": float(instrument.fps),
        "null": f"{NULLS} of {_NULL_SEED}",
    }
    return Measure("syncsynth", measure, facts)


def open_theatre(_: Weights) -> Measure:
    """The theatre's readers, which are fitted when the first video with so many heads is measured."""
    fitted = functools.cache(lambda actors: theatre_readers.fit_readers(TheatreConfig(actors=actors)))

    def measure(clip: Clip) -> dict[str, Any]:
        plan, count = _plan(clip), len(clip.frames)
        if count < _LEAST_FRAMES:
            raise UserError(
                f"{clip.item.id}: {count} frames; the theatre is read from {_LEAST_FRAMES} or more"
            )
        readers = fitted(actors_of(len(plan.actors)))
        looks = looks_right(plan, readers.looks(clip.frames, plan))
        return {"looks": looks, **_lips(clip, plan, readers), **_events(clip, plan, readers)}

    return Measure(f"theatre_v{VERSION}", measure, {"fps": "the video's own", "readers": FITTING_SEED})


def _null(instrument: SyncSynth, count: int) -> np.ndarray:
    """Embeddings of the theatre's voices for that number of frames."""
    config = TheatreConfig(num_frames=count, fps=instrument.fps)
    return hear_others(instrument, config, other_speech(_NULL_SEED, config))


def _plan(clip: Clip) -> ClipPlan:
    """Who and what stands where, by the prompt. Raises UserError for one that is not of the theatre's form."""
    count, height, width, _ = clip.frames.shape
    config = TheatreConfig(height=height, width=width, num_frames=count, fps=clip.fps)
    try:
        return plan_of_prompt(clip.prompt, config)
    except UserError as error:
        raise UserError(f"{clip.item.id}: no clip of the theatre; {error}") from error


def _speech(clip: Clip) -> np.ndarray:
    own = clip.track("speech")
    return fit_length(clip.sound(TRACK_RATE), clip.num_samples) if own is None else own


def _lips(clip: Clip, plan: ClipPlan, readers: Readers) -> dict[str, Any]:
    """How lips follow the speech at each of `LAGS`, and the lag at which they do best; nothing without a speaker."""
    if plan.speaker is None:
        return {}
    envelope = loudness(_needed(clip, "speech"), len(clip.frames), clip.fps)
    opening = readers.openings(clip.frames, plan)[plan.speaker]
    by_lag = [lagged_correlation(opening, envelope, lag) for lag in LAGS]
    return {"lips": by_lag[LAGS.index(0)], "lips_by_lag": by_lag, "lips_lag": best_lag(opening, envelope)}


def _events(clip: Clip, plan: ClipPlan, readers: Readers) -> dict[str, Any]:
    """Strikes seen and heard; nothing without a prop. One in the first frame cannot be seen."""
    if plan.prop is None:
        return {}
    frames = [int(onset * clip.fps) for onset in onsets(_needed(clip, "effects"))]
    heard = tuple(frame for frame in frames if 1 <= frame < len(clip.frames))
    seen = readers.event_frames(clip.frames, plan)
    pairs = match_events(seen, heard)
    score = f1_score(pairs, len(seen), len(heard))
    return {"events": score, "pairs": pairs, "seen": len(seen), "heard": len(heard)}


def _needed(clip: Clip, name: str) -> np.ndarray:
    track = clip.track(name)
    if track is None:
        raise UserError(f"{clip.item.id}: has no track {name!r}; give the file in the manifest")
    return track
