"""Mixes of known tracks for `separators.py`: of recordings, and of the theatre. Mono, 16 kHz, all of one level."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtv_jax.io.audio import fit_length, read_audio
from mtv_jax.names import TRACK_RATE, TRACKS
from mtv_jax.theatre import EVALUATION_SEEDS, SoundLibrary, render_clip

LEVELS_DB = (-6.0, 0.0, 6.0)
"""Of speech against effects and music together. Effects against music have each of these too, in turn."""
PRESENT = (
    *(("speech", "effects", "music"),) * 2,
    ("speech", "music"),
    ("effects", "music"),
    ("speech", "effects"),
    ("speech",),
    ("effects",),
    ("music",),
)
"""Which tracks the mixes have, in turn."""
MIX_DBFS = -20.0
"""RMS of a mix, less where its loudest sample would be above full scale."""
_CHOOSING = ("perc_snap", "elec_blip", "perc_till", "drum_splash_hard")
"""Effects of the mixes on which thresholds are chosen. No training of this repository uses these or `_REPORTED`."""
_REPORTED = ("drum_tom_hi_hard", "drum_cowbell", "elec_wood", "elec_bong", "misc_crow", "vinyl_scratch")
_SPACING = (0.4, 1.4)
"""Seconds between strikes."""


@dataclass(frozen=True)
class Mix:
    """Tracks float32 [s], and the level of speech against the others that they are mixed at (None: their own)."""

    tracks: dict[str, np.ndarray]
    level: float | None = None

    @property
    def mix(self) -> np.ndarray:
        """Their sum."""
        return np.sum(list(self.tracks.values()), axis=0, dtype=np.float32)


def recorded_mixes(media: Path, count: int, seconds: float, *, choosing: bool) -> Iterator[Mix]:
    """`count` mixes at each level, of voices, effects and music in the folders `speech`, `effects`, `music`.

    Those for choosing thresholds share no voice prompt, effect or piece of music with the others.
    """
    prompts = sorted((media / "speech" / "prompts").glob("*.wav"))
    voices = [read_audio(path, TRACK_RATE) for path in prompts[not choosing :: 2]]
    effects = [
        _one_shot(media / "effects" / f"{name}.flac") for name in (_CHOOSING if choosing else _REPORTED)
    ]
    music = _music(sorted((media / "music").glob("*.wav")), choosing)
    for index in range(count):
        for level in LEVELS_DB:
            rng = np.random.default_rng((choosing, index, round(level) + 100))
            speech = _voice(rng, voices, round(seconds * TRACK_RATE))
            struck = _struck(rng, effects, len(speech))
            tune = _excerpt(rng, music, len(speech))
            tracks = {"speech": speech, "effects": struck, "music": tune}
            present = PRESENT[index % len(PRESENT)]
            balance = LEVELS_DB[(index + round(level) // 6) % 3]
            yield Mix(_balanced(tracks, present, level, balance), level)


def theatre_mixes(count: int, *, choosing: bool) -> Iterator[Mix]:
    """Tracks of theatre clips that nothing is trained on, every second one with held-out recordings."""
    for index in range(count):
        sounds = SoundLibrary.held_out() if index % 2 else None
        clip = render_clip(EVALUATION_SEEDS + 300 + choosing, index, recordings=sounds)
        yield Mix(_levelled({name: clip.tracks[name] for name in TRACKS}))


def _balanced(
    tracks: dict[str, np.ndarray], present: Sequence[str], level: float, balance: float
) -> dict[str, np.ndarray]:
    """The tracks that are present, others silent: speech at `level` (dB of RMS) against the rest, effects at `balance`
    against music."""
    unit = {name: wave / np.sqrt(np.mean(wave**2)) for name, wave in tracks.items()}
    gains = {"speech": 10 ** (level / 20), "effects": 10 ** (balance / 20), "music": 1.0}
    rest = [name for name in present if name != "speech"]
    if rest:
        power = sum(gains[name] ** 2 for name in rest)
        gains |= {name: gains[name] / np.sqrt(power) for name in rest}
    return _levelled(
        {name: gains[name] * unit[name] if name in present else 0 * unit[name] for name in TRACKS}
    )


def _levelled(tracks: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tracks with one gain, which brings their mix to `MIX_DBFS`."""
    mix = np.sum(list(tracks.values()), axis=0)
    rms = max(float(np.sqrt(np.mean(mix**2))), 1e-9)
    gain = min(10 ** (MIX_DBFS / 20) / rms, 0.99 / max(float(np.abs(mix).max()), 1e-9))
    return {name: (gain * wave).astype(np.float32) for name, wave in tracks.items()}


def _one_shot(path: Path) -> np.ndarray:
    wave = read_audio(path, TRACK_RATE)
    start = int(np.argmax(np.abs(wave) > 0.1 * np.abs(wave).max()))
    return wave[start:] / np.abs(wave).max()


def _music(paths: Sequence[Path], choosing: bool) -> list[np.ndarray]:
    """A third of the first piece for choosing; the rest, and the others, else."""
    pieces = [read_audio(path, TRACK_RATE) for path in paths]
    third = len(pieces[0]) // 3
    return [pieces[0][:third]] if choosing else [pieces[0][third:], *pieces[1:]]


def _voice(rng: np.random.Generator, voices: Sequence[np.ndarray], length: int) -> np.ndarray:
    wave = np.concatenate([voices[i] for i in rng.permutation(len(voices))])
    start = int(rng.integers(max(len(wave) - length, 1)))
    return fit_length(wave[start:], length)


def _excerpt(rng: np.random.Generator, pieces: Sequence[np.ndarray], length: int) -> np.ndarray:
    """From a place that is not silent."""
    piece = pieces[int(rng.integers(len(pieces)))]
    starts = rng.integers(max(len(piece) - length, 1), size=8)
    loud = max(starts, key=lambda start: float(np.mean(piece[start : start + length] ** 2)))
    return fit_length(piece[loud:], length)


def _struck(rng: np.random.Generator, effects: Sequence[np.ndarray], length: int) -> np.ndarray:
    """An effect again and again, each time at another level."""
    wave, track = effects[int(rng.integers(len(effects)))], np.zeros(length, np.float32)
    now = rng.uniform(0.1, 0.6)
    while now < length / TRACK_RATE - 0.2:
        start = round(now * TRACK_RATE)
        part = wave[: length - start]
        track[start : start + len(part)] += rng.uniform(0.7, 1) * part
        now += rng.uniform(*_SPACING)
    return track
