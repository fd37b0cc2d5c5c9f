"""Names of tracks, subsets and samplers, and rates of sound. Imports no package, so that commands start fast."""

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


def control_tracks(num_speakers: int) -> tuple[str, ...]:
    """The tracks that a model of so many speakers takes; those of further speakers are `speech2`, `speech3`, ..."""
    return (TRACKS[0], *(f"{TRACKS[0]}{i}" for i in range(2, num_speakers + 1)), *TRACKS[1:])


def track_kind(name: str) -> str:
    """Which of `TRACKS` a track is of: that of every speaker is `speech`."""
    return name.rstrip("0123456789")
