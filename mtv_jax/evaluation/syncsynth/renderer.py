"""Grey mouths that open with a voice, for fitting SyncSynth.

The renderer shares no code, shape or seed with the theatre, so that the network cannot learn how the theatre draws.
Each example has its own face, mouth, light, blur and noise. The open mouth is dark; its surroundings may be dark too.
"""

from dataclasses import dataclass

import numpy as np

from mtv_jax.evaluation.syncsynth.voice import babble
from mtv_jax.models.syncsynth import SIDE
from mtv_jax.names import TRACK_RATE

_GRID = (np.arange(SIDE, dtype=np.float32) + 0.5) * 2 / SIDE - 1  # -1..1 from edge to edge
_EDGE = 1.2 / SIDE  # half the width over which a shape fades


@dataclass(frozen=True)
class Example:
    """A clip: pictures uint8 [F, SIDE, SIDE], sound float32 [s] at 16 kHz, and the mouth's opening, [F] in 0..1."""

    pictures: np.ndarray
    wave: np.ndarray
    opening: np.ndarray


@dataclass(frozen=True)
class _Mouth:
    """In units of half a picture: middle, half width, height when wide open, and the share that goes down."""

    x: float
    y: float
    half_width: float
    height: float
    jaw: float
    roundness: float
    lip: float


