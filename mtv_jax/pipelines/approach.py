"""Keyframes in the middle of a video are approached.

A denoiser that has seen few keyframes in the middle of clips makes their neighbours as it would without: the picture
stands out, and the video jumps to it. What the picture has and its neighbours lack is therefore faded in before it and
out behind it, but only as far as it exceeds what changes from frame to frame at that place anyway, so that movements
are left as they are.
"""

from fractions import Fraction

import numpy as np

from mtv_jax.typing import Array, Float

_SECONDS = Fraction(1, 2)
"""Length of a fade."""


def reach(fps: Fraction, ratio: int) -> int:
    """Latent frames of a fade, at least one; `ratio` frames are one of them."""
    return max(round(_SECONDS * fps / ratio), 1)


def approached(
    latents: Float[Array, "b f h w c"],
    places: range,
    free: int,
    keyframes: tuple[Array, Array],
    most: int,
) -> Float[np.ndarray, "b f h w c"]:
    """Latents of a window, faded to the keyframes in it and to those that follow it closely.

    Args:
      latents: of the window.
      places: its latent frames in the video.
      free: how many of them, at its start, are as they are.
      keyframes: latents [b F h w c] and mask [b F] of the whole video. One at latent frame 0 is left to the denoiser,
        which knows first frames.
      most: latent frames of a fade (`reach`).
    """
    found = np.array(latents)
    values, mask = (np.asarray(part) for part in keyframes)
    usual = np.abs(np.diff(found, axis=1)).mean(axis=1)
    for row, at in np.argwhere(mask[:, : places.stop + most]).tolist():
        if not at or at < places.start + free:
            continue
        sides = [i for i in (at - 1, at + 1) if i in places] or [places.stop - 1]
        beside = np.mean([latents[row, i - places.start] for i in sides], axis=0)
        missing = values[row, at] - beside
        missing = np.sign(missing) * np.maximum(np.abs(missing) - usual[row], 0)
        for step in (-1, 1):
            length = _length(mask[row], at, step, most)
            for distance in range(1, length):
                place = at + step * distance
                if place in places and place >= places.start + free:
                    found[row, place - places.start] += (1 - distance / length) * missing
    return found


def _length(mask: np.ndarray, at: int, step: int, most: int) -> int:
    """Latent frames from a keyframe to where a fade has ended: the next keyframe, if that is nearer."""
    others = [d for d in range(1, most + 1) if 0 <= at + step * d < len(mask) and mask[at + step * d]]
    return min([*others, most + 1])
