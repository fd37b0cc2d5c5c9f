"""The theatre: each sound is seen, in its own place and nowhere else, and the same each time."""

import colorsys
import dataclasses
import json
from fractions import Fraction

import numpy as np
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.names import SUBSETS
from mtv_jax.theatre import TheatreConfig, plan_clip, render_clip, render_frames, render_tracks
from mtv_jax.theatre.paint import Canvas
from mtv_jax.theatre.plan import HAIRS, SHIRTS, SKINS
from mtv_jax.theatre.sounds import perform
from mtv_jax.theatre.stage import (
    Mood,
    brightness_of,
    energy_of,
    hue_of,
    stage_colour,
    valence_of,
)

CLIPS = 40


@pytest.fixture(scope="module")
def clips():
    """The first clips of theatre 7."""
    return [render_clip(7, index) for index in range(CLIPS)]


def crop(frames, box):
    """The pixels of a box (x0, y0, x1, y1), cut at the frame's edge."""
    x0, y0, x1, y1 = np.rint(box).astype(int)
    return frames[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)].astype(float)


def mouth_reading(clip, actor):
    """How much of the mouth's box is dark in each frame, from pixels alone."""
    readings = []
    for frame, box in zip(clip.frames, clip.truth.mouth_boxes[actor], strict=True):
        red = crop(frame, box)[..., 0]
        readings.append(np.clip((75 - red) / 40, 0, 1).mean())
    return np.array(readings)


def test_a_clip_is_the_same_to_the_byte_each_time(clips):
    for clip in clips[:4]:
        again = render_clip(7, clip.plan.index)
        assert again.frames.tobytes() == clip.frames.tobytes()
        for name, wave in clip.tracks.items():
            assert again.tracks[name].tobytes() == wave.tobytes()
        assert again.truth.to_json() == clip.truth.to_json()
        assert again.words == clip.words


def test_clips_differ_by_index_and_by_seed(clips):
    looks = {clip.frames.tobytes() for clip in clips}
    assert len(looks) == CLIPS
    assert render_clip(8, 0).frames.tobytes() not in looks


def test_frames_and_tracks_have_the_length_asked_for(clips):
    assert clips[0].frames.shape == (25, 64, 64, 3)
    assert clips[0].frames.dtype == np.uint8
    assert set(clips[0].tracks) == {"speech", "effects", "music", "mix"}
    for config in (TheatreConfig(num_frames=13, fps=Fraction(24)), TheatreConfig(num_frames=1)):
        for wave in render_tracks(plan_clip(0, 3, config)).values():
            assert wave.shape == (round(config.num_frames * 16000 / config.fps),)
            assert wave.dtype == np.float32
    assert clips[0].tracks["mix"].shape == (33333,)  # 25 frames at 12 a second


@pytest.mark.parametrize("size", [(16, 16), (96, 64), (48, 112)])
def test_any_multiple_of_16_holds_the_whole_stage(size):
    height, width = size
    config = TheatreConfig(height=height, width=width, num_frames=5, actors=(0, 0, 1), prop=1)
    clip = render_clip(1, 0, config)
    assert clip.frames.shape == (5, height, width, 3)
    boxes = clip.truth.head_boxes
    assert boxes.min() > -0.02 * min(size)
    assert boxes[..., 2].max() < width + 0.02 * min(size)


def test_mouth_follows_the_speakers_voice_and_nobody_elses(clips):
    speakers = 0
    for clip in clips:
        for actor, opening in enumerate(clip.truth.openings):
            reading = mouth_reading(clip, actor)
            if actor in clip.truth.speakers:
                speakers += 1
                assert np.corrcoef(reading, opening)[0, 1] > 0.98
                assert np.corrcoef(reading, clip.truth.envelope)[0, 1] > 0.98
            else:
                assert not opening.any()
                assert reading.max() < 0.01
    assert speakers > CLIPS / 3


def test_open_mouths_are_large(clips):
    for clip in clips:
        if clip.truth.speakers:
            frame = int(clip.truth.envelope.argmax())
            red = crop(clip.frames[frame], clip.truth.mouth_boxes[clip.plan.speaker][frame])[..., 0]
            dark = red < 75
            wide, high = dark.any(axis=0).sum(), dark.any(axis=1).sum()
            assert wide >= 12
            assert high >= 5


