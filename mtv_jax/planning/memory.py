"""Checks, before running, that the memory that a video needs is free on the device (`training_memory`: a train step).

Weights are exact, from shapes and dtypes; activations are estimated from the traced program
(`mtv_jax.planning.estimates`); nothing is compiled. Tracing takes about a second, so it is skipped where bounds from
sizes alone already decide: an upper bound far below the free memory, or a lower bound above it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.audio.pretrained import LOG_MEL
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.models.denoisers import backbone_config, denoiser_inputs
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.vae3d import AutoencoderConfig, Tiling, streaming
from mtv_jax.models.vae3d.model import DECODE_CHUNK, chunk_lengths, chunk_starts_alone
from mtv_jax.names import VIDEO_SOUND_RATE
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.planning import estimates
from mtv_jax.planning.chips import GIB
from mtv_jax.planning.room import Room, device_room, host_free
from mtv_jax.planning.sizes import LatentSize
from mtv_jax.weights.json_config import CONFIG_FILE
from mtv_jax.weights.model_index import read_defaults
from mtv_jax.weights.pretrained import build_model, load_config, read_config

SAMPLES_HELD = 12 * VIDEO_SOUND_RATE
"""Upper bound on the audio samples held per second of video: tracks and mix, at their rate and ours."""
_PROGRAM = GIB // 4
"""Host memory besides arrays: the compiler and compiled programs."""
_ENCODERS = ("text_encoder", "audio_encoder", "imagebind", "cim", "separator", "clap")
"""Folders of networks of text and sound; those that Maestro alone has stay loaded too, as if a mix were given."""
AMPLE = 4
"""An upper bound this many times below the free memory is accepted without tracing."""


@dataclass(frozen=True)
class Need:
    """Memory requirement in bytes.

    Attributes:
      what: description for messages.
      device: bytes on each device, by kind; estimates are labelled as such.
      host: bytes of host memory, in addition.
      advice: ways to reduce it.
    """

    what: str
    device: dict[str, int]
    host: int = 0
    advice: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Total bytes on each device."""
        return sum(self.device.values())


