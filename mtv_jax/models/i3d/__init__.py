"""I3D: a network for actions in videos, whose outputs FVD compares."""

from mtv_jax.models.i3d.config import I3DConfig
from mtv_jax.models.i3d.model import I3D

__all__ = ["I3D", "I3DConfig"]
