"""Names of tracks, subsets and samplers, and rates of sound. Imports no package, so that commands start fast."""

import re
from typing import Literal, get_args

TRACKS = ("speech", "effects", "music")
"""What a mix is separated into, and what steers a video."""

TRACK_RATE = 16_000
"""Samples a second of a track, Hz: what every audio encoder here takes."""

VIDEO_SOUND_RATE = 48_000
"""Samples a second of the sound in a video, Hz."""

SUBSETS = ("basic_face", "single_character", "multiple_characters", "sound_event", "visual_mood")
"""The five subsets of DEMIX, in the order in which they are trained (MTV section 3)."""


SamplerName = Literal["ddpm", "ddim", "dpm++"]
SAMPLERS: tuple[str, ...] = get_args(SamplerName)
"""The samplers of `mtv_jax.diffusion.samplers`."""

LayoutName = Literal["auto", "lr", "td", "grid", "stereo"]
LAYOUT_NAMES: tuple[LayoutName, ...] = get_args(LayoutName)
"""Where Maestro's sources are seen of which it is not said (`mtv_jax.pipelines.maestro.layout`)."""

MaestroPreset = Literal["paper", "released"]
MAESTRO_PRESETS: tuple[MaestroPreset, ...] = get_args(MaestroPreset)
"""Whose Attention Mosaic: the paper's, or that of the code which its authors released."""


PERSON = "Person"
"""Prompts call the participants `Person1`, `Person2`, ... (MTV section 4.3); a request calls their tracks
`speech:Person1`, `speech:Person2`, ..."""

_SPEAKER = re.compile(rf"{TRACKS[0]}:{PERSON}([1-9][0-9]*)")
_SPEECH = re.compile(rf"{TRACKS[0]}([2-9]|[1-9][0-9]+)?")


def control_tracks(num_speakers: int) -> tuple[str, ...]:
    """The tracks that a model of so many speakers takes; those of further speakers are `speech2`, `speech3`, ..."""
    return (*(speech_track(person) for person in range(1, num_speakers + 1)), *TRACKS[1:])


def track_kind(name: str) -> str:
    """Which of `TRACKS` a track is of: that of every speaker is `speech`."""
    return name.rstrip("0123456789")


def speech_track(person: int) -> str:
    """The track of the speaker that a prompt calls `Person<person>`, from 1: `speech`, `speech2`, `speech3`, ..."""
    return TRACKS[0] if person == 1 else f"{TRACKS[0]}{person}"


def person_of(track: str) -> int | None:
    """Number of the speaker whose track it is (the inverse of `speech_track`); None for a track of another kind."""
    found = _SPEECH.fullmatch(track)
    return None if found is None else int(found[1] or 1)


def track_name(name: str) -> str | None:
    """The track that a request calls `name`: `speech2` for `speech:Person2`; a name without a colon is a track's own.

    None for another name with a colon, such as `speech:Bob` or `effects:Person1`.
    """
    if ":" not in name:
        return name
    found = _SPEAKER.fullmatch(name)
    return None if found is None else speech_track(int(found[1]))


def track_label(track: str) -> str:
    """A track as requests call it: `speech:Person2` for `speech2`; other kinds keep their names."""
    person = person_of(track)
    return track if person is None else f"{TRACKS[0]}:{PERSON}{person}"
