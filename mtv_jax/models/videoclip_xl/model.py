"""VideoCLIP-XL: a vision transformer over all patches of all frames, and a text transformer of 248 tokens."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.clip.model import check_pixels, unit_length
from mtv_jax.models.clip.text import TextTransformer
from mtv_jax.models.clip.transformer import make_blocks
from mtv_jax.models.videoclip_xl.config import VideoCLIPXLConfig
from mtv_jax.ops.precision import convolution, dense, layer_norm
from mtv_jax.ops.stack import run_stack
from mtv_jax.typing import Array, Float, Int

_KEPT_POSITIONS = 20
"""Positions of CLIP that Long-CLIP leaves as they were; the others are learned anew (Zhang et al., 2024)."""


class LongTextTransformer(TextTransformer):
    """CLIP's text transformer with two tables of positions: one for the first 20, the other for those after."""

    def setup(self):
        """Creates the submodules; called by Flax."""
        super().setup()
        self.late_position_embedding = self.param(
            "late_position_embedding", nn.initializers.normal(0.01), self._table
        )

    def positions(self) -> Float[Array, "l d"]:
        """See the base class. Of each table, a part is not used."""
        early = jnp.arange(self.config.max_position_embeddings)[:, None] < _KEPT_POSITIONS
        return jnp.where(early, self.position_embedding, self.late_position_embedding)


class VideoTransformer(nn.Module):
    """Videos to features. `dtype` is that of the products' inputs; everything else is float32."""

    config: VideoCLIPXLConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self):
        """Creates the submodules; called by Flax."""
        cfg = self.config.vision
        width, patch = cfg.hidden_size, cfg.patch_size
        scale = nn.initializers.normal(width**-0.5)
        self.class_embedding = self.param("class_embedding", scale, (width,))
        self.patch_embedding = nn.Conv(
            width,
            (1, patch, patch),
            (1, patch, patch),
            "VALID",
            use_bias=False,
            dtype=self.dtype,
            conv_general_dilated=convolution,
        )
        self.position_embedding = self.param("position_embedding", scale, (cfg.num_patches + 1, width))
        shape = (self.config.num_frames, width)
        self.frame_embedding = self.param("frame_embedding", nn.initializers.zeros, shape)
        self.pre_norm = layer_norm(cfg.layer_norm_eps)
        self.blocks = make_blocks(cfg, self.dtype, scan=self.scan_layers)
        self.post_norm = layer_norm(cfg.layer_norm_eps)

    def __call__(self, pixels: Float[Array, "b F H W 3"]) -> Float[Array, "b d"]:
        """The class token's output after the final norm, float32: one for the whole video.

        Raises UserError unless there are `num_frames` frames, or one, of the size in the config.
        """
        tokens = self.pre_norm(self._tokens(pixels))
        self.sow("intermediates", "pre_norm_out", tokens)
        x = self.post_norm(run_stack(self.blocks, tokens, None))
        self.sow("intermediates", "post_norm_out", x)
        return x[:, 0]

    def _tokens(self, pixels: Float[Array, "b F H W 3"]) -> Float[Array, "b n d"]:
        """The class token, then the patches; those at one place in all frames are adjacent."""
        frames, cfg = pixels.shape[1], self.config
        check_pixels(pixels.shape[2:4], cfg.vision.image_size)
        if frames not in (1, cfg.num_frames):
            raise UserError(f"video of {frames} frames: this network takes {cfg.num_frames}, or one")
        when = self.frame_embedding
        if frames == 1:
            when = when.mean(0, keepdims=True)
        patches = self.patch_embedding(pixels)
        patches = patches.reshape(*patches.shape[:2], -1, patches.shape[-1])
        patches = jnp.swapaxes(patches + self.position_embedding[1:] + when[:, None], 1, 2)
        patches = patches.reshape(patches.shape[0], -1, patches.shape[-1])
        first = self.class_embedding + self.position_embedding[0]
        first = jnp.broadcast_to(first, (len(patches), 1, patches.shape[-1]))
        return jnp.concatenate([first, patches], axis=1)


class VideoCLIPXL(nn.Module):
    """Features of videos and of texts, to be compared by their cosine."""

    config: VideoCLIPXLConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self):
        """Creates the submodules; called by Flax."""
        cfg = self.config
        self.vision = VideoTransformer(cfg, self.dtype, self.scan_layers)
        self.text = LongTextTransformer(cfg.text, self.dtype, self.scan_layers)
        self.vision_projection = dense(cfg.projection_dim, self.dtype, use_bias=False)
        self.text_projection = dense(cfg.projection_dim, self.dtype, use_bias=False)

    def __call__(self, pixels: Float[Array, "b F H W 3"], tokens: Int[Array, "t l"]) -> Float[Array, "t b"]:
        """The cosine of every text and video, times 100."""
        videos, texts = self.video_features(pixels), self.text_features(tokens)
        return 100 * unit_length(texts) @ unit_length(videos).T

    def video_features(self, pixels: Float[Array, "b *F H W 3"]) -> Float[Array, "b p"]:
        """Features of videos, float32, not of unit length. `pixels` are those of `video_pixels`.

        A picture, which has no axis of frames, is a video of one frame.
        """
        videos = pixels if pixels.ndim == 5 else pixels[:, None]
        return self.vision_projection(self.vision(videos))

    def text_features(self, tokens: Int[Array, "b l"]) -> Float[Array, "b p"]:
        """Features of texts, float32, not of unit length. What follows the end token is ignored."""
        return self.text_projection(self.text(tokens))
