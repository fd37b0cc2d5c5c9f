"""The base of all video pipelines: networks, and the path from a request to a video."""

import abc
import inspect
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

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
from mtv_jax.pipelines.run import Encoded, GenerateConfig, Request, decode_windows, film
from mtv_jax.pipelines.timeline.plan import Timeline
from mtv_jax.pipelines.timeline.prompts import Prompts
from mtv_jax.pipelines.timeline.windows import Window
from mtv_jax.pipelines.video import FrameStream, Video
from mtv_jax.pipelines.windows import Given, clean_latents, window_frames
from mtv_jax.text.pretrained import TextEncoder
from mtv_jax.typing import Array, Float, Key, Params, UInt8
from mtv_jax.weights.model_index import PipelineDefaults

if TYPE_CHECKING:
    from mtv_jax.pipelines.preflight import Preflight


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
    takes_windows: ClassVar[bool] = False
    """Whether a video may be made in several windows, each of which goes on from those before."""
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
    def preflight(
        cls, folder: Path, arguments: Mapping[str, Any], prompts: Sequence[Prompts] = ()
    ) -> "Preflight":
        """What is known of a call before networks are loaded, with the plan for each of `prompts`.

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
        timeline: Timeline | None = None,
    ) -> Video:
        """The video of one request with its `sounds`, mixed (full rate, cut or padded to its length).

        `timeline` has the windows of a long video; of several, frames are made when they are read if there is a
        `work_dir` in which to keep them.
        """
        made = partial(
            film,
            self,
            [request],
            clip,
            config,
            timeline=timeline,
            work_dir=options.work_dir,
            tiled=options.vae_tiling,
            progress=show_progress if options.progress else None,
        )
        sound = mix_sounds(sounds, VIDEO_SOUND_RATE, clip.duration) if sounds else None
        frames = FrameStream(
            lambda: (piece[0] for piece in made()), (clip.num_frames, clip.height, clip.width, 3)
        )
        lazy = options.work_dir is not None and timeline is not None and len(timeline.windows) > 1
        return Video(frames if lazy else np.asarray(frames), clip.fps, sound, VIDEO_SOUND_RATE)

    @property
    def limits(self) -> Limits:
        """What sounds and sizes it takes."""
        vae = self.vae.config
        return Limits(
            self.defaults,
            frames=vae.temporal_compression_ratio,
            pixels=vae.spatial_compression_ratio * backbone_config(self.denoiser).patch_size,
            needs_full_audio=self.needs_full_audio,
            windows=self.makes_windows,
            tracks=self.tracks,
        )

    def noise(self, keys: Key[Array, "b"], clip: ClipSize) -> Float[Array, "b f h w c"]:
        """Standard normal noise to sample from, of each key; its first `padding` frames are dropped in the end."""
        vae = self.vae.config
        frames, cell = self.padding(clip) + self._latent_frames(clip), vae.spatial_compression_ratio
        shape = (frames, clip.height // cell, clip.width // cell, vae.latent_channels)
        return jnp.stack([jax.random.normal(key, shape) for key in keys])

    def decode(
        self, latents: Iterable[Float[Array, "b f h w c"]], clip: ClipSize, *, tiled: bool = False
    ) -> Iterator[UInt8[np.ndarray, "b F H W 3"]]:
        """Frames of sampled latents, a few at a time; `tiled` decodes pictures in parts, in less memory.

        The latents of a video of this size may come in several pieces. Their last frames may stand for frames beyond
        its end.
        """
        padding = self.padding(clip)
        pieces = (piece[:, padding:] for piece in latents) if padding else latents
        return decode_windows(self.vae, self.vae_params, pieces, self._latent_frames(clip), tiled=tiled)

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
        cell = self.vae.config.spatial_compression_ratio
        frames = self._latent_frames(clip) + self.padding(clip)
        size = (clip.height // cell, clip.width // cell, self.vae.config.latent_channels)
        # NumPy's, since of a long video only the frames with pictures take memory.
        values: Any = np.zeros((len(requests), frames, *size), np.float32)
        mask: Any = np.zeros((len(requests), frames), bool)
        for row, request in enumerate(requests):
            found = keyframe_latents(request.keyframes, self.vae, self.vae_params, clip, request.keyframe_fit)
            for index, latent in found.items():
                values[row, index], mask[row, index] = latent, True
        return values, mask

    def encode_window(
        self,
        requests: Sequence[Request],
        encoded: Encoded,
        window: Window,
        given: Given | None,
    ) -> Encoded:
        """The conditions of a window of a longer video.

        Args:
          requests: what the video is made of.
          encoded: the conditions of the whole.
          window: the window; of several texts the embeddings are mixed.
          given: the latent frames that it begins with: its anchor, and its prefix.

        Raises UserError if the denoiser takes no clean frames.
        """
        if not self.makes_windows:
            raise UserError(
                f"this pipeline makes a video in one call: {type(self).__name__} takes no windows"
            )
        conditions = encoded.conditions
        keyframes = None if encoded.keyframes is None else (encoded.keyframes, conditions.clean_mask)
        values, mask = clean_latents(window, given, keyframes)
        frames = window_frames(window, self.vae.config.temporal_compression_ratio)
        tracks = self.window_tracks(conditions.tracks, frames)
        text = self._window_text(requests, encoded, window)
        return Encoded(
            replace(conditions, text=text, tracks=tracks, clean_mask=mask), values, encoded.no_text
        )

    def window_tracks(self, tracks: Mapping[str, Any], frames: Sequence[int]) -> dict[str, Any]:
        """The features of some frames of a video, as the denoiser takes them for a part of it."""
        assert not tracks, "a pipeline with tracks says which belong to a window"
        return {}

    @property
    def makes_windows(self) -> bool:
        """Whether it makes videos in several windows: each continues clean latent frames of the one before."""
        return self.takes_windows and backbone_config(self.denoiser).frames_per_token == 1

    def _window_text(self, requests: Sequence[Request], encoded: Encoded, window: Window) -> Array:
        """Embeddings of the texts of a window, mixed by their weights."""
        if all(window.texts == ((request.prompt, 1.0),) for request in requests):
            return encoded.conditions.text
        parts = [
            weight * self.encode_prompts([replace(request, prompt=text) for request in requests])[0]
            for text, weight in window.texts
        ]
        return sum(parts[1:], parts[0])

    @property
    def needs_full_audio(self) -> bool:
        """Whether the features of a clip depend on the sound after it."""
        return False

    def _latent_frames(self, clip: ClipSize) -> int:
        """Latent frames of a video; the last may stand for frames beyond its end."""
        return -(-(clip.num_frames - 1) // self.vae.config.temporal_compression_ratio) + 1
