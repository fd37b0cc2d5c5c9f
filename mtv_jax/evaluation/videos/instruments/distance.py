"""FVD by I3D."""

import functools

import jax

from mtv_jax.evaluation.metrics.fvd import DDOF, features
from mtv_jax.evaluation.videos.clip import Clip
from mtv_jax.evaluation.videos.metric import Measure, Weights
from mtv_jax.io.files import sha256
from mtv_jax.weights.i3d import load_i3d, packaged_weights


def open_fvd(weights: Weights) -> Measure:
    """Raises UserError if the package with I3D's weights is not installed."""
    del weights  # those of the package are the published ones
    path = packaged_weights()
    model, params = load_i3d(path)
    logits = functools.partial(jax.jit(model.apply), params)

    def measure(clip: Clip) -> dict[str, list[float] | int]:
        found = features(clip.frames[None], logits)[0]
        return {"logits": found.astype(float).tolist(), "frames": len(clip.frames)}

    return Measure(
        "fvd_i3d_k400",
        measure,
        {
            "weights": sha256(path),
            "resize": "squashed to 224, bilinear, -1 to 1",
            "fps": "the video's own",
            "ddof": DDOF,
        },
    )
