"""SyncNet ("Out of time: automated lip sync in the wild", Chung and Zisserman 2016), for inference.

The layers are those of `SyncNetModel.S` of joonson/syncnet_python. Batch normalisation uses fixed statistics, which are
parameters. Embeddings are not normalised.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.models.syncnet.config import SyncNetConfig
from mtv_jax.ops.norms import FixedBatchNorm
from mtv_jax.ops.precision import convolution, dense
from mtv_jax.typing import Array, Float

CONTEXT = 5
"""Frames of an embedding of pictures."""
SIZE = 224
"""Height and width of the pictures, pixels."""
CEPSTRA = 13
"""Of a frame of sound."""
WINDOW = 20
"""Frames of sound, 10 ms each, of an embedding of sound."""
_EPSILON = 1e-5
_NONE = (0, 0)
_ONE = (1, 1)

Pad = tuple[int, int]


class Head(nn.Module):
    """The two linear layers at the end of a tower."""

    embedding: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "n d"]) -> Float[Array, "n e"]:
        """Embeddings."""
        hidden = FixedBatchNorm(_EPSILON, name="norm")(dense(x.shape[-1], self.dtype, "hidden")(x))
        return dense(self.embedding, self.dtype, "out")(nn.relu(hidden))


class AudioTower(nn.Module):
    """Embeds sounds of 0.2 s."""

    config: SyncNetConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, windows: Float[Array, "m k u"]) -> Float[Array, "m e"]:
        """Embeddings of windows of `CEPSTRA` x `WINDOW`."""
        widths, layer = self.config.audio_widths, self._layer
        x = layer(windows[..., None], widths[0], 0, (3, 3), padding=_ONE)
        x = layer(x, widths[1], 1, (3, 3), padding=_ONE)
        x = _kept(self, "pool_1", nn.max_pool(x, (3, 3), (1, 2)))
        for number, width in enumerate(widths[2:5], 2):
            x = layer(x, width, number, (3, 3), padding=_ONE)
        x = _kept(self, "pool_4", nn.max_pool(x, (3, 3), (2, 2)))
        x = layer(x, widths[5], 5, (5, 4), padding=_NONE)
        return Head(self.config.embedding, self.dtype, name="head")(x[:, 0, 0])

    def _layer(self, x: Array, width: int, number: int, kernel: tuple[int, int], *, padding: Pad) -> Array:
        return _layer(self, x, width, number, kernel, (1, 1), [padding] * 2)


class VideoTower(nn.Module):
    """Embeds every five successive pictures of a clip.

    Only the first convolution looks along time, so that a clip is embedded at once.
    """

    config: SyncNetConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, frames: Float[Array, "b t h w c"]) -> tuple[Array, Array]:
        """Embeddings [b, t - 4, e], and the features [b, t - 4, d] before the linear layers.

        Frames are blue, green, red in 0 to 255, `SIZE` x `SIZE`.
        """
        widths, layer = self.config.video_widths, self._layer
        x = layer(frames, widths[0], 0, (CONTEXT, 7, 7), stride=2, padding=_NONE)
        x = _kept(self, "pool_0", _pool(x, _NONE))
        x = layer(x, widths[1], 1, (1, 5, 5), stride=2, padding=_ONE)
        x = _kept(self, "pool_1", _pool(x, _ONE))
        for number, width in enumerate(widths[2:5], 2):
            x = layer(x, width, number, (1, 3, 3), stride=1, padding=_ONE)
        x = _kept(self, "pool_4", _pool(x, _NONE))
        features = layer(x, widths[5], 5, (1, 6, 6), stride=1, padding=_NONE)[:, :, 0, 0]
        flat = features.reshape(-1, features.shape[-1])
        embeddings = Head(self.config.embedding, self.dtype, name="head")(flat)
        return embeddings.reshape(*features.shape[:2], -1), features

    def _layer(
        self, x: Array, width: int, number: int, kernel: tuple[int, int, int], *, stride: int, padding: Pad
    ) -> Array:
        return _layer(self, x, width, number, kernel, (1, stride, stride), [_NONE, padding, padding])


class SyncNet(nn.Module):
    """Embeds pictures of faces and sounds."""

    config: SyncNetConfig
    dtype: Any = jnp.float32

    def setup(self):
        """The two towers."""
        self.audio_tower = AudioTower(self.config, self.dtype)
        self.video_tower = VideoTower(self.config, self.dtype)

    def __call__(
        self, frames: Float[Array, "b t h w c"], windows: Float[Array, "m k u"]
    ) -> tuple[Array, Array]:
        """The embeddings of both: `video` and `audio`."""
        return self.video(frames), self.audio(windows)

    def audio(self, windows: Float[Array, "m k u"]) -> Float[Array, "m e"]:
        """Embeddings of windows of MFCC (`preprocessing.audio_windows`)."""
        return self.audio_tower(windows)

    def video(self, frames: Float[Array, "b t h w c"]) -> Float[Array, "b n e"]:
        """Embeddings of every five successive pictures: n = t - 4. Blue, green, red in 0 to 255 (float)."""
        return self.video_tower(frames)[0]

    def video_features(self, frames: Float[Array, "b t h w c"]) -> Float[Array, "b n d"]:
        """What `video` is computed from by the two linear layers."""
        return self.video_tower(frames)[1]


def _layer(
    module: Any,
    x: Array,
    width: int,
    number: int,
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[Pad],
) -> Array:
    """A convolution with its normalisation and ReLU, inside `module`."""
    conv = nn.Conv(
        width,
        kernel,
        strides,
        padding=padding,
        dtype=module.dtype,
        conv_general_dilated=convolution,
        name=f"conv_{number}",
    )
    return nn.relu(FixedBatchNorm(_EPSILON, name=f"norm_{number}")(conv(x)))


def _pool(x: Array, padding: Pad) -> Array:
    """The maximum of 3 x 3 pixels at every second one; pixels beyond the edge count as lower than any."""
    around: Any = [_NONE, padding, padding]  # flax declares text alone
    return nn.max_pool(x, (1, 3, 3), (1, 2, 2), padding=around)


def _kept(module: nn.Module, name: str, x: Array) -> Array:
    """`x`, kept as the intermediate `name` where the caller collects intermediates."""
    module.sow("intermediates", name, x)
    return x
