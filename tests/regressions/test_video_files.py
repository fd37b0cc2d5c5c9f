"""Videos that were once read wrongly: colours, shape, fields, light, transparency, times; and what written ones say."""

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from av.stream import Disposition
from media_files import (
    COLOURS,
    bar_colours,
    bars,
    quarter_names,
    quarters,
    rgb_frame,
    set_display_matrix,
    with_fields,
    write_film,
    yuv_frame,
)
from PIL import Image

from mtv_jax.io.cli import frame_rate
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.rates import exact_fps
from mtv_jax.io.video import probe, read_video, write_gif, write_video

BT709, BT601, BT2020 = (0.2126, 0.0722), (0.299, 0.114), (0.2627, 0.0593)
ALMOST_LOSSLESS = {"crf": "2"}


def error_of(picture):
    return int(np.abs(bar_colours(picture) - COLOURS).max())


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize(("matrix", "weights"), [(1, BT709), (5, BT601), (6, BT601), (9, BT2020)])
def test_colours_are_those_of_the_tags(tmp_path, matrix, weights, full, bits):
    """PyAV#1720, #2149, #2230: the matrix and the range of a file were not those it was converted with."""
    frame = yuv_frame(bars() / 255, *weights, full=full, bits=bits)
    path = write_film(tmp_path / "c.mkv", [frame], tags=(matrix, 2 if full else 1, 2, 2))
    assert error_of(read_video(path)[0][0]) <= 3


@pytest.mark.parametrize(("height", "weights"), [(576, BT601), (580, BT709)])
def test_untagged_pictures_of_high_definition_are_bt709(tmp_path, height, weights):
    """PyAV#1720: libswscale takes everything that is untagged for BT.601; players go by the height."""
    path = write_film(tmp_path / "u.mkv", [yuv_frame(bars(height, 64) / 255, *weights)])
    assert error_of(read_video(path)[0][0]) <= 3


def test_grey_of_limited_range_is_widened(tmp_path):
    """Found by attack: libswscale takes any grey for full range, so black was 16 and white 235."""
    levels = np.linspace(16, 235, 64).round().astype(np.uint8) * np.ones((16, 1), np.uint8)
    frame = av.VideoFrame.from_ndarray(levels, format="gray")
    picture = read_video(write_film(tmp_path / "g.mkv", [frame], tags=(2, 1, 2, 2)))[0][0]
    np.testing.assert_allclose(picture[8, :, 1], np.linspace(0, 255, 64), atol=1.5)


def test_a_matrix_that_cannot_be_converted_is_refused_by_name(tmp_path):
    """Found by attack: ICtCp was converted as if it were BT.601."""
    path = write_film(tmp_path / "i.mkv", [yuv_frame(bars() / 255, *BT709)], tags=(14, 1, 2, 2))
    with pytest.raises(UserError, match=r"i\.mkv: colours in ICtCp"):
        read_video(path)


def circle(width, height, aspect):
    """A circle of 40 % of the height's radius, stored in pixels of an aspect ratio."""
    y, x = np.mgrid[:height, :width]
    radius = np.hypot((x - width / 2) * aspect, y - height / 2)
    level = np.where(radius < 0.4 * min(height, width * aspect), 255, 0).astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=2)


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "libx264"), ("avi", "mpeg4"), ("mkv", "libx264")])
@pytest.mark.parametrize(("aspect", "width", "height"), [(Fraction(2), 60, 96), (Fraction(1, 2), 128, 48)])
def test_pixels_become_square(tmp_path, suffix, codec, aspect, width, height):
    """musubi-tuner#656: the sample aspect ratio was left out, and a circle became an ellipse."""
    frames = [rgb_frame(circle(width, height, float(aspect)), "yuv420p") for _ in range(2)]
    path = write_film(tmp_path / f"s.{suffix}", frames, codec, aspect=aspect)
    picture = read_video(path)[0][0][..., 0] > 128
    across, down = picture.any(axis=0).sum(), picture.any(axis=1).sum()
    assert across / down == pytest.approx(1, abs=0.05)
    assert picture.shape[0] >= 96  # no detail goes: the short side is enlarged
    assert (probe(path).height, probe(path).width) == picture.shape


def test_an_aspect_ratio_that_cannot_be_meant_is_refused(tmp_path):
    """Found by attack: a pixel of 1:40 asks for a picture of forty times the memory."""
    frames = [rgb_frame(circle(64, 32, 1.0), "yuv420p")]
    path = write_film(tmp_path / "s.mp4", frames, "libx264", aspect=Fraction(1, 40))
    with pytest.raises(UserError, match=r"s\.mp4: a sample aspect ratio of 1:40"):
        read_video(path)


