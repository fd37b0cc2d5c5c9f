"""Reads headers itself: what a file that FFmpeg cannot open was, and lengths of which FFmpeg reports an estimate."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple


def begins_like_video(path: Path) -> bool:
    """Whether a file begins like mp4, mov, Matroska, avi, Ogg, flv, asf, MPEG-PS or MPEG-TS."""
    with open(path, "rb") as file:
        head = file.read(12)
    boxes = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide")
    return head[4:8] in boxes or head[8:12] == b"AVI " or head.startswith(_VIDEO_MAGIC)


_VIDEO_MAGIC = (b"\x1aE\xdf\xa3", b"OggS", b"FLV", b"\x30\x26\xb2\x75", b"\0\0\1\xba", b"\x47\x40")


def has_mp3_header(path: Path) -> bool:
    """Whether the first frame of an mp3 is a Xing, Info or VBRI header, the only ones that declare a length."""
    with open(path, "rb") as file:
        head = file.read(10)
        if head[:3] == b"ID3":  # its size is 4 x 7 bits
            size = 0
            for byte in head[6:10]:
                size = size << 7 | byte & 0x7F
            file.seek(10 + size)
        else:
            file.seek(0)
        head = file.read(4096)
    return any(name in head for name in (b"Xing", b"Info", b"VBRI"))


def missing_bytes(path: Path) -> int:
    """Bytes of samples that the header of a wav, w64 or caf declares and the file lacks; 0 for other formats."""
    with open(path, "rb") as file:
        kind = _KINDS.get(file.read(4))
        if kind is None:
            return 0
        for name, begin, size in _chunks(file, kind):
            if name == b"data":
                return max(begin + size - path.stat().st_size, 0) if 0 < size < kind.endless else 0
    return 0


def lacks_ogg_end(path: Path) -> bool:
    """Whether a file is Ogg, and its last page is not marked as the end of a stream (RFC 3533, section 6)."""
    with open(path, "rb") as file:
        if file.read(4) != b"OggS":
            return False
        file.seek(max(path.stat().st_size - (1 << 17), 0))  # a page has at most 65307 bytes
        tail = file.read()
    last = tail.rfind(b"OggS")
    flags = tail[last + 5 : last + 6]
    return not flags or not flags[0] & 4


class _Kind(NamedTuple):
    """Chunk layout of a file format: bytes of the file header, of a chunk's name and of its size."""

    head: int
    name: int
    size: int
    order: Literal["little", "big"]
    align: int
    counts_header: bool
    endless: int
    """Sizes from here on mean unknown, as written by programs that write to a pipe."""


_KINDS = {
    b"RIFF": _Kind(12, 4, 4, "little", 2, False, 0x7FFFF000),
    b"riff": _Kind(40, 16, 8, "little", 8, True, 1 << 62),  # Sony Wave64
    b"caff": _Kind(8, 4, 8, "big", 1, False, 1 << 62),
}


def _chunks(file: BinaryIO, kind: _Kind) -> Iterator[tuple[bytes, int, int]]:
    """Name (four letters), offset and size of the content of each chunk, to the end of the file."""
    place = kind.head
    while True:
        file.seek(place)
        header = file.read(kind.name + kind.size)
        if len(header) < kind.name + kind.size:
            return
        place += len(header)
        size = int.from_bytes(header[kind.name :], kind.order)
        size -= len(header) if kind.counts_header else 0
        yield header[:4], place, size
        if size < 0:
            return
        place += -(-size // kind.align) * kind.align
