"""Answers become win rates or means with intervals; files that cannot be used are reported, and the rest is used."""

import json

import pytest

from mtv_jax import evaluate
from mtv_jax.evaluation.metrics import statistics
from mtv_jax.evaluation.study import agreement
from mtv_jax.evaluation.study.answers import asked, collect
from mtv_jax.evaluation.study.design import Chosen, design
from mtv_jax.evaluation.study.form import FORMS
from mtv_jax.evaluation.study.page import ANSWERS
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import write_json

SYSTEMS = ("ours", "other")


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(statistics, "_RESAMPLES", 300)
    monkeypatch.setattr(agreement, "_PERMUTATIONS", 99)


def study_of(form, clips=4, participants=5):
    chosen = [Chosen(f"clip{n}", "", dict.fromkeys(SYSTEMS, "")) for n in range(clips)]
    return design(FORMS[form], chosen, participants=participants, seed=0)


def sheet(study, participant, answers):
    head = {"kind": ANSWERS, "schema_version": 1, "study": study.id, "form": study.form.id}
    return {**head, "participant": participant, "answers": answers}


def best(study, winner):
    """Answers by which `winner(clip id, question)` is the best system."""
    found = {}
    for name, clip in study.clips.items():
        videos = {system: video for video, system in clip.videos.items()}
        for question in study.form.questions:
            found[f"{name}/{question.id}"] = videos[winner(clip.id, question.id)]
    return found


def rated(study, rating):
    """Answers by which a video has the rating `rating(system, question)`."""
    return {
        f"{video}/{question.id}": str(rating(system, question.id))
        for clip in study.clips.values()
        for video, system in clip.videos.items()
        for question in study.form.questions
    }


def read(folder, study, sheets):
    write_json(folder / "key.json", study.to_json())
    for number, content in enumerate(sheets):
        write_json(folder / "answers" / f"{number}.json", content)
    words = ["study", "read", str(folder / "key.json"), str(folder / "answers"), "--out", str(folder / "out")]
    assert evaluate.main(words) == 0
    found = json.loads((folder / "out" / "results.json").read_text())
    return found, {(figure["question"], figure["system"]): figure for figure in found["figures"]}


def test_win_rates_of_the_best_of_two(tmp_path, capsys):
    study = study_of("mtv")

    def winner(participant):
        def of(clip, question):
            if question == "motion_fluency":
                return "ours" if clip == "clip0" else "other"  # all agree
            if question == "semantic_consistency":
                return "ours" if participant < 3 else "other"  # of the clip nothing, of the participant all
            return "ours"

        return of

    found, figures = read(tmp_path, study, [sheet(study, n, best(study, winner(n))) for n in range(1, 5)])
    assert found["participants"] == 4
    assert found["answers"] == 48
    one = figures["semantic_consistency", "ours"]
    assert (one["value"], one["unit"], one["n"]) == (50, "%", 16)
    assert one["interval_participants"] == [0, 100]
    assert one["interval_clips"] == [50, 50]
    fluent = figures["motion_fluency", "ours"]
    assert fluent["value"] == 25
    assert fluent["interval_participants"] == [25, 25]
    assert fluent["interval_clips"][1] > 50
    assert figures["overall_preference", "other"]["value"] == 0
    alphas = {row["question"]: row["alpha"] for row in found["agreement"]}
    assert alphas["motion_fluency"] == 1
    assert alphas["semantic_consistency"] < 0
    assert alphas["overall_preference"] is None
    text = capsys.readouterr().out
    assert "4 participants, from 4 files, 0 with problems" in text
    assert "motion fluency, 50.0 % by chance:" in text
    assert "  ours: 25.00 %, 25.00 to 25.00 [0.00 to " in text


def test_means_of_ratings(tmp_path, capsys):
    study = study_of("maestro")
    sheets = [
        sheet(study, n, rated(study, lambda system, question, n=n: 5 if system == "ours" else n))
        for n in (1, 2, 3)
    ]
    found, figures = read(tmp_path, study, sheets)
    assert len(figures) == 8
    for question in ("realism", "correspondence", "smoothness", "overall"):
        ours, other = figures[question, "ours"], figures[question, "other"]
        assert (ours["value"], ours["unit"], ours["n"], ours["interval_participants"]) == (
            5,
            "points",
            12,
            [5, 5],
        )
        assert (other["value"], other["interval_participants"], other["interval_clips"]) == (
            2,
            [1, 3],
            [2, 2],
        )
    assert {row["level"] for row in found["agreement"]} == {"ordinal"}
    assert all(0 < row["alpha"] < 1 and row["units"] == 8 and row["p"] < 0.05 for row in found["agreement"])
    assert "  other: 2.00 points, 1.00 to 3.00 [2.00 to 2.00], 12 answers" in capsys.readouterr().out


