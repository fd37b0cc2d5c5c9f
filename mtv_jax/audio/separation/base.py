"""What a separator is: a model or rule that separates a mix into tracks, and the model cards of what makes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from mtv_jax.io.errors import UserError
from mtv_jax.io.levels import FLOOR_DBFS, SILENT_DBFS

STEMS = ("speech", "rest")
"""Tracks of a separator that only extracts speech."""

Tracks = Mapping[str, Float[np.ndarray, "_ c"]]
"""Sound of the same shape, float32 [s, channels], by the name of its track."""


@dataclass(frozen=True)
class ModelCard:
    """The model that makes a track.

    Attributes:
      name: of the model.
      version: of its weights or of the package that has its code.
      licence: SPDX expression, or `none stated`.
      weights: sha256 of its weights; None: it has none.
      fidelity: `real` (published weights), `classical` (signal processing), `learned here`, or `stub` (it answers
        without looking, to try things out).
    """

    name: str
    version: str
    licence: str
    weights: str | None
    fidelity: Literal["real", "classical", "learned here", "stub"]


@dataclass(frozen=True)
class Context:
    """How a separator is given a long sound: in sections, each with sound before and after it, in seconds.

    Attributes:
      section: length of a section.
      past: of the sound before a section that is given with it and whose tracks are discarded.
      future: the same of the sound after it; at the end of the sound, of its mirror image.
      lead: of the copy of the sound's beginning that is given before it.
    """

    section: float = 60.0
    past: float = 0.0
    future: float = 0.0
    lead: float = 0.0


@runtime_checkable
class Separator(Protocol):
    """Separates a mix into tracks that add up to it."""

    @property
    def tracks(self) -> tuple[str, ...]:
        """The tracks it makes: `names.TRACKS` or `STEMS`."""
        ...

    @property
    def context(self) -> Context:
        """The sections it is given."""
        ...

    @property
    def leak_db(self) -> Mapping[str, float | None]:
        """By how many dB a track that should be silent stays below the mix; None: not measured."""
        ...

    def cards(self) -> Mapping[str, ModelCard]:
        """The model of each track. Raises UserError if its package or weights are missing."""
        ...

    def separate(self, samples: Float[np.ndarray, "_ c"], sample_rate: int) -> Tracks:
        """The tracks of one section, float32 [s, channels] at `sample_rate` Hz; each has the shape of `samples`."""
        ...


@runtime_checkable
class Splitter(Protocol):
    """Separates the effects from the music in a sound without speech."""

    @property
    def context(self) -> Context:
        """The sections it is given."""
        ...

    @property
    def leak_db(self) -> Mapping[str, float | None]:
        """See `Separator`, of effects and music."""
        ...

    def card(self) -> ModelCard:
        """Its model. Raises UserError if its package or weights are missing."""
        ...

    def effects(self, rest: Float[np.ndarray, "_ c"], sample_rate: int) -> Float[np.ndarray, "_ c"]:
        """The effects in `rest`, float32 [s, channels]; the music is what remains."""
        ...


@dataclass(frozen=True)
class Cascade:
    """A separator of three tracks: one that extracts speech, then a splitter of the rest."""

    stems: Separator
    splitter: Splitter

    tracks = "speech", "effects", "music"

    @property
    def context(self) -> Context:
        """The longer of both, since one section is for both."""
        first, second = self.stems.context, self.splitter.context
        return Context(
            min(first.section, second.section),
            max(first.past, second.past),
            max(first.future, second.future),
            max(first.lead, second.lead),
        )

    @property
    def leak_db(self) -> Mapping[str, float | None]:
        """Speech by the first, the others by the splitter."""
        return {**self.splitter.leak_db, "speech": self.stems.leak_db["speech"]}

    def cards(self) -> Mapping[str, ModelCard]:
        """Speech is made by the first, the others by the splitter."""
        card = self.splitter.card()
        return {"speech": self.stems.cards()["speech"], "effects": card, "music": card}

    def separate(self, samples: Float[np.ndarray, "_ c"], sample_rate: int) -> Tracks:
        """See `Separator`."""
        stems = self.stems.separate(samples, sample_rate)
        effects = self.splitter.effects(stems["rest"], sample_rate)
        return {"speech": stems["speech"], "effects": effects, "music": stems["rest"] - effects}


def by_channels(
    separate: Callable[[Float[np.ndarray, "s c"]], Float[np.ndarray, "*n s c"]],
    samples: Float[np.ndarray, "s C"],
    channels: int,
) -> Float[np.ndarray, "*n s C"]:
    """What a network for `channels` channels makes of a sound with any number of them.

    As many are separated together, as the network was trained; any other number each alone, as all channels of a sound,
    of whose results the mean is taken.
    """
    if samples.shape[1] == channels:
        return separate(samples)
    alone = [np.repeat(channel[:, None], channels, axis=1) for channel in samples.T]
    return np.stack([separate(sound).mean(axis=-1) for sound in alone], axis=-1)


def check_finite(mix: Float[np.ndarray, "_ c"]) -> None:
    """Raises UserError for samples that are NaN or infinite."""
    if not np.isfinite(mix).all():
        raise UserError("the mix has samples that are not finite (NaN or infinity); replace them, as by 0")


def silent_levels(separator: Separator, mix_dbfs: float) -> dict[str, float]:
    """RMS in dBFS below which each track of a mix of that level counts as silent.

    It is -45 (MTV section 3.2) or, if higher, what the separator leaks into a track that should be silent.
    """
    leaks = {
        name: FLOOR_DBFS if leak is None else mix_dbfs - leak for name, leak in separator.leak_db.items()
    }
    return {name: max(SILENT_DBFS, level) for name, level in leaks.items()}
