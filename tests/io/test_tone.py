import numpy as np
import pytest

from mtv_jax.io.tone import is_hdr, to_srgb

PQ, HLG, SRGB = 16, 18, 13
BT709, BT2020 = 1, 9


def pq_level(luminance):
    """The 16-bit level of cd/m2 by SMPTE ST 2084."""
    y = (luminance / 10000) ** (2610 / 16384)
    return round(65535 * ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32))


def srgb(red, green, blue, transfer, primaries):
    return to_srgb(np.array([[[red, green, blue]]], np.uint16), transfer, primaries)[0, 0].tolist()


def test_which_curves_are_hdr():
    assert [is_hdr(number) for number in (1, SRGB, PQ, 17, HLG)] == [False, False, True, False, True]


@pytest.mark.parametrize(("luminance", "level"), [(0, 0), (203, 255), (203 * 0.2140, 127), (4000, 255)])
def test_pq_white_of_203_is_white_and_what_is_brighter_is_cut_off(luminance, level):
    grey = pq_level(luminance)
    assert srgb(grey, grey, grey, PQ, BT709) == pytest.approx([level] * 3, abs=1)


def test_the_hue_of_what_is_too_bright_is_kept():
    red, _, blue = srgb(pq_level(812), 0, pq_level(203), PQ, BT709)
    assert red == 255
    assert blue == pytest.approx(137, abs=1)  # a quarter of the light


def test_hlg_reference_white():
    level = round(0.75 * 65535)  # 203 cd/m2 on a display of 1000
    assert srgb(level, level, level, HLG, BT2020) == pytest.approx([255] * 3, abs=1)


def test_greys_of_wide_gamuts_stay_and_their_colours_are_cut_to_srgb():
    level = round(65535 * 0.5)
    assert srgb(level, level, level, SRGB, BT2020) == pytest.approx([128] * 3, abs=1)
    red, green, blue = srgb(level, 0, 0, SRGB, BT2020)
    assert red > 128
    assert green == blue == 0
