"""The sound of a clip: speech, effects and music, synthesised or from recordings that the caller passes."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np

from mtv_jax.names import TRACK_RATE, track_kind
from mtv_jax.theatre.effects import strike
from mtv_jax.theatre.music import play
from mtv_jax.theatre.plan import ClipPlan
from mtv_jax.theatre.speech import draw_voice, speak
from mtv_jax.theatre.stage import Mood

"""Of all tracks, Hz."""
SPEECH_LEVEL = 0.1
"""RMS of a loud syllable: what opens a mouth fully."""
_PEAKS = {"speech": 0.42, "effects": 0.3, "music": 0.28}
"""Largest sample of a track of each kind; they add up to 1, so the mix is not clipped where one speaks at a time."""
_FADE = 0.02
"""Seconds over which a voice ends where another's turn begins."""
_LOUDNESS_POWER = 0.6
_IN_TURN = 0.5
"""Chance that several speakers speak one after another rather than at once."""


@runtime_checkable
class Recordings(Protocol):
    """Real sounds to use instead of synthetic ones. A method that returns None leaves its sound synthetic.

    All waves are mono float32 at 16 kHz; `rng` belongs to the clip, so that the choice is reproducible. Sounds that
    stay synthetic are the same as without recordings.
    """

    def speech(self, rng: np.random.Generator, num_samples: int) -> np.ndarray | None:
        """One voice, at least `num_samples` long or padded with silence. Its level is set here."""
        ...

    def effect(self, rng: np.random.Generator, prop: str) -> np.ndarray | None:
        """One strike of a prop, its onset at sample 0. Called once for a clip, whose strikes all sound the same."""
        ...

    def music(self, rng: np.random.Generator, num_samples: int) -> tuple[np.ndarray, Mood] | None:
        """Music, and the mood that the stage shows for it."""
        ...


@dataclass(frozen=True)
class Performance:
    """The sound of a clip, and what the stage shows for it.

    Attributes:
      tracks: the config's (`TheatreConfig.tracks`) and mix: float32 [s] each at 16 kHz; a silent track is exact zeros.
      envelopes: loudness of each track of speech in each frame, [F] in 0..1 (`loudness`); those of silent ones may be
        left out.
      mood: of the music; None: there is none.
    """

    tracks: dict[str, np.ndarray]
    envelopes: Mapping[str, np.ndarray]
    mood: Mood | None


def perform(plan: ClipPlan, recordings: Recordings | None = None) -> Performance:
    """Makes the sound of a clip. `num_frames / fps` seconds long, to the nearest sample."""
    config = plan.config
    length = round(config.num_frames * TRACK_RATE / config.fps)
    music, mood = _music(plan, length, recordings)
    waves = {
        **_speech(plan, length, recordings),
        "effects": _effects(plan, length, recordings),
        "music": music,
    }
    tracks: dict[str, np.ndarray] = {}
    for name in config.tracks:
        wave = waves.get(name, np.zeros(length))
        tracks[name] = _limit(wave, _PEAKS[track_kind(name)]).astype(np.float32)
    first, *others = tracks.values()
    tracks["mix"] = _limit(sum(others, start=first), 1.0)
    envelopes = {name: loudness(tracks[name], config.num_frames, config.fps) for name in plan.voices}
    return Performance(tracks, envelopes, mood)


def loudness(wave: np.ndarray, num_frames: int, fps: Fraction) -> np.ndarray:
    """Loudness of speech in each frame's time [i / fps, (i + 1) / fps): float64 [F] in 0..1.

    RMS by `SPEECH_LEVEL` to the power 0.6 (about how loud it seems: Stevens' law), at most 1; 0 for silence.
    """
    edges = [round(i * TRACK_RATE / fps) for i in range(num_frames + 1)]
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(wave, np.float64) ** 2)])
    power = np.maximum(np.diff(sums[edges]) / np.diff(edges), 0)
    return np.minimum((np.sqrt(power) / SPEECH_LEVEL) ** _LOUDNESS_POWER, 1.0)


def _speech(plan: ClipPlan, length: int, recordings: Recordings | None) -> dict[str, np.ndarray]:
    """The tracks of those who speak, float64 [s] each: all the time, or each in a turn of its own."""
    spans = dict.fromkeys(plan.voices, (0, length))
    if len(spans) > 1:
        rng = plan.rng("turns")
        if rng.random() < _IN_TURN:
            edges = [round(length * i / len(spans)) for i in range(len(spans) + 1)]
            names = [list(spans)[i] for i in rng.permutation(len(spans))]
            spans = {name: (edges[i], edges[i + 1]) for i, name in enumerate(names)}
    tracks = {}
    for name, (start, end) in spans.items():
        voice = _voice(plan, name, end - start, recordings)
        fade = min(round(_FADE * TRACK_RATE), len(voice)) if end < length else 0
        voice[len(voice) - fade :] *= np.linspace(1, 0, fade)
        tracks[name] = np.pad(voice, (start, length - end))
    return tracks


def _voice(plan: ClipPlan, track: str, length: int, recordings: Recordings | None) -> np.ndarray:
    """One speaker's speech, float64 [length]."""
    recorded = recordings.speech(plan.rng(f"recorded {track}"), length) if recordings else None
    if recorded is not None:
        return _fit(_levelled(recorded, plan.config.fps), length)
    rng = plan.rng(track)
    return SPEECH_LEVEL * speak(rng, draw_voice(rng), length, TRACK_RATE)


def _effects(plan: ClipPlan, length: int, recordings: Recordings | None) -> np.ndarray:
    track = np.zeros(length)
    if plan.prop is None:
        return track
    recorded = recordings.effect(plan.rng("recorded effects"), plan.prop.name) if recordings else None
    rng = plan.rng("effects")
    for onset in plan.prop.onsets:
        start = round(onset * TRACK_RATE)
        wave = strike(rng, plan.prop.name, TRACK_RATE) if recorded is None else recorded
        wave = (
            wave / max(np.abs(wave).max(initial=0.0), 1e-9) * _PEAKS["effects"] * (0.7 + 0.3 * rng.random())
        )
        track[start:] += _fit(wave, length - start)
    return track


def _music(plan: ClipPlan, length: int, recordings: Recordings | None) -> tuple[np.ndarray, Mood | None]:
    if plan.mood is None:
        return np.zeros(length), None
    recorded = recordings.music(plan.rng("recorded music"), length) if recordings else None
    if recorded is not None:
        return _fit(recorded[0], length), recorded[1]
    return play(plan.rng("music"), plan.mood, plan.timbre, length, TRACK_RATE), plan.mood


def _levelled(wave: np.ndarray, fps: Fraction) -> np.ndarray:
    """Scaled so that the loudest twentieth of its frames has `SPEECH_LEVEL`."""
    step = max(round(TRACK_RATE / fps), 1)
    whole = wave[: len(wave) // step * step]
    levels = np.sqrt((whole.astype(np.float64).reshape(-1, step) ** 2).mean(axis=1))
    return wave * (SPEECH_LEVEL / max(float(np.quantile(levels, 0.95)) if len(levels) else 0.0, 1e-6))


def _limit(wave: np.ndarray, peak: float) -> np.ndarray:
    loudest = float(np.abs(wave).max(initial=0.0))
    return wave * (peak / loudest) if loudest > peak else wave


def _fit(wave: np.ndarray, length: int) -> np.ndarray:
    return np.pad(wave[:length], (0, max(length - len(wave), 0)))
