"""The store says what the ledger says, a film at a time, and is made again when that has grown."""

from dataclasses import dataclass, replace
from fractions import Fraction

import pytest

from mtv_jax.curation import ledger, store
from mtv_jax.curation.decide import unjudged
from mtv_jax.curation.inputs import Film, write_films
from mtv_jax.curation.ledger import RETRY
from mtv_jax.curation.session import Session
from mtv_jax.curation.settings import Layout, Settings
from mtv_jax.curation.stages import Keys, Stage
from mtv_jax.curation.store import Store
from mtv_jax.curation.summaries import status
from mtv_jax.curation.verdicts import Verdicts
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.jsonl import RowWriter

SETTINGS = Settings("films", ClipSize(5, Fraction(12), 16, 16), 5, "halves")
FILMS = [Film(f"{name}.mp4", "", {"kind": "film"}, name * 64) for name in "ab"]
SERIES = [0.5] * 10
COST = {"seconds": 0.5, "peak_bytes": 1000}


@dataclass(frozen=True)
class Cut(Stage):
    name = "clips"
    scope = "film"


@dataclass(frozen=True)
class Score(Stage):
    name = "score"
    needs = ("clips",)


STAGES = [Cut(), Score()]
CARDS = {stage.name: {} for stage in STAGES}
KEYS = Keys(STAGES, CARDS)


def row(item, film, stage, status="ok", **values):
    keys = KEYS.film(film.sha256, film.about)
    keys |= KEYS.clip(item, film.about, keys)
    return {"item": item, "film": film.sha256, "stage": stage, "key": keys[stage], "status": status, **values}


def clips_of(film):
    return [film.sha256[:62] + number for number in ("01", "02")]


@pytest.fixture
def layout(tmp_path):
    """Of two films with two clips each, of which the first has a score and the second has failed twice."""
    layout = Layout(tmp_path)
    with RowWriter(layout.ledger) as writer:
        for film in FILMS:
            found = {"status": "ok", "count": 2, "unused": {"left over of a shot": "1/3"}}
            rows = [
                row(clip, film, "clips", evidence={"status": "ok", "start": "0"}) for clip in clips_of(film)
            ]
            writer.append([*rows, row(film.sha256, film, "clips", evidence=found, **COST)])
    with RowWriter(layout.ledger) as writer:
        for film in FILMS:
            good, bad = clips_of(film)
            score = {"status": "ok", "level": 0.25, "series": SERIES, "text": "x" * 1000, "heard": ["a", "b"]}
            writer.append([row(good, film, "score", evidence=score, **COST)])
            writer.append([row(bad, film, "score", "error", reason="broken")] * 2)
    write_films(layout.films, FILMS)
    return layout


def opened(layout):
    return Store(layout, SETTINGS, FILMS, STAGES, CARDS)


def test_it_says_what_the_ledger_says_but_for_series_and_long_texts(layout):
    found = list(opened(layout))
    cut = {"status": "ok", "count": 2, "unused": {"left over of a shot": "1/3"}}
    assert [film.film for film in found] == FILMS
    for short, film in zip(found, FILMS, strict=True):
        assert (list(short.done), short.seconds, short.problem, short.cut) == (["clips"], None, None, cut)
        good, bad = clips_of(film)
        text = "x" * 200 + "..."
        assert short.clips[good]["score"] == {
            "status": "ok",
            "level": 0.25,
            "heard": ["a", "b"],
            "text": text,
        }
        assert short.clips[bad] == {
            "source": {"status": "ok", "kind": "film"},
            "clips": {"status": "ok", "start": "0"},
            "score": {"status": "error", "reason": "broken"},
        }


