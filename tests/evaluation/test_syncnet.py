"""The pipeline of SyncNet from frames and sound to a score, with a detector and towers whose answers are known."""

import numpy as np
import pytest

from mtv_jax.evaluation.metrics.sync import SyncFailure, SyncScore
from mtv_jax.evaluation.syncnet import BATCH, Towers, embed_video, read_frames, score
from mtv_jax.faces.tracks import Face
from mtv_jax.io.video import write_video

pytest.importorskip("cv2")
pytest.importorskip("scenedetect")

FRAMES, RATE = 70, 16_000
SPEAKER, LISTENER = np.array([40.0, 30, 80, 70]), np.array([140.0, 30, 180, 70])
OPENING = np.random.default_rng(0).uniform(0, 1, FRAMES + 20)
"""How far the mouth is open in each frame."""
QUIET = 17.5
"""Logarithm of the energy in a frame of sound with the mouth closed."""


def mouths(late: int) -> np.ndarray:
    """A speaker whose brightness follows `OPENING`, and a listener of constant brightness.

    The picture is so wide that a flash of the speaker is no cut.
    """
    frames = np.full((FRAMES, 100, 400, 3), 90, np.uint8)
    frames[:, :, :100] = np.round(255 * OPENING[10 - late : 10 - late + FRAMES, None, None, None])
    return frames


def voice() -> np.ndarray:
    """Noise whose energy in each frame follows `OPENING`."""
    noise = np.random.default_rng(1).normal(size=(FRAMES, RATE // 25)) * 0.01
    return (noise * np.exp(2 * OPENING[10 : 10 + FRAMES, None])).ravel().astype(np.float32)


class Faces:
    """A detector that finds faces at fixed places."""

    def __init__(self, *boxes):
        self.boxes = boxes

    def find(self, picture):
        return [Face(box, None, 1.0) for box in self.boxes]


def brightness(frames: np.ndarray) -> np.ndarray:
    """Of five successive pictures: the mean opening."""
    values = frames[0].mean((1, 2, 3)) / 255
    means = np.convolve(values, np.ones(5) / 5, "valid")
    return np.stack([means, 0 * means], axis=1)[None] * 10


def loudness(windows: np.ndarray) -> np.ndarray:
    """Of the sound of five frames: the mean opening, by the logarithm of the energy."""
    means = (windows[:, 0].mean(1) - QUIET) / 4
    return np.stack([means, 0 * means], axis=1) * 10


KNOWN = Towers(brightness, loudness)


@pytest.mark.parametrize("late", [-3, 0, 5])
def test_pictures_that_are_late_have_that_offset_and_the_speaker_is_found(late):
    found = score(mouths(late), voice(), KNOWN, Faces(LISTENER, SPEAKER))
    assert isinstance(found, SyncScore)
    assert (found.valid.offset, found.padded.offset) == (late, late)
    assert (found.frames, found.faces, found.short) == (FRAMES, 2, True)
    alone = score(mouths(late), voice(), KNOWN, Faces(SPEAKER))
    assert isinstance(alone, SyncScore)
    assert (alone.padded, alone.faces) == (found.padded, 1)


class Late:
    """A detector that finds the speaker from the frame `first` on."""

    def __init__(self, first: int):
        self.left = first

    def find(self, picture):
        self.left -= 1
        return [Face(SPEAKER, None, 1.0)] if self.left < 0 else []


def test_a_face_that_appears_late_is_compared_with_its_part_of_the_sound():
    found = score(mouths(2), voice(), KNOWN, Late(20))
    assert isinstance(found, SyncScore)
    assert (found.valid.offset, found.frames) == (2, FRAMES - 20)


def test_a_face_at_the_same_place_in_two_shots_is_two_faces():
    """Where the first shot ends, the background changes: the second one is longer, and in time on its own."""
    frames = mouths(2)
    frames[:30, :, 100:] = (200, 40, 40)
    found = score(frames, voice(), KNOWN, Faces(SPEAKER))
    assert isinstance(found, SyncScore)
    assert (found.valid.offset, found.frames, found.faces) == (2, 40, 1)
    frames[50:, :, 100:] = (40, 40, 200)
    assert score(frames, voice(), KNOWN, Faces(SPEAKER)) == SyncFailure("too short")


def test_what_cannot_be_scored_says_why():
    frames, sound = mouths(0), voice()
    assert score(frames, sound, KNOWN, Faces()) == SyncFailure("no face")
    assert score(frames, 0 * sound, KNOWN, Faces(SPEAKER)) == SyncFailure("no sound")
    assert score(frames[:35], sound, KNOWN, Faces(SPEAKER)) == SyncFailure("too short")
    assert score(frames, sound[: 35 * 640], KNOWN, Faces(SPEAKER)) == SyncFailure("too short")
    assert isinstance(score(frames[:36], sound, KNOWN, Faces(SPEAKER)), SyncScore)


def test_batches_have_one_size_and_do_not_change_the_embeddings():
    pictures = np.random.default_rng(2).integers(0, 255, (BATCH + 9, 8, 8, 3), np.uint8)
    sizes = set()

    def seen(frames):
        sizes.add(frames.shape[:2])
        return brightness(frames)

    found = embed_video(pictures, Towers(seen, loudness))
    np.testing.assert_allclose(found, brightness(pictures[None].astype(np.float32))[0], rtol=1e-5)
    assert sizes == {(1, BATCH + 4)}


def test_a_file_is_read_at_25_frames_a_second(tmp_path):
    frames = (
        np.repeat(np.arange(49, dtype=np.uint8)[:, None, None, None] * 5, 64, 1).repeat(64, 2).repeat(3, 3)
    )
    write_video(tmp_path / "a.mp4", frames, 24, audio=np.zeros(100, np.float32), sample_rate=RATE)
    found = read_frames(tmp_path / "a.mp4")[:, 0, 0, 0].astype(float)
    assert len(found) == 51
    np.testing.assert_allclose(found, 5 * np.minimum(np.round(np.arange(51) * 24 / 25 - 1e-6), 48), atol=2)
    silence = np.zeros(RATE, np.float32)
    assert score(read_frames(tmp_path / "a.mp4"), silence, KNOWN, Faces(SPEAKER)) == SyncFailure("no sound")