@pytest.mark.parametrize(
    ("matrix", "filters", "shown"),
    [
        ((0, 1, -1, 0), "transpose=clock", "BRWG"),
        ((-1, 0, 0, -1), "hflip,vflip", "WBGR"),
        ((0, -1, 1, 0), "transpose=cclock", "GWRB"),
        ((-1, 0, 0, 1), "hflip", "GRWB"),
        ((1, 0, 0, -1), "vflip", "BWRG"),
        ((0, 1, 1, 0), "transpose=cclock_flip", "RBGW"),
        ((0, -1, -1, 0), "transpose=clock_flip", "WGBR"),
    ],
)
def test_the_whole_display_matrix_is_applied(tmp_path, matrix, filters, shown):
    """PyAV#570: `frame.rotation` knows no mirrors, and calls one of them half a turn.

    `shown` is what ffmpeg's filters make of `RGBW`, which its program inserts for the matrix (`-autorotate`).
    """
    frames = [rgb_frame(quarters(), "yuv444p") for _ in range(2)]
    path = write_film(tmp_path / "m.mp4", frames, "libx264", options=ALMOST_LOSSLESS)
    set_display_matrix(path, *matrix)
    picture = read_video(path)[0][0]
    assert picture.shape == ((48, 32, 3) if "transpose" in filters else (32, 48, 3))
    assert quarter_names(picture) == shown


def moving_bar(moment):
    pixels = np.zeros((48, 96, 3), np.uint8)
    pixels[:, 8 + 3 * moment : 32 + 3 * moment] = 255
    return pixels


@pytest.mark.parametrize("top_first", [True, False])
def test_fields_of_two_moments_become_one_picture(tmp_path, top_first):
    """video2x#898: interlaced frames were read with both moments in them, as a comb."""
    frames = []
    for index in range(6):
        pixels, later = moving_bar(2 * index), moving_bar(2 * index + 1)
        rows = slice(1 if top_first else 0, None, 2)
        pixels[rows] = later[rows]
        frames.append(rgb_frame(pixels, "yuv420p"))
    path = write_film(tmp_path / "i.mkv", with_fields(frames, top_first), options={"flags": "+ildct+ilme"})
    read, fps = read_video(path)
    assert (len(read), fps) == (6, 25)
    for index, picture in enumerate(read):
        assert np.abs(picture.astype(int) - moving_bar(2 * index)).mean() < 1


def light_of(levels):
    signal = levels / 255
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def to_bt2020(light):
    """BT.709's primaries in BT.2020 (Report ITU-R BT.2087, 2.2)."""
    return light @ np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]]).T


def pq(light):
    """SMPTE ST 2084, 1 being 203 cd/m2."""
    power = (light * 203 / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(light):
    """ARIB STD-B67 for a display of 1000 cd/m2, 1 being 203 of them."""
    display = light * 0.203
    luminance = display @ np.array([0.2627, 0.6780, 0.0593])
    scene = display * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    logarithm = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), logarithm)


@pytest.mark.parametrize(("transfer", "curve"), [(16, pq), (18, hlg)])
def test_high_dynamic_range_is_mapped_to_srgb(tmp_path, transfer, curve):
    """video-use#6: PQ was shown as if it were SDR, grey and dull, its white at 148."""
    frame = yuv_frame(curve(to_bt2020(light_of(bars().astype(float)))), *BT2020, bits=12)
    path = write_film(tmp_path / "h.mkv", [frame], tags=(9, 1, transfer, 9))
    picture = read_video(path)[0][0]
    assert error_of(picture) <= 8
    assert bar_colours(picture)[3].min() >= 253  # white


def test_what_is_brighter_than_white_stays_white_and_keeps_its_hue(tmp_path):
    """video-use#6: light of over 203 cd/m2 is cut off, not wrapped around, and red stays red."""
    light = np.ones((16, 64, 3)) * np.array([[4.0, 4.0, 4.0]])
    light[:, 32:] = [4.0, 0.4, 0.4]
    frame = yuv_frame(pq(to_bt2020(light)), *BT2020, bits=12)
    picture = read_video(write_film(tmp_path / "h.mkv", [frame], tags=(9, 1, 16, 9)))[0][0]
    assert picture[8, 8].min() >= 253
    red, green, blue = picture[8, 56].astype(int)
    assert red >= 253
    assert max(green, blue) < 100


@pytest.mark.parametrize(
    ("suffix", "codec", "pix_fmt"),
    [("webm", "libvpx-vp9", "yuva420p"), ("mov", "qtrle", "argb"), ("apng", "apng", "rgba")],
)
def test_what_is_transparent_is_white(tmp_path, suffix, codec, pix_fmt):
    """SadTalker#67, for videos: the colour below what is transparent was shown (FFmpeg's VP9 leaves alpha out)."""
    pixels = np.zeros((32, 64, 4), np.uint8)
    pixels[:, :32], pixels[:, 32:] = [255, 0, 0, 255], [0, 255, 0, 0]
    path = write_film(tmp_path / f"a.{suffix}", [rgb_frame(pixels, pix_fmt) for _ in range(2)], codec)
    picture = read_video(path)[0][0].astype(int)
    np.testing.assert_allclose(picture[16, 8], [255, 0, 0], atol=4)
    np.testing.assert_allclose(picture[16, 56], 255, atol=4)


