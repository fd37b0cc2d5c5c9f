"""Declares CogVideoX's transformer (`mtv_jax.models.spec`)."""

from mtv_jax.models.dit.config import DiTConfig
from mtv_jax.models.dit.model import DiT
from mtv_jax.models.spec import Backbone, NetworkSpec
from mtv_jax.ops.stack import REMAT_POLICIES

SPEC = NetworkSpec(
    name="dit",
    module=DiT,
    config=DiTConfig,
    weights="mtv_jax.weights.dit",
    class_names=("CogVideoXTransformer3DModel",),
    folder="transformer",
    file_stem="diffusion_pytorch_model",
    remat=tuple(REMAT_POLICIES),
    task="denoiser",
    backbone=Backbone(
        injection="blocks/injection",
        # MTV trains the attention of its backbone, and the norm after it.
        stage_parameters=("blocks/attn1/to_.*", "blocks/norm2/norm/.*"),
    ),
)
