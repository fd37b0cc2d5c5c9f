"""Maps names of the released MTV checkpoint (SwissArmyTransformer state dict) to our parameters."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.models.dit import DiTConfig
from mtv_jax.models.mst_controlnet import MSTControlNetConfig
from mtv_jax.models.mtv import MTVConfig
from mtv_jax.weights.rules import BATCHED, CONV1D, CONV2D, Rule, linear, norm

PREFIX = "model.diffusion_model."

IGNORED = (
    r"model\.diffusion_model\.transformer\.position_embeddings\.weight",
    r"model\.diffusion_model\.mixins\.pos_embed\.freqs_(sin|cos)",
)
"""Tensors of the checkpoint that are not weights: an unused table and the rotary buffers."""

_TRACKS = {"speech": "", "effects": "_effect", "speech2": "_second"}


def _backbone() -> list[Rule]:
    layer, block = "transformer.layers.{layer}", "transformer/blocks"
    adaln = "mixins.adaln_layer"
    # One 12-part modulation there, two of 6 here: shift, scale, gate of video then of text, before
    # attention (norm1) and before the feed-forward (norm2).
    halves = ((0, 1, 2, 6, 7, 8), (3, 4, 5, 9, 10, 11))
    modulations = (f"{block}/norm1/linear", f"{block}/norm2/linear")
    return [
        *linear(f"{adaln}.adaLN_modulations.{{layer}}.1", modulations, parts=halves),
        *norm(f"{adaln}.query_layernorm_list.{{layer}}", f"{block}/attn1/norm_q"),
        *norm(f"{adaln}.key_layernorm_list.{{layer}}", f"{block}/attn1/norm_k"),
        *norm(f"{layer}.input_layernorm", f"{block}/norm1/norm"),
        *norm(f"{layer}.post_attention_layernorm", f"{block}/norm2/norm"),
        *linear(f"{layer}.attention.query_key_value", tuple(f"{block}/attn1/to_{x}" for x in "qkv")),
        *linear(f"{layer}.attention.dense", f"{block}/attn1/to_out"),
        *linear(f"{layer}.mlp.dense_h_to_4h", f"{block}/ff/up"),
        *linear(f"{layer}.mlp.dense_4h_to_h", f"{block}/ff/down"),
        *norm("transformer.final_layernorm", "transformer/norm_final"),
        *norm("mixins.final_layer.norm_final", "transformer/norm_out"),
        *linear("mixins.final_layer.adaLN_modulation.1", "transformer/norm_out_linear"),
        *linear("mixins.final_layer.linear", "transformer/proj_out"),
        *linear("mixins.patch_embed.proj", "transformer/patch_embed/proj", CONV2D),
        *linear("mixins.patch_embed.text_proj", "transformer/patch_embed/text_proj"),
        Rule("mixins.pos_embed.pos_embedding", "transformer/patch_embed/pos_embedding", BATCHED),
        *linear("time_embed.0", "transformer/time_embedding/linear_1"),
        *linear("time_embed.2", "transformer/time_embedding/linear_2"),
    ]


def _injection() -> list[Rule]:
    layer, path = "transformer.layers.{layer}", "transformer/blocks/injection"
    rules = [*linear(f"{layer}.audio_music_adaLn", f"{path}/music_modulation")]
    for track, suffix in _TRACKS.items():
        attention = f"{layer}.audio_attn{suffix}"
        rules += [
            *norm(f"{layer}.audio_input_layernorm{suffix}", f"{path}/norm_{track}"),
            *linear(f"{attention}.query", f"{path}/attn_{track}/to_q"),
            *linear(f"{attention}.key_value", tuple(f"{path}/attn_{track}/to_{x}" for x in "kv")),
            *linear(f"{attention}.dense", f"{path}/attn_{track}/to_out"),
        ]
    return rules


def _controlnet() -> list[Rule]:
    block, path = "transformer.audio_combine.dual_blocks.{layer}", "controlnet/blocks"
    rules = [
        *linear(f"{block}.adaLN_modulations.1", f"{path}/modulation"),
        *norm(f"{block}.vocal_layernorm", f"{path}/norm_speech"),
        *norm(f"{block}.accm_layernorm", f"{path}/norm_effects"),
        *norm(f"{block}.post_attention_layernorm", f"{path}/post_norm"),
        *linear(f"{block}.attention.query_key_value", tuple(f"{path}/to_{x}" for x in "qkv")),
        *linear(f"{block}.attention.dense", f"{path}/to_out"),
        *linear(f"{block}.mlp.dense_h_to_4h", f"{path}/up"),
        *linear(f"{block}.mlp.dense_4h_to_h", f"{path}/down"),
    ]
    for track, suffix in (("speech", ""), ("effects", "_effect"), ("music", "_music")):
        projection, ours = f"transformer.audio_proj{suffix}", f"controlnet/{track}"
        for i in (1, 2, 3):
            rules += linear(f"{projection}.proj{i}", f"{ours}/proj{i}")
        rules += linear(f"{projection}.conv1", f"{ours}/conv", CONV1D)
        rules += norm(f"{projection}.norm", f"{ours}/norm")
    rules.append(Rule("transformer.audio_vocal_embedding", "controlnet/speaker_embedding_0"))
    rules.append(Rule("transformer.audio_vocal_embedding_1", "controlnet/speaker_embedding_1"))
    return rules


RULES: tuple[Rule, ...] = tuple(
    replace(rule, key=PREFIX + rule.key) for rule in (*_backbone(), *_injection(), *_controlnet())
)

_FORM = (
    "temporal_compression_ratio",
    "temporal_conv",
    "separate_feed_forward",
    "injection_residual",
    "borrow_qk_norm",
    "rope_queries",
    "separate_extraction",
    "separate_injection",
)
"""Fields of the controlnet's config that are fixed in the authors' code, to the value of `released`."""


_MOST_SPEAKERS = 2


def check_form(config: MSTControlNetConfig, origin: str) -> None:
    """Raises UserError, naming fields, for a controlnet that the authors' code does not support."""
    released = MSTControlNetConfig.released()
    other = [
        f"{name} is {getattr(config, name)!r}, there {getattr(released, name)!r}"
        for name in _FORM
        if getattr(config, name) != getattr(released, name)
    ]
    if config.num_speakers > _MOST_SPEAKERS:
        other.append(f"num_speakers is {config.num_speakers}, there at most {_MOST_SPEAKERS}")
    if other:
        raise UserError(
            f"{origin}: not the released form of the controlnet, and the authors' has no other: "
            f"{'; '.join(other)}; keep it as a pipeline folder"
        )


