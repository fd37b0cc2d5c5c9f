"""What a metric of videos is: an instrument that measures one, and figures of all measurements."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from mtv_jax.evaluation.metrics.base import Measured, Metric
from mtv_jax.evaluation.videos.clip import Clip

NEEDS = ("sound", "tracks", "prompt", "reference")
"""What a metric may need beside the picture; `tracks` are the manifest's speech, effects and music."""


@runtime_checkable
class Instrument(Protocol):
    """Measures videos, with its network loaded."""

    @property
    def variant(self) -> str:
        """Name of the metric with its network, such as `temp_c_clip_vit_b32`: what its figures are comparable with."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What figures depend on beside the videos (JSON): hash of the weights, resizing, frames a second, ..."""
        ...

    @property
    def untrained(self) -> bool:
        """Whether its weights are random."""
        ...

    def measure(self, clip: Clip) -> Mapping[str, Any]:
        """Measures a video: JSON. Raises UserError if that is not possible."""
        ...


@dataclass(frozen=True)
class Measure:
    """An instrument that is a function of a clip. For the other fields see `Instrument`."""

    variant: str
    function: Callable[[Clip], Mapping[str, Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    untrained: bool = False

    def measure(self, clip: Clip) -> Mapping[str, Any]:
        """See `Instrument`."""
        return self.function(clip)


@dataclass(frozen=True)
class Weights:
    """Where an instrument finds its network.

    Attributes:
      folder: of networks, a folder each; None: not given.
      random: whether random weights replace those that are missing.
    """

    folder: Path | None = None
    random: bool = False


@dataclass(frozen=True)
class VideoMetric:
    """A metric of videos, as `evaluate --metrics list` shows it.

    Attributes:
      name: as the user gives it.
      measures: in a few words.
      better: which values are better.
      network: that it uses; "" if it needs none.
      weights: where they come from, with the command that gets them.
      licence: of the weights.
      source: of the definition.
      inferred: what the source leaves open, and how it was settled.
      needs: of `NEEDS`, what its figures depend on beside the picture.
      shown: the values of `Measured.values` that are shown of each video; of the first, bad ones come first.
      open: loads the instrument. Raises UserError, saying how to get them, if weights are missing.
      metric: figures of what was measured.
    """

    name: str
    measures: str
    better: Literal["higher", "lower", "neither"]
    source: str
    needs: Sequence[str]
    shown: Sequence[str]
    open: Callable[[Weights], Instrument]
    metric: Callable[[], Metric[Any, Measured]]
    network: str = ""
    weights: str = "needs none"
    licence: str = ""
    inferred: str = ""
