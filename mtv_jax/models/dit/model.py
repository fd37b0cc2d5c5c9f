"""The diffusion transformer: joint attention over text and video, one AdaLN for each of the two.

What a controlnet adds to each layer is passed in (`make_injection`), so that this file knows of none.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.io.errors import UserError
from mtv_jax.models.dit.config import DiTConfig
from mtv_jax.ops.attention import attention, merge_heads, split_heads
from mtv_jax.ops.rope import apply_rope, rope_axis_dims, rope_table, sincos_table
from mtv_jax.ops.stack import run_stack, stack_layers
from mtv_jax.typing import Array, Float

Control = Mapping[str, Array]
Rope = tuple[Array, Array]


class TimeEmbedding(nn.Module):
    """Sinusoid of the timestep, then Linear, SiLU, Linear. The sinusoid is float32, cosines first."""

    sinusoid_dim: int
    dim: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, timesteps: Float[Array, "b"]) -> Float[Array, "b d"]:
        """Timesteps 0..999 to embeddings."""
        half = self.sinusoid_dim // 2
        frequencies = jnp.exp(-np.log(1e4) * jnp.arange(half, dtype=jnp.float32) / half)
        angles = timesteps.astype(jnp.float32)[:, None] * frequencies
        sinusoid = jnp.concatenate([jnp.cos(angles), jnp.sin(angles)], axis=-1).astype(self.dtype)
        hidden = nn.silu(nn.Dense(self.dim, dtype=self.dtype, name="linear_1")(sinusoid))
        return nn.Dense(self.dim, dtype=self.dtype, name="linear_2")(hidden)


class PatchEmbed(nn.Module):
    """2x2 patches of latents and the text embeddings, both projected to the model's width."""

    config: DiTConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, latents: Float[Array, "b f h w c"], text: Float[Array, "b l t"]
    ) -> tuple[Float[Array, "b l d"], Float[Array, "b n d"]]:
        """Text tokens and video tokens (frame, row, column), positions added where they are additive."""
        cfg, p = self.config, self.config.patch_size
        b, f, h, w, c = latents.shape
        patches = latents.reshape(b, f, h // p, p, w // p, p, c).transpose(0, 1, 2, 4, 3, 5, 6)
        proj = nn.DenseGeneral(cfg.width, axis=(-3, -2, -1), dtype=self.dtype, name="proj")
        video = proj(patches).reshape(b, -1, cfg.width)
        tokens = nn.Dense(cfg.width, dtype=self.dtype, name="text_proj")(text)
        grid = (f, h // p, w // p)
        if cfg.positions == "sincos":
            table = sincos_table(
                grid, cfg.width, cfg.spatial_interpolation_scale, cfg.temporal_interpolation_scale
            )
            video = video + table.astype(self.dtype)
        elif cfg.positions == "rope_learned":
            text_table, video_table = self._learned(grid)
            tokens, video = tokens + text_table[: tokens.shape[1]], video + video_table
        return tokens, video

    def _learned(self, grid: tuple[int, int, int]) -> tuple[Array, Array]:
        """The learned table, resized (trilinear) if the grid is not that of training."""
        cfg = self.config
        trained = (
            cfg.sample_frames,
            cfg.sample_height // cfg.patch_size,
            cfg.sample_width // cfg.patch_size,
        )
        length = cfg.max_text_seq_length
        shape = (length + int(np.prod(trained)), cfg.width)
        table = self.param("pos_embedding", nn.initializers.zeros, shape)
        text, video = table[:length], table[length:]
        if grid != trained:
            video = jax.image.resize(video.reshape(*trained, -1), (*grid, cfg.width), "trilinear")
            video = video.reshape(-1, cfg.width)
        return text.astype(self.dtype), video.astype(self.dtype)


class AdaLayerNormZero(nn.Module):
    """LayerNorm shared by text and video, each shifted, scaled and gated by its own modulation."""

    config: DiTConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, text: Array, video: Array, time: Array, clean: tuple[Array, Array] | None):
        """Normalised text and video, and their gates.

        `clean`, if given, is (mask [b n 1] true on the tokens of clean keyframes, time embedding of
        timestep 0): those tokens take their modulation from timestep 0.
        """
        norm = nn.LayerNorm(epsilon=self.config.norm_eps, dtype=self.dtype, name="norm")
        linear = nn.Dense(6 * self.config.width, dtype=self.dtype, name="linear")
        shift, scale, gate, text_shift, text_scale, text_gate = _chunks(linear(nn.silu(time)), 6)
        if clean is not None:
            mask, time_zero = clean
            modulation = _chunks(linear(nn.silu(time_zero)), 6)[:3]
            shift, scale, gate = (
                jnp.where(mask, z, n) for z, n in zip(modulation, (shift, scale, gate), strict=True)
            )
        text = norm(text) * (1 + text_scale) + text_shift
        return text, norm(video) * (1 + scale) + shift, text_gate, gate


class JointAttention(nn.Module):
    """Self-attention over text and video tokens, LayerNorm on queries and keys, RoPE on video tokens.

    A set-up module, since a controlnet's cross-attention borrows its query and key norms.
    """

    config: DiTConfig
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Names the parts."""
        cfg = self.config
        self.to_q, self.to_k, self.to_v, self.to_out = (
            nn.Dense(cfg.width, dtype=self.dtype) for _ in range(4)
        )
        self.norm_q, self.norm_k = (nn.LayerNorm(epsilon=cfg.qk_norm_eps, dtype=self.dtype) for _ in range(2))

    def __call__(self, text: Array, video: Array, rope: Rope | None) -> tuple[Array, Array]:
        """The attention's (ungated) output for text and for video tokens."""
        length = text.shape[1]
        tokens = jnp.concatenate([text, video], axis=1)
        heads = self.config.num_attention_heads
        q, k, v = (split_heads(project(tokens), heads) for project in (self.to_q, self.to_k, self.to_v))
        q, k = self.norm_q(q), self.norm_k(k)
        if rope is not None:
            q, k = (
                jnp.concatenate([x[:, :length], apply_rope(x[:, length:], *rope)], axis=1) for x in (q, k)
            )
        out = self.to_out(merge_heads(attention(q, k, v)))
        return out[:, :length], out[:, length:]


class FeedForward(nn.Module):
    """Linear, tanh-GELU, Linear."""

    config: DiTConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        """Applied to text and video tokens alike."""
        cfg = self.config
        hidden = nn.Dense(cfg.ffn_multiplier * cfg.width, dtype=self.dtype, name="up")(x)
        return nn.Dense(cfg.width, dtype=self.dtype, name="down")(nn.gelu(hidden, approximate=True))


class DiTBlock(nn.Module):
    """One layer: gated joint attention, what the controlnet injects, gated feed-forward."""

    config: DiTConfig
    make_injection: Callable[..., nn.Module] | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, carry, time, clean, rope: Rope | None, control: Control | None):
        """`carry` is (text tokens, video tokens); the form `nn.scan` wants."""
        text, video = carry
        cfg, dtype = self.config, self.dtype
        attn = JointAttention(cfg, dtype, name="attn1")
        norm_text, norm_video, text_gate, gate = AdaLayerNormZero(cfg, dtype, name="norm1")(
            text, video, time, clean
        )
        text_out, video_out = attn(norm_text, norm_video, rope)
        self.sow("intermediates", "self_attn_out", (text_out, video_out))
        text, video = text + text_gate * text_out, video + gate * video_out
        self.sow("intermediates", "video_after_self_attn", video)
        if self.make_injection is not None and control is not None:
            inject = self.make_injection(dtype=dtype, name="injection")
            video = inject(video, control, attn.norm_q, attn.norm_k, rope)
            self.sow("intermediates", "video_after_injection", video)
        norm_text, norm_video, text_gate, gate = AdaLayerNormZero(cfg, dtype, name="norm2")(
            text, video, time, clean
        )
        length = text.shape[1]
        out = FeedForward(cfg, dtype, name="ff")(jnp.concatenate([norm_text, norm_video], axis=1))
        self.sow("intermediates", "ff_out", out)
        text, video = text + text_gate * out[:, :length], video + gate * out[:, length:]
        self.sow("intermediates", "out", (text, video))
        return (text, video), None