def joined(tmp_path, *sizes, first_pts=(0, 10)):
    """An MPEG-TS of one that follows another."""
    data = b""
    for size, start in zip(sizes, first_pts, strict=True):
        frames = [rgb_frame(bars(*size), "yuv420p") for _ in range(10)]
        data += write_film(tmp_path / "part.ts", frames, "mpeg2video", first_pts=start).read_bytes()
    (tmp_path / "joined.ts").write_bytes(data)
    return tmp_path / "joined.ts"


def test_a_stream_has_one_size(tmp_path):
    """torchcodec#312: a stream that changes its size midway gave frames of two sizes, and a traceback."""
    frames, _ = read_video(joined(tmp_path, (96, 160), (192, 320)))
    assert frames.shape[1:] == (96, 160, 3)
    assert error_of(frames[-1]) <= 10
    with pytest.raises(UserError, match=r"joined\.ts: its picture changes from 160x96 to 96x160 at 0\.\d+ s"):
        read_video(joined(tmp_path, (96, 160), (160, 96)))


@pytest.mark.parametrize("second", [0, 100_000])
def test_recordings_put_together_go_on(tmp_path, second):
    """Found by attack: where the stamps of a broadcast begin anew, or jump, its second part was lost or held back."""
    frames, _ = read_video(joined(tmp_path, (32, 64), (32, 64), first_pts=(20, second)))
    assert 18 <= len(frames) <= 21


def test_all_frames_of_an_avi_are_shown(tmp_path):
    """Found by attack: AVI stamps no frames, and those of B-frames were taken for times."""
    levels = [40, 80, 120, 160, 200]
    frames = [rgb_frame(np.full((32, 48, 3), level, np.uint8), "yuv444p") for level in levels]
    b_frames = {"bf": "3", "b_strategy": "0", "sc_threshold": "0"}
    path = write_film(tmp_path / "b.avi", frames, "libx264", options=ALMOST_LOSSLESS | b_frames)
    read, _ = read_video(path)
    np.testing.assert_allclose(read.mean(axis=(1, 2, 3)), levels, atol=3)


def test_the_video_is_the_default_one_and_no_cover(tmp_path):
    """Tdarr_Plugins#97, for pictures: the first stream was taken, whatever the file calls its default."""
    with av.open(str(tmp_path / "two.mkv"), "w") as container:
        streams: list[Any] = [container.add_stream("ffv1", rate=5) for _ in range(2)]
        streams[1].disposition = Disposition.default.value
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 32, 32, "bgr0"
        for stream, level in zip(streams, (40, 200), strict=True):
            frame = rgb_frame(np.full((32, 32, 3), level, np.uint8), "bgr0")
            frame.pts = 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    assert read_video(tmp_path / "two.mkv")[0].mean() == pytest.approx(200)


def test_a_missing_tenth_of_the_frames_is_reported(tmp_path):
    """SimpleTuner#2537: a moov that is cut off still opens, with fewer frames than its header says."""
    write_video(tmp_path / "w.mp4", np.zeros((75, 32, 32, 3), np.uint8), 25)
    data = bytearray((tmp_path / "w.mp4").read_bytes())
    place = data.index(b"stsz") + 12
    assert int.from_bytes(data[place : place + 4], "big") == 75
    data[place : place + 4] = (67).to_bytes(4, "big")
    (tmp_path / "cut.mp4").write_bytes(data)
    with pytest.raises(UserError, match=r"cut\.mp4: truncated or damaged: .* its header says 3\.00 s"):
        read_video(tmp_path / "cut.mp4")


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        ("23.976", 24000),
        ("23.98", 24000),
        ("29.97", 30000),
        ("29.97003", 30000),
        ("59.94", 60000),
        ("119.88", 120000),
    ],
)
def test_rates_of_television_are_exact_wherever_they_are_given(given, rate):
    """Found by attack: `--fps 29.97` wrote 2997/100, and 23.98 was another rate than 23.976."""
    wanted = Fraction(rate, 1001)
    assert frame_rate(given) == exact_fps(given) == exact_fps(float(given)) == wanted
    assert ClipSize().replace(fps=float(given)).fps == wanted
    assert frame_rate("30000/1001") == Fraction(30000, 1001)
    assert frame_rate("25") == 25


def test_what_is_written_says_what_it_is(tmp_path):
    """EU AI Act, article 50: a generated video says so; its rate and colours are tagged exactly."""
    frames = np.zeros((4, 32, 48, 3), np.uint8)
    write_video(tmp_path / "w.mp4", frames, 29.97)
    write_gif(tmp_path / "w.gif", frames, 8)
    with av.open(str(tmp_path / "w.mp4")) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert container.metadata["comment"].startswith("Generated by mtv_jax ")
        assert stream.average_rate == Fraction(30000, 1001)
        assert (frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries) == (1, 1, 1, 1)
    with Image.open(tmp_path / "w.gif") as image:
        assert image.info["comment"].startswith(b"Generated by mtv_jax ")