def test_partial_answers_are_used_and_a_question_without_any_has_no_value(tmp_path, capsys):
    study = study_of("mtv")
    full = best(study, lambda clip, question: "ours")
    some = {name: video for name, video in full.items() if name.endswith("overall_preference")}
    found, figures = read(tmp_path, study, [sheet(study, 1, some)])
    assert (figures["overall_preference", "ours"]["value"], figures["overall_preference", "ours"]["n"]) == (
        100,
        4,
    )
    assert figures["overall_preference", "ours"]["interval_participants"] is None
    assert figures["motion_fluency", "ours"]["value"] is None
    assert list(found["problems"].values()) == ["8 of 12 answers are missing"]
    assert "  ours: no answers" in capsys.readouterr().out


@pytest.fixture
def good():
    study = study_of("mtv")
    return study, sheet(study, 2, best(study, lambda clip, question: "ours"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda good: "{", "not valid JSON"),
        (lambda good: [], "an object is needed"),
        (lambda good: {"kind": "shopping list"}, "not used: not an answer file"),
        (lambda good: {**good, "schema_version": 9}, "not used: not an answer file"),
        (lambda good: {**good, "study": "0" * 16}, "not used: of another study ('0000"),
        (lambda good: {**good, "participant": 6}, "not used: participant 6: must be at most 5"),
        (lambda good: {**good, "participant": True}, "not used: participant True"),
        (lambda good: {**good, "answers": {}}, "not used: no answers in it"),
        (
            lambda good: {**good, "answers": {"c9/what": "v1", "c1/motion_fluency": 3}},
            "none of its answers is of",
        ),
    ],
)
def test_damaged_and_foreign_files_are_reported_and_not_used(change, reason, good, tmp_path):
    study, content = good
    write_json(tmp_path / "a.json", content)
    wrong = change(content)
    (tmp_path / "b.json").write_text(wrong if isinstance(wrong, str) else json.dumps(wrong))
    found = collect(study, [tmp_path])
    assert [one.participant for one in found.sheets] == [2]
    assert found.files == 2
    assert list(found.problems) == [str(tmp_path / "b.json")]
    assert reason in found.problems[str(tmp_path / "b.json")]


def test_answers_that_are_not_of_the_study_are_counted(good, tmp_path):
    study, content = good
    name, video = next(iter(content["answers"].items()))
    other = next(v for clip in study.clips.values() for v in clip.videos if video not in clip.videos)
    answers = {
        **content["answers"],
        name: other,
        "c9/what": "v1",
    }  # a video of another clip, and no clip at all
    write_json(tmp_path / "a.json", {**content, "answers": answers})
    found = collect(study, [tmp_path / "a.json"])
    assert len(found.sheets[0].answers) == 11
    told = "1 of 12 answers are missing; 2 answers are not of this study and not used"
    assert found.problems == {str(tmp_path / "a.json"): told}


@pytest.mark.parametrize("order", [("part.json", "whole.json"), ("whole.json", "part.json")])
def test_of_two_files_of_a_participant_the_fuller_is_used(order, good, tmp_path):
    study, content = good
    part = dict(list(content["answers"].items())[:3])
    write_json(tmp_path / "whole.json", content)
    write_json(tmp_path / "part.json", {**content, "answers": part})
    found = collect(study, [tmp_path / name for name in (*order, order[0])])
    assert [len(one.answers) for one in found.sheets] == [12]
    assert found.files == 2
    assert list(found.problems) == [str(tmp_path / "part.json")]
    assert "not used: participant 2 is also in" in found.problems[str(tmp_path / "part.json")]


def test_without_any_usable_answers_there_are_no_results(good, tmp_path):
    study, content = good
    write_json(tmp_path / "key.json", study.to_json())
    write_json(tmp_path / "a.json", {**content, "study": "another"})
    words = ["study", "read", str(tmp_path / "key.json"), str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    with pytest.raises(
        UserError, match="no answers to it among 2 files; .*a.json: not used: of another study"
    ):
        evaluate.main([*words, "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out" / "results.json").exists()


def test_a_question_is_asked_of_a_clip_or_of_each_video():
    assert len(asked(study_of("mtv"))) == 4 * 3
    assert len(asked(study_of("maestro"))) == 4 * 2 * 4
