"""mtv_jax: audio-synchronised video generation in JAX.

The names below are the public API; everything else may change. They are imported on first use, so that commands that
need no networks start immediately.
"""

import importlib
from typing import TYPE_CHECKING, Any

from mtv_jax.io import signals

if signals.is_command():
    signals.handle()

if TYPE_CHECKING:
    from mtv_jax.pipelines.base import Pipeline
    from mtv_jax.pipelines.video import Video
    from mtv_jax.weights.pretrained import load_model, save_model

__all__ = ["Pipeline", "Video", "load_model", "save_model"]

_HOMES = {
    "Pipeline": "mtv_jax.pipelines.base",
    "Video": "mtv_jax.pipelines.video",
    "load_model": "mtv_jax.weights.pretrained",
    "save_model": "mtv_jax.weights.pretrained",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mtv_jax' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
