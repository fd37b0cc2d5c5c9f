"""The report counts what was decided, and is one bounded page that loads nothing."""

import json
import re
from dataclasses import asdict
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mtv_jax.curation.config import CurateConfig
from mtv_jax.curation.decide import rules
from mtv_jax.curation.report import gallery
from mtv_jax.curation.report.captions import captions
from mtv_jax.curation.report.clips import Clips
from mtv_jax.curation.report.gallery import Gallery, around_marks
from mtv_jax.curation.report.page import write_report
from mtv_jax.curation.report.summary import (
    balance,
    funnel,
    histogram,
    histograms,
    overlap,
    table_row,
)
from mtv_jax.io.audio import write_audio
from mtv_jax.io.video import write_video

RULES = [asdict(rule) for rule in rules(CurateConfig())]
NAMES = [rule["name"] for rule in RULES]


def clip(number, failures=(), subsets=(), evidence=None, folder=Path("gone")):
    return {
        "id": f"{number:064d}",
        "source": "film <1> & 'more'.mp4",
        "seconds": 2.0,
        "folder": folder,
        "evidence": evidence or {},
        "keep": not failures,
        "failures": list(failures),
        "subsets": list(subsets),
    }


def data(clips):
    return {
        "clips": clips,
        "sources": [
            {
                "name": "a.mp4",
                "kind": "film",
                "licence": "CC0",
                "seconds": 9.0,
                "status": "ok",
                "reason": None,
            }
            | {"id": "1", "clips": len(clips), "kept": 1},
            {"name": "b.mp4", "kind": "film", "licence": "", "seconds": None, "status": "error"}
            | {"id": "2", "reason": "no picture", "clips": 0, "kept": 0},
        ],
        "prompt": {c["id"]: c["evidence"].get("caption", {}).get("prompt") for c in clips}.__getitem__,
        "truth": [],
        "off": {"demixing": "off: no second separator"},
        "rules": RULES,
        "accounting": {"seconds": 9.0, "kept": 4.0, "rejected": {"silent": 6.0}, "overlap": 1.0},
        "costs": [
            {
                "stage": "cut",
                "items": 3,
                "seconds": 1.5,
                "clips_per_second": 2.0,
                "peak_bytes": 5e8,
                "errors": 1,
            }
        ],
        "cards": [{"role": "audio_quality", "name": "N", "version": "1", "licence": "MIT", "weights": "ab"}],
        "config": CurateConfig().to_json(),
    }


def test_the_funnel_counts_first_all_and_only_failures_in_the_order_of_the_rules():
    first, second = NAMES[0], NAMES[1]
    clips = [clip(0), clip(1, [first, second]), clip(2, [second]), clip(3, [second, "duplicate"])]
    clips.append(clip(4, ["quality failed", "duplicate"]))
    assert funnel(Clips(clips), NAMES) == [
        {"reason": "quality failed", "first": 1, "all": 1, "alone": 0, "left": 4},
        {"reason": first, "first": 1, "all": 1, "alone": 0, "left": 3},
        {"reason": second, "first": 2, "all": 3, "alone": 1, "left": 1},
        {"reason": "duplicate", "first": 0, "all": 2, "alone": 0, "left": 1},
    ]


def scored(values, keep=lambda value: True):
    return [
        clip(i, () if keep(v) else ("silent",), evidence={"sound": {"status": "ok", "dbfs": v}})
        for i, v in enumerate(values)
    ]


def test_a_histogram_counts_kept_and_dropped_clips_and_knows_its_cut_off():
    clips = [*scored(np.linspace(-80, -10, 200).tolist(), lambda v: v >= -60), clip(999)]
    found = histogram(Clips(clips), "sound.dbfs", RULES)
    assert (found["clips"], found["without"]) == (200, 1)
    assert sum(found["kept"]) == sum(c["keep"] for c in clips[:200])
    assert sum(found["kept"]) + sum(found["dropped"]) == 200
    assert [cut["threshold"] for cut in found["cuts"]] == [CurateConfig().filters.min_dbfs]
    assert found["marks"]["50"] == pytest.approx(-45)


def test_scores_without_a_value_and_constants_do_not_break_it():
    evidence = {"demixing": {"others": None, "speech": float("nan")}, "cut": {"frames": 49, "ok": True}}
    clips = [clip(i, evidence=evidence) for i in range(3)]
    names = [found["name"] for found in histograms(Clips(clips), RULES)]
    assert names == ["demixing.speech"]  # a constant without a cut-off tells nothing
    assert histogram(Clips(clips), "demixing.speech", RULES)["edges"] == []


def test_the_overlap_of_subsets():
    kept = [("sound_event", "visual_mood")] * 3 + [("visual_mood",), ("basic_face",), ()]
    clips = [clip(i, subsets=subsets) for i, subsets in enumerate(kept)]
    clips.append(clip(9, ["silent"], ["visual_mood"]))
    found = overlap(Clips(clips))
    assert found["sizes"]["visual_mood"] == 4
    assert found["intersections"][0] == {"subsets": ["sound_event", "visual_mood"], "clips": 3}
    assert sum(item["clips"] for item in found["intersections"]) == 6
    assert table_row("ours", Clips(clips))["hours"] == pytest.approx(12 / 3600)


