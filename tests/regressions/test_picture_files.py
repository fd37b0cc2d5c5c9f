"""Pictures that were once read wrongly: bit depths, kinds of numbers, transparency, size, what only FFmpeg reads."""

import struct
import zlib

import numpy as np
import pytest
from media_files import bar_colours, bars, rgb_frame, write_film
from PIL import Image

from mtv_jax.io.errors import UserError
from mtv_jax.io.pictures import read_image

RAMP = np.linspace(0, 1, 256)[None] * np.ones((8, 1))
LEVELS = np.broadcast_to(np.arange(256)[None], (8, 256))


def assert_ramp(path, atol=1):
    picture = read_image(path)
    assert picture.dtype == np.uint8
    np.testing.assert_allclose(picture, np.repeat(LEVELS[..., None], 3, axis=2), atol=atol)


def write_png(path, samples, colour_type, chunks=b""):
    """A PNG of 16-bit samples [H, W, c], of which Pillow writes but grey."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], 16, colour_type, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunks + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def write_tiff(path, values, sample_format, channels=1):
    """An uncompressed TIFF of numbers of any kind: 1 unsigned, 2 signed, 3 floating point."""
    bits = values.dtype.itemsize * 8
    # A field of 2 bytes and one of 6, as many as fit in.
    each = {258: bits, 339: sample_format}
    entries, extra, begin = [], b"", 8 + 2 + 11 * 12 + 4
    for tag, value in {
        256: values.shape[1], 257: values.shape[0], 258: None, 259: 1, 262: 2 if channels == 3 else 1, 273: None,
        277: channels, 278: values.shape[0], 279: values.nbytes, 284: 1, 339: None,
    }.items():  # fmt: skip
        if tag in each:
            packed = struct.pack(f"<{channels}H", *[each[tag]] * channels)
            where = packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack("<I", begin + len(extra))
            extra += packed if len(packed) > 4 else b""
            entries.append(struct.pack("<HHI", tag, 3, channels) + where)
        else:
            entries.append((tag, value))
    data = begin + len(extra)
    packed = [
        entry if isinstance(entry, bytes) else struct.pack("<HHII", entry[0], 4, 1, entry[1] or data)
        for entry in entries
    ]
    head = b"II*\0" + struct.pack("<IH", 8, len(packed)) + b"".join(packed) + bytes(4)
    path.write_bytes(head + extra + values.tobytes())
    return path


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_are_read_as_eight(tmp_path, colour_type, channels):
    """Pillow#2574: a 16-bit ramp was black and then white, since `convert` cuts off."""
    samples = np.repeat(np.round(RAMP * 65535)[..., None], channels, axis=2)
    if channels in (2, 4):
        samples[..., -1] = 65535
    assert_ramp(write_png(tmp_path / "p.png", samples, colour_type))


@pytest.mark.parametrize(
    ("values", "sample_format"),
    [
        (RAMP.astype(np.float32), 3),
        ((RAMP * 255).astype(np.float32), 3),
        ((RAMP * 65535).astype(np.float32), 3),
        ((RAMP * 4.7).astype(np.float32), 3),
        ((RAMP * 2 - 1).astype(np.float32), 3),
        ((RAMP * 1e30).astype(np.float32), 3),
        (np.round(RAMP * 65535).astype(np.uint16), 1),
        (np.round(RAMP * 32767).astype(np.int16), 2),
        (np.round(RAMP * 65535).astype(np.int32), 2),
        (np.round(RAMP * (2**32 - 1)).astype(np.uint32), 1),
    ],
)
def test_a_ramp_of_any_numbers_is_a_ramp(tmp_path, values, sample_format):
    """Pillow#2574: floating point in 0..1 was black, 16 and 32 bits were white; and siblings of them."""
    assert_ramp(write_tiff(tmp_path / "p.tif", values, sample_format))


def test_a_dark_picture_stays_dark(tmp_path):
    """Pillow#2574: floating point in 0..1 was black; 1 is white there, whether or not anything is."""
    picture = read_image(write_tiff(tmp_path / "p.tif", (RAMP / 2).astype(np.float32), 3))
    np.testing.assert_allclose(picture[..., 0], LEVELS / 2, atol=1)


def test_colours_in_floating_point_are_read(tmp_path):
    """Pillow#2574: Pillow knows no RGB in floating point; FFmpeg does."""
    values = np.repeat(RAMP.astype(np.float32)[..., None], 3, axis=2)
    assert_ramp(write_tiff(tmp_path / "p.tif", values, 3, channels=3))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (RAMP.astype(np.float16), "floating point of 16 bits"),
        (np.where(RAMP > 0.5, np.nan, RAMP).astype(np.float32), "not finite"),
    ],
)
def test_numbers_that_cannot_be_shown_are_refused(tmp_path, values, message):
    """Found by attack: FFmpeg takes half floats for whole numbers, and a NaN has no colour."""
    with pytest.raises(UserError, match=message):
        read_image(write_tiff(tmp_path / "p.tif", values, 3))


def transparent(mode):
    pixels = np.zeros((8, 16, 4), np.uint8)
    pixels[:, :8], pixels[:, 8:] = [255, 0, 0, 255], [0, 255, 0, 0]
    picture = Image.fromarray(pixels)
    if mode == "P":
        plain = Image.new("P", (16, 8))
        plain.putpalette([255, 0, 0, 0, 255, 0])
        plain.paste(1, (8, 0, 16, 8))
        return plain, {"transparency": 1}
    if mode == "RGB":
        return picture.convert("RGB"), {"transparency": (0, 255, 0)}
    return picture, {}


@pytest.mark.parametrize(
    ("mode", "suffix"), [("RGBA", "png"), ("RGBA", "tif"), ("P", "png"), ("P", "gif"), ("RGB", "png")]
)
def test_what_is_transparent_is_white(tmp_path, mode, suffix):
    """SadTalker#67: `convert("RGB")` shows the colour that lies hidden below."""
    picture, options = transparent(mode)
    picture.save(tmp_path / f"p.{suffix}", **options)
    read = read_image(tmp_path / f"p.{suffix}")
    np.testing.assert_array_equal(read[4, [2, 12]], [[255, 0, 0], [255, 255, 255]])


def test_half_transparent_is_half_white_and_a_grey_may_be_transparent(tmp_path):
    """SadTalker#67: grey with alpha, and a grey of 16 bits that is declared transparent."""
    Image.fromarray(np.full((4, 4, 2), [0, 51], np.uint8)).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read_image(tmp_path / "la.png"), 204)
    samples = np.round(RAMP * 65535)[..., None]
    read = read_image(write_png(tmp_path / "g.png", samples, 0, chunk(b"tRNS", struct.pack(">H", 0))))
    assert read[0, :3, 0].tolist() == [255, 1, 2]


@pytest.mark.parametrize("size", [100_000, 12_000])
def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(tmp_path, size):
    """Found by attack: a kilobyte of PNG can ask for gigabytes, with a warning of Pillow's on the terminal."""
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with pytest.raises(UserError, match=r"p\.png: a picture .*too large"):
        read_image(tmp_path / "p.png")


def test_the_first_frame_of_a_video_is_a_picture(tmp_path):
    """Found by attack: what only FFmpeg reads is read by FFmpeg."""
    path = write_film(tmp_path / "v.mp4", [rgb_frame(bars(), "yuv444p")], "libx264", options={"crf": "2"})
    assert np.abs(bar_colours(read_image(path)) - bar_colours(bars())).max() <= 4
