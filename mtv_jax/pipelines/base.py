"""The base of all video pipelines: networks, and the path from a request to a video."""

import abc
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mtv_jax.audio.separation.separators import DEFAULT_SEPARATOR
from mtv_jax.audio.silence import note_silence
from mtv_jax.audio.tracks import MIX, check_sounds, make_tracks, mix_sounds, mixed
from mtv_jax.diffusion.guidance import GuidanceKind
from mtv_jax.diffusion.noise.base import NoiseSchedule
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.io.audio import Recording
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.compilation import enable_compilation_cache
from mtv_jax.io.errors import UserError
from mtv_jax.io.progress import progress as show_progress
from mtv_jax.models.denoisers import backbone_config
from mtv_jax.names import TRACK_RATE, VIDEO_SOUND_RATE, SamplerName
from mtv_jax.ops.seeds import check_seed, seed_key
from mtv_jax.pipelines.keyframes import Picture, keyframe_latents
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.pipelines.request import (
    AUTO,
    Limits,
    NumFrames,
    Sound,
    check_negative_prompt,
    check_prompt,
    log_adjustments,
    paths_of,
    read_request,
    sound_files,
)
from mtv_jax.pipelines.run import Encoded, GenerateConfig, Request, decode_latents, sample
from mtv_jax.pipelines.video import Video
from mtv_jax.text.pretrained import TextEncoder
from mtv_jax.typing import Array, Float, Key, Params, UInt8
from mtv_jax.weights.model_index import PipelineDefaults

_Path = str | os.PathLike


