"""Lengths in headers, by files of a few bytes."""

import pytest

from mtv_jax.io.headers import has_mp3_header, lacks_ogg_end, missing_bytes


@pytest.fixture
def file(tmp_path):
    def write(data):
        path = tmp_path / "sound"
        path.write_bytes(data)
        return path

    return write


def chunk(name, size, order, content=b""):
    return name + size.to_bytes(4 if order == "little" else 8, order) + content


WAV = b"RIFF" + bytes(4) + b"WAVE"
CAF = b"caff" + bytes(4)


@pytest.mark.parametrize(
    ("data", "missing"),
    [
        (WAV + chunk(b"data", 8, "little", bytes(8)), 0),
        (WAV + chunk(b"data", 8, "little", bytes(5)), 3),
        (
            WAV + chunk(b"LIST", 3, "little", bytes(4)) + chunk(b"data", 8, "little", bytes(6)),
            2,
        ),  # padded to even
        (WAV + chunk(b"data", 0xFFFFFFFF, "little", bytes(6)), 0),  # written to a pipe
        (WAV, 0),
        (CAF + chunk(b"desc", 3, "big", bytes(3)) + chunk(b"data", 8, "big", bytes(6)), 2),  # not padded
        (
            b"riff" + bytes(36) + b"data" + bytes(12) + (24 + 8).to_bytes(8, "little") + bytes(6),
            2,
        ),  # header counted
        (b"fLaC" + bytes(40), 0),
    ],
)
def test_samples_that_a_header_promises_and_a_file_lacks(data, missing, file):
    assert missing_bytes(file(data)) == missing


@pytest.mark.parametrize(
    ("data", "has"),
    [
        (b"\xff\xfb\x90\x00" + bytes(32) + b"Xing" + bytes(100), True),
        (b"\xff\xfb\x90\x00" + bytes(136), False),
        # A tag of 2 * 128 + 1 bytes, whose own text does not count.
        (b"ID3\x04\x00\x00\x00\x00\x02\x01" + b"Info".ljust(257) + b"\xff\xfb" + bytes(200), False),
        (b"ID3\x04\x00\x00\x00\x00\x02\x01" + bytes(257) + b"\xff\xfb" + b"VBRI" + bytes(200), True),
    ],
)
def test_mp3_that_knows_its_length(data, has, file):
    assert has_mp3_header(file(data)) == has


@pytest.mark.parametrize(
    ("data", "lacks"),
    [
        (b"OggS\x00\x02" + bytes(50) + b"OggS\x00\x04" + bytes(50), False),
        (b"OggS\x00\x04" + bytes(50) + b"OggS\x00\x00" + bytes(50), True),
        (b"OggS\x00", True),
        (b"RIFF" + bytes(50), False),
    ],
)
def test_ogg_without_its_last_page(data, lacks, file):
    assert lacks_ogg_end(file(data)) == lacks