def test_a_clip_whose_stage_gave_up_with_a_long_error_is_unjudged(layout, monkeypatch):
    monkeypatch.setattr(Score, "optional", True)
    with RowWriter(layout.ledger) as writer:
        bad = clips_of(FILMS[0])[1]
        writer.append([row(bad, FILMS[0], "score", "error", reason="y" * 300)])
    evidence = next(iter(opened(layout))).clips[bad]
    assert unjudged(evidence) == {"score": f"it failed: {'y' * 189}..."}
    assert unjudged({"score": {"status": "unavailable"}}) == {"score": "no reason given"}


def test_all_evidence_of_a_clip_is_read_from_the_ledger(layout):
    good, bad = clips_of(FILMS[1])
    assert opened(layout).rows(good)["score"]["evidence"]["series"] == SERIES
    assert opened(layout).rows(bad)["score"]["reason"] == "broken"


def test_costs_are_those_of_all_rows(layout):
    cut, score = opened(layout).costs
    assert (cut["stage"], cut["items"], cut["seconds"], cut["errors"]) == ("clips", 2, 1.0, 0)
    assert (score["items"], score["errors"], score["clips_per_second"]) == (2, 4, 2.0)
    assert cut["clips_per_second"] == 4.0  # of two films, each of two clips


def test_a_copy_of_a_film_costs_nothing(layout, monkeypatch):
    costs = opened(layout).costs
    films = (*FILMS, replace(FILMS[0], source="copy.mp4", problem="the same file as a.mp4"))
    write_films(layout.films, films)
    session = Session(layout, SETTINGS, CARDS, films)
    monkeypatch.setitem(vars(session), "stages", STAGES)
    monkeypatch.setattr(Session, "verdicts", lambda self: Verdicts([], []))
    assert session.evidences.costs == costs
    assert len(list(session.evidences)) == 3
    assert "  clips: 2 done" in status(session).splitlines()


def test_a_row_that_lets_stages_be_tried_again_is_read_once(layout, monkeypatch):
    """It has the clips of all films, whose later outcomes count again."""
    (first, _), (second, _) = map(clips_of, FILMS)
    with RowWriter(layout.ledger) as writer:
        forget = [[clip, "score"] for clip in (first, second, "of no film")]
        writer.append([{"item": "", "film": "", "stage": RETRY, "key": "", "status": "ok", "forget": forget}])
        writer.append([row(second, FILMS[1], "score", evidence={"status": "ok", "level": 1.0}, **COST)])
    parsed, parse = [], ledger._parsed
    monkeypatch.setattr(ledger, "_parsed", lambda line, where: parsed.append(line) or parse(line, where))
    a, b = opened(layout)
    assert "score" not in a.clips[first]
    assert b.clips[second]["score"]["level"] == 1.0
    assert sum(b"forget" in line for line in parsed) == 1


def test_it_is_made_again_only_if_the_ledger_has_grown(layout, monkeypatch):
    made, write = [], store._write
    monkeypatch.setattr(store, "_write", lambda *args: made.append(1) or write(*args))
    for _ in range(2):
        first = opened(layout)
    assert len(made) == 1
    bad = clips_of(FILMS[0])[1]
    with RowWriter(layout.ledger) as writer:
        writer.append([{"item": "", "film": "", "stage": RETRY, "key": "", "status": "ok"}])
    assert "score" not in next(iter(opened(layout))).clips[bad]
    with RowWriter(layout.ledger) as writer:
        writer.append([row(bad, FILMS[0], "score", evidence={"status": "ok", "level": 1.0}, **COST)])
    again = opened(layout)
    assert next(iter(again)).clips[bad]["score"]["level"] == 1.0
    assert (len(made), again.prints) == (3, first.prints)


def test_a_row_that_a_crash_cut_off_is_ignored_and_a_damaged_one_is_an_error(layout):
    data = layout.ledger.read_bytes()
    layout.ledger.write_bytes(data + b'{"item": "')
    assert len(list(opened(layout))) == 2
    layout.ledger.write_bytes(data.replace(b'"level": 0.25', b'"level": oops'))
    with pytest.raises(UserError, match=r"ledger\.jsonl: byte \d+ is damaged"):
        opened(layout)
