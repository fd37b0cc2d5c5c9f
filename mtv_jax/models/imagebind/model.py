"""ImageBind: clips of frames, token ids and log-mel spectrograms to embeddings of one space."""

import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.imagebind.config import ImageBindAudioConfig, ImageBindConfig, TrunkConfig
from mtv_jax.models.wav2vec2.model import FeedForward
from mtv_jax.ops.attention import attention, merge_heads, split_heads
from mtv_jax.ops.precision import convolution, dense, layer_norm
from mtv_jax.ops.stack import run_stack, stack_layers
from mtv_jax.typing import Array, Float, Int

PATCH_EPSILON = 1e-5
"""Of the layer norm of sounds' patches."""
_EPSILON = 1e-6
"""Of all other layer norms."""
_LARGEST_SCALE = 100.0


class Encoding(NamedTuple):
    """What a network makes of a batch, float32.

    Attributes:
      tokens: all tokens after the transformer, before the head's norm.
      projected: the head's output.
      embedding: that at unit length, times the modality's scale: 1 for pictures, about 20 for sounds. Compare
        embeddings by their cosine. That of several clips is the mean of theirs.
    """

    tokens: Float[Array, "b n d"]
    projected: Float[Array, "b e"]
    embedding: Float[Array, "b e"]


class SelfAttention(nn.Module):
    """Multi-head self-attention, with `extra_key` also to a learned key and value that belong to no token."""

    heads: int
    extra_key: bool
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"], mask: Array | None) -> Float[Array, "b n d"]:
        """`mask` (true = attend) broadcasts to `b h n n`."""
        width = x.shape[-1]
        q, k, v = (dense(width, self.dtype, name)(x) for name in "qkv")
        if self.extra_key:
            k, v = self._extended(k, "bias_k"), self._extended(v, "bias_v")
        q, k, v = (split_heads(part, self.heads).astype(self.dtype) for part in (q, k, v))
        return dense(width, self.dtype, "out")(merge_heads(attention(q, k, v, mask=mask)))

    def _extended(self, values: Float[Array, "b n d"], name: str) -> Float[Array, "b m d"]:
        last = self.param(name, nn.initializers.normal(0.02), values.shape[-1:])
        last = jnp.broadcast_to(last.astype(values.dtype), (len(values), 1, values.shape[-1]))
        return jnp.concatenate([values, last], axis=1)


class Block(nn.Module):
    """Attention and feed-forward, each after a norm and added to its input."""

    config: TrunkConfig
    extra_key: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"], mask: Array | None) -> tuple[Array, None]:
        """Signature for `nn.scan`: the carry is the tokens."""
        cfg = self.config
        attend = SelfAttention(cfg.num_heads, self.extra_key, self.dtype, name="attention")
        x = x + attend(layer_norm(_EPSILON, "attention_norm")(x), mask)
        x = x + FeedForward(4 * cfg.width, self.dtype, name="mlp")(layer_norm(_EPSILON, "mlp_norm")(x))
        self.sow("intermediates", "output", x)
        return x, None


class Tower(nn.Module):
    """What the networks have in common: the transformer and the head. `dtype` is that of the products' inputs."""

    config: ImageBindAudioConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def make_trunk(self, trunk: TrunkConfig, *, extra_key: bool = False) -> None:
        """Creates the transformer and the head; to be called in `setup`."""
        make = stack_layers(Block, trunk.num_layers, num_broadcast=1, scan=self.scan_layers)
        self.blocks = make(trunk, extra_key, self.dtype)
        self.head_norm = layer_norm(_EPSILON)
        self.projection = dense(self.config.embedding_size, self.dtype, use_bias=False)

    def make_tokens(self, trunk: TrunkConfig, count: int) -> None:
        """Creates the class token and the positions of all `count` tokens; to be called in `setup`."""
        scale = nn.initializers.normal(trunk.width**-0.5)
        self.class_token = self.param("class_token", scale, (trunk.width,))
        self.position_embedding = self.param("position_embedding", scale, (count, trunk.width))

    def with_class_token(self, patches: Float[Array, "b *space d"]) -> Float[Array, "b n d"]:
        """The class token and the patches, at their positions."""
        patches = patches.reshape(len(patches), -1, patches.shape[-1])
        first = jnp.broadcast_to(self.class_token, (len(patches), 1, patches.shape[-1]))
        return jnp.concatenate([first, patches], axis=1) + self.position_embedding

    def transform(self, tokens: Float[Array, "b n d"], mask: Array | None = None) -> Float[Array, "b n d"]:
        """All tokens after the transformer."""
        self.sow("intermediates", "trunk_in", tokens)
        return run_stack(self.blocks, tokens, mask)

    def project(self, token: Float[Array, "b d"]) -> tuple[Float[Array, "b e"], Float[Array, "b e"]]:
        """The head's output for one token of each row, and that at unit length."""
        projected = self.projection(self.head_norm(token))
        length = jnp.linalg.norm(projected, axis=-1, keepdims=True)
        return projected, projected / jnp.maximum(length, 1e-12)


class VisionTower(Tower):
    """Clips of frames to embeddings."""

    config: ImageBindConfig

    def setup(self):
        """Creates the submodules; called by Flax."""
        cfg = self.config
        self.patch_embedding = nn.Conv(
            cfg.vision.width,
            cfg.kernel_size,
            cfg.kernel_size,
            "VALID",
            use_bias=False,
            dtype=self.dtype,
            conv_general_dilated=convolution,
        )
        self.make_tokens(cfg.vision, cfg.vision_tokens)
        self.pre_norm = layer_norm(_EPSILON)
        self.make_trunk(cfg.vision)

    def __call__(self, pixels: Float[Array, "b f H W 3"]) -> Encoding:
        """See `ImageBind.encode_vision`."""
        frames, *sides = pixels.shape[1:4]
        if frames not in (1, self.config.frames) or sides != [self.config.image_size] * 2:
            raise UserError(
                f"clips of {frames} frames of {sides[1]} x {sides[0]} pixels: this network takes one frame or "
                f"{self.config.frames}, of {self.config.image_size} x {self.config.image_size}"
            )
        if frames == 1:
            pixels = jnp.repeat(pixels, self.config.frames, axis=1)
        tokens = self.transform(self.pre_norm(self.with_class_token(self.patch_embedding(pixels))))
        return Encoding(tokens, *self.project(tokens[:, 0]))


