"""A video as metrics see it: its files are decoded once, when they are first asked for."""

from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from mtv_jax.evaluation.videos.manifest import Item
from mtv_jax.io.audio import Recording, read_recording
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file, sha256
from mtv_jax.io.rates import Number, exact_fps
from mtv_jax.io.video import iter_frames, probe
from mtv_jax.typing import Float, UInt8


class Clip:
    """A video with its sound and prompt. Attributes raise UserError where a file cannot be read."""

    def __init__(self, item: Item):
        self.item = item

    @property
    def prompt(self) -> str:
        """What it was generated from. Raises UserError if that is not known."""
        if not self.item.prompt.strip():
            raise UserError(f"{self.item.id}: has no prompt; give one in the manifest")
        return self.item.prompt

    @cached_property
    def fps(self) -> Fraction:
        """Frames a second of the file, on average."""
        return probe(self.item.video).fps

    @cached_property
    def frames(self) -> UInt8[np.ndarray, "F H W 3"]:
        """All frames at `fps`."""
        return self._read(self.fps)

    def frames_at(self, fps: Number) -> UInt8[np.ndarray, "F H W 3"]:
        """All frames at another rate: of each moment the one that is displayed then, by time stamps."""
        rate = exact_fps(fps)
        return self.frames if rate == self.fps else self._read(rate)

    def _read(self, rate: Fraction) -> UInt8[np.ndarray, "F H W 3"]:
        frames = list(iter_frames(self.item.video, fps=rate))
        if not frames:
            raise UserError(f"{self.item.video}: no frames")
        return np.stack(frames)

    @cached_property
    def recording(self) -> Recording:
        """Its sound: that of the manifest, or the video's own."""
        return read_recording(self.sound_file)

    @property
    def sound_file(self) -> Path:
        """The file with its sound."""
        return self.item.audio or self.item.video

    def sound(self, sample_rate: int) -> Float[np.ndarray, "s"]:
        """Its sound in mono."""
        return self.recording.mono(sample_rate)

    @property
    def channels(self) -> tuple[Float[np.ndarray, "s c"], int]:
        """Its sound as the file has it, and its sample rate."""
        return self.recording.samples, self.recording.sample_rate

    @cached_property
    def sha256(self) -> str:
        """Of the video file."""
        return _digest(self.item.video)

    @cached_property
    def content(self) -> str:
        """What a measurement of it depends on: hashes of picture and sound, and the prompt."""
        sound = _digest(self.item.audio) if self.item.audio else ""
        return f"{self.sha256} {sound} {self.item.prompt}"


def _digest(path: Path) -> str:
    """SHA-256 of a file. Raises UserError if it cannot be read."""
    try:
        return sha256(existing_file(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
