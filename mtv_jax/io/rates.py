"""Parsing of frame rates."""

import math
from fractions import Fraction

from mtv_jax.io.errors import UserError

Number = int | float | Fraction
"""A rate or a time; a Fraction is used exactly."""

_NTSC = Fraction(1000, 1001)
_CLOSE = 2e-3
_CLOSE_OF_TWO_DIGITS = 6.1e-3
"""Tolerance: 23.976 is also written as 23.98 (rounded) and 23.97 (truncated)."""


def exact_fps(fps: Number | str) -> Fraction:
    """A frame rate as a fraction; decimals close to an NTSC rate are converted to it.

    23.976, 23.98, 29.97, 59.94 and 119.88 become n * 1000/1001 (SMPTE ST 12), as numbers and as text. Fractions,
    also as text ("2997/100"), are exact. Raises UserError unless the rate is a number above 0.
    """
    invalid = UserError(f"fps {fps}: a frame rate is a number above 0, such as 24, 29.97 or 30000/1001")
    try:
        if isinstance(fps, str) and "/" not in fps:
            fps = float(fps)
        rate = fps if isinstance(fps, float) else Fraction(fps)
    except (ValueError, ZeroDivisionError) as error:
        raise invalid from error
    if isinstance(rate, float):
        rate = _of_decimals(rate) if math.isfinite(rate) and rate > 0 else Fraction(0)
    if rate <= 0:
        raise invalid
    return rate


def _of_decimals(fps: float) -> Fraction:
    television = round(fps * 1.001) * _NTSC
    two_digits = abs(fps * 100 - round(fps * 100)) < 1e-9 and abs(fps * 10 - round(fps * 10)) > 1e-9
    close = _CLOSE_OF_TWO_DIGITS if two_digits else _CLOSE
    if television and fps != round(fps) and abs(float(television) - fps) < close:
        return television
    return Fraction(fps).limit_denominator(1001)
