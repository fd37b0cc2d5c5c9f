"""The common interface of denoisers: config fields and call inputs.

Planning, pipelines and training read these fields of a backbone's config (`backbone_config`); latent sizes are in cells
of the autoencoder's latents:

    in_channels, out_channels                    of the input latents and of the prediction
    patch_size, frames_per_token                 cells along each side, and latent frames, per token
    num_tokens(frames, height, width)            of a clip of this latent size and its text, together
    text_embed_dim, max_text_seq_length          of the text conditioning
    text_length_is_fixed                         whether a text longer than that is an error
    num_layers, num_attention_heads, width       of the transformer
    sample_frames, sample_height, sample_width   latent size of the training clips
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.mosaic.mosaic import Mosaic
from mtv_jax.models.cim.config import CIMConfig
from mtv_jax.models.registry import make_model, spec_of


def backbone_config(model: Any) -> Any:
    """Config of a denoiser's backbone: its own config, or for a network with a controlnet that of its backbone."""
    return spec_of(model).backbone_config(model.config)


def backbone_of(model: nn.Module) -> nn.Module:
    """The backbone of a denoiser as a separate network with the same options; without a controlnet, the denoiser."""
    composite = spec_of(model).composite
    if composite is None:
        return model
    kept = {f.name for f in dataclasses.fields(composite.backbone.module)}
    kept &= {f.name for f in dataclasses.fields(model)} - {"config", "name", "parent"}
    options = {name: getattr(model, name) for name in sorted(kept)}
    return make_model(composite.backbone.name, backbone_config(model), **options)


def track_shapes(model: Any, latent_frames: int) -> dict[str, tuple[int, ...]]:
    """Shape [F L c] of the features of each audio track that a denoiser takes, by name."""
    return dict(spec_of(model).tracks(model.config, latent_frames))


def denoiser_inputs(
    model: Any,
    size: tuple[int, int, int],
    *,
    rows: int = 1,
    text_length: int | None = None,
    sources: int = 0,
) -> tuple[Any, ...]:
    """Shapes of the inputs of `model.apply(params, ...)` for `rows` clips of `size` (latent frames, rows, columns).

    `text_length` defaults to the maximum of the network. `sources` is the number of sources of sound in boxes, for a
    UNet (Maestro).
    """
    backbone = backbone_config(model)
    length = backbone.max_text_seq_length if text_length is None else text_length
    latents = _struct(rows, *size, backbone.out_channels)
    text = _struct(rows, length, backbone.text_embed_dim)
    tracks = {name: _struct(rows, *shape) for name, shape in track_shapes(model, size[0]).items()}
    conditions = Conditions(text, tracks)
    return latents, _struct(rows), _with_sources(conditions, size[0], sources) if sources else conditions


def _with_sources(conditions: Conditions, frames: int, count: int) -> Conditions:
    """Conditions of `count` sources of sound in boxes, each of as many tokens a frame as Maestro's CIM gives."""
    rows, _, width = conditions.text.shape
    names = tuple(f"source{number:02}" for number in range(count))
    chosen = jax.ShapeDtypeStruct((rows, count), jnp.bool_)
    boxes = Mosaic(names, _struct(rows, count, frames, 4), chosen, chosen, _struct(rows))
    tracks = {name: _struct(rows, frames, CIMConfig().num_queries, width) for name in names}
    return dataclasses.replace(conditions, tracks=tracks, boxes=boxes, fps=_struct(rows))


def _struct(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)
