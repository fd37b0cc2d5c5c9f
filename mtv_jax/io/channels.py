"""Mixes any loudspeaker layout down to stereo or mono.

The left and right gains of a channel depend only on its position, so a source in one position is equally loud in every
layout. The gains are those of Rec. ITU-R BS.775-4, annex 4: front left and right 1, centre and surrounds 3 dB down, no
low-frequency channel; mono is the mean of left and right. Positions that BS.775 does not define are placed between
their neighbours, at the same power.
"""

from collections.abc import Sequence

import numpy as np

_HALF_POWER = 0.5**0.5
_GAINS = {
    "FL": (1.0, 0.0),
    "FR": (0.0, 1.0),
    "FC": (_HALF_POWER, _HALF_POWER),
    "FLC": (0.924, 0.383),
    "FRC": (0.383, 0.924),
    "WL": (1.0, 0.0),
    "WR": (0.0, 1.0),
    "DL": (1.0, 0.0),
    "DR": (0.0, 1.0),
    "AMBI0": (_HALF_POWER, _HALF_POWER),
}
"""Left and right gains by FFmpeg's channel name. Others are surrounds and heights, placed by their last letter."""
_BY_LAST_LETTER = {"L": (_HALF_POWER, 0.0), "R": (0.0, _HALF_POWER), "C": (0.5, 0.5)}
_LAYOUTS = {
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""Layouts of files without channel names, by number of channels: the order of FLAC (RFC 9639, 9.1.3) and WAV."""
_OPPOSITE = -0.7
"""Correlation of two sides below which most of their sum cancels."""


def to_stereo(samples: np.ndarray, names: Sequence[str] | None = None) -> np.ndarray:
    """Mixes [s, channels] down to [s, 2]; mono is copied to both sides.

    Args:
      samples: float32; two channels are returned unchanged.
      names: FFmpeg's names of the positions (`FL`, `FC`, `LFE` ...); None: the usual layout for this number of
        channels. Channels without a position are placed in the middle, divided by the square root of their number.
    """
    channels = samples.shape[1]
    if channels == 2:
        return samples
    if channels == 1:
        return np.repeat(samples, 2, axis=1)
    return samples @ _matrix(channels, names)


def to_mono(samples: np.ndarray, names: Sequence[str] | None = None) -> tuple[np.ndarray, list[str]]:
    """Mixes [s, channels] down to [s], the mean of left and right.

    Where the two sides of a pair have opposite phase and would cancel, the right one is inverted first.

    Returns:
      The samples, and the names of the inverted channels.
    """
    if samples.shape[1] == 1:
        return samples[:, 0], []
    names = _known(samples.shape[1], names)
    opposite = [index for index, name in enumerate(names) if _opposes_its_pair(samples, names, name)]
    if opposite:
        samples = samples * np.where(np.isin(np.arange(samples.shape[1]), opposite), -1, 1).astype(np.float32)
    return to_stereo(samples, names).mean(axis=1), [names[index] for index in opposite]


def _matrix(channels: int, names: Sequence[str] | None) -> np.ndarray:
    """Gains [channels, 2]."""
    names = _known(channels, names)
    nowhere = [name for name in names if _gains(name) is None and not name.startswith("AMBI")]
    middle = (len(nowhere) or 1) ** -0.5
    rows = [_gains(name) or ((0.0, 0.0) if name.startswith("AMBI") else (middle, middle)) for name in names]
    return np.array(rows, np.float32)


def _known(channels: int, names: Sequence[str] | None) -> Sequence[str]:
    """Names of the positions; those of the usual layout if a file has none."""
    if names is not None and any(_gains(name) is not None for name in names):
        return names
    if channels == 2:
        return ("FL", "FR")
    return _LAYOUTS.get(channels, ("?",) * channels)


def _gains(name: str) -> tuple[float, float] | None:
    if name.startswith("LFE"):
        return (0.0, 0.0)
    return _GAINS.get(name) or _BY_LAST_LETTER.get(name[-1:])


def _opposes_its_pair(samples: np.ndarray, names: Sequence[str], name: str) -> bool:
    other = name.replace("R", "L")
    if "R" not in name or other not in names:
        return False
    left, right = (samples[:, names.index(side)].astype(np.float64) for side in (other, name))
    power = np.sqrt(np.dot(left, left) * np.dot(right, right))
    return bool(power > 0 and np.dot(left, right) < _OPPOSITE * power)