class TextTower(Tower):
    """Token ids to embeddings."""

    config: ImageBindConfig

    def setup(self):
        """Creates the submodules; called by Flax."""
        cfg, width = self.config, self.config.text.width
        self.token_embedding = self.param(
            "token_embedding", nn.initializers.normal(0.02), (cfg.vocab_size, width)
        )
        self.position_embedding = self.param(
            "position_embedding", nn.initializers.normal(0.01), (cfg.context_length, width)
        )
        self.make_trunk(cfg.text)
        self.log_scale = self.param("log_scale", nn.initializers.constant(math.log(1 / 0.07)), ())

    def __call__(self, tokens: Int[Array, "b l"]) -> Encoding:
        """See `ImageBind.encode_text`."""
        length = tokens.shape[1]
        if length != self.config.context_length:
            raise UserError(
                f"text of {length} tokens: this network takes {self.config.context_length}, padded"
            )
        x = jnp.take(self.token_embedding, tokens, axis=0).astype(jnp.float32) + self.position_embedding
        x = self.transform(x, jnp.tril(jnp.ones((length, length), bool)))
        ends = jnp.argmax(tokens, axis=1)
        projected, unit = self.project(jnp.take_along_axis(x, ends[:, None, None], axis=1)[:, 0])
        return Encoding(x, projected, scaled(unit, self.log_scale))


class AudioTower(Tower):
    """Log-mel spectrograms to embeddings."""

    def setup(self):
        """Creates the submodules; called by Flax."""
        cfg = self.config
        self.patch_embedding = nn.Conv(
            cfg.audio.width,
            (cfg.audio_kernel_size,) * 2,
            cfg.audio_stride,
            "VALID",
            use_bias=False,
            dtype=self.dtype,
            conv_general_dilated=convolution,
        )
        self.patch_norm = layer_norm(PATCH_EPSILON)
        self.make_tokens(cfg.audio, cfg.audio_tokens)
        self.make_trunk(cfg.audio, extra_key=True)
        self.log_scale = self.param("log_scale", nn.initializers.constant(math.log(20)), ())

    def __call__(self, mel: Float[Array, "b m t"]) -> Encoding:
        """See `ImageBind.encode_audio`."""
        needed = self.config.num_mel_bins, self.config.target_length
        if mel.shape[1:] != needed:
            raise UserError(
                f"spectrogram of {mel.shape[1:]}: this network takes {needed} (mel bands, frames)"
            )
        tokens = self.transform(self.with_class_token(self.patch_norm(self.patch_embedding(mel[..., None]))))
        projected, unit = self.project(tokens[:, 0])
        return Encoding(tokens, projected, scaled(unit, self.log_scale))


def scaled(unit: Float[Array, "b e"], log_scale: Float[Array, ""]) -> Float[Array, "b e"]:
    """Embeddings times their modality's scale, which is at most 100."""
    return unit * jnp.minimum(jnp.exp(log_scale), _LARGEST_SCALE)


class ImageBind(nn.Module):
    """Embeddings of pictures, texts and sounds, to be compared by their cosine.

    `dtype` is that of the products' inputs; everything else is float32.
    """

    config: ImageBindConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self):
        """Creates the submodules; called by Flax."""
        self.vision = VisionTower(self.config, self.dtype, self.scan_layers)
        self.text = TextTower(self.config, self.dtype, self.scan_layers)
        self.audio = AudioTower(self.config, self.dtype, self.scan_layers)

    def __call__(
        self, pixels: Float[Array, "v f H W 3"], tokens: Int[Array, "t l"], mel: Float[Array, "a m n"]
    ) -> tuple[Encoding, Encoding, Encoding]:
        """Encodes pictures, texts and sounds, of which there may be different numbers."""
        return self.encode_vision(pixels), self.encode_text(tokens), self.encode_audio(mel)

    def encode_vision(self, pixels: Float[Array, "b f H W 3"]) -> Encoding:
        """Encodes clips of two frames, or pictures, which are clips of one frame.

        `pixels` are those of `video_views` or `image_pixels`. Raises UserError for another size.
        """
        return self.vision(pixels)

    def encode_text(self, tokens: Int[Array, "b l"]) -> Encoding:
        """Encodes texts, padded with zeros. The embedding is read at the first of a row's highest ids, the end token.

        Raises UserError unless there are as many tokens as positions.
        """
        return self.text(tokens)

    def encode_audio(self, mel: Float[Array, "b m t"]) -> Encoding:
        """Encodes clips of two seconds. `mel` is that of `audio_clips`. Raises UserError for another size.

        `tokens` are the class token and the patches, mel bands before time: 1 + 12 x 19 in the released network.
        """
        return self.audio(mel)


class ImageBindAudio(nn.Module):
    """ImageBind's network for sounds alone, a twelfth of its parameters, whose tokens condition Maestro."""

    config: ImageBindAudioConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self):
        """Creates the submodule; called by Flax."""
        self.audio = AudioTower(self.config, self.dtype, self.scan_layers)

    def __call__(self, mel: Float[Array, "b m t"]) -> Encoding:
        """As `ImageBind.encode_audio`."""
        return self.audio(mel)
