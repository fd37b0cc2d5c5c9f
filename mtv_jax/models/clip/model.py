"""CLIP: pictures and texts to features of one space."""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.clip.config import CLIPConfig, VisionConfig
from mtv_jax.models.clip.text import TextTransformer
from mtv_jax.models.clip.transformer import make_blocks
from mtv_jax.ops.precision import convolution, dense, layer_norm
from mtv_jax.ops.stack import run_stack
from mtv_jax.typing import Array, Float, Int


class VisionTransformer(nn.Module):
    """Pictures to features. `dtype` is that of the products' inputs; everything else is float32."""

    config: VisionConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self):
        """Creates the submodules; called by Flax."""
        cfg = self.config
        scale = nn.initializers.normal(cfg.hidden_size**-0.5)
        self.class_embedding = self.param("class_embedding", scale, (cfg.hidden_size,))
        self.patch_embedding = nn.Conv(
            cfg.hidden_size,
            (cfg.patch_size, cfg.patch_size),
            cfg.patch_size,
            "VALID",
            use_bias=False,
            dtype=self.dtype,
            conv_general_dilated=convolution,
        )
        positions = (cfg.num_patches + 1, cfg.hidden_size)
        self.position_embedding = self.param("position_embedding", scale, positions)
        self.pre_norm = layer_norm(cfg.layer_norm_eps)
        self.blocks = make_blocks(cfg, self.dtype, scan=self.scan_layers)
        self.post_norm = layer_norm(cfg.layer_norm_eps)

    def __call__(self, pixels: Float[Array, "b H W 3"]) -> Float[Array, "b d"]:
        """The class token's output after the final norm, float32.

        `pixels` are normalised. Raises UserError unless they are of the size in the config.
        """
        check_pixels(pixels.shape[1:3], self.config.image_size)
        patches = self.patch_embedding(pixels)
        patches = patches.reshape(patches.shape[0], -1, patches.shape[-1])
        first = jnp.broadcast_to(self.class_embedding, (len(patches), 1, patches.shape[-1]))
        x = self.pre_norm(jnp.concatenate([first, patches], axis=1) + self.position_embedding)
        return self.post_norm(run_stack(self.blocks, x, None)[:, 0])


def check_pixels(sides: tuple[int, ...], image_size: int) -> None:
    """Raises UserError unless pictures are square, with sides of `image_size` pixels."""
    if sides != (image_size, image_size):
        raise UserError(
            f"pictures of {sides[1]} x {sides[0]} pixels: this network takes {image_size} x {image_size}"
        )


class CLIP(nn.Module):
    """Features of pictures and of texts, to be compared by their cosine."""

    config: CLIPConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self):
        """Creates the submodules; called by Flax."""
        cfg = self.config
        self.vision = VisionTransformer(cfg.vision, self.dtype, self.scan_layers)
        self.text = TextTransformer(cfg.text, self.dtype, self.scan_layers)
        self.vision_projection = dense(cfg.projection_dim, self.dtype, use_bias=False)
        self.text_projection = dense(cfg.projection_dim, self.dtype, use_bias=False)
        self.logit_scale = self.param("logit_scale", nn.initializers.constant(math.log(1 / 0.07)), ())

    def __call__(self, pixels: Float[Array, "b H W 3"], tokens: Int[Array, "t l"]) -> Float[Array, "b t"]:
        """The cosine of every picture and text, times the learned scale."""
        pictures, texts = self.image_features(pixels), self.text_features(tokens)
        return jnp.exp(self.logit_scale) * unit_length(pictures) @ unit_length(texts).T

    def image_features(self, pixels: Float[Array, "b H W 3"]) -> Float[Array, "b p"]:
        """Features of pictures, float32, not of unit length. `pixels` are those of `clip_pixels`."""
        return self.vision_projection(self.vision(pixels))

    def text_features(self, tokens: Int[Array, "b l"]) -> Float[Array, "b p"]:
        """Features of texts, float32, not of unit length. What follows the end token is ignored."""
        return self.text_projection(self.text(tokens))


def unit_length(features: Float[Array, "b d"]) -> Float[Array, "b d"]:
    """Rows divided by their length."""
    return features / jnp.linalg.norm(features, axis=-1, keepdims=True)
