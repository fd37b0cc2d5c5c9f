"""The Multi-Stream Temporal ControlNet.

Interval stream: speech and effects, one set of tokens per interval (= latent frame), interact in a few
blocks and are injected into the video tokens of their own interval by cross-attention.
Holistic stream: music, pooled over the clip, scales and shifts all video tokens.
(Two fields of the config disable the separation, for the paper's ablations.)

Computations shared by all layers are float32 regardless of the backbone's `dtype`: they are a thousandth of the work,
and five successive products of rounded inputs would cost more precision than the backbone's own.

New weights are drawn as the released code draws them: projections and the interaction blocks' modulation from torch's
default for linear layers; attention and feed-forward from N(0, .02), their outputs from N(0, .02 / sqrt(2 n)), where n
is the number of the backbone's layers in the injection and 1 in the interaction blocks; scales and shifts of music,
speaker embeddings, and the biases of all but torch's own: 0.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import Initializer

from mtv_jax.io.errors import UserError
from mtv_jax.models.mst_controlnet.config import MSTControlNetConfig
from mtv_jax.ops.attention import attention, merge_heads, split_heads
from mtv_jax.ops.precision import dense, layer_norm, modulate
from mtv_jax.ops.rope import Rope, apply_rope
from mtv_jax.ops.stack import run_stack, stack_layers
from mtv_jax.typing import Array, Float

_INPUT_STD = 0.02
_NORMAL = nn.initializers.normal(_INPUT_STD)
"""Initialiser of queries, keys, values and the first product of a feed-forward."""


def _output_init(layers: int) -> Initializer:
    """Initialiser of the last product of a residual branch, of which there are two per layer."""
    return nn.initializers.normal(_INPUT_STD / math.sqrt(2 * layers))


def _torch_init(fan_in: int) -> dict[str, Any]:
    """torch's default for `nn.Linear` and `nn.Conv1d`: weight and bias uniform within 1 / sqrt(fan_in)."""
    bound = 1 / math.sqrt(fan_in)

    def init(key: Any, shape: Any, dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return {"kernel_init": init, "bias_init": init}


def frame_windows(features: Float[Array, "b F L c"], size: int) -> Float[Array, "b F W L c"]:
    """The `size` frames around every frame, clamped to the clip at its ends."""
    frames = features.shape[-3]
    offsets = np.arange(size) - size // 2
    index = np.clip(np.arange(frames)[:, None] + offsets, 0, frames - 1)
    return jnp.take(features, index, axis=-3)


class AudioProjection(nn.Module):
    """A track's windowed features to `context_tokens` tokens per interval.

    Three linear layers per frame, then one convolution (kernel 2, stride 2), applied as often as the autoencoder
    halves time (twice: 1+4k frames to 1+k intervals): while the length is odd the first frame bypasses it. Without
    `temporal_conv` it is replaced by the mean, so that an interval is the mean of its frames.
    """

    config: MSTControlNetConfig
    temporal_conv: bool = True

    @nn.compact
    def __call__(self, features: Float[Array, "b F W L c"]) -> Float[Array, "b M k d"]:
        """Context tokens; interval 0 is the first frame only."""
        cfg = self.config
        b, frames = features.shape[:2]
        x = features.reshape(b, frames, -1).astype(jnp.float32)
        channels = cfg.context_tokens * cfg.width
        widths = cfg.projection_width, cfg.projection_width, channels
        for i, width in enumerate(widths, 1):
            x = nn.relu(x) if i > 1 else x
            x = nn.Dense(width, name=f"proj{i}", **_torch_init(x.shape[-1]))(x)
        merge = partial(jnp.mean, axis=-2)
        if self.temporal_conv:
            merge = nn.DenseGeneral(channels, axis=(-2, -1), name="conv", **_torch_init(2 * channels))
        for _ in range(cfg.temporal_compression_ratio.bit_length() - 1):
            x = _halve(x, merge)
        x = x.reshape(b, x.shape[1], cfg.context_tokens, cfg.width)
        return layer_norm(cfg.norm_eps, "norm")(x)


def _halve(x: Array, merge: Callable[[Array], Array]) -> Array:
    """Merges pairs of steps; an odd first step is kept as it is."""
    b, length, channels = x.shape
    first, rest = x[:, : length % 2], x[:, length % 2 :]
    if not rest.shape[1]:
        return first
    return jnp.concatenate([first, merge(rest.reshape(b, length // 2, 2, channels))], axis=1)


class InteractionBlock(nn.Module):
    """Self-attention over the tokens of all tracks of one interval, modulated by the timestep.

    The norm before attention and the modulation belong to the kind of track (two speakers share theirs), attention is
    shared, and so are the feed-forward and the norm before it without `separate_feed_forward`.
    """

    config: MSTControlNetConfig

    @nn.compact
    def __call__(self, tracks: tuple[Array, ...], time: Float[Array, "b t"]):
        """`tracks`: [b M k d] of every speaker, then of the other `interacting` ones. Signature for `nn.scan`."""
        cfg = self.config
        chunks = 6 * len(cfg.interacting)
        linear = nn.Dense(chunks * cfg.width, name="modulation", **_torch_init(time.shape[-1]))
        modulation = jnp.split(linear(nn.silu(time))[:, None, None], chunks, axis=-1)
        norms = {kind: layer_norm(cfg.norm_eps, f"norm_{kind}") for kind in cfg.interacting}
        feed_forwards = self._feed_forwards()
        # For each track in `tracks`: its kind, and its modulation.
        speech, *others = [(kind, modulation[6 * i : 6 * i + 6]) for i, kind in enumerate(cfg.interacting)]
        kinds = [speech] * (len(tracks) - len(others)) + others
        normed = [modulate(norms[kind](x), *m[:2]) for x, (kind, m) in zip(tracks, kinds, strict=True)]
        attended = self._attend(normed)
        tracks = tuple(x + m[2] * a for x, a, (_, m) in zip(tracks, attended, kinds, strict=True))
        tracks = tuple(
            x + m[5] * feed_forwards[kind](x, m) for x, (kind, m) in zip(tracks, kinds, strict=True)
        )
        self.sow("intermediates", "out", tracks)
        return tracks, None

    def _feed_forwards(self) -> dict[str, Callable[[Array, list[Array]], Array]]:
        """Kind of track -> norm, modulation, Linear, tanh-GELU, Linear."""
        cfg = self.config
        if cfg.separate_feed_forward:
            return {kind: self._feed_forward(f"_{kind}") for kind in cfg.interacting}
        return dict.fromkeys(cfg.interacting, self._feed_forward(""))

    def _feed_forward(self, suffix: str) -> Callable[[Array, list[Array]], Array]:
        cfg = self.config
        norm = layer_norm(cfg.norm_eps, f"post_norm{suffix}")
        up = nn.Dense(cfg.mlp_multiplier * cfg.width, name=f"up{suffix}", kernel_init=_NORMAL)
        down = nn.Dense(cfg.width, name=f"down{suffix}", kernel_init=_output_init(1))
        return lambda x, m: down(nn.gelu(up(modulate(norm(x), *m[3:5])), approximate=True))

    def _attend(self, tracks: list[Array]) -> list[Array]:
        """Joint attention over the tokens of all tracks, interval by interval."""
        cfg = self.config
        tokens = jnp.concatenate(tracks, axis=2)
        b, intervals, n, width = tokens.shape
        tokens = tokens.reshape(b * intervals, n, width)
        q, k, v = (
            split_heads(nn.Dense(width, name=f"to_{x}", kernel_init=_NORMAL)(tokens), cfg.interaction_heads)
            for x in "qkv"
        )
        out = nn.Dense(width, name="to_out", kernel_init=_output_init(1))(merge_heads(attention(q, k, v)))
        return jnp.split(out.reshape(b, intervals, n, width), len(tracks), axis=2)


class MSTControlNet(nn.Module):
    """Windowed features of the tracks to the control that `AudioInjection` reads in every layer."""

    config: MSTControlNetConfig
    scan_layers: bool = True

    def setup(self) -> None:
        """Names the parts."""
        cfg = self.config
        self.speech, self.effects = (AudioProjection(cfg, cfg.temporal_conv == "all") for _ in range(2))
        self.music = AudioProjection(cfg)
        make = stack_layers(InteractionBlock, cfg.interaction_blocks, num_broadcast=1, scan=self.scan_layers)
        self.blocks = make(cfg)
        if cfg.num_speakers > 1:
            self.speaker_embeddings = [
                self.param(f"speaker_embedding_{i}", nn.initializers.zeros, (cfg.width,))
                for i in range(cfg.num_speakers)
            ]

    def __call__(
        self, audio: Mapping[str, Float[Array, "b F W L c"]], time: Float[Array, "b t"]
    ) -> dict[str, Array]:
        """Control: tokens [b M k d] of `effects` and of each speaker's track, and `music` [b d].

        `audio` has the tracks that the config names. Without `separate_injection` the control is `shared`: the tokens
        of all of them.
        """
        names = self.config.speakers
        speakers = [self.speech(audio[name]) for name in names]
        effects, music = self.effects(audio["effects"]), self.music(audio["music"])
        self.sow("intermediates", "projected", (*speakers, effects, music))
        if len(names) > 1:
            speakers = [x + e for x, e in zip(speakers, self.speaker_embeddings, strict=True)]
        tokens = {**dict(zip(names, speakers, strict=True)), "effects": effects, "music": music}
        interacting = [name for name in tokens if name != "music" or not self.config.separate_extraction]
        tracks = run_stack(self.blocks, tuple(tokens[name] for name in interacting), time)
        tokens |= dict(zip(interacting, tracks, strict=True))
        if not self.config.separate_injection:
            return {"shared": jnp.concatenate(list(tokens.values()), axis=2)}
        return tokens | {"music": tokens["music"].mean(axis=(1, 2))}


class CrossAttention(nn.Module):
    """Video tokens of an interval attend to a track's tokens of that interval."""

    heads: int
    out_init: Initializer
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array, context: Array, norms: tuple[Any, Any] | None, rope: Rope | None) -> Array:
        """`x` [bM n d], `context` [bM k e]; `norms` of queries and keys. Queries are rotated, keys are not."""
        width, dtype = x.shape[-1], self.dtype
        q, k = (
            split_heads(dense(width, dtype, f"to_{name}", kernel_init=_NORMAL)(source), self.heads)
            for name, source in (("q", x), ("k", context))
        )
        to_v = nn.Dense(width, dtype=dtype, name="to_v", kernel_init=_NORMAL)
        v = split_heads(to_v(context), self.heads)
        if norms is not None:
            q, k = norms[0](q), norms[1](k)
        if rope is not None:
            q = apply_rope(q, *rope)
        out = dense(width, dtype, "to_out", kernel_init=self.out_init)
        return out(merge_heads(attention(q.astype(dtype), k.astype(dtype), v)))


class AudioInjection(nn.Module):
    """Injection of audio into the video tokens in every layer of the backbone (MTV Eq. 2 and 3).

    Speech and effects read the same hidden states through separate norms; their outputs are added.
    Music then scales and shifts. The cross-attention may reuse the layer's query and key norms and the
    rotary table, that of the first frame for all (see `MSTControlNetConfig`). A `shared` control has one
    cross-attention and nothing else. `layers` is the number of layers of the backbone: the more, the smaller the
    initial injection of each.
    """

    config: MSTControlNetConfig
    heads: int
    layers: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        video: Float[Array, "b n d"],
        control: Mapping[str, Array],
        norms: tuple[Any, Any],
        rope: Rope | None,
    ) -> Float[Array, "b n d"]:
        """Video tokens with the control injected; `n` is intervals times tokens a latent frame."""
        cfg = self.config
        b, n, width = video.shape
        contexts = {name: control[name] for name in sorted(set(control) - {"music"})}
        intervals = next(iter(contexts.values())).shape[1]
        if n % intervals:
            raise UserError(f"{intervals} audio intervals for {n} video tokens: one interval a latent frame")
        per_frame = n // intervals
        first_frame = None
        if rope is not None and cfg.rope_queries:
            first_frame = rope[0][:per_frame], rope[1][:per_frame]
        frames = video.reshape(b * intervals, per_frame, width)
        injected = frames if cfg.injection_residual else jnp.zeros_like(frames)
        out_init = nn.initializers.zeros if cfg.zero_init_injection else _output_init(self.layers)
        for name, tokens in contexts.items():
            context = tokens.reshape(b * intervals, *tokens.shape[2:])
            cross = CrossAttention(self.heads, out_init, self.dtype, name=f"attn_{name}")
            normed = layer_norm(cfg.norm_eps, f"norm_{name}")(frames)
            out = cross(normed, context, norms if cfg.borrow_qk_norm else None, first_frame)
            self.sow("intermediates", f"cross_{name}", out)
            injected = injected + out
        injected = injected.reshape(b, n, width)
        if "music" not in control:
            return injected
        style = dense(2 * width, self.dtype, "music_modulation", kernel_init=nn.initializers.zeros)
        scale, shift = jnp.split(style(control["music"])[:, None], 2, axis=-1)
        return modulate(injected, shift, scale)
