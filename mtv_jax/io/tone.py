"""Tone mapping: converts high dynamic range and wide gamuts to sRGB.

Formulas: PQ (SMPTE ST 2084) and HLG with its system gamma (ARIB STD-B67) as in Rec. ITU-R BT.2100-2, tables 4 and 5;
reference white of 203 cd/m2 from Report ITU-R BT.2408; sRGB from IEC 61966-2-1; RGB to XYZ after SMPTE RP 177.
"""

import functools
from typing import Literal

import numpy as np
from jaxtyping import UInt8

WIDE_PRIMARIES = {
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3
}
"""Chromaticities of red, green and blue by their number in H.273, with white D65."""

_BT709 = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_D65 = (0.3127, 0.3290)
_PQ, _HLG = 16, 18
_REFERENCE_WHITE = 203.0
_HLG_PEAK = 1000.0
"""cd/m2: SDR white within HDR (BT.2408), and the peak of the display for which HLG's system gamma is 1.2."""


def is_hdr(transfer: int) -> bool:
    """Whether a transfer characteristic, by its number in H.273, is PQ or HLG."""
    return transfer in (_PQ, _HLG)


def transfer_name(transfer: int) -> Literal["sdr", "pq", "hlg"]:
    """The name of a transfer characteristic by its number in H.273; all of standard dynamic range are `sdr`."""
    return "pq" if transfer == _PQ else "hlg" if transfer == _HLG else "sdr"


def to_srgb(
    pixels: np.ndarray, transfer: int, primaries: int, white: int = 65535
) -> UInt8[np.ndarray, "H W 3"]:
    """Converts uint16 [H W 3] of PQ, HLG or a wide gamut to sRGB; transfer and primaries are numbers of H.273.

    `white` is the level of a signal of 1.

    Diffuse white of 203 cd/m2 maps to 255. Brighter light is clipped, keeping its hue (like FFmpeg's
    `tonemap=clip`), so levels within the SDR range are exact. Colours outside of sRGB are clipped to its gamut.
    """
    light = _linear(transfer, white)[pixels]
    if transfer == _HLG:
        luminance = light @ _to_xyz(primaries)[1]
        light *= (_HLG_PEAK / _REFERENCE_WHITE) * np.maximum(luminance, 1e-6)[..., None] ** np.float32(0.2)
    if primaries in WIDE_PRIMARIES:
        light = light @ _to_bt709(primaries).T
    light /= np.maximum(light.max(axis=-1, keepdims=True), 1)
    return _srgb_levels()[(np.clip(light, 0, 1) * 65535 + 0.5).astype(np.uint16)]


@functools.cache
def _linear(transfer: int, white: int) -> np.ndarray:
    """Linear light of each 16-bit level, float32 [65536]: 1 is reference white (HLG: the scene's peak)."""
    signal = np.minimum(np.arange(65536) / white, 1)
    if transfer == _PQ:
        m1, m2 = 2610 / 16384, 2523 / 32
        c1, c2, c3 = 3424 / 4096, 2413 / 128, 2392 / 128
        power = signal ** (1 / m2)
        light = 10000 / _REFERENCE_WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    elif transfer == _HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    else:
        light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@functools.cache
def _srgb_levels() -> np.ndarray:
    """The 8-bit level of each 16-bit value of linear light, uint8 [65536]."""
    light = np.arange(65536) / 65535
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(255 * signal).astype(np.uint8)


@functools.cache
def _to_bt709(primaries: int) -> np.ndarray:
    return (np.linalg.inv(_to_xyz(1)) @ _to_xyz(primaries)).astype(np.float32)


@functools.cache
def _to_xyz(primaries: int) -> np.ndarray:
    """Matrix from linear RGB to CIE XYZ, [3, 3]; its middle row gives luminance."""

    def xyz(x: float, y: float) -> tuple[float, float, float]:
        return x / y, 1.0, (1 - x - y) / y

    columns = np.array([xyz(*point) for point in WIDE_PRIMARIES.get(primaries, _BT709)]).T
    return (columns * np.linalg.solve(columns, xyz(*_D65))).astype(np.float32)