_MODEL = {
    "num_layers": "num_layers",
    "num_attention_heads": "num_attention_heads",
    "head_dim": "attention_head_dim",
    "in_channels": "in_channels",
    "out_channels": "out_channels",
    "patch_size": "patch_size",
    "text_hidden_size": "text_embed_dim",
    "text_length": "max_text_seq_length",
    "time_embed_dim": "time_embed_dim",
    "latent_frames": "sample_frames",
    "latent_height": "sample_height",
    "latent_width": "sample_width",
    "rope_theta": "rope_theta",
    "layernorm_eps_blocks": "norm_eps",
    "layernorm_eps_qk": "qk_norm_eps",
    "layernorm_eps_final_layernorm": "final_norm_eps",
    "layernorm_eps_final_adaln": "final_adaln_eps",
}
_AUDIO = {
    "window": "window",
    "wav2vec_layers": "audio_layers",
    "wav2vec_channels": "audio_channels",
    "projection_inter_dim": "projection_width",
    "context_tokens": "context_tokens",
    "width": "width",
    "interaction_heads": "interaction_heads",
    "interaction_blocks": "interaction_blocks",
}


def config_from_json(values: Mapping[str, Any], num_speakers: int) -> MTVConfig:
    """The config of a `config.json` beside a reference checkpoint, with its sections `model` and `audio`.

    Derived sizes (token grid, rotary dimensions) are not read. Raises UserError if a size is missing or two sizes
    are inconsistent.
    """
    model, audio = (dict(values.get(section) or {}) for section in ("model", "audio"))
    read = {
        "model": (*_MODEL, "hidden_size", "ffn_size", "learned_pos_embed", "layernorm_eps_interaction"),
        "audio": (*_AUDIO, "interaction_mlp"),
    }
    for section, given in (("model", model), ("audio", audio)):
        if missing := sorted(set(read[section]) - set(given)):
            raise UserError(f"config.json of the MTV checkpoint: {section} has no {', '.join(missing)}")
    if model["num_attention_heads"] * model["head_dim"] != model["hidden_size"]:
        raise UserError(
            f"config.json of the MTV checkpoint: hidden_size {model['hidden_size']} is not "
            f"{model['num_attention_heads']} heads of {model['head_dim']}"
        )
    dit = DiTConfig(
        **{ours: model[theirs] for theirs, ours in _MODEL.items()},
        ffn_multiplier=model["ffn_size"] // model["hidden_size"],
        positions="rope_learned" if model["learned_pos_embed"] else "rope",
        rope_grid="slice",
    )
    controlnet = MSTControlNetConfig(
        **{ours: audio[theirs] for theirs, ours in _AUDIO.items()},
        mlp_multiplier=audio["interaction_mlp"] // audio["width"],
        norm_eps=model["layernorm_eps_interaction"],
        num_speakers=num_speakers,
    )
    return MTVConfig(dit, controlnet)