@dataclass(frozen=True)
class Pipeline(abc.ABC):
    """All the networks of a video generator; call it.

    A system is a subclass: it says how requests become conditions (`encode`). The loop (`mtv_jax.pipelines.run`),
    evaluation and the samples of a training use nothing else of it.

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

    @classmethod
    def from_pretrained(cls, path: _Path, *, dtype: Any = "float32", mesh: Mesh | None = None) -> "Pipeline":
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

    def __call__(
        self,
        prompt: str,
        *,
        negative_prompt: str | None = None,
        tracks: Mapping[str, Sound] | None = None,
        speech: _Path | None = None,
        effects: _Path | None = None,
        music: _Path | None = None,
        speech2: _Path | None = None,
        audio: _Path | None = None,
        separator: str = DEFAULT_SEPARATOR,
        normalize_loudness: bool = True,
        keyframes: Mapping[int, Picture] | None = None,
        num_frames: NumFrames = AUTO,
        fps: float | Fraction | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | Mapping[str, float] | None = None,
        guidance: GuidanceKind = "constant",
        sampler: SamplerName | None = None,
        seed: int = 0,
        vae_tiling: bool = False,
        force: bool = False,
        progress: bool = True,
    ) -> Video:
        """Makes a video.

        Args:
          prompt: describes the video; not blank.
          negative_prompt: what guidance steers away from; by default as the model was trained (no text at all), or an
            empty prompt for a CogVideoX of diffusers.
          tracks: a sound file for each track by its name, `speech`, `effects` and `music` (`speech2`, ... for a model
            of more speakers); a missing one is silence. A file that is already decoded may be given
            (`mtv_jax.io.audio.read_recording`).
          speech, effects, music, speech2: the same, one by one; they take precedence over `tracks`.
          audio: one mixed file instead, separated by `separator` first.
          normalize_loudness: scale speech to the loudness of training before it is encoded, since quiet speech hardly
            moves lips otherwise. Silence stays silent, and the sound of the video is not changed.
          keyframes: pictures (files or uint8 [H W 3]) by pixel frame. An image-to-video model needs one at frame
            0, and takes no other.
          num_frames: 1 + 4k (the preset `tiny`, which codes frames one by one: any), or "auto": as many as the
            longest sound fills, up to what the model is known to manage in one call (`tiny`: 241). Without sound,
            and for a model of which that is not known, it is the length of its training.
          fps: frames a second; default what the model was trained at, as for the next two.
          height, width: pixels, divisible by 16 (`tiny`: by 32).
          num_inference_steps: steps of the sampler; default the model's, as for guidance_scale and sampler (50, 3.5
            and `dpm++`; `tiny`: 8, 1 and `ddim`).
          guidance_scale: of text and sound jointly; 1 is none. A dict gives `text`, `speech`, `effects` and
            `music` scales of their own (those left out have 1; `speech2` that of `speech`), at one network branch
            for each that differs.
          guidance: `constant`, or `dynamic` over the steps (`mtv_jax.diffusion.guidance`).
          sampler: `dpm++`, `ddim` or `ddpm`.
          seed: from 0 to 2**64 - 1; the same seed and inputs give the same video.
          vae_tiling: decode the picture in overlapping parts, in far less memory; the result differs slightly.
          force: ignore the limits on length, size and steps (`mtv_jax.io.limits`).
          progress: show it, on stderr.

        Returns:
          The video with the mixed sound (full rate, cut or padded to the video's length), silent if no sound was given.
          What is cut or padded, and a size that the model was never trained at, are logged as warnings.

        Raises:
          UserError: sizes that do not fit the model or are out of bounds, sound that cannot be read, sound for a model
            without, a blank prompt, a guidance scale below 0 or above 100, a negative prompt without guidance.
        """
        check_seed(seed)
        check_prompt(prompt)
        named = {"speech": speech, "speech2": speech2, "effects": effects, "music": music, MIX: audio}
        files = sound_files(tracks, named)
        self.check_sounds(files)
        config = self._config(sampler, num_inference_steps, guidance_scale, guidance)
        check_negative_prompt(negative_prompt, config, self.tracks)
        steps = config.sampler.num_steps
        size = {"num_frames": num_frames, "fps": fps, "height": height, "width": width}
        sounds, clip = read_request(self.limits, files, **size, steps=steps, force=force)
        log_adjustments(clip, self.defaults, sounds)
        noise_key, step_key = jax.random.split(seed_key(seed))
        request = Request(
            prompt,
            self.tracks_of(sounds, clip, separator=separator, normalize_loudness=normalize_loudness),
            noise_key,
            step_key,
            negative_prompt,
            keyframes or {},
        )
        show = show_progress if progress else None
        (frames,) = sample(self, [request], clip, config, tiled=vae_tiling, progress=show)
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

    def check_sounds(self, files: Mapping[str, Sound]) -> None:
        """Raises UserError for sounds that this pipeline does not take."""
        if files and not self.tracks:
            raise UserError(f"{', '.join(files)}: this pipeline has no controlnet; it takes no sound")
        check_sounds(paths_of(files), self.tracks)

    def tracks_of(
        self,
        sounds: Mapping[str, Recording],
        clip: ClipSize,
        *,
        separator: str = DEFAULT_SEPARATOR,
        normalize_loudness: bool = True,
    ) -> dict[str, np.ndarray]:
        """The tracks of a request, float32 [s] at 16 kHz; logs a warning of those that were given and are silent."""
        if not self.tracks:
            return {}
        whole = bool(sounds) and self.needs_full_audio
        tracks = make_tracks(
            sounds,
            self.tracks,
            separator=separator,
            duration=None if whole else clip.duration,
            pad=not whole,
            normalize_loudness=normalize_loudness,
        )
        for name, sound in sounds.items():
            heard = mixed(tracks.values()) if name == MIX else tracks[name]
            note_silence(name, sound.path, heard, TRACK_RATE)
        return tracks

    def _config(
        self,
        sampler: SamplerName | None,
        steps: int | None,
        scale: float | Mapping[str, float] | None,
        guidance: GuidanceKind,
    ) -> GenerateConfig:
        default = self.defaults.sampling
        name = cast(SamplerName, default.sampler if sampler is None else sampler)
        steps = default.num_inference_steps if steps is None else steps
        chosen = SamplerConfig(name, steps, default.eta if name == "ddim" else 0.0)
        scale = default.guidance_scale if scale is None else scale
        if not isinstance(scale, Mapping):
            return GenerateConfig(chosen, guidance, float(scale))
        known = ("text", *self.tracks)
        if unknown := sorted(set(scale) - set(known)):
            raise UserError(f"guidance_scale of {', '.join(unknown)}: conditions are {', '.join(known)}")
        return GenerateConfig(chosen, guidance, 1.0, tuple(scale.items()))

    def _latent_frames(self, clip: ClipSize) -> int:
        return (clip.num_frames - 1) // self.vae.config.temporal_compression_ratio + 1