def test_silent_speech_is_zeros_and_a_closed_mouth(clips):
    silent = [clip for clip in clips if clip.plan.speaker is None and clip.plan.actors]
    assert silent
    for clip in silent:
        assert not clip.tracks["speech"].any()
        assert not clip.truth.envelope.any()
        assert mouth_reading(clip, 0).max() < 0.01


def test_events_are_seen_in_their_frames_and_in_no_other(clips):
    seen = set()
    for clip in clips:
        if clip.truth.prop_box is None:
            continue
        # What differs from the same clip with a prop that is never struck is the reaction.
        still = dataclasses.replace(clip.plan, prop=dataclasses.replace(clip.plan.prop, onsets=()))
        change = np.abs(clip.frames.astype(float) - render_frames(still, perform(clip.plan)))
        level = np.array([crop(frame, clip.truth.prop_box).mean() for frame in change])
        flash = np.array([crop(frame, clip.truth.prop_box).max(axis=2).mean() for frame in clip.frames])
        events = list(clip.truth.event_frames)
        if events:
            seen.add(clip.truth.prop)
            assert level[events].min() > 30
            rise = np.diff(flash, prepend=np.median(flash))
            assert sorted(np.argsort(rise)[-len(events) :]) == events
    assert seen == {"drum", "bell", "door", "ball"}


def test_onsets_are_heard_in_the_frames_of_the_events(clips):
    for clip in clips:
        loud = np.flatnonzero(np.abs(clip.tracks["effects"]) > 0.01)
        if clip.truth.event_frames:
            assert int(loud[0] * 12 / 16000) == clip.truth.event_frames[0]
            assert np.diff(clip.truth.event_frames).min(initial=9) >= 5
        else:
            assert not clip.tracks["effects"].any()


def test_mood_maps_are_monotone_and_can_be_inverted():
    values = np.linspace(0, 1, 11)
    hues, levels = np.array([hue_of(v) for v in values]), np.array([brightness_of(v) for v in values])
    assert (np.diff(hues) < 0).all()
    assert (np.diff(levels) > 0).all()
    np.testing.assert_allclose([valence_of(hue) for hue in hues], values, atol=1e-12)
    np.testing.assert_allclose([energy_of(level) for level in levels], values, atol=1e-12)
    for valence in values:
        hue, _, level = colorsys.rgb_to_hsv(*stage_colour(Mood(valence, 0.4)) / 255)
        assert hue * 360 == pytest.approx(hue_of(valence))
        assert level == pytest.approx(brightness_of(0.4))


def test_mood_is_read_from_the_plain_rows(clips):
    grey = coloured = 0
    for clip in clips:
        assert np.ptp(clip.frames[:, :3].astype(int), axis=(0, 1, 2)).max() == 0
        hue, saturation, level = colorsys.rgb_to_hsv(*clip.frames[0, 0, 0] / 255)
        if clip.truth.mood is None:
            grey += 1
            assert saturation < 0.02
            assert not clip.tracks["music"].any()
        else:
            coloured += 1
            assert valence_of(hue * 360) == pytest.approx(clip.truth.mood["valence"], abs=0.02)
            assert energy_of(level) == pytest.approx(clip.truth.mood["energy"], abs=0.01)
    assert min(grey, coloured) > 5


def test_each_sound_moves_only_what_is_its_own(clips):
    clip = next(c for c in clips if c.plan.speaker is not None and c.truth.event_frames and c.plan.mood)
    still = dataclasses.replace(clip.plan, speakers=())
    changed = np.abs(clip.frames.astype(int) - render_frames(still)).max(axis=3)
    for frame, box in zip(changed, clip.truth.mouth_boxes[clip.plan.speaker], strict=True):
        x0, y0, x1, y1 = np.floor(box).astype(int)
        frame[y0 - 1 : y1 + 3, x0 - 1 : x1 + 3] = 0
    assert changed.max() == 0
    without = render_tracks(dataclasses.replace(clip.plan, mood=None))
    assert not without["music"].any()
    np.testing.assert_array_equal(without["speech"], clip.tracks["speech"])
    np.testing.assert_array_equal(without["effects"], clip.tracks["effects"])


