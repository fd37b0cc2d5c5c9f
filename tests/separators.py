"""A separator for tests, made of a function."""

from collections.abc import Callable
from dataclasses import dataclass, field

from mtv_jax.audio.separation.base import Context, ModelCard
from mtv_jax.names import TRACKS

CARD = ModelCard("test", "1", "CC0-1.0", None, "classical")


@dataclass(frozen=True)
class FunctionSeparator:
    """Separates by a function (samples [s, channels], sample_rate) -> tracks."""

    function: Callable
    context: Context = field(default_factory=Context)
    tracks: tuple[str, ...] = TRACKS

    @property
    def leak_db(self):
        return dict.fromkeys(self.tracks)

    def cards(self):
        return dict.fromkeys(self.tracks, CARD)

    def separate(self, samples, sample_rate):
        return self.function(samples, sample_rate)


def _halves(samples, sample_rate):
    return {"speech": samples / 2, "effects": samples / 4, "music": samples / 4}


HALVES = FunctionSeparator(_halves)
