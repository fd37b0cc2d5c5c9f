"""What figures are about: the one table of ids, English names, units and targets.

Code refers to a figure by its id and never by its English name. An id keeps its meaning for ever, since reports that
were written with it are compared; a name may be reworded.
"""

import difflib
from dataclasses import dataclass

from mtv_jax.io.errors import UserError


@dataclass(frozen=True)
class Claim:
    """What a figure measures.

    Attributes:
      id: stable; a group and a name, such as `lips.correlation`.
      statement: what holds if the figure is good; figures of one statement are shown together.
      name: the figure, in English.
      unit: of its value, if it has one.
      target: value to be reached; without one the figure is only reported.
      at_most: whether the absolute value must be at most the target, rather than the value at least that.
    """

    id: str
    statement: str
    name: str
    unit: str = ""
    target: float | None = None
    at_most: bool = False

    @property
    def label(self) -> str:
        """Name and unit."""
        return f"{self.name}, {self.unit}" if self.unit else self.name


LIPS = "speech moves the speaker's lips"
OTHER_HEAD = "only the speaker's"
EVENTS = "effects trigger events"
MOOD = "music sets the mood"
LEAKS = "tracks do not leak"
LOOKS = "text decides the look"
SYNC = "lips are in time with the speech (SyncSynth)"
SYNC_NET = "lips are in time with the speech (SyncNet)"
FVD = "videos are distributed like real ones (FVD)"
AV_ALIGN = "sounds begin when something moves (AV-Align)"
TEMP_C = "neighbouring frames are alike (Temp-C)"
AUDIO_C = "sounds fit their videos (Audio-C)"
IA = "frames fit their sound (IA)"
STEADY = "pictures move without flicker"
TEXT_C = "videos show what their text says (Text-C)"

PLACES = "each source stands in its box"
TIMES = "a source is seen to sound when it does"

SYNC_SHIFTS = (-3, -2, -1, 0, 1, 2, 3)
"""Frames by which pictures are taken to be late for the figures `sync_confidence`."""


def sync_confidence(shift: int) -> str:
    """The id of SyncSynth's confidence where pictures are taken to be `shift` frames late."""
    if shift == 0:
        return "sync.confidence"
    return f"sync.confidence_{abs(shift)}_{'late' if shift > 0 else 'early'}"


def leak(track: str, changed: str) -> str:
    """The id of how much what belongs to `track` moves when `changed` changes."""
    return f"leaks.{track}_by_{changed}"


def _mood(part: str) -> tuple[Claim, ...]:
    control = f"control: {part} under another clip's music"
    return (
        Claim(f"mood.{part}", MOOD, f"rank correlation of {part}", target=0.90),
        Claim(f"mood.{part}_other_music", MOOD, control, target=0.10, at_most=True),
        Claim(
            f"mood.{part}_other_music_beyond_chance",
            MOOD,
            f"{control}, beyond chance",
            target=0.10,
            at_most=True,
        ),
    )


def _leaks(track: str) -> tuple[Claim, ...]:
    return tuple(
        Claim(
            leak(track, changed),
            LEAKS,
            f"{track} moves when {changed} changes, by its own effect",
            target=0.10,
            at_most=True,
        )
        for changed in ("speech", "effects", "music")
        if changed != track
    )


def _confidence(shift: int) -> Claim:
    late = f", pictures {shift:+d} frames late" if shift else ""
    return Claim(sync_confidence(shift), SYNC, f"confidence{late}")


