"""The pipeline: prompt and sound in, video out."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from mtv_jax.audio.demix import DEFAULT_DEMIXER
from mtv_jax.audio.features import AudioEncoder, track_features
from mtv_jax.audio.pretrained import load_audio_encoder
from mtv_jax.audio.tracks import load_tracks, read_mix
from mtv_jax.diffusion.guidance import GuidanceKind
from mtv_jax.diffusion.samplers import SamplerConfig, SamplerName
from mtv_jax.diffusion.schedule import Schedule
from mtv_jax.io.errors import UserError
from mtv_jax.io.progress import progress as show_progress
from mtv_jax.models.mtv import MTV
from mtv_jax.sampling.generate import CONDITIONS, GenerateConfig, decode_latents, generate
from mtv_jax.sampling.keyframes import Picture, keyframe_latents
from mtv_jax.sampling.video import Video
from mtv_jax.sharding.rules import tree_shardings
from mtv_jax.text.pretrained import TextEncoder
from mtv_jax.typing import Array, Params
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
      defaults: size, length and frame rate the denoiser was trained at.
      untrained: names of the parts whose weights are random, from a seed.
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

    @classmethod
    def from_pretrained(cls, path: _Path, *, dtype: Any = "float32", mesh: Mesh | None = None) -> "Pipeline":
        """Loads a pipeline folder, the `pipeline` folder of a training directory, or a bundled preset (`tiny`).

        `dtype` is what the networks compute in; with a `mesh`, parameters are placed on it by the rules of
        `mtv_jax.sharding`. Raises UserError for what is missing or does not fit.
        """
        folder, dtype = pipeline_folder(path), jnp.dtype(dtype)
        denoiser, denoiser_params = load_model(folder, dtype=dtype)
        vae, vae_params = load_model(folder / "vae", dtype=dtype)
        if mesh is not None:
            denoiser_params = jax.device_put(denoiser_params, tree_shardings(denoiser_params, mesh))
            vae_params = jax.device_put(vae_params, tree_shardings(vae_params, mesh))
        audio_encoder = None
        if isinstance(denoiser, MTV):
            audio_encoder = load_audio_encoder(folder / "audio_encoder")
        return cls(
            denoiser=denoiser,
            denoiser_params=denoiser_params,
            vae=vae,
            vae_params=vae_params,
            text_encoder=TextEncoder.from_pretrained(folder, dtype=dtype),
            audio_encoder=audio_encoder,
            schedule=load_schedule(folder / "scheduler"),
            defaults=read_defaults(folder),
            untrained=untrained_parts(folder),
        )

    def __call__(
        self,
        prompt: str,
        *,
        speech: _Path | None = None,
        effects: _Path | None = None,
        music: _Path | None = None,
        audio: _Path | None = None,
        demixer: str = DEFAULT_DEMIXER,
        keyframes: Mapping[int, Picture] | None = None,
        num_frames: int | None = None,
        fps: float | Fraction | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 50,
        guidance_scale: float | Mapping[str, float] = 3.5,
        guidance: GuidanceKind = "constant",
        sampler: SamplerName = "dpm++",
        seed: int = 0,
        progress: bool = True,
    ) -> Video:
        """Makes a video.

        Args:
          prompt: what is to be seen.
          speech, effects, music: a sound file for each track; one that is missing is silence.
          audio: one mixed file instead, separated by `demixer` first.
          keyframes: pictures (files or uint8 [H W 3]) by pixel frame.
          num_frames: 1 + 4k; default what the model was trained at, as for the next three.
          fps: frames a second.
          height, width: pixels, divisible by 16.
          num_inference_steps: steps of the sampler.
          guidance_scale: of text and sound jointly; 1 is none. A dict gives `text`, `speech`, `effects` and
            `music` scales of their own (those left out have 1), at one network branch for each that differs.
          guidance: `constant`, or `dynamic` over the steps (`mtv_jax.diffusion.guidance`).
          sampler: `dpm++`, `ddim` or `ddpm`.
          seed: the same seed and inputs give the same video.
          progress: show it, on stderr.

        Returns:
          The video with the mixed sound (full rate, cut or padded to the video's length), silent if no sound
          was given.

        Raises:
          UserError: sizes that do not fit the model, sound that cannot be read, sound for a model without.
        """
        size = self.defaults.replace(num_frames=num_frames, fps=fps, height=height, width=width)
        size.check()
        files = {"speech": speech, "effects": effects, "music": music, "audio": audio}
        files = {name: path for name, path in files.items() if path is not None}
        if files and self.audio_encoder is None:
            raise UserError(f"{', '.join(files)}: this pipeline has no controlnet; it takes no sound")
        config = _generate_config(SamplerConfig(sampler, num_inference_steps), guidance_scale, guidance)
        conditions = self._conditions(prompt, files, demixer, size)
        latents = self._latents(conditions, keyframes or {}, size, config, seed, progress)
        frames = decode_latents(self.vae, self.vae_params, latents)[0]
        sound = None
        if files:
            seconds = float(size.num_frames / size.fps)
            sound = read_mix(
                speech=speech,
                effects=effects,
                music=music,
                audio=audio,
                sample_rate=SAMPLE_RATE,
                duration=seconds,
            )
        return Video(frames, size.fps, sound, SAMPLE_RATE)

    def _latents(
        self,
        conditions: Mapping[str, Array],
        keyframes: Mapping[int, Picture],
        size: PipelineDefaults,
        config: GenerateConfig,
        seed: int,
        progress: bool,
    ) -> Array:
        noise_key, step_key = jax.random.split(jax.random.key(seed))
        clean = None
        if keyframes:
            clean = keyframe_latents(
                keyframes, self.vae, self.vae_params, size.num_frames, size.height, size.width
            )
        return generate(
            self.denoiser,
            self.denoiser_params,
            conditions,
            jax.random.normal(noise_key, self._latent_shape(size)),
            step_key,
            self.schedule,
            config,
            clean=clean,
            progress=show_progress if progress else None,
        )

    def _latent_shape(self, size: PipelineDefaults) -> tuple[int, ...]:
        channels = self.vae.config.latent_channels  # pyright: ignore[reportAttributeAccessIssue]
        return (1, (size.num_frames - 1) // 4 + 1, size.height // 8, size.width // 8, channels)

    def _conditions(
        self, prompt: str, files: Mapping[str, _Path], demixer: str, size: PipelineDefaults
    ) -> dict[str, Array]:
        conditions = {"text": jnp.asarray(self.text_encoder([prompt]))}
        if self.audio_encoder is not None:
            duration = float(size.num_frames / size.fps)
            tracks = load_tracks(**files, demixer=demixer, duration=duration)  # pyright: ignore[reportArgumentType]
            features = track_features(self.audio_encoder, tracks, size.num_frames, size.fps)
            conditions |= {name: jnp.asarray(x)[None] for name, x in features.items()}
        return conditions


def _generate_config(
    sampler: SamplerConfig, scale: float | Mapping[str, float], guidance: GuidanceKind
) -> GenerateConfig:
    if not isinstance(scale, Mapping):
        return GenerateConfig(sampler, guidance, float(scale))
    if unknown := sorted(set(scale) - set(CONDITIONS)):
        raise UserError(f"guidance_scale of {', '.join(unknown)}: conditions are {', '.join(CONDITIONS)}")
    return GenerateConfig(sampler, guidance, 1.0, tuple(scale.items()))


def untrained_parts(folder: Path) -> tuple[str, ...]:
    """The parts of a pipeline folder whose weights are random, made from a seed."""
    names = sorted(path.parent.name for path in folder.glob("*/config.json"))
    return tuple(name for name in names if is_untrained(folder / name))