@dataclass(frozen=True)
class Sample:
    """A video to be made by a pipeline folder.

    Attributes:
      size: of the video.
      guided: the denoiser runs on two copies at once (guidance).
      dtype: compute dtype of the networks; parameters are float32 regardless.
      tiled: whether it is decoded in tiles.
    """

    folder: Path
    size: ClipSize
    guided: bool = True
    dtype: str = "float32"
    tiled: bool = False

    @classmethod
    def of(
        cls,
        pipeline: str | Path,
        sizes: Mapping[str, Any],
        *,
        guidance_scale: float | None = None,
        dtype: str = "float32",
        tiled: bool = False,
    ) -> "Sample":
        """By a preset's name or a folder; `sizes` (num_frames, height, ...) that are None are the model's."""
        folder = pipeline_folder(pipeline)
        defaults = read_defaults(folder)
        scale = defaults.sampling.guidance_scale if guidance_scale is None else guidance_scale
        return cls(folder, defaults.clip.replace(**sizes), scale != 1, dtype, tiled)

    def latents(self, vae: AutoencoderConfig) -> LatentSize:
        """Frames, rows and columns of its latents."""
        frames = (max(self.size.num_frames, 1) - 1) // vae.temporal_compression_ratio + 1
        cell = vae.spatial_compression_ratio
        return LatentSize(frames, max(self.size.height // cell, 1), max(self.size.width // cell, 1))


def check_memory(
    pipeline: str | Path,
    size: ClipSize,
    *,
    guidance_scale: float | None = None,
    dtype: str = "float32",
    tiled: bool = False,
    force: bool = False,
) -> None:
    """Raises UserError if a video of a pipeline does not fit into the free memory, unless `force` is set.

    `guidance_scale` None is the model's; `tiled`: the video is decoded in tiles.
    """
    room = device_room()
    if force or room is None:
        return
    sample = Sample.of(pipeline, vars(size), guidance_scale=guidance_scale, dtype=dtype, tiled=tiled)
    bounds = sample_bounds(sample)
    if bounds is None or bounds[1] * AMPLE < room.free:
        return
    refuse(bounds_need(sample, bounds[0]) if bounds[0] > room.free else sample_need(sample), room)


def refuse(need: Need, room: Room) -> None:
    """Raises a one-line UserError with advice if `need` exceeds the free memory of the device or the machine."""
    wanted, free, name = need.total, room.free, room.name
    if room.name == "cpu":
        wanted += need.host
    elif wanted <= free and (host := host_free()) is not None and need.host > host:
        wanted, free, name = need.host, host, "the machine"
    if wanted > free:
        advice = ", or ".join(need.advice)
        raise UserError(
            f"{need.what} needs about {_amount(wanted)} of memory, {name} has {_amount(free)} free: {advice}; --force "
            "skips this check"
        )


def sample_need(sample: Sample, *, advise: bool = True) -> Need:
    """Memory needed to make a video: all weights, and the larger of a denoising step and the decoder.

    Raises UserError for sizes that do not fit the model.
    """
    dtype = jnp.dtype(sample.dtype)
    vae: Any = build_model(sample.folder / "vae", dtype=dtype)
    denoiser: Any = build_model(sample.folder, dtype=dtype)
    sample.size.check(
        frames=vae.config.temporal_compression_ratio,
        pixels=vae.config.spatial_compression_ratio * backbone_config(denoiser).patch_size,
    )
    latents = sample.latents(vae.config)
    weights = _bytes(parameter_shapes(denoiser)) + _bytes(parameter_shapes(vae))
    weights += sum(_bytes(parameter_shapes(model)) for model in _encoders(sample.folder))
    step = _denoise_activations(denoiser, latents, 2 if sample.guided else 1)
    need = Need(
        _name(sample),
        {
            "weights": weights,
            "activations (estimated)": max(step, _decode_activations(vae, latents, sample.tiled)),
        },
        _host_bytes(sample),
    )
    return Need(need.what, need.device, need.host, _advice(sample, need.total)) if advise else need


def sample_bounds(sample: Sample) -> tuple[int, int] | None:
    """Lower and upper bound on the bytes that a video needs, from its sizes alone.

    None for an unreadable folder: loading it raises the error.
    """
    try:
        vae, backbone = load_config(sample.folder / "vae"), backbone_config(build_model(sample.folder))
        files = sum(file.stat().st_size for file in sample.folder.glob("*/*.safetensors"))
    except (UserError, OSError, AttributeError):
        return None
    tokens = tokens_of(backbone, sample.latents(vae))
    hidden = 4 * (2 if sample.guided else 1) * tokens * backbone.width
    logits = 4 * 2 * backbone.num_attention_heads * tokens * min(tokens, 2048)
    pixels = (
        min(sample.size.num_frames, 3 * vae.temporal_compression_ratio)
        * sample.size.height
        * sample.size.width
    )
    decoded = 4 * pixels * vae.block_out_channels[0]
    least = max(2 * hidden, decoded if not sample.tiled else 0) + _host_bytes(sample)
    # Weights may be stored in half of their size here, or be generated from a seed.
    return least, 2 * files + GIB // 8 + 40 * hidden + 3 * logits + 40 * decoded + _host_bytes(sample)


def bounds_need(sample: Sample, least: int) -> Need:
    """The need of a video whose lower bound is already too large."""
    advice = ("make it smaller or shorter (--height, --width, --num-frames)",)
    return Need(_name(sample), {"at least": least - _host_bytes(sample)}, _host_bytes(sample), advice)


def tokens_of(backbone: Any, size: LatentSize) -> int:
    """Tokens of a clip in a backbone, text included, by its config."""
    cells = size.latent_frames * size.latent_height * size.latent_width
    return -(-cells // backbone.patch_size**2) + backbone.max_text_seq_length


def _advice(sample: Sample, total: int) -> tuple[str, ...]:
    """Options that reduce the memory, with the resulting need."""
    found = ["make it smaller or shorter (--height, --width, --num-frames)"]
    for flag, other in (
        ("--vae-tiling", replace(sample, tiled=True)),
        ("--dtype bfloat16", replace(sample, dtype="bfloat16")),
    ):
        less = total if other == sample else sample_need(other, advise=False).total
        if less < 0.9 * total:
            found.append(f"give {flag} ({_amount(less)})")
    return tuple(found)


def _name(sample: Sample) -> str:
    size = sample.size
    return f"a video of {size.num_frames} frames of {size.width} x {size.height}"


def _host_bytes(sample: Sample) -> int:
    """Frames as bytes, twice since they are concatenated, and sound."""
    size = sample.size
    frames = 2 * 3 * size.num_frames * size.height * size.width
    sound = 4 * SAMPLES_HELD * size.num_frames / size.fps if size.fps > 0 else 0
    return _PROGRAM + max(frames, 0) + max(math.ceil(sound), 0)


def _encoders(folder: Path) -> list[Any]:
    """The networks of text and sound; log-mel features have no weights."""
    models = []
    for part in (folder / name for name in _ENCODERS):
        if (part / CONFIG_FILE).exists() and read_config(part)[0].get("_class_name") != LOG_MEL:
            models.append(build_model(part))
    return models


def _denoise_activations(model: Any, size: LatentSize, rows: int) -> int:
    """Bytes of a denoiser call on this platform, and of the latents that the sampler keeps."""
    together = backbone_config(model).frames_per_token
    frames = -(-size.latent_frames // together) * together
    inputs = denoiser_inputs(model, (frames, size.latent_height, size.latent_width), rows=rows)
    traced = jax.make_jaxpr(model.apply)(parameter_shapes(model), *inputs)
    return estimates.peak_bytes(traced.jaxpr) + 4 * _bytes(inputs[0])


def _decode_activations(vae: Any, size: LatentSize, tiled: bool) -> int:
    """Bytes of the decoder's largest chunk; with tiles also the whole video, twice since it is concatenated."""
    height, width, extra = size.latent_height, size.latent_width, 0
    if tiled:
        rows, columns = Tiling.aligned(vae.config).cells(vae.config)
        cell = vae.config.spatial_compression_ratio**2
        frames = vae.config.temporal_compression_ratio * size.latent_frames
        extra = 2 * 4 * vae.config.out_channels * frames * height * width * cell
        height, width = min(rows, height), min(columns, width)
    frames = chunk_lengths(size.latent_frames, DECODE_CHUNK)[0]
    latents = jax.ShapeDtypeStruct((1, frames, height, width, vae.config.latent_channels), jnp.float32)
    alone = chunk_starts_alone(0, frames, True)

    def decode(params: Any, latents: Any) -> Any:
        return streaming.decode_chunk(vae, params, latents, None, alone)

    # Without convolutions over time their copies are not made.
    factor = 1.0 if vae.config.temporal_kernel_size == 1 else estimates.DECODER_FACTOR
    return extra + estimates.decoder(decode, parameter_shapes(vae), latents, factor)


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _amount(size: float) -> str:
    return f"{size / GIB:.3g} GiB"
