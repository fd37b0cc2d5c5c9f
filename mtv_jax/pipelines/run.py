"""The one sampling loop: requests to frames, by any pipeline; a jitted step of denoiser, guidance and sampler."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.data.transforms import to_uint8, to_unit
from mtv_jax.diffusion.conditions import TEXT, Conditions
from mtv_jax.diffusion.guidance import GuidanceKind, guidance_groups, guidance_scale, guided
from mtv_jax.diffusion.noise.base import NoiseSchedule
from mtv_jax.diffusion.samplers import (
    Clean,
    Denoise,
    SamplerConfig,
    SamplerState,
    Step,
    sampler_step,
    sampler_steps,
    start,
    step_at,
)
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.limits import check_guidance
from mtv_jax.io.progress import say
from mtv_jax.io.video import made_by
from mtv_jax.models.vae3d import Tiling, decode_pieces, encode_stream, tiled_decode_pieces
from mtv_jax.names import track_kind
from mtv_jax.ops.seeds import seed_key
from mtv_jax.pipelines.approach import approached, reach
from mtv_jax.pipelines.kept import KeptWindows, identity_of
from mtv_jax.pipelines.keyframes import Picture
from mtv_jax.pipelines.places import Scene
from mtv_jax.pipelines.timeline.plan import KeyframeFit, Timeline
from mtv_jax.pipelines.timeline.windows import Window
from mtv_jax.pipelines.windows import Given, Latents, MakeWindow, continued, cuts, window_clip, window_keys
from mtv_jax.typing import Array, Float, Key, Params, UInt8

T = TypeVar("T")


@dataclass(frozen=True)
class GenerateConfig:
    """How to sample: the sampler and the guidance.

    Attributes:
      sampler: which one, and its number of steps.
      guidance: schedule of the scale over the timesteps.
      guidance_scale: of text and sound jointly (MTV: 3.5); 1 follows the conditions without guidance, and
        costs half.
      track_scales: scales of single conditions (`text` and names of tracks) instead. Further speakers (`speech2`,
        ...) use that of `speech` unless they have one. 0 is the same as without: a silent track, no text.
    """

    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    guidance: GuidanceKind = "constant"
    guidance_scale: float = 3.5
    track_scales: tuple[tuple[str, float], ...] = ()

    def __post_init__(self):
        check_guidance(self.guidance_scale)
        check_guidance(dict(self.track_scales))

    def groups(self, tracks: Sequence[str]) -> tuple[list[list[str]], list[float]]:
        """Groups of conditions that share a scale, in the order in which guidance adds them, and the scales."""
        scales = {name: self._own_scale(name) for name in (TEXT, *tracks)}
        # What is absent is not guided: it is the same in all branches.
        return guidance_groups(
            {name: self.guidance_scale if scale is None else scale or 1.0 for name, scale in scales.items()}
        )

    def is_absent(self, name: str) -> bool:
        """Whether a condition has a scale of its own that is 0, and is left out."""
        return self._own_scale(name) == 0

    def _own_scale(self, name: str) -> float | None:
        own = dict(self.track_scales)
        return own.get(name, own.get(track_kind(name)))

    def is_plain(self, scales: Sequence[float]) -> bool:
        """Whether these scales ask for the conditional prediction alone."""
        return list(scales) == [1.0] and self.guidance == "constant"


@dataclass(frozen=True)
class Request:
    """A video to be made.

    Attributes:
      prompt: describes the video.
      tracks: sound by the names of tracks, float32 [s] at 16 kHz; a missing one is silent.
      noise_key: of the noise that sampling starts from.
      step_key: of the noise that steps add.
      negative_prompt: what guidance steers away from; None: as the model was trained.
      keyframes: pictures by pixel frame.
      keyframe_fit: how a picture of another shape is fitted to the video.
      scene: where the sources of the tracks are seen (Maestro).
    """

    prompt: str
    tracks: Mapping[str, np.ndarray]
    noise_key: Key[Array, ""]
    step_key: Key[Array, ""]
    negative_prompt: str | None = None
    keyframes: Mapping[int, Picture] = field(default_factory=dict)
    keyframe_fit: KeyframeFit = "crop"
    scene: Scene = field(default_factory=Scene)


@dataclass(frozen=True)
class Encoded:
    """Requests as a pipeline encodes them.

    Attributes:
      conditions: of all rows.
      keyframes: clean latents [b f h w c] where the `clean_mask` of `conditions` is true; None: there are none.
      no_text: embeddings [b l d] in place of the text in the unconditional branch; None: zeros.
    """

    conditions: Conditions
    keyframes: Float[Array, "b f h w c"] | None = None
    no_text: Float[Array, "b l d"] | None = None


jax.tree_util.register_dataclass(Encoded)


@runtime_checkable
class System(Protocol):
    """What the loop needs of a pipeline (`mtv_jax.pipelines.base.Pipeline`)."""

    @property
    def denoiser(self) -> Any:
        """`(latents, timesteps, Conditions)` to a raw prediction."""
        ...

    @property
    def denoiser_params(self) -> Params:
        """Its parameters."""
        ...

    @property
    def schedule(self) -> NoiseSchedule:
        """The noise schedule."""
        ...

    @property
    def vae(self) -> Any:
        """The autoencoder."""
        ...

    @property
    def vae_params(self) -> Params:
        """Its parameters."""
        ...

    def encode(self, requests: Sequence[Request], clip: ClipSize) -> Encoded:
        """The conditions of requests."""
        ...

    def encode_window(
        self, requests: Sequence[Request], encoded: Encoded, window: Window, given: Given | None
    ) -> Encoded:
        """Those of a window of a longer video, of which `encoded` are the conditions."""
        ...

    def noise(self, keys: Key[Array, "b"], clip: ClipSize) -> Float[Array, "b f h w c"]:
        """Standard normal noise to sample from."""
        ...

    def decode(
        self, latents: Iterable[Latents], clip: ClipSize, *, tiled: bool = False
    ) -> Iterator[UInt8[np.ndarray, "b F H W 3"]]:
        """Frames of sampled latents, which come in pieces."""
        ...


def sample(
    pipe: System,
    requests: Iterable[Request],
    clip: ClipSize,
    config: GenerateConfig,
    *,
    batch_size: int = 1,
    tiled: bool = False,
    progress: Callable[[int, str], Iterable[int]] | None = None,
) -> Iterator[UInt8[np.ndarray, "F H W 3"]]:
    """Frames of each request, in order, made `batch_size` at a time (one compilation).

    A row does not depend on what else is in its batch, but for rounding. Raises FloatingPointError if latents are not
    finite, and UserError for requests that the pipeline cannot fulfil.
    """
    for batch, count in batches(requests, batch_size):
        pieces = film(pipe, batch, clip, config, tiled=tiled, progress=progress)
        yield from np.concatenate(list(pieces), axis=1)[:count]


def film(
    pipe: System,
    requests: Sequence[Request],
    clip: ClipSize,
    config: GenerateConfig,
    *,
    timeline: Timeline | None = None,
    work_dir: Path | None = None,
    tiled: bool = False,
    progress: Callable[[int, str], Iterable[int]] | None = None,
) -> Iterator[UInt8[np.ndarray, "b n H W 3"]]:
    """The frames of a batch of requests, a few at a time as they are made, in memory that does not grow with them.

    Args:
      pipe, requests, clip, config: what is made, and how.
      timeline: the windows of a long video; None: one.
      work_dir: a folder in which finished windows are kept, for a call that goes on after this one was killed.
      tiled: decode pictures in parts, in less memory.
      progress: `mtv_jax.io.progress.progress` or like it.

    Raises as `sample`.
    """
    requests = [audible(request, config) for request in requests]
    windows = timeline.windows if timeline is not None and len(timeline.windows) > 1 else ()
    job = _Job(pipe, requests, clip, config, windows, pipe.encode(requests, clip), progress)
    make = job.make
    if timeline is not None and windows and work_dir is not None:
        make = KeptWindows(work_dir, job.identity(timeline)).kept_or_made(job.make)
    if timeline is not None and windows and timeline.long_video == "released":
        pieces = _reencoded(pipe, make, windows, clip, tiled=tiled)
    else:
        latents = continued(make, windows) if windows else (make(0, None) for _ in range(1))
        pieces = pipe.decode(latents, clip, tiled=tiled)
    yield from _first(pieces, clip.num_frames)


@dataclass(frozen=True)
class _Job:
    """Samples the windows of a video, of which `encoded` are the conditions; without `windows` it is one."""

    pipe: System
    requests: Sequence[Request]
    clip: ClipSize
    config: GenerateConfig
    windows: Sequence[Window]
    encoded: Encoded
    progress: Callable[[int, str], Iterable[int]] | None

    def make(self, number: int, given: Given | None) -> Latents:
        """The latents of a window, which begins with those that are given."""
        encoded, clip, label = self.encoded, self.clip, "sampling"
        if self.windows:
            window = self.windows[number]
            encoded = self.pipe.encode_window(self.requests, encoded, window, given)
            clip = window_clip(clip, window, self.pipe.vae.config.temporal_compression_ratio)
            label = f"sampling window {number + 1} of {len(self.windows)}"
        noise_keys, step_keys = self._keys()
        latents = generate(
            self.pipe.denoiser,
            self.pipe.denoiser_params,
            encoded,
            self.pipe.noise(window_keys(noise_keys, self.windows, number), clip),
            window_keys(step_keys, self.windows, number),
            self.pipe.schedule,
            self.config,
            progress=self.progress,
            label=label,
        )
        check_latents(latents)
        return self._approached(number, latents)

    def _approached(self, number: int, latents: Latents) -> Float[Array, "b n h w c"]:
        """The latents of a window without its anchor, and with its keyframes approached."""
        clean, free, places = self._clean(), 0, range(latents.shape[1])
        if self.windows:
            window = self.windows[number]
            latents = latents[:, len(window.anchor) :]
            free, places = window.prefix, range(window.start, window.stop)
        if clean is None:
            return latents
        most = reach(self.clip.fps, self.pipe.vae.config.temporal_compression_ratio)
        return jnp.asarray(approached(latents, places, free, clean, most))

    def _clean(self) -> Clean | None:
        if self.encoded.keyframes is None or self.encoded.conditions.clean_mask is None:
            return None
        return self.encoded.keyframes, self.encoded.conditions.clean_mask

    def identity(self, timeline: Timeline) -> str:
        """Of all that decides the latents."""
        texts = [made_by(), jax.__version__, jax.default_backend(), timeline.long_video]
        parts = (self.pipe.denoiser, self.pipe.vae, self.pipe.schedule, self.clip, self.config, self.windows)
        arrays = self.encoded, self._keys(), self.pipe.denoiser_params, self.pipe.vae_params
        return identity_of([*texts, *map(repr, parts)], arrays)

    def _keys(self) -> tuple[Key[Array, "b"], Key[Array, "b"]]:
        """Of the noise that sampling starts from, and of that of its steps."""
        rows = [(request.noise_key, request.step_key) for request in self.requests]
        noise_keys, step_keys = (jnp.stack(keys) for keys in zip(*rows, strict=True))
        return noise_keys, step_keys


def _reencoded(
    pipe: System, make: MakeWindow, windows: Sequence[Window], clip: ClipSize, *, tiled: bool
) -> Iterator[UInt8[np.ndarray, "b n H W 3"]]:
    """The frames that each window adds, whose prefix is the last frames, encoded again (MTV's released code).

    Each window is decoded on its own, as a video that begins with its first latent frame.
    """
    ratio, frames = pipe.vae.config.temporal_compression_ratio, None
    for number, window in enumerate(windows):
        shared, prefix = (1 + ratio * (window.prefix - 1) if window.prefix else 0), None
        if frames is not None and not cuts(windows, number):
            pieces = encode_stream(pipe.vae, pipe.vae_params, jnp.asarray(to_unit(frames[:, -shared:])))
            prefix = pipe.vae.normalise(jnp.concatenate([mean for mean, _ in pieces], axis=1))
        latents = [make(number, prefix)]
        decoded = pipe.decode(latents, window_clip(clip, window, ratio), tiled=tiled)
        frames = np.concatenate(list(decoded), axis=1)
        yield frames[:, shared:]


def _first(pieces: Iterable[np.ndarray], count: int) -> Iterator[np.ndarray]:
    """The first `count` frames of pieces [b n H W 3]."""
    for piece in pieces:
        yield piece[:, :count]
        count -= piece.shape[1]


def reconstruct(
    pipe: Any, videos: Iterable[UInt8[np.ndarray, "F H W 3"]], *, batch_size: int
) -> Iterator[UInt8[np.ndarray, "F H W 3"]]:
    """Each video encoded and decoded again, to measure what the autoencoder loses."""
    for batch, count in batches(videos, batch_size):
        pieces = encode_stream(pipe.vae, pipe.vae_params, jnp.asarray(to_unit(np.stack(batch))))
        mean = jnp.concatenate([mean for mean, _ in pieces], axis=1)
        yield from decode_latents(pipe.vae, pipe.vae_params, pipe.vae.normalise(mean))[:count]


def audible(request: Request, config: GenerateConfig) -> Request:
    """The request without the tracks whose scale is 0, so that they are silent."""
    heard = {name: track for name, track in request.tracks.items() if not config.is_absent(name)}
    return replace(request, tracks=heard)


def check_follows_sound(pipe: Any) -> None:
    """Raises UserError if a pipeline cannot make a video of text and sound alone."""
    if pipe.needs_picture:
        raise UserError("this pipeline needs a first frame (image to video), which is not given here")
    if not pipe.tracks:
        raise UserError("this pipeline has no controlnet: it takes no tracks that it could follow")


def row_request(prompt: str, tracks: Mapping[str, np.ndarray], seed: int, row: int) -> Request:
    """A request for a measurement, whose noise depends on `seed` and `row` only."""
    key = jax.random.fold_in(seed_key(seed), row)
    return Request(prompt, tracks, key, jax.random.fold_in(key, 1))


def batches(items: Iterable[T], size: int) -> Iterator[tuple[list[T], int]]:
    """Lists of one length, `size` or that of all if fewer, the last filled up; and how many of it count."""
    rest, length = iter(items), None
    while batch := list(itertools.islice(rest, size)):
        length = length or len(batch)
        yield batch + [batch[-1]] * (length - len(batch)), len(batch)


def make_denoise(model: Any, params: Params, encoded: Encoded, config: GenerateConfig) -> Denoise:
    """The guided denoise function of a model under given conditions."""
    # A model without tracks of its own takes any: the conditions say which.
    groups, scales = config.groups(model.tracks or tuple(encoded.conditions.tracks))
    plain, branches = config.is_plain(scales), encoded.conditions
    if config.is_absent(TEXT):
        no_text = jnp.zeros_like(branches.text) if encoded.no_text is None else encoded.no_text
        branches = replace(branches, text=no_text)
    if not plain:
        branches = branches.for_guidance(groups, no_text=encoded.no_text)

    def denoise(x: Array, t: Array) -> Array:
        return model.apply(params, x, t, branches)

    if plain:
        return denoise
    num_steps = config.sampler.num_steps
    return guided(denoise, *(guidance_scale(config.guidance, s, num_steps=num_steps) for s in scales))


def generate(
    model: nn.Module,
    params: Params,
    encoded: Encoded,
    noise: Float[Array, "b f h w c"],
    keys: Key[Array, "b"],
    schedule: NoiseSchedule,
    config: GenerateConfig,
    *,
    progress: Callable[[int, str], Iterable[int]] | None = None,
    label: str = "sampling",
) -> Float[Array, "b f h w c"]:
    """Latents (normalised, as the denoiser sees them) from standard normal `noise`.

    Args:
      model, params: the denoiser.
      encoded: conditions of all rows, and keyframes, which are kept.
      noise: standard normal.
      keys: of each row, for the noise of its steps.
      schedule, config: how to sample.
      progress: `mtv_jax.io.progress.progress` or like it.
      label: what it says.
    """
    steps, state = sampler_steps(schedule, config.sampler), start(noise, keys, config.sampler)
    count = config.sampler.num_steps
    if progress and _is_new((model, config), (params, encoded, state)):
        say("compiling the sampling step for videos of this size: the first step takes longer")
    for i in progress(count, label) if progress else range(count):
        state = _step(model, config, params, encoded, state, step_at(steps, i))
        if progress:
            jax.block_until_ready(state.x)
    return state.x


_compiled: set[Any] = set()


def _is_new(static: tuple[Any, ...], arrays: Any) -> bool:
    """Whether `_step` will be compiled for such arguments, since this process has not called it with any yet."""
    leaves, structure = jax.tree.flatten(arrays)
    met = (*static, structure, tuple((leaf.shape, str(leaf.dtype)) for leaf in leaves))
    new = met not in _compiled
    _compiled.add(met)
    return new


@partial(jax.jit, static_argnums=(0, 1))
def _step(
    model: nn.Module,
    config: GenerateConfig,
    params: Params,
    encoded: Encoded,
    state: SamplerState,
    step: Step,
) -> SamplerState:
    denoise = make_denoise(model, params, encoded, config)
    clean = None if encoded.keyframes is None else (encoded.keyframes, encoded.conditions.clean_mask)
    return sampler_step(denoise, state, step, clean=clean)


def decode_latents(
    vae: Any, vae_params: Params, latents: Latents, *, tiled: bool = False
) -> UInt8[np.ndarray, "b F H W 3"]:
    """Normalised latents to frames, a few at a time; `tiled` also decodes the picture in parts, in less memory."""
    pieces = decode_windows(vae, vae_params, [latents], latents.shape[1], tiled=tiled)
    return np.concatenate(list(pieces), axis=1)


def decode_windows(
    vae: Any, vae_params: Params, pieces: Iterable[Latents], total: int, *, tiled: bool = False
) -> Iterator[UInt8[np.ndarray, "b F H W 3"]]:
    """`decode_latents` of the `total` latent frames of a video that come in pieces, with the same values."""
    latents = (vae.denormalise(piece) for piece in pieces)
    if tiled:
        decoded = tiled_decode_pieces(vae, vae_params, latents, total, Tiling.aligned(vae.config))
    else:
        decoded = decode_pieces(vae, vae_params, latents, total)
    for piece in decoded:
        yield np.asarray(to_uint8(piece))


def check_latents(latents: Float[Array, "b f h w c"]) -> None:
    """Raises FloatingPointError unless sampled latents are finite: a picture of NaN would be black."""
    wrong = int((~jnp.isfinite(latents)).sum())
    if wrong:
        raise FloatingPointError(
            f"latents: {wrong} of {latents.size} numbers are NaN or infinite after sampling; nothing is written"
        )
