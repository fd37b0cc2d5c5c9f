"""A separator by words as a separator of speech, effects and music.

Speech and music are what AudioSep finds by these words, each on its own in the mix; the effects are the rest, so that
the tracks add up to the mix. What it finds as both is taken out of the effects twice.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mtv_jax.audio.separation.base import Context, ModelCard, Tracks
from mtv_jax.audio.separation.by_text.audiosep import AudioSep
from mtv_jax.names import TRACKS
from mtv_jax.typing import Float

_WORDS = {"speech": "human speech", "music": "music"}


@dataclass(frozen=True)
class AudioSepTracks:
    """Attributes:
    path: AudioSep's folder (`mtv_jax.audio.separation.by_text.audiosep.AudioSep`).
    """

    path: str

    tracks = TRACKS
    context = Context(section=60.0, past=1.0, future=1.0)
    """A second on each side, as of the windows in which AudioSep separates a section."""

    @property
    def leak_db(self) -> Mapping[str, float | None]:
        """Not measured."""
        return dict.fromkeys(TRACKS)

    def cards(self) -> Mapping[str, ModelCard]:
        """See `Separator`."""
        return dict.fromkeys(TRACKS, AudioSep(self.path).card())

    def separate(self, samples: Float[np.ndarray, "_ c"], sample_rate: int) -> Tracks:
        """See `Separator`."""
        found = AudioSep(self.path).separate(samples, sample_rate, tuple(_WORDS.values()))
        speech, music = (found[words] for words in _WORDS.values())
        return {"speech": speech, "effects": samples - speech - music, "music": music}
