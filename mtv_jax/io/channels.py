"""Loudspeaker layouts: any of them mixed down to stereo and mono.

A channel has one gain to the left and one to the right that depend on its position alone, so that a source in one
position is equally loud whatever else the layout has. They are those of Rec. ITU-R BS.775-4, annex 4: front left and
right 1, centre and surrounds 3 dB down, no low-frequency channel; mono is the mean of left and right. What BS.775
does not know is placed between its neighbours, at the same power.
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
"""To left and right, by FFmpeg's names. Others: surrounds and heights, by the last letter."""
_BY_LAST_LETTER = {"L": (_HALF_POWER, 0.0), "R": (0.0, _HALF_POWER), "C": (0.5, 0.5)}
_LAYOUTS = {
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}
"""Of files that name no positions, by their number of channels: the order of FLAC (RFC 9639, 9.1.3) and WAV."""
_OPPOSITE = -0.7
"""Correlation of two sides below which their sum is mostly lost."""


def to_stereo(samples: np.ndarray, names: Sequence[str] | None = None) -> np.ndarray:
    """Mixes [s, channels] down to [s, 2]; mono is heard on both sides as it is.

    Args:
      samples: float32; two channels stay as they are.
      names: FFmpeg's of the positions (`FL`, `FC`, `LFE` ...); None: those of the usual layout of so many. Channels
        that are nowhere are in the middle, each by the square root of their number quieter.
    """
    channels = samples.shape[1]
    if channels == 2:
        return samples
    if channels == 1:
        return np.repeat(samples, 2, axis=1)
    return samples @ _matrix(channels, names)


def to_mono(samples: np.ndarray, names: Sequence[str] | None = None) -> tuple[np.ndarray, list[str]]:
    """Mixes [s, channels] down to [s], the mean of left and right.

    A pair of sides of opposite phase would cancel out: the right one is turned over first.

    Returns:
      The samples, and the names of the channels that were turned over.
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
    """Names of the positions; usual ones where a file has none."""
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
