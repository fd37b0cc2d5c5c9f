"""CLAP's files by LAION (`630k-audioset-best.pt`), whose tensors get transformers' names.

The map of names is that of transformers' conversion script for CLAP. Its configs give RoBERTa's layer norms an epsilon
of 1e-12; here it is RoBERTa-base's 1e-5, with which LAION's code computes.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.models.clap import Clap, ClapAudioConfig, ClapConfig, ClapTextConfig
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.typing import Params
from mtv_jax.weights import clap
from mtv_jax.weights.aliases import Canonical
from mtv_jax.weights.pretrained import Place
from mtv_jax.weights.rules import linear, to_params
from mtv_jax.weights.torch_files import read_torch

ALIASES = (
    (r"^module\.", ""),
    (r"^text_branch\.", "text_model."),
    (r"^audio_branch\.", "audio_model.audio_encoder."),
    (r"_projection\.0\.", "_projection.linear1."),
    (r"_projection\.2\.", "_projection.linear2."),
    (r"\.bn0\.", ".batch_norm."),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj\.", ".attention.output.dense."),
    (r"\.attn\.", ".attention.self."),
    (r"\.mlp\.fc1\.", ".intermediate.dense."),
    (r"\.mlp\.fc2\.", ".output.dense."),
)
RULES = (
    *(rule for rule in clap.RULES if rule not in clap.QKV),
    *linear(f"{clap.LAYER}attention.self.qkv", tuple(f"{clap.OUR_LAYER}attention/{name}" for name in "qkv")),
)
IGNORED = (
    *clap.IGNORED,
    r"(audio|text)_transform\..*",
    r"audio_model\.audio_encoder\.(spectrogram_extractor|logmel_extractor|tscam_conv|head)\..*",
    r".*\.attn_mask",
)
"""Layers that served the training alone, the spectrogram's filters, and masks."""
_HEAD_WIDTH = 64
"""Of RoBERTa's heads, whose number no tensor tells."""
_EPSILON = 1e-5
_FUSION = "audio_model.audio_encoder.patch_embed.mel_conv2d.weight"


def open_laion_clap(path: Path, settle: Place) -> tuple[Clap, Params]:
    """The network of LAION's file, with `settle(path, leaf)` in place of each parameter.

    Raises UserError as `laion_clap` does.
    """
    return laion_clap(read_torch([path], entry="state_dict"), settle, str(path))


def laion_clap(tensors: Mapping[str, Any], settle: Place, origin: str) -> tuple[Clap, Params]:
    """The network of LAION's tensors, with `settle(path, leaf)` in place of each parameter.

    Sizes are those of the tensors, with HTSAT's picture of 256 x 256. Raises UserError for tensors without HTSAT and
    RoBERTa, or with a fusion other than `aff_2d`, and as `load_model` does.
    """
    tensors = Canonical(tensors, ALIASES)
    with errors_in_file(origin):  # tensors of other ranks, or without numbers
        config = ClapConfig(text=_text_config(tensors, origin), audio=_audio_config(tensors, origin))
    model = Clap(config)
    shapes = parameter_shapes(model)
    return model, to_params(tensors, RULES, shapes, ignored=IGNORED, origin=origin, place=settle)


def _text_config(tensors: Mapping[str, Any], origin: str) -> ClapTextConfig:
    def shape(key: str) -> tuple[int, ...]:
        return _shape(tensors, f"text_model.{key}.weight", origin)

    words, width = shape("embeddings.word_embeddings")
    return ClapTextConfig(
        vocab_size=words,
        hidden_size=width,
        num_hidden_layers=_count(tensors, r"text_model\.encoder\.layer\.(\d+)\."),
        num_attention_heads=max(width // _HEAD_WIDTH, 1),
        intermediate_size=shape("encoder.layer.0.intermediate.dense")[0],
        max_position_embeddings=shape("embeddings.position_embeddings")[0],
        type_vocab_size=shape("embeddings.token_type_embeddings")[0],
        layer_norm_eps=_EPSILON,
        projection_dim=_shape(tensors, "text_projection.linear2.weight", origin)[0],
    )


def _audio_config(tensors: Mapping[str, Any], origin: str) -> ClapAudioConfig:
    def shape(key: str) -> tuple[int, ...]:
        return _shape(tensors, f"audio_model.audio_encoder.{key}", origin)

    stages = range(_count(tensors, r"audio_model\.audio_encoder\.layers\.(\d+)\."))
    blocks = r"audio_model\.audio_encoder\.layers\.{}\.blocks\.(\d+)\.".format
    bias = "layers.{}.blocks.0.attention.self.relative_position_bias_table".format
    width, _, _, patch = shape("patch_embed.proj.weight")
    fused = _FUSION in tensors
    inner = shape("patch_embed.fusion_model.local_att.0.weight")[0] if fused else width
    return ClapAudioConfig(
        num_mel_bins=shape("batch_norm.weight")[0],
        patch_size=patch,
        patch_embeds_hidden_size=width,
        depths=tuple(_count(tensors, blocks(stage)) for stage in stages),
        num_attention_heads=tuple(shape(bias(stage))[1] for stage in stages),
        window_size=(math.isqrt(shape(bias(0))[0]) + 1) // 2,
        mlp_ratio=shape("layers.0.blocks.0.intermediate.dense.weight")[0] / width,
        enable_fusion=fused,
        aff_block_r=width // inner if fused else ClapAudioConfig.aff_block_r,
    )


def _shape(tensors: Mapping[str, Any], key: str, origin: str) -> tuple[int, ...]:
    if key not in tensors:
        raise UserError(f"{origin}: not a CLAP of LAION's with RoBERTa and HTSAT, since it has no {key}")
    return tuple(tensors[key].shape)


def _count(tensors: Mapping[str, Any], pattern: str) -> int:
    """One more than the largest number in a key that the pattern matches."""
    return 1 + max((int(match[1]) for key in tensors if (match := re.match(pattern, key))), default=-1)
