"""Real sounds for the theatre, bundled: voices and strikes that training may hear, and others kept for tests."""

import functools
import hashlib
import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtv_jax.io.audio import read_audio
from mtv_jax.theatre.plan import PROPS
from mtv_jax.theatre.stage import Mood
from mtv_jax.typing import TRACK_RATE

SPEECH_SHARE = 1 / 4
"""Of the clips for training in which somebody speaks: how many speak with a real voice."""
EFFECT_SHARE = 1 / 3
"""Of those in which the prop sounds: how many sound really."""
_VOICES = "speech"


@dataclass(frozen=True)
class SoundLibrary:
    """Real voices and strikes, in a share of the clips (see `sounds.Recordings`). Music stays synthetic.

    Attributes:
      voices: float32 [s] each at 16 kHz, one person's turns with pauses behind them.
      strikes: by prop, float32 [s] each at 16 kHz, onset at sample 0.
      speech_share, effect_share: chance in 0..1 that a clip's speech, and its effects, are from here.
    """

    voices: Sequence[np.ndarray]
    strikes: Mapping[str, Sequence[np.ndarray]]
    speech_share: float
    effect_share: float

    @classmethod
    def training(cls) -> "SoundLibrary":
        """What training may hear, in SPEECH_SHARE and EFFECT_SHARE of the clips."""
        sounds = _bundled("training")
        return cls(sounds[_VOICES], sounds, SPEECH_SHARE, EFFECT_SHARE)

    @classmethod
    def held_out(cls) -> "SoundLibrary":
        """For tests: real sounds in all clips, none of which training hears (voices: other sentences)."""
        sounds = _bundled("held_out")
        return cls(sounds[_VOICES], sounds, 1.0, 1.0)

    def speech(self, rng: np.random.Generator, num_samples: int) -> np.ndarray | None:
        """One voice from anywhere in its recording, which begins again where it ends: float32 [num_samples]."""
        if rng.random() >= self.speech_share:
            return None
        # Each moment of the recordings is as likely as any other.
        lengths = np.array([len(voice) for voice in self.voices])
        voice = self.voices[int(rng.choice(len(lengths), p=lengths / lengths.sum()))]
        return np.resize(np.roll(voice, -int(rng.integers(len(voice)))), num_samples)

    def effect(self, rng: np.random.Generator, prop: str) -> np.ndarray | None:
        """One of the prop's strikes, float32 [s]."""
        if rng.random() >= self.effect_share:
            return None
        return self.strikes[prop][int(rng.integers(len(self.strikes[prop])))]

    def music(self, rng: np.random.Generator, num_samples: int) -> tuple[np.ndarray, Mood] | None:
        """None: of a recording nobody has told the mood."""
        return None

    @functools.cached_property
    def identity(self) -> str:
        """SHA-256 of all sounds and their shares."""
        told = hashlib.sha256(f"{self.speech_share} {self.effect_share}".encode())
        for wave in (*self.voices, *(wave for prop in PROPS for wave in self.strikes[prop])):
            told.update(len(wave).to_bytes(8, "little") + wave.tobytes())
        return told.hexdigest()


@functools.cache
def _bundled(half: str) -> dict[str, tuple[np.ndarray, ...]]:
    """The sounds of a folder of assets/sounds, decoded once: those of each prop, and of _VOICES."""
    folder = Path(str(importlib.resources.files("mtv_jax.assets"))) / "sounds" / half
    return {
        name: tuple(read_audio(path, TRACK_RATE) for path in sorted((folder / name).glob("*.flac")))
        for name in (_VOICES, *PROPS)
    }
