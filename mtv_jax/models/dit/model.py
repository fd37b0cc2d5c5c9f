"""The diffusion transformer: joint attention over text and video, one AdaLN for each of the two.

The module that a controlnet adds to each layer is passed in (`make_injection`), so that this file does not depend on
any controlnet.
"""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.io.errors import UserError
from mtv_jax.models.dit.config import DiTConfig
from mtv_jax.models.dit.embed import Grid, PatchEmbed, TimeEmbedding, token_grid, unpatch, video_rope
from mtv_jax.ops.attention import attention, merge_heads, split_heads
from mtv_jax.ops.mesh import constrain_batch, constrain_tokens
from mtv_jax.ops.precision import dense, layer_norm, modulate
from mtv_jax.ops.rope import Rope, apply_rope
from mtv_jax.ops.stack import layer_input, run_stack, stack_layers
from mtv_jax.typing import Array, Float

Control = Mapping[str, Array]

OFS = 2.0
"""The constant second time input of CogVideoX 1.5's image-to-video model (diffusers' pipeline)."""


class AdaLayerNormZero(nn.Module):
    """LayerNorm shared by text and video, each shifted, scaled and gated by its own modulation."""

    config: DiTConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, text: Array, video: Array, time: Array, clean: tuple[Array, Array] | None):
        """Normalised text and video in `dtype`, and their gates in float32.

        `clean`, if given, is (mask [b n 1] true on the tokens of clean keyframes, time embedding of
        timestep 0): those tokens are modulated by timestep 0.
        """
        norm = layer_norm(self.config.norm_eps, "norm")
        linear = dense(6 * self.config.width, self.dtype, "linear")
        shift, scale, gate, text_shift, text_scale, text_gate = _chunks(linear(nn.silu(time)), 6)
        if clean is not None:
            mask, time_zero = clean
            modulation = _chunks(linear(nn.silu(time_zero)), 6)[:3]
            shift, scale, gate = (
                jnp.where(mask, z, n) for z, n in zip(modulation, (shift, scale, gate), strict=True)
            )
        text = modulate(norm(text), text_shift, text_scale, self.dtype)
        return text, modulate(norm(video), shift, scale, self.dtype), text_gate, gate


class JointAttention(nn.Module):
    """Self-attention over text and video tokens, LayerNorm on queries and keys, RoPE on video tokens.

    Uses `setup`, since a controlnet's cross-attention shares its query and key norms.
    """

    config: DiTConfig
    dtype: Any = jnp.float32

    def setup(self) -> None:
        """Names the parts."""
        cfg = self.config
        self.to_q, self.to_k, self.to_out = (dense(cfg.width, self.dtype) for _ in range(3))
        self.to_v = nn.Dense(cfg.width, dtype=self.dtype)
        self.norm_q, self.norm_k = (layer_norm(cfg.qk_norm_eps) for _ in range(2))

    def __call__(self, text: Array, video: Array, rope: Rope | None) -> tuple[Array, Array]:
        """The attention's (ungated) output for text and for video tokens, float32."""
        length = text.shape[1]
        tokens = jnp.concatenate([text, video], axis=1)
        heads = self.config.num_attention_heads
        q, k, v = (split_heads(project(tokens), heads) for project in (self.to_q, self.to_k, self.to_v))
        q, k = self.norm_q(q), self.norm_k(k)
        if rope is not None:
            q, k = (
                jnp.concatenate([x[:, :length], apply_rope(x[:, length:], *rope)], axis=1) for x in (q, k)
            )
        out = self.to_out(merge_heads(attention(q.astype(self.dtype), k.astype(self.dtype), v)))
        return out[:, :length], out[:, length:]


class FeedForward(nn.Module):
    """Linear, tanh-GELU, Linear."""

    config: DiTConfig
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "b n d"]) -> Float[Array, "b n d"]:
        """Applied to text and video tokens alike; returns float32."""
        cfg = self.config
        hidden = nn.Dense(cfg.ffn_multiplier * cfg.width, dtype=self.dtype, name="up")(x)
        return dense(cfg.width, self.dtype, "down")(nn.gelu(hidden, approximate=True))


class DiTBlock(nn.Module):
    """One layer: gated joint attention, injection of the controlnet, gated feed-forward."""

    config: DiTConfig
    make_injection: Callable[..., nn.Module] | None = None
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, carry, time, clean, rope: Rope | None, control: Control | None):
        """`carry` is (text tokens, video tokens); signature for `nn.scan`."""
        text, video = layer_input(carry)
        cfg, dtype = self.config, self.dtype
        attn = JointAttention(cfg, dtype, name="attn1")
        norm_text, norm_video, text_gate, gate = AdaLayerNormZero(cfg, dtype, name="norm1")(
            text, video, time, clean
        )
        text_out, video_out = attn(norm_text, norm_video, rope)
        self.sow("intermediates", "self_attn_out", (text_out, video_out))
        text = constrain_batch(text + text_gate * text_out)
        video = constrain_tokens(video + gate * video_out)
        self.sow("intermediates", "video_after_self_attn", video)
        if self.make_injection is not None and control is not None:
            inject = self.make_injection(dtype=dtype, name="injection")
            video = inject(video, control, (attn.norm_q, attn.norm_k), rope)
            self.sow("intermediates", "video_after_injection", video)
        norm_text, norm_video, text_gate, gate = AdaLayerNormZero(cfg, dtype, name="norm2")(
            text, video, time, clean
        )
        length = text.shape[1]
        out = FeedForward(cfg, dtype, name="ff")(jnp.concatenate([norm_text, norm_video], axis=1))
        self.sow("intermediates", "ff_out", out)
        text = constrain_batch(text + text_gate * out[:, :length])
        video = constrain_tokens(video + gate * out[:, length:])
        self.sow("intermediates", "out", (text, video))
        return (text, video), None


