"""The captioner without a model writes what the detectors know, in the template."""

import dataclasses

import numpy as np
import pytest

from mtv_jax.curation.adapters import detectors
from mtv_jax.curation.adapters.detectors import Detectors, participants
from mtv_jax.curation.captions.known import Face, Known, disagreements
from mtv_jax.io.audio import write_audio
from mtv_jax.io.video import write_video

LEFT, RIGHT, LARGE = (
    Face((0.1, 0.3, 0.3, 0.6), None),
    Face((0.7, 0.3, 0.9, 0.6), None),
    Face((0.3, 0.2, 0.6, 0.7), None),
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Two shirts in front of a blue wall, with a track of music."""
    folder = tmp_path_factory.mktemp("clip")
    video = np.full((4, 60, 100, 3), (50, 85, 195), np.uint8)
    video[:, 40:, :40], video[:, 40:, 60:] = (206, 42, 46), (240, 204, 40)
    write_video(folder / "clip.mp4", video, 12)
    write_audio(folder / "music.flac", np.zeros(8000, np.float32), 16000)
    return folder / "clip.mp4"


def evidence(voices, speaking, heard=("speech",)):
    tracks = [{"frames": [0, 1], "faces": [{"box": list(face.box)}] * 2} for face in (LEFT, RIGHT)]
    active = [[0.9 if number in speaking else 0.1] * 2 for number in range(2)]
    return {
        "separation": {"status": "ok", "heard": list(heard)},
        "speakers": {"status": "ok", "speakers": voices},
        "persons": {"status": "ok", "count": 2, "tracks": tracks},
        "speaking": {"status": "ok", "scores": active},
        "motion": {"status": "ok", "flow": 0.1},
    }


def caption(clip, *args, **options):
    found = evidence(*args, **options)
    prompt = Detectors().caption(clip, {}, found)["prompt"]
    assert disagreements(prompt, Known.of({}, found)) == {}
    return prompt


def test_who_speaks_is_a_participant_and_the_others_are_silent(clip):
    prompt = caption(clip, 1, {1})
    assert prompt.startswith("One person conversation. Persons: Person1: a person on the right with ")
    assert "yellow clothes. Person1 is speaking." in prompt
    assert "mostly blue, still." in prompt
    assert "One silent person: a person on the left" in prompt
    assert "red clothes." in prompt.partition("silent")[2]


def test_participants_are_as_many_as_voices(clip):
    assert caption(clip, 2, {0, 1}).startswith(
        "Two person conversation. Persons: Person1: a person on the left"
    )
    assert caption(clip, 0, ()).startswith("No conversation. Scene Description: A ")


def test_music_is_named_with_how_lively_it_is(clip, monkeypatch):
    for lively, word in ((True, "Lively"), (False, "Calm")):
        monkeypatch.setattr(detectors, "is_lively", lambda _, lively=lively: lively)
        assert f"{word} music plays." in caption(clip, 0, (), heard=("music", "effects"))
    assert caption(clip, 0, (), heard=("effects",)).endswith("Sounds of things are heard.")


def test_without_knowing_who_speaks_it_is_the_largest_face_and_unseen_voices_count():
    faces = (LEFT, LARGE, RIGHT)
    known = Known(3, 1, faces, ("speech",), None)
    assert participants(known) == [LARGE]
    assert participants(dataclasses.replace(known, voices=4)) == [*faces, None]
    assert participants(dataclasses.replace(known, voices=None)) == [LARGE]
    spoken = dataclasses.replace(RIGHT, speaks=True)
    assert participants(dataclasses.replace(known, faces=(LEFT, LARGE, spoken))) == [spoken]


def test_a_prompt_that_somebody_wrote_is_taken_and_the_rest_is_a_stub(clip):
    assert Detectors().caption(clip, {"prompt": "a shop"}, {})["prompt"] == "a shop"
    assert Detectors().caption(clip, {}, {})["prompt"].startswith("No conversation. ")
    assert Detectors().card().fidelity == "stub"
