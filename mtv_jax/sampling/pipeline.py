"""The pipeline: prompt and sound in, video out."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mtv_jax.audio.demix import DEFAULT_DEMIXER
from mtv_jax.audio.features import AudioEncoder, track_features
from mtv_jax.audio.pretrained import load_audio_encoder
from mtv_jax.audio.silence import note_silence
from mtv_jax.audio.tracks import SAMPLE_RATE as TRACK_RATE
from mtv_jax.audio.tracks import load_tracks, read_mix
from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.guidance import GuidanceKind
from mtv_jax.diffusion.samplers import SamplerConfig, SamplerName
from mtv_jax.diffusion.schedule import Schedule
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import visible
from mtv_jax.io.progress import progress as show_progress
from mtv_jax.models.dit import DiTConfig
from mtv_jax.models.mst_controlnet import MSTControlNetConfig
from mtv_jax.models.mtv import MTV
from mtv_jax.models.vae3d import VAE3DConfig
from mtv_jax.ops.seeds import check_seed, seed_key
from mtv_jax.sampling.describe import describe_pipeline
from mtv_jax.sampling.generate import GenerateConfig, check_latents, decode_latents, generate
from mtv_jax.sampling.keyframes import Picture, keyframe_latents
from mtv_jax.sampling.request import (
    AUTO,
    NumFrames,
    check_negative_prompt,
    check_prompt,
    sound_files,
    tell,
    video_size,
)
from mtv_jax.sampling.video import Video
from mtv_jax.text.pretrained import TextEncoder
from mtv_jax.typing import Array, Float, Key, Params, control_tracks
from mtv_jax.weights.folder import PipelineDefaults, pipeline_folder, read_defaults
from mtv_jax.weights.pretrained import is_untrained, load_model
from mtv_jax.weights.scheduler import load_schedule

SAMPLE_RATE = 48000
"""Of the sound in the video, Hz."""

_Path = str | os.PathLike


@dataclass(frozen=True)
class Pipeline:
    """All the networks of a video generator; call it.

    Attributes:
      denoiser, denoiser_params: `MTV`, or `DiT` (text to video, no sound).
      vae, vae_params: latents to pixels.
      text_encoder: prompts to embeddings.
      audio_encoder: tracks to features per frame; None without a controlnet.
      schedule: the noise schedule.
      defaults: size, length and frame rate the denoiser was trained at, and how it is sampled.
      untrained: names of the parts whose weights are random, from a seed.
      folder: that it was loaded from; None if it was put together otherwise.
    """

    denoiser: nn.Module
    denoiser_params: Params
    vae: nn.Module
    vae_params: Params
    text_encoder: TextEncoder
    audio_encoder: AudioEncoder | None
    schedule: Schedule
    defaults: PipelineDefaults
    untrained: tuple[str, ...] = ()
    folder: Path | None = None

    @classmethod
    def from_pretrained(cls, path: _Path, *, dtype: Any = "float32", mesh: Mesh | None = None) -> "Pipeline":
        """Loads a pipeline folder, the `pipeline` folder of a training directory, or a bundled preset (`tiny`).

        The folder may be a CogVideoX of diffusers (text to video, image to video). `dtype` is what the networks
        compute in; with a `mesh`, parameters go straight to their places on it by the rules of
        `mtv_jax.sharding`. Raises UserError for what is missing or does not fit.
        """
        folder, dtype = pipeline_folder(path), jnp.dtype(dtype)
        defaults = read_defaults(folder)
        denoiser, denoiser_params = load_model(folder, dtype=dtype, mesh=mesh)
        vae, vae_params = load_model(folder / "vae", dtype=dtype, mesh=mesh)
        text_encoder = TextEncoder.from_pretrained(folder, dtype=dtype, mesh=mesh)
        _check_parts(folder, denoiser, vae.config, text_encoder)  # pyright: ignore[reportAttributeAccessIssue]
        audio_encoder = None
        if isinstance(denoiser, MTV):
            audio_encoder = load_audio_encoder(folder / "audio_encoder", dtype=dtype)
            _check_features(folder, audio_encoder, denoiser.config.controlnet)
        return cls(
            denoiser=denoiser,
            denoiser_params=denoiser_params,
            vae=vae,
            vae_params=vae_params,
            text_encoder=text_encoder,
            audio_encoder=audio_encoder,
            schedule=load_schedule(folder / "scheduler"),
            defaults=defaults,
            untrained=untrained_parts(folder),
            folder=folder,
        )

    def describe(self) -> str:
        """What it knows: sizes, rates, lengths, words, the form of its prompts, tracks, sampler, licence.

        Raises UserError if it was not loaded from a folder.
        """
        if self.folder is None:
            raise UserError(
                "describe: this pipeline was not loaded from a folder, which would say what it knows"
            )
        return describe_pipeline(self.folder)

    def __call__(
        self,
        prompt: str,
        *,
        negative_prompt: str | None = None,
        tracks: Mapping[str, _Path] | None = None,
        speech: _Path | None = None,
        effects: _Path | None = None,
        music: _Path | None = None,
        speech2: _Path | None = None,
        audio: _Path | None = None,
        demixer: str = DEFAULT_DEMIXER,
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
          prompt: what is to be seen; not blank.
          negative_prompt: what guidance leads away from, if there is any; default as the model was trained (no text
            at all), or an empty prompt for a CogVideoX of diffusers.
          tracks: a sound file for each track by its name, `speech`, `effects` and `music` (`speech2` for a model of
            two speakers); one that is missing is silence.
          speech, effects, music, speech2: the same, one by one; they go before `tracks`.
          audio: one mixed file instead, separated by `demixer` first.
          normalize_loudness: bring speech to the level of training before the model hears it; silence stays silence,
            and the sound of the video as it is. Quiet speech hardly opens a mouth otherwise.
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
          seed: from 0 to 2**64 - 1; the same seed and inputs give the same video, and others another.
          vae_tiling: decode the picture in overlapping parts, in far less memory; a close likeness of the whole.
          force: go past the bounds on length, size and steps (`mtv_jax.io.limits`).
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
        named = {"speech": speech, "speech2": speech2, "effects": effects, "music": music, "audio": audio}
        files = sound_files(tracks, named)
        if files and self.audio_encoder is None:
            raise UserError(f"{', '.join(files)}: this pipeline has no controlnet; it takes no sound")
        size = video_size(
            self.defaults,
            files,
            num_frames=num_frames,
            frames=self._vae.temporal_compression_ratio,
            pixels=self._vae.spatial_compression_ratio * self._dit.patch_size,
            force=force,
            fps=fps,
            height=height,
            width=width,
            num_inference_steps=num_inference_steps,
            sampler=sampler,
        )
        scale = size.guidance_scale if guidance_scale is None else guidance_scale
        check_negative_prompt(negative_prompt, scale)
        steps = SamplerConfig(cast(SamplerName, size.sampler), size.num_inference_steps)
        config = self._config(steps, scale, guidance)
        tell(size, self.defaults, files)
        conditions = self._conditions(prompt, files, demixer, size, normalize_loudness)
        conditions, clean = self._with_pictures(conditions, keyframes or {}, size)
        no_text = self._no_text(negative_prompt)
        latents = self._latents(conditions, clean, no_text, size, config, seed, progress)
        frames = decode_latents(self.vae, self.vae_params, latents, tiled=vae_tiling)[0]
        return Video(frames, size.fps, _sound(files, size), SAMPLE_RATE)

    @property
    def num_speakers(self) -> int:
        """Whose speech the controlnet hears; 0 without one."""
        return self.denoiser.config.controlnet.num_speakers if isinstance(self.denoiser, MTV) else 0

    def _config(
        self, sampler: SamplerConfig, scale: float | Mapping[str, float], guidance: GuidanceKind
    ) -> GenerateConfig:
        if not isinstance(scale, Mapping):
            return GenerateConfig(sampler, guidance, float(scale))
        known = ("text", *(control_tracks(self.num_speakers) if self.num_speakers else ()))
        if unknown := sorted(set(scale) - set(known)):
            raise UserError(f"guidance_scale of {', '.join(unknown)}: conditions are {', '.join(known)}")
        return GenerateConfig(sampler, guidance, 1.0, tuple(scale.items()))

    def _conditions(
        self,
        prompt: str,
        files: Mapping[str, _Path],
        demixer: str,
        size: PipelineDefaults,
        normalize_loudness: bool = True,
    ) -> Conditions:
        """Text [1 l d] and features [1 F L c] of the tracks."""
        features = {}
        if self.audio_encoder is not None:
            whole = bool(self.audio_encoder.hears_all and files)
            tracks = load_tracks(
                **files,  # pyright: ignore[reportArgumentType]
                demixer=demixer,
                num_speakers=self.num_speakers,
                duration=None if whole else float(size.num_frames / size.fps),
                pad=not whole,
                normalize_loudness=normalize_loudness,
            )
            for name, file in files.items():
                heard = tracks.mix if name == "audio" else dict(tracks.items())[name]
                note_silence(name, file, heard, TRACK_RATE)
            features = track_features(self.audio_encoder, tracks, size.num_frames, size.fps)
        tracks = {name: jnp.asarray(x)[None] for name, x in features.items()}
        return Conditions(jnp.asarray(self.text_encoder([prompt])), tracks)

    def _no_text(self, negative_prompt: str | None) -> Array | None:
        if negative_prompt is None and self.defaults.no_text == "empty_prompt":
            negative_prompt = ""
        return None if negative_prompt is None else jnp.asarray(self.text_encoder([negative_prompt]))

    def _with_pictures(
        self, conditions: Conditions, keyframes: Mapping[int, Picture], size: PipelineDefaults
    ) -> tuple[Conditions, Array | None]:
        """The conditions with the pictures, and the clean latents of keyframes."""
        images = self.defaults.image_channels
        if images and set(keyframes) != {0}:
            raise UserError(
                f"keyframes at {sorted(keyframes) or 'no frame'}: an image-to-video model takes one, at frame 0"
            )
        clean = None
        if keyframes:
            frames = size.num_frames + self._vae.temporal_compression_ratio * self.padding(size)
            clean = keyframe_latents(keyframes, self.vae, self.vae_params, frames, size.height, size.width)
        if clean is None:
            return conditions, None
        if images:
            return replace(conditions, image=self._image_scale() * clean[0]), None
        return replace(conditions, clean_mask=clean[1]), clean[0]

    def _image_scale(self) -> float:
        """Turns scaled latents into what the image channels take: 1.5 divides by the factor of the latents."""
        return self._vae.scaling_factor**-2 if self._vae.invert_scale_latents else 1.0

    @property
    def _vae(self) -> VAE3DConfig:
        return self.vae.config  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def _dit(self) -> DiTConfig:
        config: Any = self.denoiser.config  # pyright: ignore[reportAttributeAccessIssue]
        return config.dit if isinstance(self.denoiser, MTV) else config

    def padding(self, size: PipelineDefaults) -> int:
        """Latent frames to put in front and drop again, so that whole tokens are filled (CogVideoX 1.5)."""
        return -self._latent_frames(size) % self._dit.frames_per_token

    def _latents(
        self,
        conditions: Conditions,
        clean: Array | None,
        no_text: Array | None,
        size: PipelineDefaults,
        config: GenerateConfig,
        seed: int,
        progress: bool,
    ) -> Array:
        """Latents [1 f h w c], as the denoiser's training scaled them."""
        noise_key, step_key = jax.random.split(seed_key(seed))
        latents = generate(
            self.denoiser,
            self.denoiser_params,
            conditions,
            self.noise(noise_key, size),
            step_key[None],
            self.schedule,
            config,
            keyframes=clean,
            no_text=no_text,
            progress=show_progress if progress else None,
        )
        check_latents(latents)
        return latents[:, self.padding(size) :]

    def noise(self, key: Key[Array, ""], size: PipelineDefaults) -> Array:
        """Standard normal [1 f h w c] to sample from; its first `padding` frames are dropped in the end."""
        frames, cell = self.padding(size) + self._latent_frames(size), self._vae.spatial_compression_ratio
        shape = (1, frames, size.height // cell, size.width // cell, self._vae.latent_channels)
        return jax.random.normal(key, shape)

    def _latent_frames(self, size: PipelineDefaults) -> int:
        return (size.num_frames - 1) // self._vae.temporal_compression_ratio + 1


def _check_parts(folder: Path, denoiser: nn.Module, vae: VAE3DConfig, text: TextEncoder) -> None:
    """Raises UserError, naming the folders, if what one network gives is not what another takes."""
    config: Any = denoiser.config  # pyright: ignore[reportAttributeAccessIssue]
    dit: DiTConfig = config.dit if isinstance(denoiser, MTV) else config
    channels, width = vae.latent_channels, text.model.config.d_model
    if dit.out_channels != channels or dit.in_channels < channels:
        raise UserError(
            f"{folder}: vae/ has latents of {channels} channels, transformer/ takes {dit.in_channels} and gives "
            f"{dit.out_channels}"
        )
    if dit.text_embed_dim != width:
        raise UserError(
            f"{folder}: text_encoder/ gives embeddings of {width} numbers, transformer/ takes {dit.text_embed_dim}"
        )
    if dit.positions == "rope_learned" and text.text_length > dit.max_text_seq_length:
        raise UserError(
            f"{folder}: model_index.json has a text_length of {text.text_length}, transformer/ takes at most "
            f"{dit.max_text_seq_length}"
        )


def _sound(files: Mapping[str, _Path], size: PipelineDefaults) -> Float[np.ndarray, "s 2"] | None:
    """What is heard beside the video, as long as that; None without files."""
    if not files:
        return None
    duration = float(size.num_frames / size.fps)
    return read_mix(**files, sample_rate=SAMPLE_RATE, duration=duration)  # pyright: ignore[reportArgumentType]


def _check_features(folder: Path, encoder: AudioEncoder, config: MSTControlNetConfig) -> None:
    made, taken = (encoder.num_layers, encoder.num_channels), (config.audio_layers, config.audio_channels)
    if made != taken:
        raise UserError(
            f"{folder}: audio_encoder/ gives {made[0]} x {made[1]} numbers a frame, controlnet/ takes "
            f"{taken[0]} x {taken[1]}"
        )


def untrained_parts(folder: Path) -> tuple[str, ...]:
    """The parts of a pipeline folder whose weights are random, made from a seed."""
    names = [path.name for path in visible(folder) if (path / "config.json").exists()]
    return tuple(name for name in names if is_untrained(folder / name))
