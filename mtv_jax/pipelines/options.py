"""The arguments of a call of a pipeline that all systems share: size, sampling and how it is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal, cast

import jax

from mtv_jax.audio.tracks import by_track
from mtv_jax.diffusion.guidance import GuidanceKind
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.io.errors import UserError
from mtv_jax.names import SamplerName
from mtv_jax.ops.seeds import check_seed, seed_key
from mtv_jax.pipelines.run import GenerateConfig
from mtv_jax.typing import Array, Key
from mtv_jax.weights.model_index import SamplingDefaults

AUTO = "auto"
NumFrames = int | Literal["auto"] | None


@dataclass(frozen=True)
class VideoOptions:
    """Size and sampling of a video, as keyword arguments of every pipeline.

    Attributes:
      num_frames: what the model supports (`python -m mtv_jax.sample --describe`: mostly 1 + 4k), or "auto": as many
        as the longest sound fills, up to what the model is known to manage in one call (`tiny`: 241). Without sound,
        and for a model of which that is not known, it is the length of its training.
      duration: seconds instead of `num_frames`: exactly round(duration * fps) frames, of any length.
      fps: frames a second; default what the model was trained at, as for the next two.
      height, width: pixels, divisible by what the model supports (mostly 16; `tiny`: 32).
      num_inference_steps: steps of the sampler; default the model's, as for guidance_scale and sampler (MTV: 50, 3.5
        and `dpm++`).
      guidance_scale: of all conditions jointly; 1 is none. A dict gives single conditions (`text`, and the names of
        tracks) scales of their own, at one network branch for each that differs. Those left out have 1, further
        speakers that of `speech`, and 0 is as without: a silent track, no text.
      guidance: `constant`, or `dynamic` over the steps (`mtv_jax.diffusion.guidance`).
      sampler: `dpm++`, `ddim` or `ddpm`.
      seed: from 0 to 2**64 - 1; the same seed and inputs give the same video.
      vae_tiling: decode the picture in overlapping parts, in far less memory; the result differs slightly.
      force: ignore the limits on length, size and steps (`mtv_jax.io.limits`).
      work_dir: a folder for the finished windows of a long video. With it, frames are made when they are read
        (`Video.save` writes them as they come), in memory that does not grow with the length, and the same call after
        one that was killed goes on at its window. Remove the folder when the video is written.
      progress: show it, on stderr.

    Raises UserError for an invalid seed, and for both a number of frames and a duration.
    """

    num_frames: NumFrames = AUTO
    duration: float | None = None
    fps: float | Fraction | None = None
    height: int | None = None
    width: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | Mapping[str, float] | None = None
    guidance: GuidanceKind = "constant"
    sampler: SamplerName | None = None
    seed: int = 0
    vae_tiling: bool = False
    force: bool = False
    work_dir: Path | None = None
    progress: bool = True

    def __post_init__(self):
        check_seed(self.seed)
        if self.duration is not None and self.num_frames not in (None, AUTO):
            raise UserError(f"duration {self.duration} and num_frames {self.num_frames}: give one of them")

    def steps(self, default: SamplingDefaults) -> int:
        """Number of steps of the sampler."""
        return default.num_inference_steps if self.num_inference_steps is None else self.num_inference_steps

    def config(self, default: SamplingDefaults, conditions: Sequence[str]) -> GenerateConfig:
        """How to sample, where `default` are the model's.

        Raises UserError for scales of other conditions than `text` and `conditions`, and for values out of range.
        """
        name = cast(SamplerName, default.sampler if self.sampler is None else self.sampler)
        chosen = SamplerConfig(name, self.steps(default), default.eta if name == "ddim" else 0.0)
        scale = default.guidance_scale if self.guidance_scale is None else self.guidance_scale
        if not isinstance(scale, Mapping):
            return GenerateConfig(chosen, self.guidance, float(scale))
        known, scale = ("text", *conditions), by_track(scale)
        if unknown := sorted(set(scale) - set(known)):
            raise UserError(f"guidance_scale of {', '.join(unknown)}: conditions are {', '.join(known)}")
        return GenerateConfig(chosen, self.guidance, 1.0, tuple(scale.items()))

    def keys(self) -> tuple[Key[Array, ""], Key[Array, ""]]:
        """The keys of the noise that sampling starts from, and of that of its steps."""
        noise_key, step_key = jax.random.split(seed_key(self.seed))
        return noise_key, step_key
