"""What fails is tried again, then left; what has died is recorded; other thresholds need no model."""

import json
import shutil

import pytest
from curation.films import FRAMES, PLAIN, OneVoice, ledger, run, separate_into_halves, write_film

from mtv_jax import curate
from mtv_jax.curation import roles
from mtv_jax.curation.executors import Event
from mtv_jax.curation.executors.inline import InlineExecutor
from mtv_jax.curation.steps import last, picture
from mtv_jax.curation.verdicts import read_verdicts
from mtv_jax.data.shards import open_shards
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import sha256


@pytest.fixture
def films(tmp_path):
    """Two films, of two clips and of one."""
    folder = tmp_path / "films"
    folder.mkdir()
    write_film(folder / "a.mp4", 10, people=1)
    write_film(folder / "b.mp4", 5, shade=40, kind="talking_head")
    return folder


def failing(monkeypatch, times):
    """Measuring motion fails so often, on each clip."""
    left = {}

    def score(path):
        count = left.setdefault(path, times)
        left[path] -= 1
        if count > 0:
            raise RuntimeError("unlucky")
        return {"status": "ok", "flow": 9.0}

    monkeypatch.setattr(picture, "motion_scores", score)
    return ["--config.filters.min_motion=0.1"]


def test_a_stage_that_fails_once_is_tried_again(films, tmp_path, monkeypatch):
    run(films, tmp_path / "out", *FRAMES, *failing(monkeypatch, 1))
    assert len(open_shards(tmp_path / "out")) == 3
    reasons = [row["reason"] for row in ledger(tmp_path / "out") if row["status"] == "error"]
    assert reasons == ["RuntimeError: unlucky"] * 3


def test_what_fails_too_often_is_left_until_it_is_asked_for(films, tmp_path, monkeypatch, capsys):
    options = failing(monkeypatch, 2)
    assert run(films, tmp_path / "out", *FRAMES, *options) == 1
    assert "a.mp4: all clips rejected: motion failed" in capsys.readouterr().err
    rows = ledger(tmp_path / "out")
    assert run(films, tmp_path / "out", *FRAMES, *options) == 1
    assert ledger(tmp_path / "out") == rows
    assert not run(films, tmp_path / "out", *FRAMES, *options, "--retry-failed")
    assert len(open_shards(tmp_path / "out")) == 3


class Deadly(InlineExecutor):
    """Its workers die at the clips of the film `a.mp4`."""

    def run(self, jobs):
        for given in jobs:
            for event in super().run([given]):
                if event.message and event.message.stage == "clips" and given.source == "a.mp4":
                    yield event
                    yield Event(given, died="the worker died (SIGABRT)")
                    break
                yield event


def test_a_film_at_which_workers_die_is_quarantined_and_the_others_go_on(films, tmp_path, monkeypatch):
    monkeypatch.setattr("mtv_jax.curation.executors.inline.InlineExecutor", Deadly)
    assert not run(films, tmp_path / "out", *FRAMES)
    manifest = open_shards(tmp_path / "out").manifest
    assert manifest["info"]["left_out"] == {"a.mp4": "the worker died (SIGABRT)"}
    assert manifest["num_records"] == 1
    died = [row for row in ledger(tmp_path / "out") if row["status"] == "error"]
    assert [row["stage"] for row in died] == ["clips"] * 2


def test_workers_that_die_before_any_film_are_no_films_fault(films, tmp_path, monkeypatch):
    class Dead(InlineExecutor):
        def run(self, jobs):
            yield from (Event(given, died="the worker died (exit code 1)") for given in jobs)

    monkeypatch.setattr("mtv_jax.curation.executors.inline.InlineExecutor", Dead)
    with pytest.raises(UserError, match=r"workers die before they begin \(the worker died"):
        run(films, tmp_path / "out", *FRAMES)


