"""The three tracks that steer a video, and the sound that goes with it."""

import dataclasses
import os

import numpy as np

from mtv_jax.audio.demix import DEFAULT_DEMIXER, demix
from mtv_jax.audio.loudness import normalize_speech
from mtv_jax.io.audio import audio_info, fit_length, read_audio, read_stereo, resample
from mtv_jax.io.errors import UserError
from mtv_jax.typing import TRACK_RATE, VIDEO_SOUND_RATE, control_tracks

_PEAK = 0.99
_Path = str | os.PathLike


@dataclasses.dataclass(frozen=True)
class Tracks:
    """Speech, effects and music, each mono float32 [s] at 16 kHz, and (but for `load_tracks(pad=False)`) one length.

    `speech2` is the second speaker's, for a model of two.
    """

    speech: np.ndarray
    effects: np.ndarray
    music: np.ndarray
    speech2: np.ndarray | None = None

    @property
    def mix(self) -> np.ndarray:
        """The sum of the tracks, float32 [s]."""
        first, *others = (samples for _, samples in self.items())
        return sum(others, start=first)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.speech) / TRACK_RATE

    def items(self) -> list[tuple[str, np.ndarray]]:
        """Name and samples of each track."""
        names = control_tracks(1 if self.speech2 is None else 2)
        return [(name, getattr(self, name)) for name in names]


def load_tracks(
    *,
    speech: _Path | None = None,
    effects: _Path | None = None,
    music: _Path | None = None,
    speech2: _Path | None = None,
    audio: _Path | None = None,
    demixer: str = DEFAULT_DEMIXER,
    num_speakers: int = 1,
    start: float = 0.0,
    duration: float | None = None,
    pad: bool = True,
    normalize_loudness: bool = False,
) -> Tracks:
    """Reads tracks, or separates a mix. A track that is not given is silence.

    Args:
      speech, effects, music, speech2: a sound file each; the last is a second speaker's.
      audio: one mixed file instead, separated by `demixer`; all of its speech is the first speaker's.
      demixer: a name in `audio.demix.DEMIXERS`.
      num_speakers: with 2 there is a `speech2` in the result.
      start: seconds to skip in every file.
      duration: seconds of the result, cut or padded with silence. None: the longest track's length.
      pad: whether shorter tracks are padded with silence; otherwise each has the length of its file.
      normalize_loudness: whether speech is brought to one level (`mtv_jax.audio.loudness`).

    Returns:
      Tracks of one length, unless told otherwise.

    Raises:
      UserError: a file is bad; both a mix and tracks; nothing given and no `duration`; `speech2` for one speaker.
    """
    given = _given(speech, effects, music, speech2, audio)
    if speech2 is not None and num_speakers < 2:
        raise UserError(f"speech2 {os.fspath(speech2)}: this model has one speaker; mix both into speech")
    if audio is not None:
        tracks = _separated(audio, demixer, start, duration)
    else:
        tracks = {k: read_audio(p, TRACK_RATE, start=start, duration=duration) for k, p in given.items()}
    if normalize_loudness:
        mix = np.sum(list(tracks.values()), axis=0) if audio is not None else None
        for name in tracks.keys() & {"speech", "speech2"}:
            tracks[name] = normalize_speech(tracks[name], TRACK_RATE, mix)
    if not tracks and duration is None:
        raise UserError("no sound: give speech, effects, music or audio, or a duration for silence")
    longest = max((len(samples) for samples in tracks.values()), default=0)
    length = longest if duration is None else round(duration * TRACK_RATE)
    silence = np.zeros(0, np.float32)
    own = {} if pad else tracks
    return Tracks(
        **{
            name: own[name] if name in own else fit_length(tracks.get(name, silence), length)
            for name in control_tracks(num_speakers)
        }
    )


def read_mix(
    *,
    speech: _Path | None = None,
    effects: _Path | None = None,
    music: _Path | None = None,
    speech2: _Path | None = None,
    audio: _Path | None = None,
    sample_rate: int = VIDEO_SOUND_RATE,
    start: float = 0.0,
    duration: float | None = None,
) -> np.ndarray:
    """The sound to put beside the video: the mixed file as it is, or the sum of the tracks, in stereo.

    Takes the same files as `load_tracks`, but reads them at full rate. Where the peak would pass full
    scale the whole sound is turned down to 0.99, so it is never clipped and its dynamics stay.

    Returns:
      float32 [s, 2] at `sample_rate`; with `duration`, exactly that long (padded with silence).

    Raises:
      UserError: as `load_tracks`.
    """
    given = _given(speech, effects, music, speech2, audio)
    if not given and duration is None:
        raise UserError("no sound: give speech, effects, music or audio, or a duration for silence")
    sounds = [read_stereo(path, sample_rate, start=start, duration=duration) for path in given.values()]
    longest = max((len(sound) for sound in sounds), default=0)
    length = longest if duration is None else round(duration * sample_rate)
    mix = sum((fit_length(sound, length) for sound in sounds), start=np.zeros((length, 2), np.float32))
    peak = float(np.abs(mix).max(initial=0))
    return mix * np.float32(_PEAK / peak) if peak > 1 else mix


def _given(
    speech: _Path | None,
    effects: _Path | None,
    music: _Path | None,
    speech2: _Path | None,
    audio: _Path | None,
) -> dict[str, _Path]:
    tracks = {"speech": speech, "speech2": speech2, "effects": effects, "music": music}
    tracks = {name: path for name, path in tracks.items() if path is not None}
    if audio is None:
        return tracks
    if tracks:
        raise UserError(f"audio and {' and '.join(tracks)}: give one mixed file or separate tracks, not both")
    return {"audio": audio}


def _separated(audio: _Path, demixer: str, start: float, duration: float | None) -> dict[str, np.ndarray]:
    """Tracks of a part of a file, float32 [s] at 16 kHz; the whole file is separated, so that it has its context."""
    rate = audio_info(audio).sample_rate
    first = round(start * rate)
    last = None if duration is None else first + round(duration * rate)
    tracks = demix(read_audio(audio, rate), rate, demixer, end=last).tracks
    return {name: resample(track[first:last], rate, TRACK_RATE) for name, track in tracks.items()}
