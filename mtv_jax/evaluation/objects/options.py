"""Options of the objects suite, with their defaults and the help of their flags.

Imports nothing heavy, since the command's `--help` reads it.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from mtv_jax.evaluation.options import option
from mtv_jax.io.cli import count, whole_number
from mtv_jax.io.errors import UserError
from mtv_jax.io.limits import MAX_CLIPS, MAX_FRAMES, MAX_STEPS, check_bound, check_guidance

Method = Literal["both", "locating", "denoising", "vanilla"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True)
class ObjectsOptions:
    """What is measured, and how its videos are made; the metadata of each field has its help."""

    preset: str = option("", "pipeline folder of a Maestro to measure; required")
    clips: int = option(200, "number of mixes, from seeds that training cannot reach", type=count)
    seeds: int = option(1, "number of noises that each mix is drawn from", type=count)
    seed: int = option(0, "of the mixes and the first noise", type=int)
    things: int = option(2, "number of sounding things of a mix", type=int, choices=(2, 3))
    num_frames: int = option(16, "of the mixes and the videos, 2 a second", type=count)
    changes_at: float = option(
        0.0, "seconds of each segment of 2 after which loudness changes; 0: between segments", type=float
    )
    without_controls: bool = option(
        False, "leave out other sounds, other boxes and silence: a quarter of the time", action="store_true"
    )
    separated: bool = option(
        False,
        "sounds are what the folder's separator finds in their mix, by their names",
        action="store_true",
    )
    method: Method = option(
        "both",
        "Object Locating and Mosaic Denoising, one of them in all steps, or vanilla: all tokens everywhere",
        choices=METHODS,
    )
    locating_steps: int | None = option(
        None, "steps of Object Locating of the method both (default: as the folder says)", type=whole_number
    )
    steps: int | None = option(None, "sampling steps (default: the folder's)", type=count)
    guidance_scale: float | None = option(None, "1 is none (default: the folder's)", type=float)
    batch_size: int = option(8, "number of clips drawn at once", type=count)
    dtype: str = option("float32", "that the networks compute in", choices=("float32", "bfloat16"))
    videos: int = option(8, "number of example videos in the report", type=int)
    allow_random_weights: bool = option(
        False, "measure parts that were not trained, as an invalid result", action="store_true"
    )

    def check(self, *, force: bool = False) -> None:
        """Raises UserError for values that are missing, cannot be used, or are out of bounds (unless `force`)."""
        if not self.preset:
            raise UserError("--suite objects: --preset FOLDER, the pipeline to measure, is missing")
        for name in ("clips", "seeds", "videos", "batch_size"):
            check_bound(name, getattr(self, name), MAX_CLIPS, force=force)
        check_bound("num_frames", self.num_frames, MAX_FRAMES, force=force)
        if self.steps is not None:
            check_bound("steps", self.steps, MAX_STEPS, force=force)
        if self.guidance_scale is not None:
            check_guidance(self.guidance_scale)
        if self.videos < 0:
            raise UserError(f"--videos {self.videos}: must not be negative")
        if self.separated and not self.without_controls:
            raise UserError("--separated: the controls have no mix; give --without-controls too")
        if self.locating_steps is not None and self.method != "both":
            raise UserError(
                f"--locating-steps {self.locating_steps}: is for the method both, not {self.method}"
            )