def test_other_thresholds_need_no_model_and_only_what_is_newly_kept_is_made(
    films, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out"
    flows = {"square a": 1.0, "square b": 3.0}

    def score(path):
        rows = [row for row in ledger(out) if row["stage"] == "clips" and row["item"] == path.parent.name]
        return {"status": "ok", "flow": flows["square a" if rows[0]["film"] == first else "square b"]}

    first = sha256(films / "a.mp4")
    monkeypatch.setattr(picture, "motion_scores", score)
    run(films, out, *FRAMES, "--config.filters.min_motion=2")
    assert [open_shards(out).read(0).prompt, len(open_shards(out))] == ["square b", 1]
    for name in ("resize_crop", "read_video"):
        monkeypatch.setattr(last, name, None)
    monkeypatch.setattr(picture, "motion_scores", None)
    capsys.readouterr()
    curate.main(["decide", str(out), "--config.filters.min_motion=0.5"])
    told = capsys.readouterr().out
    assert "3 clips of 2 films, 3 kept" in told
    assert "basic_face: 1\n" in told
    with pytest.raises(UserError, match="is kept and not encoded yet"):
        curate.main(["pack", str(out)])
    with pytest.raises(UserError, match="change what is measured"):
        curate.main(["decide", str(out), "--config.shots.detector=pyscenedetect"])
    monkeypatch.undo()
    run(films, out, *FRAMES, "--config.filters.min_motion=0.5")
    shards = open_shards(out)
    assert shards.subset("basic_face").shape == (1,)
    assert shards.subset("single_character").shape == (2,)
    encoded = [row["item"] for row in ledger(out) if row["stage"] == "encode"]
    assert sorted(encoded) == sorted(set(encoded))


def test_status_plan_and_report_say_what_there_is(films, tmp_path, capsys):
    curate.main(["plan", "--videos", str(films), "--out", str(tmp_path / "out"), *FRAMES[:2], *FRAMES[4:]])
    told = capsys.readouterr().out
    assert "2 films of 0.00 h, 0 of them unreadable" in told
    assert "at most 3 clips of 5 frames" in told
    assert "licence CC0: 2 films" in told
    assert not (tmp_path / "out").exists()
    run(films, tmp_path / "out", *FRAMES)
    curate.main(["status", str(tmp_path / "out")])
    assert "  encode: 3 done" in capsys.readouterr().out
    curate.main(["report", str(tmp_path / "out")])
    assert "3 of 3 clips kept" in (tmp_path / "out" / "report.html").read_text()


def test_an_out_below_the_films_is_not_taken_for_films(films, capsys):
    for _ in range(2):
        run(films, films / "out", *FRAMES)
    assert len(open_shards(films / "out")) == 3
    assert "ignored: out" not in capsys.readouterr().err


def test_a_changed_caption_is_the_only_thing_that_is_redone(films, tmp_path):
    run(films, tmp_path / "out", *FRAMES)
    rows = len(ledger(tmp_path / "out"))
    (films / "b.json").write_text(json.dumps({"prompt": "another", "kind": "talking_head"}))
    run(films, tmp_path / "out", *FRAMES)
    assert [row["stage"] for row in ledger(tmp_path / "out")[rows:]] == ["caption", "encode"]
    opened = open_shards(tmp_path / "out")
    assert sorted(opened.read(i).prompt for i in range(3)) == ["another", "square a", "square a"]


def test_files_that_are_lost_are_made_again(films, tmp_path):
    run(films, tmp_path / "out", *FRAMES)
    before = open_shards(tmp_path / "out").manifest
    shutil.rmtree(tmp_path / "out" / "work" / "films")
    run(films, tmp_path / "out", *FRAMES, "--stride", "4", "--overwrite")
    run(films, tmp_path / "out", *FRAMES, "--overwrite")
    assert open_shards(tmp_path / "out").manifest["shards"] == before["shards"]


class TwoVoices(OneVoice):
    """Hears two voices from beginning to end."""

    def diarize(self, samples, sample_rate):
        found = super().diarize(samples, sample_rate)
        return found | {"turns": [[*found["turns"][0][:2], who] for who in "ab"]}


class Breaking(OneVoice):
    """Fails on every sound."""

    def diarize(self, samples, sample_rate):
        raise RuntimeError("no memory")


def test_a_stage_that_is_optional_rejects_no_clip_when_it_fails(
    films, tmp_path, pipeline_folder, monkeypatch
):
    separate_into_halves(monkeypatch)
    out = tmp_path / "out"
    sound = [*PLAIN, "--workers", "0", "--encoders", str(pipeline_folder), "--config.captioner=detectors"]
    options = [*sound, "--config.diarizer=resemblyzer"]
    for film in ("a", "b"):
        (films / f"{film}.json").unlink()
    prompts = []
    for model, extra in ((Breaking(), ()), (TwoVoices(), ()), (TwoVoices(), ("--retry-failed",))):
        monkeypatch.setitem(roles._made, ("diarizer", "resemblyzer", "None"), model)
        assert not run(films, out, *options, *extra)
        clips = [row for row in read_verdicts(out / "work" / "verdicts.jsonl") if "clip" in row]
        assert [clip["keep"] for clip in clips] == [True] * 3
        prompts.append(
            ({open_shards(out).read(i).prompt[:10] for i in range(3)}, sorted(clips[0]["unjudged"]))
        )
    failed = ({"One person"}, ["speakers"])
    assert prompts == [failed, failed, ({"Two person"}, [])]


def test_models_that_fail_everywhere_stop_the_run_and_are_no_films_fault(films, tmp_path, monkeypatch):
    def refuse(path):
        raise roles.UnusableModelError("https://x: HTTP 401: wrong key")

    monkeypatch.setattr(picture, "motion_scores", refuse)
    with pytest.raises(UserError, match="^https://x: HTTP 401: wrong key$"):
        run(films, tmp_path / "out", *FRAMES, "--config.filters.min_motion=0.1")
    assert not [row for row in ledger(tmp_path / "out") if row["status"] == "error"]


def test_names_of_models_that_there_are_not_are_refused(films, tmp_path):
    with pytest.raises(UserError, match="diarizer 'resemblyser': no such model; use one of resemblyzer"):
        run(films, tmp_path / "out", *FRAMES, "--config.diarizer=resemblyser")
