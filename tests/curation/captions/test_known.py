"""What is known of a clip is put together from its evidence, and captions are compared with it."""

import pytest

from mtv_jax.curation.captions.known import Face, Known, disagreements
from mtv_jax.text.template import scene_prompt

LEFT, RIGHT = [0.1, 0.2, 0.3, 0.5], [0.6, 0.2, 0.8, 0.5]


def track(box, frames=4):
    return {"frames": list(range(frames)), "faces": [{"box": box, "score": 0.9, "landmarks": None}] * frames}


def evidence(*, voices=1, faces=(RIGHT, LEFT), speaking=(1,), heard=("speech", "music")):
    active = [[0.9, 0.9, 0.1, 0.9] if number in speaking else [0.1] * 4 for number in range(len(faces))]
    return {
        "separation": {"status": "ok", "heard": list(heard)},
        "speakers": {"status": "ok", "speakers": voices},
        "persons": {"status": "ok", "count": len(faces), "tracks": [track(box) for box in faces]},
        "speaking": {"status": "ok", "scores": active},
    }


def test_faces_are_known_from_left_to_right_with_who_speaks():
    known = Known.of({}, evidence())
    assert known.faces == (Face(tuple(LEFT), True), Face(tuple(RIGHT), False))
    assert (known.people, known.voices, known.heard) == (2, 1, ("speech", "music"))
    assert Known.of({"people": 5}, evidence()).people == 5


def test_a_person_who_was_lost_and_found_again_is_one():
    found = evidence()
    found["persons"] |= {"count": 1, "tracks": [track(RIGHT, 2), track(LEFT, 4)]}
    found["speaking"] |= {"scores": [[0.9] * 2, [0.1] * 4]}
    assert Known.of({}, found).faces == (Face(tuple(LEFT), False),)
    found["speaking"] |= {"scores": [[0.1] * 2, [0.9, 0.1, 0.1, 0.1]]}
    assert Known.of({}, found).faces[0].speaks
    found["speaking"] = {"status": "not_applicable", "reason": "no speech"}
    assert Known.of({}, found).faces[0].speaks is None


def test_what_could_not_be_found_is_not_known():
    silent = {"status": "unavailable", "reason": "no weights", "speakers": 3, "count": 3}
    found = Known.of({}, {"speakers": silent, "persons": silent})
    assert found == Known(None, None, (), None, None)
    assert found.as_text() == ""
    assert Known.of({}, {"separation": {"status": "ok", "heard": ["music"]}}).voices == 0


def test_a_model_that_hears_nothing_is_told_who_speaks():
    told = Known.of({}, evidence()).as_text()
    assert "Voices heard: 1;" in told
    assert "People seen: 2." in told
    assert told.endswith("from the left: 20%.")
    assert "Nobody speaks" in Known.of({}, evidence(voices=0)).as_text()


PEOPLE = ("a.", "b.")


@pytest.mark.parametrize(
    ("persons", "speaking", "found", "differ"),
    [
        (PEOPLE, (1, 2), {"voices": 2, "speaking": (0, 1)}, set()),
        (PEOPLE, (1,), {"voices": 2, "speaking": (1,)}, set()),
        (PEOPLE, (2,), {"voices": 2, "speaking": (1,)}, {"speaking"}),
        (PEOPLE, (1,), {"voices": 1, "speaking": (1,)}, {"participants"}),
        (PEOPLE[:1], (1,), {"voices": 1, "speaking": (1,)}, set()),
        (PEOPLE, (1, 2), {"voices": 2, "faces": (LEFT,), "speaking": (0,)}, {"people"}),
        ((), (), {"voices": 1}, {"speaking"}),
        ((), (), {"voices": 0, "speaking": ()}, set()),
        (PEOPLE[:1], (1,), {"voices": 0, "speaking": ()}, {"speaking"}),
    ],
)
def test_a_caption_is_compared_in_counts_and_in_who_speaks(persons, speaking, found, differ):
    prompt = scene_prompt("A room.", persons, speaking)
    assert set(disagreements(prompt, Known.of({}, evidence(**found))) or ()) == differ


def test_nothing_disagrees_with_what_is_not_known_and_other_forms_are_not_compared():
    nothing = Known.of({}, {})
    assert disagreements(scene_prompt("A room.", PEOPLE, (1,)), nothing) == {}
    assert disagreements("two men in a room", nothing) is None
