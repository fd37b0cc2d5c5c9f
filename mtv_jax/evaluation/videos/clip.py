"""A video as metrics see it: its files are decoded once, when they are first asked for."""

from collections.abc import Collection
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from mtv_jax.evaluation.videos.manifest import Item
from mtv_jax.io.audio import Recording, fit_length, read_audio, read_recording
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file, sha256
from mtv_jax.io.video import probe, read_video
from mtv_jax.names import TRACK_RATE, TRACKS
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
        return read_video(self.item.video, fps=self.fps)[0]

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

    def track(self, name: str) -> Float[np.ndarray, "s"] | None:
        """A separate track of the manifest in mono at `TRACK_RATE`, as long as the video; None without one."""
        if name not in self.item.tracks:
            return None
        return fit_length(read_audio(self.item.tracks[name], TRACK_RATE), self.num_samples)

    @property
    def num_samples(self) -> int:
        """Of sound at `TRACK_RATE`, for the length of the pictures."""
        return round(len(self.frames) * TRACK_RATE / self.fps)

    @cached_property
    def _heard(self) -> str:
        """Hashes of the sound, if it is another file's, and of the tracks."""
        files = [self.item.audio, *(self.item.tracks.get(name) for name in TRACKS)]
        return " ".join(_digest(file) if file else "-" for file in files)

    def content(self, needs: Collection[str]) -> str:
        """What a measurement depends on that needs these beside the picture (`VideoMetric.needs`).

        A metric of the picture alone is not computed again where only sounds or the prompt are others.
        """
        heard = self._heard if {"sound", "tracks"} & set(needs) else ""
        prompt = self.item.prompt if "prompt" in needs else ""
        return f"{self.sha256} {heard} {prompt}"


def _digest(path: Path) -> str:
    """SHA-256 of a file. Raises UserError if it cannot be read."""
    try:
        return sha256(existing_file(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
