"""Draws a mix and its tracks: for each a wave and a spectrogram, over one time axis.

Files are read once, column by column, so memory does not grow with their length. The wave shows the range of all
samples in a column, the spectrogram the mean power of up to `_FRAMES` windows in it.
"""

import contextlib
import dataclasses
import itertools
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image, ImageDraw

from mtv_jax.io.levels import dbfs
from mtv_jax.typing import Float, Int, UInt8

MIX = "mix"
"""Name of the first lane: the sum of the tracks."""
RANGE_DB = (-90.0, 0.0)
"""Levels of the darkest and the brightest colour, the same in all pictures. A sine at full scale has 0 dB."""
_WIDTH = 880
_WAVE, _SPECTROGRAM, _GAP = 48, 112, 8
"""Heights of a wave, a spectrogram and the space below them, in pixels."""
_LEFT, _RIGHT, _BOTTOM = 64, 72, 34
"""Margins for the labels, in pixels."""
_LOWEST_HZ = 50.0
_WINDOW_SECONDS = 0.046
_FRAMES = 8
_MOST_SAMPLES = 1 << 19
"""Read of a column, per channel; columns are longer in files of more than three hours at 44.1 kHz."""
_BLOCK = 1 << 16
"""Samples that are read at once, at least, per channel."""
_QUIETEST_PEAK = 0.01
"""Of full scale: waves of quieter files do not fill their lanes."""
_COLOURS = ((8, 8, 24), (60, 20, 110), (150, 40, 120), (225, 80, 80), (252, 165, 80), (252, 250, 200))
"""Of the levels in `RANGE_DB`, evenly spaced; brightness rises with level."""
_INK, _GRID, _WAVE_INK = (28, 35, 48), (217, 222, 231), (58, 110, 200)
_SHORTEST = 1e-3
"""Least length of a time axis, seconds: resampling may leave no sample of a very short sound."""
_TICK_SECONDS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 36000)
_TICK_HZ = {100: "100 Hz", 1000: "1 kHz", 10_000: "10 kHz"}


@dataclasses.dataclass(frozen=True)
class Lanes:
    """What is drawn, with the mix first.

    Attributes:
      names: of the mix and the tracks.
      low, high: range of the samples in each column, over all channels.
      levels: dB by row (the highest frequency first) and column.
      sample_rate: Hz.
      seconds: length of the time axis.
    """

    names: tuple[str, ...]
    low: Float[np.ndarray, "lanes columns"]
    high: Float[np.ndarray, "lanes columns"]
    levels: Float[np.ndarray, "lanes rows columns"]
    sample_rate: int
    seconds: float


def draw_tracks(tracks: Mapping[str, Path]) -> UInt8[np.ndarray, "h w 3"]:
    """A picture of tracks in files (wav or flac of one length), and above them of the mix, which is their sum.

    All lanes have the same time axis, amplitude scale (the loudest sample fills a lane) and range of levels.
    """
    return _draw(measure(tracks, _WIDTH))


def measure(tracks: Mapping[str, Path], width: int) -> Lanes:
    """Reads the tracks and returns the values of a picture `width` columns wide."""
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(soundfile.SoundFile(path)) for path in tracks.values()]
        readers = [_Reader(file) for file in files]
        rate, samples = files[0].samplerate, files[0].frames
        size = 2 ** round(math.log2(_WINDOW_SECONDS * rate))
        bins = _first_bins(size, rate)
        low, high = np.zeros((2, len(files) + 1, width), np.float32)
        levels = np.zeros((len(files) + 1, len(bins), width), np.float32)
        edges = np.linspace(0, samples, width + 1).astype(int).tolist()
        for column, (first, last) in enumerate(itertools.pairwise(edges)):
            last = min(max(last, first + 1), first + _MOST_SAMPLES)
            start, stop = _with_context(first, last, size)
            parts = [reader.read(start, stop) for reader in readers]
            lanes = np.stack([sum(parts[1:], parts[0]), *parts])
            own = lanes[:, first - start : last - start]
            low[:, column], high[:, column] = own.min(axis=(1, 2)), own.max(axis=(1, 2))
            # The greatest power in a row's band, not the mean, so that tones have the same level everywhere.
            levels[:, ::-1, column] = dbfs(np.maximum.reduceat(_power(lanes, size), bins, axis=1))
    return Lanes((MIX, *tracks), low, high, levels, rate, samples / rate)


def _with_context(first: int, last: int, size: int) -> tuple[int, int]:
    """The span of a column, extended around its middle to at least one window."""
    missing = max(size - (last - first), 0)
    return first - missing // 2, last + missing - missing // 2


class _Reader:
    """Reads spans of a file that go forward and may overlap, as those of short columns do, from blocks."""

    def __init__(self, file: soundfile.SoundFile):
        self._file, self._first = file, 0
        self._block = np.zeros((0, file.channels), np.float32)

    def read(self, start: int, stop: int) -> Float[np.ndarray, "s c"]:
        """Samples of a span, zeros beyond the ends of the file."""
        begin, end = min(max(start, 0), self._file.frames), min(stop, self._file.frames)
        if end > self._first + len(self._block):
            self._file.seek(begin)
            self._first = begin
            self._block = self._file.read(max(end - begin, _BLOCK), dtype="float32", always_2d=True)
        samples = np.zeros((stop - start, self._file.channels), np.float32)
        samples[begin - start : end - start] = self._block[begin - self._first : end - self._first]
        return samples


