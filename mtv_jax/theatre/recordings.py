"""The bundled real sounds for the theatre: voices and strikes for training, and others that are held out for tests."""

import functools
import hashlib
import importlib.resources
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtv_jax.io.audio import read_audio
from mtv_jax.names import TRACK_RATE
from mtv_jax.theatre.plan import PROPS
from mtv_jax.theatre.stage import Mood

SPEECH_SHARE = 1 / 4
"""Share of the training clips with speech in which the voice is real."""
EFFECT_SHARE = 1 / 3
"""Share of the training clips with effects in which the strikes are real."""
_VOICES = "speech"


@dataclass(frozen=True)
class SoundLibrary:
    """Real voices and strikes, in a share of the clips (see `sounds.Recordings`). Music stays synthetic.

    Attributes:
      voices: float32 [s] each at 16 kHz, the turns of one person, each followed by a pause.
      strikes: by prop, float32 [s] each at 16 kHz, onset at sample 0.
      speech_share, effect_share: probability that the speech of a clip, and its effects, are real.
    """

    voices: Sequence[np.ndarray]
    strikes: Mapping[str, Sequence[np.ndarray]]
    speech_share: float
    effect_share: float

    @classmethod
    def training(cls) -> "SoundLibrary":
        """The sounds for training, used in SPEECH_SHARE and EFFECT_SHARE of the clips."""
        sounds = _bundled("training")
        return cls(sounds[_VOICES], sounds, SPEECH_SHARE, EFFECT_SHARE)

    @classmethod
    def held_out(cls) -> "SoundLibrary":
        """Sounds for tests, used in all clips. Training uses none of them (of the voices it uses other sentences)."""
        sounds = _bundled("held_out")
        return cls(sounds[_VOICES], sounds, 1.0, 1.0)

    def speech(self, rng: np.random.Generator, num_samples: int) -> np.ndarray | None:
        """One voice from a random position in its recording, which is repeated: float32 [num_samples]."""
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
        """None: the moods of recordings are unknown."""
        return None

    @functools.cached_property
    def identity(self) -> str:
        """SHA-256 of all sounds and their shares."""
        digest = hashlib.sha256(f"{self.speech_share} {self.effect_share}".encode())
        for wave in (*self.voices, *(wave for prop in PROPS for wave in self.strikes[prop])):
            digest.update(len(wave).to_bytes(8, "little") + wave.tobytes())
        return digest.hexdigest()


@functools.cache
def _bundled(half: str) -> dict[str, tuple[np.ndarray, ...]]:
    """The sounds of a folder of assets/sounds, decoded once: those of each prop, and of _VOICES."""
    folder = Path(str(importlib.resources.files("mtv_jax.assets"))) / "sounds" / half
    return {
        name: tuple(read_audio(path, TRACK_RATE) for path in sorted((folder / name).glob("*.flac")))
        for name in (_VOICES, *PROPS)
    }
