"""Scenes of up to four heads, each with a voice and a track of its own."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mtv_jax.evaluation.theatre.cases import Case, performed, see, variants
from mtv_jax.evaluation.theatre.pipeline import stage_of
from mtv_jax.evaluation.theatre.readers import fitting_clips, readers_of
from mtv_jax.evaluation.theatre.suite import figures
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.names import control_tracks, speech_track
from mtv_jax.text.template import read_prompt
from mtv_jax.text.theatre_language import plan_of_prompt, theatre_prompt
from mtv_jax.theatre import EVALUATION_SEEDS, TheatreConfig, plan_clip, render_clip, render_frames
from mtv_jax.theatre.sounds import SPEECH_LEVEL, loudness, perform

CROWD = TheatreConfig(actors=(0.0, 0.1, 0.2, 0.3, 0.4), speech=0.9, num_speakers=4)
CLIPS = 30


@pytest.fixture(scope="module")
def clips():
    return [render_clip(EVALUATION_SEEDS + 3, index, CROWD) for index in range(CLIPS)]


@pytest.fixture(scope="module")
def readers():
    return readers_of(fitting_clips(100, CROWD))


def test_each_mouth_follows_its_own_track_and_the_others_are_shut(clips):
    seen = set()
    for clip in clips:
        config = clip.plan.config
        assert list(clip.tracks) == ["speech", "speech2", "speech3", "speech4", "effects", "music", "mix"]
        for number, opening in enumerate(clip.truth.openings):
            heard = loudness(clip.tracks[speech_track(number + 1)], config.num_frames, config.fps)
            np.testing.assert_array_equal(opening, heard)
            assert opening.any() == (number in clip.plan.speakers)
        seen.add((len(clip.plan.actors), len(clip.plan.speakers)))
    assert {heads for heads, _ in seen} == {1, 2, 3, 4}
    assert {speaking for _, speaking in seen} >= {0, 1, 2, 3}


def test_several_speak_at_once_or_in_turns(clips):
    at_once = {}
    for clip in clips:
        if len(clip.plan.speakers) > 1:
            voices = np.stack([np.abs(clip.tracks[track]) > 0 for track in clip.plan.voices])
            at_once[clip.plan.index] = bool((voices.sum(axis=0) > 1).any())
            levels = [np.abs(clip.tracks[track]).max() for track in clip.plan.voices]
            assert min(levels) > SPEECH_LEVEL  # nobody's turn is too short to be heard
    assert set(at_once.values()) == {True, False}


def test_the_mix_is_the_sum_and_is_not_clipped(clips):
    for clip in clips:
        total = sum(wave for name, wave in clip.tracks.items() if name != "mix")
        peak = np.abs(total).max()
        np.testing.assert_allclose(clip.tracks["mix"], total / max(peak, 1), atol=1e-6)


def test_the_prompt_says_who_stands_there_and_who_speaks(clips):
    for clip in clips:
        prompt = theatre_prompt(clip.words)
        described = read_prompt(prompt)
        assert described is not None
        assert described.speaking == tuple(actor + 1 for actor in clip.plan.speakers)
        read = plan_of_prompt(prompt, clip.plan.config)
        assert (read.actors, read.speakers) == (clip.plan.actors, clip.plan.speakers)
    spoken = next(clip for clip in clips if len(clip.plan.speakers) > 1)
    with pytest.raises(UserError, match="speak, and there are tracks for 1"):
        plan_of_prompt(theatre_prompt(spoken.words), replace(CROWD, num_speakers=1))


def test_a_voice_moves_one_mouth_only(clips):
    clip = next(clip for clip in clips if len(clip.plan.speakers) == 3)
    gone = clip.plan.speakers[1]
    fewer = replace(clip.plan, speakers=tuple(actor for actor in clip.plan.speakers if actor != gone))
    heard = perform(clip.plan)
    envelopes = {name: heard.envelopes[name] for name in fewer.voices}
    changed = np.abs(clip.frames.astype(int) - render_frames(fewer, replace(heard, envelopes=envelopes)))
    assert changed.any()
    for frame, box in zip(changed, clip.truth.mouth_boxes[gone], strict=True):
        x0, y0, x1, y1 = np.floor(box).astype(int)
        frame[y0 - 1 : y1 + 3, x0 - 1 : x1 + 3] = 0
    assert not changed.any()


def test_readers_read_every_mouth_and_look(clips, readers):
    for clip in clips:
        openings = readers.openings(clip.frames, clip.plan)
        for actor, opening in enumerate(openings):
            truth = clip.truth.openings[actor]
            if actor in clip.plan.speakers:
                assert np.corrcoef(opening, truth)[0, 1] > 0.95
                assert np.abs(opening - truth).mean() < 0.12
            else:
                assert opening.max() < 0.1
    looks = [(readers.looks(clip.frames, clip.plan), clip.plan) for clip in clips]
    right = [
        name == getattr(actor.look, part)
        for seen, plan in looks
        for field, part in (("skins", "skin"), ("hairs", "hair"), ("shirts", "shirt"))
        for name, actor in zip(getattr(seen, field), plan.actors, strict=True)
    ]
    assert np.mean(right) > 0.97
    assert np.mean([seen.heads == len(plan.actors) for seen, plan in looks]) > 0.95


def test_lips_that_follow_another_s_track_are_not_bound(clips, readers):
    def bound(exchange):
        samples = []
        for clip in clips:
            case = Case(clip, clip, clip, clip, clip, 0)
            speakers = clip.plan.speakers
            frames = performed(case)
            if exchange and len(speakers) > 1:
                heard = perform(clip.plan)
                tracks = list(heard.envelopes)
                envelopes = dict(
                    zip(tracks, [heard.envelopes[t] for t in tracks[1:] + tracks[:1]], strict=True)
                )
                frames = render_frames(clip.plan, replace(heard, envelopes=envelopes))
            samples.append({"own": see(readers, case, frames)})
        return next(figure for figure in figures(samples) if figure.id == "lips.bound").value

    assert bound(exchange=False) == 1
    assert bound(exchange=True) < 0.2


def test_the_theatre_of_four_speakers_meets_the_suite(clips, readers):
    samples = [
        {name: see(readers, case, performed(case)) for name, case in cases.items()}
        for cases in variants(clips[:12], 0)
    ]
    assert {"own", "other_speech", "silent_speech", "other_text"} <= {name for s in samples for name in s}
    found = {figure.id: figure.value for figure in figures(samples)}
    assert found["lips.bound"] == 1
    assert found["lips.correlation"] > 0.99
    assert found["lips.exact_lag"] > 0.95
    assert found["lips.without_speech"] < 0.1
    assert found["other_head.opening"] < 0.1
    assert found["looks.correct"] > 0.97


def test_a_pipeline_of_four_speakers_is_measured_on_four_heads():
    size = ClipSize(25, Fraction(12), 64, 64)
    for count, heads in ((1, 2), (2, 2), (3, 3), (4, 4)):
        stage = stage_of(size, control_tracks(count))
        assert (stage.num_speakers, len(stage.actors) - 1) == (count, heads)
    assert stage_of(size, control_tracks(1)) == TheatreConfig()
    with pytest.raises(UserError, match="a model of 5 speakers: the theatre has room for 4"):
        stage_of(size, control_tracks(5))


def test_data_of_one_speaker_are_as_before():
    plan = plan_clip(7, 3)
    assert plan.identity == "2eed712deabdae7a2d313861ea9b2b0c9f5701a5a1cd9387839883df31ee7108"
    assert "num_speakers" not in plan.config.to_json()
    assert plan.config.tracks == ("speech", "effects", "music")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"actors": (0, 0, 0, 0, 0, 1)}, "up to 4 actors"),
        ({"num_speakers": 5}, "num_speakers 5: must be from 1 to 4"),
        ({"num_speakers": 2, "actors": (0, 0, 0, 1)}, "num_speakers 2: must be 1, or as many"),
    ],
)
def test_bad_configs_say_what_is_wrong(values, message):
    with pytest.raises(UserError, match=message):
        TheatreConfig(**values)