class DiT(nn.Module):
    """Text-to-video denoiser: noised latents, timestep and text embeddings to a raw prediction."""

    config: DiTConfig
    make_injection: Callable[..., nn.Module] | None = None
    dtype: Any = jnp.float32
    scan_layers: bool = True
    remat: str = "none"

    def setup(self) -> None:
        """Names the parts."""
        cfg = self.config
        self.patch_embed = PatchEmbed(cfg, self.dtype)
        self.time_embedding = TimeEmbedding(cfg.width, cfg.time_embed_dim, self.dtype)
        make = stack_layers(
            DiTBlock, cfg.num_layers, num_broadcast=4, scan=self.scan_layers, remat=self.remat
        )
        self.blocks = make(cfg, self.make_injection, self.dtype)
        self.norm_final = nn.LayerNorm(epsilon=cfg.final_norm_eps, dtype=self.dtype)
        self.norm_out = nn.LayerNorm(epsilon=cfg.final_adaln_eps, dtype=self.dtype)
        self.norm_out_linear = nn.Dense(2 * cfg.width, dtype=self.dtype)
        self.proj_out = nn.Dense(cfg.patch_size**2 * cfg.out_channels, dtype=self.dtype)

    def embed_time(self, timesteps: Float[Array, "b"]) -> Float[Array, "b d"]:
        """The time embedding that every modulation reads."""
        return self.time_embedding(timesteps)

    def __call__(
        self,
        latents: Float[Array, "b f h w c"],
        timesteps: Float[Array, "b"],
        text: Float[Array, "b l t"],
        audio: None = None,
        clean_mask: Array | None = None,
    ) -> Float[Array, "b f h w o"]:
        """Raw prediction (v or epsilon) without sound. See `denoise` for the arguments."""
        if audio is not None:
            raise UserError("audio was given to a text-to-video model: load one with a controlnet")
        return self.denoise(latents, timesteps, text, None, clean_mask)

    def denoise(
        self,
        latents: Float[Array, "b f h w c"],
        timesteps: Float[Array, "b"],
        text: Float[Array, "b l t"],
        control: Control | None,
        clean_mask: Array | None = None,
    ) -> Float[Array, "b f h w o"]:
        """Raw prediction of the noised `latents`, in float32.

        Latents with fewer channels than `in_channels` are completed by zeros (MTV's checkpoint keeps
        CogVideoX-I2V's 16 image channels and never fills them). `clean_mask` [b f] is true on clean
        keyframes, which take their modulation from timestep 0. `control` is what `make_injection`'s
        module reads. Raises UserError if height or width is no multiple of the patch.
        """
        cfg = self.config
        b, f, h, w, c = latents.shape
        if h % cfg.patch_size or w % cfg.patch_size:
            raise UserError(f"latents of {h} x {w}: must be divisible by the patch size {cfg.patch_size}")
        missing = jnp.zeros((b, f, h, w, cfg.in_channels - c), latents.dtype)
        tokens, video = self.patch_embed(
            jnp.concatenate([latents, missing], -1).astype(self.dtype), text.astype(self.dtype)
        )
        time = self.embed_time(timesteps)
        grid = (f, h // cfg.patch_size, w // cfg.patch_size)
        clean = None if clean_mask is None else self._clean(clean_mask, grid)
        tokens, video = run_stack(
            self.blocks, (tokens, video), time[:, None], clean, self._rope(grid), control
        )
        self.sow("intermediates", "final_norm", (self.norm_final(tokens), self.norm_final(video)))
        shift, scale = _chunks(self.norm_out_linear(nn.silu(time))[:, None], 2)
        video = self.norm_out(self.norm_final(video)) * (1 + scale) + shift
        return self._unpatch(self.proj_out(video), grid).astype(jnp.float32)

    def _clean(self, clean_mask: Array, grid: tuple[int, int, int]) -> tuple[Array, Array]:
        mask = jnp.repeat(clean_mask, grid[1] * grid[2], axis=1)[..., None]
        return mask, self.embed_time(jnp.zeros(clean_mask.shape[0]))[:, None]

    def _rope(self, grid: tuple[int, int, int]) -> Rope | None:
        if self.config.positions == "sincos":
            return None
        frames, height, width = (np.arange(n) for n in grid)
        positions = (frames, height, width)
        cos, sin = rope_table(
            positions, rope_axis_dims(self.config.attention_head_dim), self.config.rope_theta
        )
        return jnp.asarray(cos), jnp.asarray(sin)

    def _unpatch(self, video: Array, grid: tuple[int, int, int]) -> Array:
        """Tokens to latents; the projection's outputs are ordered channel, row, column of the patch."""
        f, h, w = grid
        p, c = self.config.patch_size, self.config.out_channels
        cells = video.reshape(video.shape[0], f, h, w, c, p, p).transpose(0, 1, 2, 5, 3, 6, 4)
        return cells.reshape(video.shape[0], f, h * p, w * p, c)


def _chunks(x: Array, n: int) -> list[Array]:
    return jnp.split(x, n, axis=-1)
