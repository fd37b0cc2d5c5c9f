"""The base of all video pipelines: networks, and the path from a request to a video."""

import abc
import inspect
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mtv_jax.audio.tracks import mix_sounds
from mtv_jax.diffusion.noise.base import NoiseSchedule
from mtv_jax.io.audio import Recording
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.compilation import enable_compilation_cache
from mtv_jax.io.errors import UserError
from mtv_jax.io.progress import progress as show_progress
from mtv_jax.models.denoisers import backbone_config
from mtv_jax.names import VIDEO_SOUND_RATE
from mtv_jax.pipelines.keyframes import keyframe_latents
from mtv_jax.pipelines.options import VideoOptions
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.pipelines.request import Limits
from mtv_jax.pipelines.run import Encoded, GenerateConfig, Request, decode_latents, sample
from mtv_jax.pipelines.video import Video
from mtv_jax.text.pretrained import TextEncoder
from mtv_jax.typing import Array, Float, Key, Params, UInt8
from mtv_jax.weights.model_index import PipelineDefaults


@dataclass(frozen=True)
class Pipeline(abc.ABC):
    """All the networks of a video generator; call it.

    A system is a subclass: it says what a call takes (`__call__`, `preflight`) and how requests become conditions
    (`encode`). The loop (`mtv_jax.pipelines.run`), evaluation and the samples of a training use nothing else of it.

    Attributes:
      denoiser, denoiser_params: `(latents, timesteps, Conditions)` to a raw prediction; its `tracks` are the sounds
        that it takes.
      vae, vae_params: latents to pixels.
      text_encoder: prompts to embeddings.
      schedule: the noise schedule.
      defaults: clips and text of the denoiser's training, and how it is sampled.
      untrained: names of the parts whose weights are random, from a seed.
      folder: that it was loaded from; None if it was put together otherwise.
    """

    denoiser: Any
    denoiser_params: Params
    vae: Any
    vae_params: Params
    text_encoder: TextEncoder
    schedule: NoiseSchedule
    defaults: PipelineDefaults
    untrained: tuple[str, ...] = ()
    folder: Path | None = None

    needs_picture: ClassVar[bool] = False
    """Whether it needs a first frame (image to video)."""
    needs_prompt: ClassVar[bool] = True
    """Whether a video needs a prompt that is not blank."""

    @classmethod
    def from_pretrained(
        cls, path: str | os.PathLike, *, dtype: Any = "float32", mesh: Mesh | None = None
    ) -> "Pipeline":
        """Loads a pipeline folder, the `pipeline` folder of a training directory, or a bundled preset (`tiny`).

        The folder says which system it is; it may be a CogVideoX of diffusers (text to video, image to video). `dtype`
        is what the networks compute in; with a `mesh`, parameters go straight to their places on it by the rules of
        `mtv_jax.sharding`. Programs are compiled into JAX's persistent cache, that of the commands
        (`mtv_jax.io.compilation`) unless `jax_compilation_cache_dir` is set. Raises UserError for what is missing or
        does not fit.
        """
        from mtv_jax.pipelines.loading import load_pipeline

        if not jax.config.jax_compilation_cache_dir:
            enable_compilation_cache()
        return load_pipeline(pipeline_folder(path), dtype=dtype, mesh=mesh)

    @abc.abstractmethod
    def encode(self, requests: Sequence[Request], clip: ClipSize) -> Encoded:
        """The conditions of requests [b ...]. Raises UserError for requests that this system does not support."""

    @property
    def tracks(self) -> tuple[str, ...]:
        """Names of the tracks that it takes; none without sound."""
        return self.denoiser.tracks

    def describe(self) -> str:
        """Describes the pipeline: sizes, rates, lengths, vocabulary, form of prompts, tracks, sampler, licence.

        Raises UserError if it was not loaded from a folder.
        """
        from mtv_jax.pipelines.describe import describe_pipeline

        if self.folder is None:
            raise UserError("describe: this pipeline was not loaded from a folder, so it has no description")
        return describe_pipeline(self.folder)

    @abc.abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> Video:
        """Makes a video of one request: what a system takes, and the fields of `VideoOptions`.

        Raises UserError for what the system or its model does not support.
        """

    @classmethod
    def own_arguments(cls) -> tuple[str, ...]:
        """Names of the arguments of a call, but for the prompt, that only its system has."""
        names = inspect.signature(cls.__call__).parameters
        return tuple(name for name in names if name not in ("self", "prompt", "options"))

    @classmethod
    def arguments(cls) -> tuple[str, ...]:
        """Names of all arguments of a call but for the prompt."""
        return *cls.own_arguments(), *(option.name for option in fields(VideoOptions))

    @classmethod
    def read_options(cls, options: Mapping[str, Any]) -> VideoOptions:
        """The options of a call. Raises UserError for arguments that this system does not take."""
        if foreign := [name for name in options if name not in cls.arguments()]:
            raise UserError(
                f"{foreign[0]}: {cls.__name__} does not take it; it takes {', '.join(cls.arguments())}"
            )
        return VideoOptions(**options)

    @classmethod
    @abc.abstractmethod
    def preflight(cls, folder: Path, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], ClipSize]:
        """The arguments of a call with their sounds decoded, and the size of the video, before networks are loaded.

        `arguments` are by name, without those that differ among the videos of a command (prompt and seed). Raises
        UserError for what the configs of the folder say it does not support.
        """

    @classmethod
    def load_parts(cls, folder: Path, denoiser: Any, *, dtype: Any, mesh: Mesh | None) -> dict[str, Any]:
        """The fields that only this system has, from a folder whose `denoiser` is loaded."""
        return {}

    def make(
        self,
        request: Request,
        sounds: Mapping[str, Recording],
        clip: ClipSize,
        config: GenerateConfig,
        options: VideoOptions,
    ) -> Video:
        """The video of one request with its `sounds`, mixed (full rate, cut or padded to its length)."""
        show = show_progress if options.progress else None
        (frames,) = sample(self, [request], clip, config, tiled=options.vae_tiling, progress=show)
        sound = mix_sounds(sounds, VIDEO_SOUND_RATE, clip.duration) if sounds else None
        return Video(frames, clip.fps, sound, VIDEO_SOUND_RATE)

    @property
    def limits(self) -> Limits:
        """What sounds and sizes it takes."""
        vae = self.vae.config
        return Limits(
            self.defaults,
            frames=vae.temporal_compression_ratio,
            pixels=vae.spatial_compression_ratio * backbone_config(self.denoiser).patch_size,
            needs_full_audio=self.needs_full_audio,
        )

    def noise(self, keys: Key[Array, "b"], clip: ClipSize) -> Float[Array, "b f h w c"]:
        """Standard normal noise to sample from, of each key; its first `padding` frames are dropped in the end."""
        vae = self.vae.config
        frames, cell = self.padding(clip) + self._latent_frames(clip), vae.spatial_compression_ratio
        shape = (frames, clip.height // cell, clip.width // cell, vae.latent_channels)
        return jnp.stack([jax.random.normal(key, shape) for key in keys])

    def decode(
        self, latents: Float[Array, "b f h w c"], clip: ClipSize, *, tiled: bool = False
    ) -> UInt8[np.ndarray, "b F H W 3"]:
        """Frames of sampled latents; `tiled` decodes pictures in parts, in less memory."""
        return decode_latents(self.vae, self.vae_params, latents[:, self.padding(clip) :], tiled=tiled)

    def padding(self, clip: ClipSize) -> int:
        """Latent frames to put in front and drop again, so that whole tokens are filled (CogVideoX 1.5)."""
        return -self._latent_frames(clip) % backbone_config(self.denoiser).frames_per_token

    def encode_prompts(
        self, requests: Sequence[Request]
    ) -> tuple[Float[Array, "b l d"], Float[Array, "b l d"] | None]:
        """Embeddings of the prompts, and of what guidance leads away from; None: zeros for all of them."""
        text = jnp.asarray(self.text_encoder([request.prompt for request in requests]))
        instead = "" if self.defaults.sampling.no_text == "empty_prompt" else None
        negative = [instead if r.negative_prompt is None else r.negative_prompt for r in requests]
        # Each once, since most rows of a batch have the same.
        prompts = [prompt for prompt in dict.fromkeys(negative) if prompt is not None]
        if not prompts:
            return text, None
        encoded = dict(zip(prompts, jnp.asarray(self.text_encoder(prompts)), strict=True))
        zeros = jnp.zeros_like(text[0])
        return text, jnp.stack([zeros if prompt is None else encoded[prompt] for prompt in negative])

    def encode_keyframes(
        self, requests: Sequence[Request], clip: ClipSize
    ) -> tuple[Float[Array, "b f h w c"], Array] | tuple[None, None]:
        """Clean latents of the pictures, normalised, and their mask [b f]; None, None if no request has any."""
        if not any(request.keyframes for request in requests):
            return None, None
        frames = clip.num_frames + self.vae.config.temporal_compression_ratio * self.padding(clip)
        rows = [
            keyframe_latents(r.keyframes, self.vae, self.vae_params, frames, clip.height, clip.width)
            if r.keyframes
            else None
            for r in requests
        ]
        none = [jnp.zeros_like(x) for x in next(row for row in rows if row is not None)]
        values, masks = zip(*(none if row is None else row for row in rows), strict=True)
        return jnp.stack(values), jnp.stack(masks)

    @property
    def needs_full_audio(self) -> bool:
        """Whether the features of a clip depend on the sound after it."""
        return False

    def _latent_frames(self, clip: ClipSize) -> int:
        return (clip.num_frames - 1) // self.vae.config.temporal_compression_ratio + 1
