"""Input and output embeddings of the transformer: time, latent patches, text, and positions."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.io.errors import UserError
from mtv_jax.models.dit.config import DiTConfig
from mtv_jax.ops.precision import dense, dot_float32
from mtv_jax.ops.rope import Rope, resized_positions, rope_axis_dims, rope_table, sincos_table
from mtv_jax.typing import Array, Float

Grid = tuple[int, int, int]
"""Tokens along time, rows and columns."""


class TimeEmbedding(nn.Module):
    """Sinusoid of the timestep, then Linear, SiLU, Linear. The sinusoid is float32, cosines first."""

    sinusoid_dim: int
    dim: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, timesteps: Float[Array, "b"]) -> Float[Array, "b d"]:
        """Timesteps 0..999 to embeddings, float32."""
        half = self.sinusoid_dim // 2
        frequencies = jnp.exp(-np.log(1e4) * jnp.arange(half, dtype=jnp.float32) / half)
        angles = timesteps.astype(jnp.float32)[:, None] * frequencies
        sinusoid = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1)
        self.sow("intermediates", "sinusoid", sinusoid)
        hidden = nn.silu(dense(self.dim, self.dtype, "linear_1")(sinusoid))
        embedding = dense(self.dim, self.dtype, "linear_2")(hidden)
        self.sow("intermediates", "embedding", embedding)
        return embedding


def token_grid(config: DiTConfig, frames: int, height: int, width: int) -> Grid:
    """The tokens of latents. Raises UserError if a size is no multiple of the patch."""
    p, pt = config.patch_size, config.frames_per_token
    if height % p or width % p:
        raise UserError(f"latents of {height} x {width}: must be divisible by the patch size {p}")
    if frames % pt:
        raise UserError(
            f"{frames} latent frames: this model takes {pt} a token, so the number must be divisible by {pt}; "
            "generate more and drop the first ones, as diffusers' pipeline does"
        )
    return frames // pt, height // p, width // p


class PatchEmbed(nn.Module):
    """Patches of latents and the text embeddings, both projected to the model's width."""

    config: DiTConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, latents: Float[Array, "b f h w c"], text: Float[Array, "b l t"]
    ) -> tuple[Float[Array, "b l d"], Float[Array, "b n d"]]:
        """Text tokens and video tokens (frame, row, column), positions added where they are additive; float32.

        A learned table is resized (trilinear) to grids other than the training grid. diffusers rejects
        other heights and widths, and for other lengths replaces the learned table by the sin-cos table.
        """
        cfg = self.config
        grid = token_grid(cfg, *latents.shape[1:4])
        video = self._project(latents, grid)
        tokens = dense(cfg.width, self.dtype, "text_proj")(text)
        if cfg.positions == "sincos":
            scales = cfg.spatial_interpolation_scale, cfg.temporal_interpolation_scale
            video = video + sincos_table(grid, cfg.width, *scales)
        elif cfg.positions == "rope_learned":
            text_table, video_table = self._learned(grid)
            tokens, video = tokens + text_table[: tokens.shape[1]], video + video_table
        return tokens, video

    def _project(self, latents: Array, grid: Grid) -> Array:
        """Patches to tokens: in 1.0 a convolution's kernel, in 1.5 a matrix of rows (channel, frame, row, column)."""
        cfg, p, pt = self.config, self.config.patch_size, self.config.frames_per_token
        b, c = latents.shape[0], latents.shape[-1]
        f, h, w = grid
        patches = latents.reshape(b, f, pt, h, p, w, p, c).transpose(0, 1, 3, 5, 7, 2, 4, 6)
        if cfg.patch_size_t is not None:
            flat = patches.reshape(b, f * h * w, c * pt * p * p)
            return dense(cfg.width, self.dtype, "proj_3d")(flat)
        patches = patches.reshape(b, f * h * w, c, p, p).transpose(0, 1, 3, 4, 2)
        proj = nn.DenseGeneral(
            cfg.width, axis=(-3, -2, -1), dtype=self.dtype, dot_general=dot_float32, name="proj"
        )
        return proj(patches)

    def _learned(self, grid: Grid) -> tuple[Array, Array]:
        """The learned table of text and of video tokens."""
        cfg = self.config
        trained = trained_grid(cfg)
        length = cfg.max_text_seq_length
        shape = (length + int(np.prod(trained)), cfg.width)
        table = self.param("pos_embedding", nn.initializers.zeros, shape)
        text, video = table[:length], table[length:]
        if grid != trained:
            video = jax.image.resize(video.reshape(*trained, -1), (*grid, cfg.width), "trilinear")
            video = video.reshape(-1, cfg.width)
        return text, video


def trained_grid(config: DiTConfig) -> Grid:
    """The token grid of the training size."""
    p = config.patch_size
    frames = -(-config.sample_frames // config.frames_per_token)
    return frames, config.sample_height // p, config.sample_width // p


def video_rope(config: DiTConfig, grid: Grid) -> Rope | None:
    """The rotary table of a grid of tokens, or None if positions are added instead."""
    if config.positions == "sincos":
        return None
    frames, rows, columns = (np.arange(n) for n in grid)
    if config.rope_grid == "resize":
        rows, columns = resized_positions(grid[1:], trained_grid(config)[1:])
    dims = rope_axis_dims(config.attention_head_dim)
    cos, sin = rope_table((frames, rows, columns), dims, config.rope_theta)
    return jnp.asarray(cos), jnp.asarray(sin)


def unpatch(tokens: Float[Array, "b n e"], config: DiTConfig, grid: Grid) -> Float[Array, "b f h w c"]:
    """Tokens to latents; the projection's outputs are ordered channel, frame, row, column of the patch."""
    (f, h, w), p, pt, c = grid, config.patch_size, config.frames_per_token, config.out_channels
    cells = tokens.reshape(tokens.shape[0], f, h, w, c, pt, p, p).transpose(0, 1, 5, 2, 6, 3, 7, 4)
    return cells.reshape(tokens.shape[0], f * pt, h * p, w * p, c)