def render_example(seed: int, index: int, num_frames: int = 25, fps: float = 12.0) -> Example:
    """Example `index` of `seed`: the same bytes each time."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
    wave, loudness = babble(rng, round(num_frames * TRACK_RATE / fps))
    opening = _opening(rng, loudness, num_frames)
    pictures = _light(rng, _face(rng, opening))
    wave = wave * 10 ** rng.uniform(-1.5, 0.0)
    hum = np.abs(wave).max() * 10 ** rng.uniform(-5, -1.5) * rng.standard_normal(len(wave))
    return Example(pictures, (wave + (rng.random() < 0.6) * hum).astype(np.float32), opening)


def _opening(rng: np.random.Generator, loudness: np.ndarray, num_frames: int) -> np.ndarray:
    """Loudness of each frame after a power, smoothing, errors, scaling and clipping, all random: [F] in 0..1."""
    edges = np.linspace(0, len(loudness), num_frames + 1).astype(int)
    power = np.diff(np.concatenate([[0.0], np.cumsum(loudness**2)])[edges]) / np.diff(edges)
    level = np.sqrt(power) ** rng.uniform(0.4, 1.1)
    side = rng.uniform(0, 0.25) * (rng.random() < 0.6)
    padded = np.pad(level, 1, mode="edge")
    level = side * padded[:-2] + (1 - 2 * side) * level + side * padded[2:]
    # Generated lips follow only roughly; without errors here, the score would fall faster than theirs grow.
    level = level + rng.uniform(0, 0.25) * level.max() * rng.standard_normal(num_frames)
    return np.clip(level * rng.uniform(0.5, 1.2), 0, 1)


def _face(rng: np.random.Generator, opening: np.ndarray) -> np.ndarray:
    """The picture without light, blur and noise: float32 [F, SIDE, SIDE], about 0..1."""
    frames = len(opening)
    skin, inside = rng.uniform(0.28, 1.0), rng.uniform(0.0, 0.15)
    dx, dy = (rng.uniform(0, 0.12) * _wander(rng, frames) for _ in range(2))
    picture = np.zeros((frames, SIDE, SIDE), np.float32) + _background(rng)
    head = (rng.uniform(0.75, 1.3), rng.uniform(1.0, 1.6))
    middle = rng.uniform(0.65, 1.2) - head[1]
    _paint(picture, _blob(dx, middle + dy, *head, rng.uniform(2, 4)), skin)
    picture *= 1 + rng.uniform(-0.2, 0.2) * _GRID + rng.uniform(-0.2, 0.2) * _GRID[:, None]
    mouth = _draw(rng)
    _features(rng, picture, mouth, (dx, dy), skin)
    _mouth(rng, picture, mouth, (dx, dy), opening, (skin, inside))
    return picture


def _draw(rng: np.random.Generator) -> _Mouth:
    return _Mouth(
        x=rng.uniform(-0.15, 0.15),
        y=rng.uniform(-0.25, 0.3),
        half_width=rng.uniform(0.25, 0.75),
        height=rng.uniform(0.25, 0.8),
        jaw=rng.uniform(0.4, 0.95),
        roundness=rng.uniform(1.4, 4.0),
        lip=rng.uniform(0.0, 0.16),
    )


def _mouth(
    rng: np.random.Generator,
    picture: np.ndarray,
    mouth: _Mouth,
    place: tuple[np.ndarray, np.ndarray],
    opening: np.ndarray,
    levels: tuple[float, float],
) -> None:
    """Lips, the dark inside, and sometimes teeth and a tongue within it."""
    skin, inside = levels
    x, half = mouth.x + place[0], mouth.height * opening / 2
    y = mouth.y + place[1] + half * (2 * mouth.jaw - 1)
    width = mouth.half_width * (1 - rng.uniform(0, 0.4) * opening)
    lips = _blob(x, y, width + mouth.lip, half + mouth.lip, mouth.roundness)
    _paint(picture, lips, float(np.clip(skin + rng.uniform(-0.35, 0.2), inside + 0.12, 1)))
    hole = _blob(x, y, width, half, mouth.roundness)
    _paint(picture, hole, inside)
    if rng.random() < 0.3:
        _paint(picture, hole * (_GRID[:, None] < (y - 0.6 * half)[:, None, None]), rng.uniform(0.5, 1))
    if rng.random() < 0.3:
        tongue = _blob(x, y + 0.6 * half, 0.6 * width, 0.5 * half, 2.0)
        _paint(picture, hole * tongue, inside + rng.uniform(0.05, 0.2))


def _features(
    rng: np.random.Generator,
    picture: np.ndarray,
    mouth: _Mouth,
    place: tuple[np.ndarray, np.ndarray],
    skin: float,
) -> None:
    """Features that follow nothing: eyes that blink, a nose, a beard, a collar."""
    dx, dy = place
    if rng.random() < 0.6:
        lids, y = _blinks(rng, len(dx)), rng.uniform(-1.0, -0.5)
        apart, size = rng.uniform(0.3, 0.6), rng.uniform(0.08, 0.2)
        for side in (-1, 1):
            _paint(
                picture, _blob(dx + side * apart, dy + y, size * 1.4, size * lids, 2.0), rng.uniform(0.7, 1)
            )
            _paint(picture, _blob(dx + side * apart, dy + y, size / 2, size * lids * 0.8, 2.0), 0.1)
    if rng.random() < 0.6:
        shape = (rng.uniform(0.06, 0.2), rng.uniform(0.06, 0.15))
        _paint(picture, _blob(dx, dy + mouth.y - rng.uniform(0.3, 0.5), *shape, 2.0), 0.85 * skin)
    if rng.random() < 0.2:
        y = mouth.y + rng.choice([-1, 1]) * (mouth.lip + rng.uniform(0.1, 0.2))
        _paint(picture, _blob(dx + mouth.x, dy + y, mouth.half_width, 0.12, 3.0), rng.uniform(0, 0.5))
    if rng.random() < 0.6:
        _paint(picture, _blob(0 * dx, 0 * dy + 1.3, rng.uniform(0.7, 1.5), 0.4, 3.0), rng.uniform(0, 1))


def _background(rng: np.random.Generator) -> np.ndarray:
    """A slope, stripes, or a dark block at one side: [SIDE, SIDE]."""
    x, y = _GRID, _GRID[:, None]
    plain = rng.uniform(0, 1) + rng.uniform(-0.4, 0.4) * x + rng.uniform(-0.4, 0.4) * y
    if rng.random() < 0.4:
        turn, rate = rng.uniform(0, np.pi), rng.uniform(2, 12)
        plain = plain + rng.uniform(0, 0.3) * np.sin(rate * (np.cos(turn) * x + np.sin(turn) * y))
    if rng.random() < 0.4:
        beyond = rng.choice([-1, 1]) * x + 0 * y > rng.uniform(0.5, 0.9)
        plain = np.where(beyond, rng.uniform(0, 1), plain)
    return plain.astype(np.float32)


def _light(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """The picture as from a camera: contrast, changing light, blur and noise, rounded to uint8."""
    frames = len(picture)
    light = (
        1 + rng.uniform(0, 0.12) * _wander(rng, frames) + rng.uniform(0, 0.015) * rng.standard_normal(frames)
    )
    picture = rng.uniform(0.5, 1) * picture * light[:, None, None] + rng.uniform(0, 0.15)
    for _ in range(int(rng.integers(0, 3))):
        picture = _soften(_soften(picture, 1), 2)
    picture = picture + rng.uniform(0, 0.03) * rng.standard_normal(picture.shape)
    return np.clip(np.rint(255 * picture), 0, 255).astype(np.uint8)


def _soften(picture: np.ndarray, axis: int) -> np.ndarray:
    """The mean with both neighbours, of weights 1, 2, 1."""
    pad = [(1, 1) if i == axis else (0, 0) for i in range(3)]
    padded = np.pad(picture, pad, mode="edge")
    size = picture.shape[axis]
    before, after = (np.take(padded, np.arange(k, k + size), axis) for k in (0, 2))
    return (before + 2 * picture + after) / 4


def _blob(x: np.ndarray, y: np.ndarray, width: object, height: object, power: float) -> np.ndarray:
    """How much of each pixel is within |dx / width|^power + |dy / height|^power < 1: [F, SIDE, SIDE].

    `width` and `height` are half sizes, numbers or [F]; a height of 0 is nothing.
    """
    wide, high = (np.maximum(np.broadcast_to(size, x.shape), 1e-3)[:, None, None] for size in (width, height))
    across = np.abs((_GRID - x[:, None, None]) / wide) ** power
    reach = high * np.clip(1 - across, 0, 1) ** (1 / power)
    inside = reach - np.abs(_GRID[:, None] - y[:, None, None])
    # A shape lower than a pixel covers part of it.
    return np.minimum(np.clip(0.5 + inside / (2 * _EDGE), 0, 1), reach / _EDGE)


def _paint(picture: np.ndarray, cover: np.ndarray, level: float) -> None:
    picture += cover * (level - picture)


def _wander(rng: np.random.Generator, frames: int) -> np.ndarray:
    """A slow path within -1..1, [F]."""
    knots = rng.uniform(-1, 1, 2 + frames // 8)
    return np.interp(np.linspace(0, len(knots) - 1, frames), np.arange(len(knots)), knots)


def _blinks(rng: np.random.Generator, frames: int) -> np.ndarray:
    """1 open, 0 shut, [F]."""
    lids = np.ones(frames)
    for start in rng.integers(0, frames, int(rng.integers(0, 3))):
        lids[start : start + 2] = 0.1
    return lids
