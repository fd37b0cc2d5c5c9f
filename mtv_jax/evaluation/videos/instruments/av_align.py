"""AV-Align of a video."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from mtv_jax.evaluation.metrics.av_align import SAMPLE_RATE, VERSION, av_align
from mtv_jax.evaluation.videos.clip import Clip
from mtv_jax.evaluation.videos.metric import Weights
from mtv_jax.io.motion import optical_flow


@dataclass(frozen=True)
class AVAlign:
    """Measures AV-Align (`mtv_jax.evaluation.metrics.av_align`)."""

    variant: str = VERSION
    untrained: bool = False
    facts: Mapping[str, Any] = field(default_factory=lambda: {"sample_rate": SAMPLE_RATE})

    def measure(self, clip: Clip) -> Mapping[str, Any]:
        """See `Instrument`."""
        return asdict(av_align(clip.frames, float(clip.fps), clip.sound(SAMPLE_RATE)))


def open_av_align(weights: Weights) -> AVAlign:
    """Needs no network. Raises UserError if OpenCV is missing."""
    del weights
    optical_flow()
    return AVAlign()