def test_how_often_there_is_something_to_compare():
    tracks = ("music", "effects", "music", None)
    clips = [clip(i, evidence={"demixing": {"status": "ok", "compared": t}}) for i, t in enumerate(tracks)]
    clips.append(clip(9, ["demixing failed"], evidence={"demixing": {"status": "error"}}))
    assert Clips(clips).compared == {"music": 2, "effects": 1, "none": 1}
    assert Clips([clip(0)]).compared == {}


def test_seconds_balance():
    found = balance({"seconds": 10.0, "kept": 6.0, "rejected": {"a": 3.0, "b": 1.5}, "overlap": 1.0})
    assert found["missing"] == pytest.approx(0.5)


def test_clips_around_the_marks_of_a_score():
    clips = Clips(scored([float(v) for v in range(100)][::-1]))
    found = around_marks(clips, "sound.dbfs", 3)
    values = {mark: clips.score("sound.dbfs")[numbers].tolist() for mark, numbers in found.items()}
    assert values == {25: [24.0, 25.0, 26.0], 50: [49.0, 50.0, 51.0], 75: [73.0, 74.0, 75.0]}
    assert [len(c) for c in around_marks(Clips(scored([1.0, 2.0])), "sound.dbfs", 3).values()] == [2, 2, 2]


class Tags(HTMLParser):
    VOID = ("meta", "br", "img", "line", "rect", "circle")

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for key, value in attrs if key in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.links += [value for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag):
        assert tag in self.VOID or self.open.pop() == tag, tag


def test_the_page_is_whole_and_loads_nothing(tmp_path):
    folder = tmp_path / "clips" / "1"
    folder.mkdir(parents=True)
    frames = np.random.default_rng(0).integers(0, 255, (8, 64, 96, 3), np.uint8)
    write_video(folder / "clip.mp4", frames, 4)
    write_audio(folder / "mix.flac", 0.1 * np.ones((8000, 2), np.float32), 8000)
    clips = scored([-30.0, -70.0, -31.0], lambda v: v > -60)
    clips[0] |= {"folder": folder, "subsets": ["sound_event"]}
    write_report(tmp_path / "report.html", data(clips))
    text = (tmp_path / "report.html").read_text()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert not re.search("<script|https?://|@import|<link", text)
    embedded = [link for link in tags.links if link.startswith("data:")]
    assert {link.split(";")[0] for link in embedded} == {"data:image/jpeg", "data:audio/mpeg"}
    assert "clips/1/clip.mp4" in tags.links
    assert "film &lt;1&gt; &amp; &#x27;more&#x27;.mp4" in text
    assert "its video is no longer there" in text
    for words in ("392,000", "195,000", "silent", "no picture", "quarantined", "clips a second"):
        assert words in text
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert (numbers["clips"], numbers["kept"], numbers["accounting"]["missing"]) == (3, 2, 0.0)


def test_nothing_decided_yet_is_a_page_too(tmp_path):
    empty = data([]) | {"sources": [], "costs": [], "cards": []}
    empty["accounting"] = {"seconds": 0.0, "kept": 0.0, "rejected": {}, "overlap": 0.0}
    write_report(tmp_path / "report.html", empty)
    assert "No clip is kept" in (tmp_path / "report.html").read_text()


def test_the_pictures_and_sounds_of_a_page_are_bounded(monkeypatch):
    read = []
    monkeypatch.setattr(gallery, "media_of", lambda folder: read.append(folder) or "x" * 100)
    found = Gallery(Path("."), most_bytes=250).show(
        [clip(i, folder=Path(str(i))) for i in range(9)], ["n"] * 9
    )
    assert found.count("x" * 100) == 2
    assert found.count("the page is full") == 7
    assert len(read) == 3
    assert found.count("<figure>") == 9


def captioned(number, **caption):
    return clip(number, evidence={"caption": {"status": "ok", "prompt": "<i>a</i>", **caption}})


def test_captions_that_disagree_are_counted_and_shown_with_what_they_cost(tmp_path):
    refused = clip(4, evidence={"caption": {"status": "unavailable", "tokens": {"requests": 1}}})
    clips = [
        captioned(0, disagrees={"people": "2 described, 1 seen"}, tokens={"requests": 2}),
        captioned(1, disagrees={}, tokens={"requests": 1}),
        captioned(2, disagrees=None),
        clip(3),
        refused,
    ]
    found = captions(Clips(clips))
    assert found == {"clips": 3, "compared": 2, "disagree": {"people": 1}, "tokens": {"requests": 4}}
    write_report(tmp_path / "report.html", data(clips))
    section = (tmp_path / "report.html").read_text().partition("<h2>Captions</h2>")[2].partition("<h2>")[0]
    assert "2 described, 1 seen. &lt;i&gt;a&lt;/i&gt;" in section
    assert section.count("<figure>") == 1
    assert json.loads((tmp_path / "report.json").read_text())["captions"] == found


def test_the_page_says_first_which_models_are_stubs(tmp_path):
    card = {
        "role": "embedder",
        "name": "untrained",
        "version": "1",
        "licence": "",
        "fidelity": "stub",
        "weights": None,
    }
    write_report(tmp_path / "report.html", data([clip(0)]) | {"cards": [card]})
    assert "not to be released: embedder is by untrained, a stub" in (tmp_path / "report.html").read_text()
