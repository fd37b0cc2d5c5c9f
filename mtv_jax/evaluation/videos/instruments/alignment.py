"""AV-Align, of both versions."""

from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version

import numpy as np

from mtv_jax.evaluation.metrics import av_align_v1 as first
from mtv_jax.evaluation.metrics.av_align import SAMPLE_RATE, VERSION, Alignment, av_align
from mtv_jax.evaluation.videos.metric import Measure, Weights
from mtv_jax.io.motion import optical_flow


def open_av_align(_: Weights) -> Measure:
    """The version of 2025. Raises UserError if OpenCV is not installed."""
    return _aligned(VERSION, av_align)


def open_av_align_v1(_: Weights) -> Measure:
    """The version of 2023. Raises UserError if OpenCV is not installed."""
    return _aligned(first.VERSION, first.av_align_v1)


def _aligned(variant: str, score: Callable[[np.ndarray, float, np.ndarray], Alignment]) -> Measure:
    opencv = optical_flow().__version__
    return Measure(
        variant,
        lambda clip: asdict(score(clip.frames, float(clip.fps), clip.sound(SAMPLE_RATE))),
        {
            "fps": "the video's own",
            "sample_rate": SAMPLE_RATE,
            "opencv": opencv,
            "librosa": version("librosa"),
        },
    )