class DiT(nn.Module):
    """Text-to-video denoiser: noised latents, timestep and text embeddings to a raw prediction.

    `dtype` is that of the inputs of matrix products (and of the feed-forward's activations); the hidden states
    between layers, norms, softmax, rotations and modulations are float32.
    """

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
        if cfg.ofs_embed_dim is not None:
            self.ofs_embedding = TimeEmbedding(cfg.ofs_embed_dim, cfg.ofs_embed_dim, self.dtype)
        self.norm_final, self.norm_out = layer_norm(cfg.final_norm_eps), layer_norm(cfg.final_adaln_eps)
        self.norm_out_linear = dense(2 * cfg.width, self.dtype)
        self.proj_out = dense(cfg.patch_size**2 * cfg.frames_per_token * cfg.out_channels, self.dtype)

    def embed_time(self, timesteps: Float[Array, "b"]) -> Float[Array, "b d"]:
        """The time embedding that conditions every modulation, float32."""
        time = self.time_embedding(timesteps)
        if self.config.ofs_embed_dim is None:
            return time
        return time + self.ofs_embedding(jnp.full((1,), OFS))

    @property
    def tracks(self) -> tuple[str, ...]:
        """Names of the audio tracks: none."""
        return ()

    def __call__(
        self, latents: Float[Array, "b f h w c"], timesteps: Float[Array, "b"], conditions: Conditions
    ) -> Float[Array, "b f h w o"]:
        """Raw prediction (v or epsilon) of the noised `latents`, without audio. See `denoise`."""
        conditions.check_tracks(self.tracks)
        return self.denoise(latents, timesteps, conditions, None)

    def denoise(
        self,
        latents: Float[Array, "b f h w c"],
        timesteps: Float[Array, "b"],
        conditions: Conditions,
        control: Control | None,
    ) -> Float[Array, "b f h w o"]:
        """Raw prediction of the noised `latents`, in float32.

        Latents with fewer channels than `in_channels` are padded by the image of `conditions`, and by zeros (MTV's
        checkpoint keeps CogVideoX-I2V's 16 image channels and never uses them). Clean keyframes are modulated by
        timestep 0. `control` is the input of `make_injection`'s module. Raises UserError if height, width or frames
        are not a multiple of the patch, for more channels than the model has, and for keyframes where frames share
        tokens.
        """
        cfg = self.config
        grid = token_grid(cfg, *latents.shape[1:4])
        tokens, video = self.patch_embed(self._complete(latents, conditions.image), conditions.text)
        self.sow("intermediates", "embedded", (tokens, video))
        tokens, video = constrain_batch(tokens), constrain_tokens(video)
        time = constrain_batch(self.embed_time(timesteps))
        mask = conditions.clean_mask
        clean = None if mask is None else self._clean(mask, grid)
        rope = video_rope(cfg, grid)
        tokens, video = run_stack(self.blocks, (tokens, video), time[:, None], clean, rope, control)
        self.sow("intermediates", "final_norm", (self.norm_final(tokens), self.norm_final(video)))
        shift, scale = _chunks(self.norm_out_linear(nn.silu(time))[:, None], 2)
        video = modulate(self.norm_out(self.norm_final(video)), shift, scale, self.dtype)
        return unpatch(self.proj_out(video), cfg, grid)

    def _complete(self, latents: Array, image: Array | None) -> Array:
        """The latents padded to the input channels of the model, with zeros for those not given."""
        if image is not None:
            latents = jnp.concatenate([latents, image], axis=-1)
        missing = self.config.in_channels - latents.shape[-1]
        if missing < 0:
            raise UserError(
                f"latents of {latents.shape[-1]} channels: the model takes {self.config.in_channels}"
            )
        return jnp.pad(latents, [(0, 0)] * 4 + [(0, missing)])

    def _clean(self, clean_mask: Array, grid: Grid) -> tuple[Array, Array]:
        if self.config.frames_per_token > 1:
            raise UserError(
                "keyframes given to a model whose tokens hold several latent frames: not possible"
            )
        mask = jnp.repeat(clean_mask, grid[1] * grid[2], axis=1)[..., None]
        return mask, self.embed_time(jnp.zeros(clean_mask.shape[0]))[:, None]


def _chunks(x: Array, n: int) -> list[Array]:
    return jnp.split(x, n, axis=-1)
