"""Limits on the size of a request without `--force`, so that a typing error does not exhaust the machine.

They are far above what the models can generate, and are checked before anything is loaded.
"""

import os
import shutil
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from mtv_jax.io.errors import UserError
from mtv_jax.names import TRACK_RATE, VIDEO_SOUND_RATE

MIN_RATE, MAX_RATE = Fraction(1, 1000), 1000
"""Range of frame rates, frames per second; --force does not extend it."""
MAX_FRAMES = 10_000
MAX_SECONDS = 1_000
MAX_SIDE = 8192
MAX_STEPS = 1_000
MAX_CLIPS = 1_000_000
MAX_BYTES = 16 * 2**30
"""Maximum memory for the frames and the sound of one clip."""
MAX_GUIDANCE = 100.0

_BYTES_A_PIXEL = 3 * (1 + 4)
"""Per pixel and colour: one byte, and the float32 it is converted from."""
_SOUND_BYTES = 3 * 4 * TRACK_RATE + 2 * 4 * VIDEO_SOUND_RATE
"""Per second of sound: three tracks at 16 kHz and their stereo sum at 48 kHz, as float32."""


def check_bound(name: str, value: int, most: int, *, force: bool = False) -> None:
    """Raises UserError if a number given by the user is larger than `most`."""
    if value > most and not force:
        raise UserError(f"{name} {value}: more than {most}; --force (force=True) disables this limit")


def check_clip(
    num_frames: int, fps: Fraction, height: int, width: int, *, steps: int = 1, force: bool = False
) -> None:
    """Raises UserError, naming the number, if one clip would exceed the limits above.

    With `force` nothing is checked. The memory estimate covers frames and sound only, not the networks.
    """
    if force:
        return
    check_bound("num_frames", num_frames, MAX_FRAMES)
    check_bound("height", height, MAX_SIDE)
    check_bound("width", width, MAX_SIDE)
    check_bound("num_inference_steps", steps, MAX_STEPS)
    seconds = num_frames / fps
    if seconds > MAX_SECONDS:
        raise UserError(
            f"fps {float(fps):g}: {num_frames} frames would last {float(seconds):.0f} s, more than {MAX_SECONDS} s; "
            "--force (force=True) disables this limit"
        )
    needed = num_frames * height * width * _BYTES_A_PIXEL + float(seconds) * _SOUND_BYTES
    if needed > MAX_BYTES:
        raise UserError(
            f"{num_frames} frames of {width} x {height}: take {needed / 2**30:.0f} GiB as frames and sound alone, more "
            f"than {MAX_BYTES // 2**30}; --force (force=True) disables this limit"
        )


def check_guidance(scale: float | Mapping[str, float]) -> None:
    """Raises UserError unless a guidance scale, or each one by condition, is a number from 0 to 100."""
    scales = scale if isinstance(scale, Mapping) else {"": scale}
    for condition, value in scales.items():
        if not 0 <= value <= MAX_GUIDANCE:
            of = f" of {condition}" if condition else ""
            raise UserError(f"guidance_scale{of} {value:g}: must be from 0 to {MAX_GUIDANCE:g}")


def check_room(
    path: str | os.PathLike,
    needed: float,
    *,
    force: bool = False,
    remedy: str = "make room, give another --out, or --force",
) -> None:
    """Raises UserError, which ends with `remedy`, if the disk of `path` has fewer than `needed` bytes free."""
    place = Path(path).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if needed > free and not force:
        raise UserError(
            f"{path}: needs about {needed / 2**30:.1f} GiB, its disk has {free / 2**30:.1f} left; {remedy}"
        )
