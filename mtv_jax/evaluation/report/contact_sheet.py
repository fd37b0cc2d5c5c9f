"""A contact sheet: for each clip a row of its frames, and under them the waves of its tracks, in step.

A frame is above the time at which it is shown. The loudness of speech, which opens mouths, is drawn over its wave, and
onsets are marked in the effects.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw

from mtv_jax.names import TRACK_RATE
from mtv_jax.theatre.sounds import loudness

COLUMNS = 11
"""Frames shown of a clip."""
MARGIN = 56
"""Width in pixels of the column of names."""
LANE = 30
"""Height of a track in pixels."""
COLOURS = {"speech": (58, 110, 200), "effects": (205, 110, 30), "music": (50, 150, 90)}
LOUDNESS = (20, 30, 90)
ONSET = (200, 0, 0)
_TILE = 96  # pixels that a frame is wide
_SEAM = 2  # pixels of white between frames
_GAP = 10  # pixels between clips
_LEAST_PEAK = 0.05  # of full scale: a quieter track does not fill its lane
_ONSET_HOP = TRACK_RATE // 100
_ONSET_RISE = 4.0  # times the energy of the 50 ms before
_ONSET_LEAST = 0.05  # of the track's greatest energy
_ONSET_REST = 0.15  # seconds in which there is no second onset


@dataclass(frozen=True)
class Strip:
    """A clip to show: frames uint8 [F H W 3] at `fps`, and tracks float32 [s] at 16 kHz by their names.

    `colours` names the tracks that are shown, from the top.
    """

    frames: np.ndarray
    tracks: Mapping[str, np.ndarray]
    fps: float | Fraction
    colours: Mapping[str, tuple[int, int, int]] = field(default_factory=lambda: COLOURS)


def contact_sheet(strips: Sequence[Strip]) -> UInt8[np.ndarray, "h w 3"]:
    """The sheet of all clips, one below the other."""
    rows = [draw_strip(strip) for strip in strips]
    return np.concatenate([np.pad(row, [(0, _GAP), (0, 0), (0, 0)], constant_values=255) for row in rows])


def draw_strip(strip: Strip) -> UInt8[np.ndarray, "h w 3"]:
    """One clip: `COLUMNS` frames spaced evenly in time, then a lane for each track."""
    count = len(strip.frames)
    frames = draw_frames(strip.frames, COLUMNS)
    samples = round(count * TRACK_RATE / strip.fps)
    lanes = []
    for name, colour in strip.colours.items():
        wave = np.asarray(strip.tracks[name], np.float32)[:samples]
        wave = np.pad(wave, (0, samples - len(wave)))
        lane = draw_wave(wave, frames.shape[1], colour)
        if name == "speech":
            _draw_loudness(lane, loudness(wave, count, Fraction(strip.fps)))
        if name == "effects":
            _draw_onsets(lane, onsets(wave), samples / TRACK_RATE)
        lanes.append(lane)
    return _named(np.concatenate([frames, *lanes]), frames.shape[0], strip.colours)


def draw_frames(frames: UInt8[np.ndarray, "F H W 3"], columns: int) -> UInt8[np.ndarray, "h w 3"]:
    """So many frames side by side, spaced evenly in time."""
    shown = [int((column + 0.5) * len(frames) / columns) for column in range(columns)]
    return np.concatenate([_tile(frames[index]) for index in shown], axis=1)


def draw_wave(wave: np.ndarray, width: int, colour: tuple[int, int, int]) -> UInt8[np.ndarray, "h w 3"]:
    """A lane `width` pixels wide on white: a column spans the range of the samples in its time."""
    lane = np.full((LANE, width, 3), 255, np.uint8)
    edges = np.linspace(0, len(wave), width + 1).astype(int)
    scale = (LANE / 2 - 1) / max(float(np.abs(wave).max(initial=0.0)), _LEAST_PEAK)
    for column, (start, end) in enumerate(itertools.pairwise(edges)):
        part = wave[start : max(end, start + 1)]
        top = LANE // 2 - round(float(part.max(initial=0.0)) * scale)
        bottom = LANE // 2 - round(float(part.min(initial=0.0)) * scale)
        lane[top : bottom + 1, column] = colour
    return lane


def onsets(wave: np.ndarray) -> list[float]:
    """Times of strikes, in seconds: the energy of 10 ms is far above that of the 50 ms before."""
    count = len(wave) // _ONSET_HOP
    energy = (wave[: count * _ONSET_HOP].astype(np.float64).reshape(count, _ONSET_HOP) ** 2).mean(axis=1)
    least = max(_ONSET_LEAST * float(energy.max(initial=0.0)), 1e-8)
    found: list[float] = []
    for index in range(count):
        before = energy[max(index - 5, 0) : index]
        rises = energy[index] > _ONSET_RISE * float(before.mean() if len(before) else 0.0)
        time = index * _ONSET_HOP / TRACK_RATE
        if energy[index] > least and rises and (not found or time - found[-1] > _ONSET_REST):
            found.append(time)
    return found


def _tile(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    size = (_TILE, max(1, math.floor(height * _TILE / width + 0.5)))
    tile = np.array(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC))
    tile[:, -_SEAM:] = 255
    return tile


def _draw_loudness(lane: np.ndarray, levels: np.ndarray) -> None:
    """A line above the middle, through each frame's value at the middle of its time."""
    columns = np.arange(lane.shape[1])
    middles = (np.arange(len(levels)) + 0.5) * len(columns) / len(levels)
    rows = LANE // 2 - np.round(np.interp(columns, middles, levels) * (LANE / 2 - 1)).astype(int)
    lane[rows, columns] = LOUDNESS


def _draw_onsets(lane: np.ndarray, times: Sequence[float], seconds: float) -> None:
    for time in times:
        lane[:, min(int(time / seconds * lane.shape[1]), lane.shape[1] - 1)] = ONSET


def _named(picture: np.ndarray, first_lane: int, colours: Mapping[str, tuple[int, int, int]]) -> np.ndarray:
    """The picture with the tracks' names on its left."""
    sheet = Image.fromarray(np.pad(picture, [(0, 0), (MARGIN, 0), (0, 0)], constant_values=255))
    draw = ImageDraw.Draw(sheet)
    for number, (name, colour) in enumerate(colours.items()):
        draw.text((4, first_lane + number * LANE + LANE // 2 - 6), name, fill=colour)
    return np.asarray(sheet)