_TABLE = (
    Claim("lips.correlation", LIPS, "correlation with loudness", target=0.85),
    Claim(
        "lips.bound",
        OTHER_HEAD,
        "share of several speakers whose lips follow their own track best",
        target=0.90,
    ),
    Claim("lips.exact_lag", LIPS, "share of clips whose lips follow best at lag 0", target=0.95),
    Claim("lips.lag", LIPS, "lag at which they follow best", unit="frames"),
    Claim("lips.other_speech", LIPS, "control: another clip's speech", target=0.10, at_most=True),
    Claim("lips.without_speech", LIPS, "control: widest opening without speech", target=0.10, at_most=True),
    Claim("lips.opening_error", LIPS, "mean error of the opening", unit="of 1"),
    Claim("other_head.correlation", OTHER_HEAD, "correlation of the other head", target=0.15, at_most=True),
    Claim("other_head.opening", OTHER_HEAD, "widest opening of the other head"),
    Claim("events.f1", EVENTS, "F1 within a frame", target=0.90),
    Claim("events.f1_exact", EVENTS, "F1 in the very frame", target=0.90),
    Claim("events.chance", EVENTS, "chance: events of other clips"),
    # Its target is the upper end of what chance gives on the same clips.
    Claim("events.other_effects", EVENTS, "control: another clip's effects", at_most=True),
    Claim(
        "events.without_effects",
        EVENTS,
        "control: strikes a clip without effects",
        target=0.10,
        at_most=True,
    ),
    *_mood("hue"),
    *_mood("brightness"),
    Claim("mood.valence", MOOD, "valence, by hue"),
    Claim("mood.energy", MOOD, "energy, by brightness"),
    *(row for track in ("speech", "effects", "music") for row in _leaks(track)),
    Claim("looks.correct", LOOKS, "counts and colours right", target=0.95),
    Claim("looks.other_text", LOOKS, "control: another clip's text"),
    Claim(
        "looks.other_text_beyond_chance",
        LOOKS,
        "control: another clip's text, beyond chance",
        target=0.10,
        at_most=True,
    ),
    Claim("objects.accuracy", PLACES, "share of boxes with the right thing", target=0.80),
    Claim("objects.all_right", PLACES, "share of clips with all boxes right"),
    Claim("objects.overlap", PLACES, "overlap of things with their boxes (IoU)"),
    Claim("objects.other_boxes", PLACES, "boxes exchanged: share with the right thing", target=0.80),
    Claim("objects.other_sounds", PLACES, "control: another clip's sounds", target=0.10, at_most=True),
    Claim(
        "objects.other_sounds_followed",
        PLACES,
        "another clip's sounds: share with *their* things",
        target=0.80,
    ),
    Claim("objects.silence", PLACES, "control: silence"),
    Claim("objects.changes_f1", TIMES, "F1 of beginnings and ends within a frame"),
    Claim("objects.changes_exact", TIMES, "F1 of beginnings and ends in the very frame"),
    Claim("objects.changes_of_others", TIMES, "control: those of the clip's other things"),
    Claim("objects.brightness", TIMES, "rank correlation of loudness and brightness"),
    Claim("objects.size", TIMES, "rank correlation of loudness and size"),
    Claim("objects.brightness_of_sounding", TIMES, "of loudness and brightness where it sounds and is seen"),
    Claim("objects.size_of_sounding", TIMES, "of loudness and size where it sounds and is seen"),
    Claim("sync.significant", SYNC, "p < 0.01", target=0.95),
    Claim("sync.frozen", SYNC, "control: frozen, p < 0.01", target=0.05, at_most=True),
    Claim("sync.other_speech", SYNC, "control: another clip's speech, p < 0.01", target=0.05, at_most=True),
    Claim("sync.without_speech", SYNC, "control: made without speech, p < 0.01", target=0.05, at_most=True),
    *(_confidence(shift) for shift in SYNC_SHIFTS),
    Claim("sync.syncnet_c", SYNC_NET, "Sync-C, as published"),
    Claim("sync.syncnet_d", SYNC_NET, "Sync-D, as published", at_most=True),
    Claim("sync.syncnet_c_valid", SYNC_NET, "Sync-C, without padding"),
    Claim("sync.syncnet_d_valid", SYNC_NET, "Sync-D, without padding", at_most=True),
    Claim("sync.syncnet_offset", SYNC_NET, "mean size of the offset", unit="frames of 40 ms", at_most=True),
    Claim("sync.syncnet_short", SYNC_NET, "scored on fewer than 100 frames", unit="videos", at_most=True),
    Claim("sync.syncnet_no_face", SYNC_NET, "not scored: no face", unit="videos", at_most=True),
    Claim("sync.syncnet_no_sound", SYNC_NET, "not scored: no sound", unit="videos", at_most=True),
    Claim("sync.syncnet_too_short", SYNC_NET, "not scored: faces too short", unit="videos", at_most=True),
    Claim("fvd.i3d_k400", FVD, "FVD", at_most=True),
    *(
        Claim(f"fvd.i3d_k400_{part}", FVD, f"FVD of {part.replace('_', ' ')} of the videos", at_most=True)
        for part in ("a_half", "a_quarter", "an_eighth")
    ),
    Claim("fvd.i3d_k400_frames", FVD, "frames of a video", unit="frames"),
    Claim("av_align.score", AV_ALIGN, "mean score"),
    Claim("av_align.without_events", AV_ALIGN, "videos without any event, which score 1", unit="videos"),
    Claim("av_align.score_v1", AV_ALIGN, "mean score of the version of 2023, which can be above 1"),
    Claim("temp_c.score", TEMP_C, "mean cosine of neighbouring frames' features", unit="%"),
    Claim("temp_c.frozen", TEMP_C, "videos without any change, which score 100", unit="videos", at_most=True),
    Claim("text_c.score", TEXT_C, "mean cosine of a video's and its text's features", unit="%"),
    Claim(
        "text_c.repeated", TEXT_C, "videos too short, whose frames were repeated", unit="videos", at_most=True
    ),
    Claim("text_c.cut", TEXT_C, "texts too long, whose end was not read", unit="videos", at_most=True),
    Claim("audio_c.score", AUDIO_C, "cosine of a video's and its sound's embeddings", unit="%"),
    Claim("ia.score", IA, "mean cosine of frames' and their sound's embeddings"),
    Claim("flicker.score", STEADY, "steadiness of neighbouring frames (1: no change)"),
    Claim("motion.flow", STEADY, "mean optical flow", unit="pixels a frame"),
    Claim("warping.error", STEADY, "squared error of the next frame, its motion undone", at_most=True),
)

CLAIMS = {row.id: row for row in _TABLE}
"""Every claim by its id."""

BASELINES = {
    "theatre": "the theatre's own frames",
    "autoencoder": "those through the autoencoder",
}
"""Id -> English name of what a figure is compared with."""

SUITES = {
    "theatre": "Does it follow its sound, track by track, and its text?",
    "objects": "Does each source of a mix stand in its box?",
    "scene": "Does the video follow the sounds of its scene?",
    "videos": "How good are the videos, by published metrics?",
}
"""Id of a suite -> the question it asks."""


def claim(identifier: str) -> Claim:
    """The claim of an id. Raises UserError for an unknown one, naming the nearest."""
    if identifier not in CLAIMS:
        near = difflib.get_close_matches(str(identifier), CLAIMS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"claim {identifier!r}: unknown{hint}")
    return CLAIMS[identifier]
