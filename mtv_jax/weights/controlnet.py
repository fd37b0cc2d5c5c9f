"""The controlnet's files: the parameters that MTV adds to a backbone, with torch names and layouts.

`<track>.*` are the audio projections, `interaction_blocks.<i>.*` the interval interaction blocks, and
`transformer_blocks.<i>.*` the injection into layer i of the backbone.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from mtv_jax.models.mst_controlnet.config import MAX_SPEAKERS, MSTControlNetConfig
from mtv_jax.names import TRACKS, control_tracks
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields
from mtv_jax.weights.rules import CONV1D, Rule, linear, norm

_BLOCK = ("interaction_blocks.{layer}", "controlnet/blocks")
_LAYER = ("transformer_blocks.{layer}", "transformer/blocks/injection")


def _projection(track: str) -> list[Rule]:
    ours = f"controlnet/{track}"
    rules = [rule for i in (1, 2, 3) for rule in linear(f"{track}.proj{i}", f"{ours}/proj{i}")]
    return [
        *rules,
        *linear(f"{track}.conv", f"{ours}/conv", CONV1D),
        *norm(f"{track}.norm", f"{ours}/norm"),
    ]


def _interaction() -> list[Rule]:
    key, path = _BLOCK
    # Shared by all tracks, or (`separate_feed_forward`) each its own.
    owners = ("", *(f"_{track}" for track in TRACKS))
    linears = ["modulation", "to_q", "to_k", "to_v", "to_out"]
    linears += [f"{name}{owner}" for owner in owners for name in ("up", "down")]
    rules = [rule for name in linears for rule in linear(f"{key}.{name}", f"{path}/{name}")]
    norms = [f"norm_{track}" for track in TRACKS] + [f"post_norm{owner}" for owner in owners]
    return rules + [rule for name in norms for rule in norm(f"{key}.{name}", f"{path}/{name}")]


def _injection() -> list[Rule]:
    key, path = _LAYER
    rules = [*linear(f"{key}.music_modulation", f"{path}/music_modulation")]
    for track in (*control_tracks(MAX_SPEAKERS)[:-1], "shared"):
        rules += norm(f"{key}.norm_{track}", f"{path}/norm_{track}")
        for name in ("to_q", "to_k", "to_v", "to_out"):
            rules += linear(f"{key}.attn_{track}.{name}", f"{path}/attn_{track}/{name}")
    return rules


RULES: tuple[Rule, ...] = (
    *(rule for track in TRACKS for rule in _projection(track)),
    *(Rule(f"speaker_embedding_{i}", f"controlnet/speaker_embedding_{i}") for i in range(MAX_SPEAKERS)),
    *_interaction(),
    *_injection(),
)


def config_from_json(values: Mapping[str, Any]) -> MSTControlNetConfig:
    """The config in a `config.json` of ours."""
    same = {field.name: field.name for field in fields(MSTControlNetConfig)}
    origin = "config.json of MSTControlNet"
    required = ("audio_layers", "audio_channels")
    chosen = read_fields(values, same, harmless=DIFFUSERS_HARMLESS, required=required, origin=origin)
    return MSTControlNetConfig(**chosen)


def config_to_json(config: MSTControlNetConfig) -> dict[str, Any]:
    """The `config.json` of a config."""
    return {"_class_name": "MSTControlNet", **asdict(config)}
