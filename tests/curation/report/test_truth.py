"""Films that carry their truth get a section of the report, which counts where the evidence is right."""

import json

import pytest

from mtv_jax.curation.report.page import write_report
from mtv_jax.curation.report.truth import against_truth, read_truth, truth_of, truth_section, wilson
from tests.curation.report.test_report import clip, data

PART = {
    "start": 2.0,
    "end": 4.0,
    "subsets": ["multiple_characters", "sound_event"],
    "people": 2,
    "speakers": 1,
    "participants": 1,
    "heard": ["speech", "effects"],
    "faces": [{"x": 0.25, "speaks": [[2.0, 3.0]]}, {"x": 0.75, "speaks": []}],
}


def face(x):
    return {"box": [x - 0.1, 0.2, x + 0.1, 0.5], "score": 1.0, "landmarks": None}


def evidence(**changed):
    """Of a clip for which all is right, from the second of `PART`'s start."""
    frames = list(range(10))
    tracks = [{"frames": frames, "faces": [face(x)] * 10} for x in (0.75, 0.25)]
    found = {
        "source": {"kind": "film"},
        "separation": {"status": "ok", "heard": ["speech", "effects"]},
        "persons": {"status": "ok", "count": 2, "frames": 10, "tracks": tracks},
        "speakers": {"status": "ok", "speakers": 1, "turns": [[0.0, 1.0, "1"]]},
        "speaking": {"status": "ok", "scores": [[0.1] * 10, [0.9] * 5 + [0.0] * 5]},
        "caption": {
            "status": "ok",
            "prompt": "One person conversation. Persons: Person1: tall. Person1 is speaking. Scene Description: A.",
        },
    }
    return found | changed


def known(**changed):
    return evidence(**changed), truth_of([PART], 2.0, 4.0)


def rows(clips):
    return {row["name"]: row for row in against_truth(clips)}


def test_evidence_that_is_right_in_all():
    found = rows([known(), known()])
    assert {"in multiple characters", "music is heard", "people seen", "who speaks, by frame"} < set(found)
    assert all(
        (row["right"], row["less"], row["more"], row["clips"]) == (1, 0, 0, 2) for row in found.values()
    )


def test_what_is_missed_and_what_is_invented_are_counted_apart():
    persons = evidence()["persons"] | {"count": 1}
    wrong = known(persons=persons, separation={"status": "ok", "heard": ["speech", "music"]})
    found = rows([known(), wrong])
    assert (found["people seen"]["right"], found["people seen"]["less"], found["people seen"]["more"]) == (
        0.5,
        1,
        0,
    )
    assert (found["in single character"]["less"], found["in single character"]["more"]) == (0, 1)
    assert (found["effects is heard"]["less"], found["music is heard"]["more"]) == (1, 1)


def test_who_speaks_is_compared_face_by_face():
    late = known(speaking={"status": "ok", "scores": [[0.9] + [0.0] * 9, [0.0] * 2 + [0.9] * 3 + [0.0] * 5]})
    row = rows([late])["who speaks, by frame"]
    assert (row["less"], row["more"], row["right"]) == (2, 1, pytest.approx(17 / 20))
    silent = known(speaking={"status": "not_applicable", "reason": "no speech"})
    assert rows([silent])["who speaks, by frame"]["less"] == 5


def test_stages_without_answer_do_not_count():
    assert against_truth([]) == []
    nobody = known(persons={"status": "unavailable", "reason": "no weights"})
    assert not {"people seen", "who speaks, by frame"} & set(rows([nobody]))
    assert rows([known(), nobody])["people seen"]["clips"] == 1


def test_a_clip_takes_the_truth_of_the_part_that_most_of_it_shows():
    found = truth_of([{**PART, "start": 0.0, "end": 2.0}, PART], 2.5, 4.5)
    assert (found["start"], found["faces"][0]["speaks"]) == (-0.5, [[-0.5, 0.5]])
    assert truth_of([PART], 3.0, 5.0) is None  # no more than half of it


def test_only_what_the_truth_says_is_compared():
    part = truth_of([{"start": 0, "end": 5, "people": 2}], 0.0, 2.0)
    assert part == {"start": 0, "end": 5, "people": 2}
    assert set(rows([(evidence(), part)])) == {"people seen"}
    for left_out in ("subsets", "heard", "speakers", "participants", "faces"):
        part = truth_of([{key: value for key, value in PART.items() if key != left_out}], 2.0, 4.0)
        assert 0 < len(rows([(evidence(), part)])) < len(rows([known()]))


@pytest.mark.parametrize(
    "text", ["[1]", "no JSON", '{"truth": {}}', '{"truth": null}', '{"truth": ["a", {"start": 0}]}']
)
def test_a_file_of_somebody_else_is_no_truth(tmp_path, text):
    (tmp_path / "film.json").write_text(text)
    assert read_truth(tmp_path / "film.mp4") == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("start", "0"),
        ("people", "two"),
        ("people", True),
        ("heard", "speech"),
        ("subsets", [1]),
        ("faces", [{"x": 0.5, "speaks": [[1.0]]}]),
        ("faces", [{"speaks": []}]),
    ],
)
def test_a_value_of_another_kind_is_no_truth(tmp_path, key, value):
    (tmp_path / "film.json").write_text(json.dumps({"truth": [{**PART, key: value}]}))
    rest = {name: kept for name, kept in PART.items() if name != key}
    assert read_truth(tmp_path / "film.mp4") == ([] if key == "start" else [rest])


def test_the_interval_is_wilsons():
    assert wilson(0.8, 10) == pytest.approx([0.4902, 0.9433], abs=1e-4)
    assert wilson(1.0, 300) == pytest.approx([0.98736, 1], abs=1e-5)


def test_the_section_is_there_for_known_films_only(tmp_path):
    film = tmp_path / "film.mp4"
    assert read_truth(film) == []
    film.with_suffix(".json").write_text(json.dumps({"kind": "film"}))
    assert read_truth(film) == []
    film.with_suffix(".json").write_text(json.dumps({"truth": [PART]}))
    assert read_truth(film) == [PART]
    assert truth_section([]) == ""
    for clips, there in (([known()], True), ([], False)):
        write_report(tmp_path / "report.html", data([clip(0)]) | {"truth": against_truth(clips)})
        assert ("Against the truth" in (tmp_path / "report.html").read_text()) == there
    assert "people seen" in truth_section(against_truth([known()]))