def test_heads_blink_and_move_without_sound(clips):
    clip = next(c for c in clips if len(c.plan.actors) == 1 and c.plan.speaker is None)
    heads = clip.truth.head_boxes[0]
    assert 0.2 < np.ptp(heads[:, 0]) < 4
    x0, y0, x1, y1 = np.rint(heads[0]).astype(int)
    middle = (y0 + y1) // 2
    eyes = clip.frames[:, middle - 8 : middle + 4, x0 + 5 : x1 - 5].min(axis=3)
    whites = (eyes > 180).sum(axis=(1, 2))
    assert whites.max() > 2 * whites.min()


def test_text_names_what_is_seen(clips):
    for clip in clips:
        reported = " ".join([clip.words.scene, *clip.words.persons])
        for actor in clip.plan.actors:
            look = actor.look
            for name in (f"{look.skin} skin", f"{look.style} {look.hair} hair", f"{look.shirt} shirt"):
                assert name in reported
        if clip.plan.prop:
            assert clip.plan.prop.name in clip.words.scene
        assert clip.plan.decor in clip.words.scene
        expected = () if clip.plan.speaker is None else (clip.plan.speaker + 1,)
        assert clip.words.speaking == expected
    assert {clip.words.speaking for clip in clips} == {(), (1,), (2,)}


def test_shirts_have_the_colour_of_the_words(clips):
    for clip in clips:
        for actor in clip.plan.actors:
            place = actor.place
            outer = -1 if place.x < 32 else 1  # the side that no prop covers
            pixel = clip.frames[0, 62, int(place.x + outer * 0.5 * place.half_width)].astype(float)
            named = min(SHIRTS, key=lambda name: np.abs(np.multiply(SHIRTS[name], 0.91) - pixel).sum())
            assert named == actor.look.shirt


def test_colours_of_a_palette_are_far_apart():
    for palette in (SKINS, HAIRS, SHIRTS):
        colours = np.array(list(palette.values()), float)
        gaps = np.abs(colours[:, None] - colours).sum(axis=-1) + 1e9 * np.eye(len(colours))
        assert gaps.min() > 80


def test_subsets_follow_counts_and_loudness(clips):
    for clip in clips:
        count = len(clip.plan.actors)
        assert ("single_character" in clip.subsets) == (count == 1)
        assert ("multiple_characters" in clip.subsets) == (count == 2)
        for name, track in (("sound_event", "effects"), ("visual_mood", "music")):
            level = np.sqrt(np.mean(clip.tracks[track].astype(float) ** 2))
            assert (name in clip.subsets) == (level > 10 ** (-45 / 20))
        close_talk = count == 1 and clip.plan.speaker is not None and clip.plan.prop is None
        assert ("basic_face" in clip.subsets) == close_talk
    assert {name for clip in clips for name in clip.subsets} == set(SUBSETS)


def test_truth_is_json(clips):
    for clip in clips[:3]:
        reported = json.loads(json.dumps(clip.truth.to_json()))
        assert len(reported["openings"]) == len(clip.plan.actors)
        assert reported["event_frames"] == list(clip.truth.event_frames)
        np.testing.assert_allclose(reported["envelope"], clip.truth.envelope, atol=1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_frames": 0}, "num_frames 0: must be at least 1"),
        ({"height": 60}, "height 60: must be a multiple of 16"),
        ({"fps": Fraction(0)}, "fps 0: must be positive"),
        ({"actors": (0.5, 0.5, 0.5)}, "add up to 1"),
        ({"music": 1.5}, "each must be in 0..1"),
    ],
)
def test_bad_configs_say_what_is_wrong(values, message):
    with pytest.raises(UserError, match=message):
        TheatreConfig(**values)


def test_negative_seeds_are_an_error():
    with pytest.raises(UserError, match="must not be negative"):
        plan_clip(-1, 0)


def test_thin_lenses_cover_in_proportion_to_their_height():
    areas = []
    for height in (0.0, 0.1, 0.2, 4.0):
        canvas = Canvas(1, 64, 64)
        canvas.lens(32.0, 8.0, 30.2, 30.2 + height, 30.2 + height / 2, (255, 255, 255))
        areas.append(canvas.pixels.sum() / 255 / 3)
    assert areas[0] == 0
    assert areas[2] == pytest.approx(2 * areas[1], rel=1e-3)
    assert areas[3] == pytest.approx(40 * areas[1], rel=1e-3)
    assert areas[3] == pytest.approx(np.pi * 8 * 2, rel=0.02)