def _power(lanes: Float[np.ndarray, "lanes s c"], size: int) -> Float[np.ndarray, "lanes bins"]:
    """Mean power spectrum of windows spread over a column and of its channels; 1 for a sine at full scale."""
    length = lanes.shape[1]
    count = min(max(length // size, 1), _FRAMES)
    starts = np.linspace(0, length - size, count).astype(int) if count > 1 else [(length - size) // 2]
    window = np.hanning(size).astype(np.float32)
    frames = np.stack([lanes[:, start : start + size] for start in starts], axis=1) * window[:, None]
    spectrum = np.fft.rfft(frames, axis=2) * (2 / window.sum())
    return np.mean(np.square(np.abs(spectrum)), axis=(1, 3), dtype=np.float32)


def _first_bins(size: int, sample_rate: int) -> Int[np.ndarray, " rows"]:
    """The first bin of each row of a spectrogram, lowest first, on a logarithmic axis."""
    edges = np.geomspace(_LOWEST_HZ, sample_rate / 2, _SPECTROGRAM + 1)
    return np.round(edges[:-1] * size / sample_rate).astype(int)


def _draw(lanes: Lanes) -> UInt8[np.ndarray, "h w 3"]:
    height = len(lanes.names) * (_WAVE + _SPECTROGRAM + _GAP)
    sheet = Image.new("RGB", (_LEFT + _WIDTH + _RIGHT, height + _BOTTOM), "white")
    draw = ImageDraw.Draw(sheet)
    peak = max(float(np.abs([lanes.low, lanes.high]).max()), _QUIETEST_PEAK)
    for index, name in enumerate(lanes.names):
        top = index * (_WAVE + _SPECTROGRAM + _GAP)
        sheet.paste(Image.fromarray(_wave(lanes.low[index], lanes.high[index], peak)), (_LEFT, top))
        sheet.paste(Image.fromarray(_coloured(lanes.levels[index])), (_LEFT, top + _WAVE))
        draw.text((4, top + 4), name, fill=_WAVE_INK)
        draw.text((_LEFT - 4, top + _WAVE // 2), f"±{peak:.2g}", fill=_INK, anchor="rm")
        _label_hertz(draw, top + _WAVE, lanes.sample_rate)
    _label_seconds(draw, height - _GAP, lanes.seconds)
    _label_levels(sheet, draw)
    return np.asarray(sheet)


def _wave(
    low: Float[np.ndarray, " columns"], high: Float[np.ndarray, " columns"], peak: float
) -> UInt8[np.ndarray, "h w 3"]:
    """Each column spans the range of its samples; at least the middle row is drawn."""
    middle, scale = _WAVE // 2, (_WAVE / 2 - 1) / peak
    row = np.arange(_WAVE)[:, None]
    inside = (row >= middle - np.round(high * scale)) & (row <= middle - np.round(low * scale))
    return np.where(inside[..., None], _WAVE_INK, (255, 255, 255)).astype(np.uint8)


def _coloured(levels: Float[np.ndarray, "rows columns"]) -> UInt8[np.ndarray, "rows columns 3"]:
    lowest, highest = RANGE_DB
    position = (levels - lowest) / (highest - lowest) * (len(_COLOURS) - 1)
    known = np.arange(len(_COLOURS))
    channels = [np.interp(position, known, [colour[i] for colour in _COLOURS]) for i in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def _label_hertz(draw: ImageDraw.ImageDraw, top: int, sample_rate: int) -> None:
    octaves = math.log(sample_rate / 2 / _LOWEST_HZ)
    for hertz, text in _TICK_HZ.items():
        row = top + round(_SPECTROGRAM * math.log(sample_rate / 2 / hertz) / octaves)
        if row > top:
            draw.line([(_LEFT - 4, row), (_LEFT, row)], fill=_INK)
            draw.text((_LEFT - 6, row), text, fill=_INK, anchor="rm")


def _label_seconds(draw: ImageDraw.ImageDraw, top: int, seconds: float) -> None:
    seconds = max(seconds, _SHORTEST)
    step = next((step for step in _TICK_SECONDS if seconds / step <= 12), _TICK_SECONDS[-1])
    for index in range(int(seconds / step + 1e-6) + 1):
        column = _LEFT + min(round(index * step / seconds * _WIDTH), _WIDTH - 1)
        draw.line([(column, top), (column, top + 4)], fill=_INK)
        label = f"{index * step:g}" if seconds <= 60 else _clock(index * step)
        draw.text((column, top + 6), label, fill=_INK, anchor="ma")
    unit = "s" if seconds <= 60 else "h:min:s"
    draw.text((_LEFT + _WIDTH // 2, top + 21), f"time, {unit}", fill=_INK, anchor="ma")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _label_levels(sheet: Image.Image, draw: ImageDraw.ImageDraw) -> None:
    """The colours of the levels, right of the first spectrogram."""
    lowest, highest = RANGE_DB
    left, top = _LEFT + _WIDTH + 8, _WAVE
    bar = np.repeat(np.linspace(highest, lowest, _SPECTROGRAM, dtype=np.float32)[:, None], 12, axis=1)
    sheet.paste(Image.fromarray(_coloured(bar)), (left, top))
    for level in np.arange(highest, lowest - 1, -30):
        row = top + round((highest - level) / (highest - lowest) * (_SPECTROGRAM - 1))
        draw.text((left + 16, row), f"{level:.0f} dB", fill=_INK, anchor="lm")
