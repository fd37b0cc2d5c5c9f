"""The separated tracks of spans of a film's sound, in memory that does not grow with the film."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mtv_jax.audio.separation.sections import separate_sections
from mtv_jax.audio.separation.separators import find_separator
from mtv_jax.curation.shots import Span
from mtv_jax.curation.soundtrack import soundtrack
from mtv_jax.io.channels import to_mono
from mtv_jax.io.errors import UserError


@dataclass
class _Open:
    """Tracks of a span, of which `done` samples are there."""

    tracks: dict[str, np.ndarray]
    first: int
    end: int


def separated_spans(
    film: Path, spans: Mapping[str, Span], separator: str, folder: Path
) -> Iterator[tuple[str, dict[str, np.ndarray], int]]:
    """The tracks of each span, in order of their ends: name, track -> mono float32 [s], sample rate.

    The film's whole sound is separated once, so that each span has its context; after its end there is silence.
    `folder` is the film's, with its decoded sound. Raises UserError for a film without sound.
    """
    if not spans:
        return
    made = find_separator(separator)
    sound = soundtrack(film, folder)
    if not sound.length:
        raise UserError(f"{film}: no sound (zero length)")

    def read(first: int, last: int) -> np.ndarray:
        return to_mono(sound.read(first, last))[0][:, None]

    waiting = sorted(((*span.samples(sound.rate), name) for name, span in spans.items()), reverse=True)
    pieces = separate_sections(read, sound.rate, made)
    yield from ((name, tracks, sound.rate) for name, tracks in _sliced(pieces, waiting, made.tracks))


def _sliced(
    pieces: Iterator[dict[str, np.ndarray]], waiting: list[tuple[int, int, str]], names: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """The spans (first sample, end, name), of which the earliest is the last in the list, from consecutive pieces."""
    opened: dict[str, _Open] = {}
    begin = 0
    for piece in pieces:
        stop = begin + len(piece[names[0]])
        while waiting and waiting[-1][0] < stop:
            first, end, name = waiting.pop()
            opened[name] = _Open({track: np.zeros(end - first, np.float32) for track in names}, first, end)
        for span in opened.values():
            _fill(span, piece, begin, stop)
        for name in [name for name, span in opened.items() if span.end <= stop]:
            yield name, opened.pop(name).tracks
        begin = stop
    for name, span in opened.items():
        yield name, span.tracks
    for first, end, name in reversed(waiting):  # the sound ends before them
        yield name, {track: np.zeros(end - first, np.float32) for track in names}


def _fill(span: _Open, piece: Mapping[str, np.ndarray], begin: int, stop: int) -> None:
    """Copies what a piece, samples [begin, stop), has of a span."""
    first, last = max(span.first, begin), min(span.end, stop)
    for name, track in span.tracks.items():
        track[first - span.first : last - span.first] = piece[name][first - begin : last - begin, 0]
