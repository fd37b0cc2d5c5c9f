"""Reports: what is written is read back, and nothing of another schema is."""

import json
from dataclasses import fields, replace

import pytest

from mtv_jax.evaluation.report.claims import CLAIMS, claim
from mtv_jax.evaluation.report.output import PAGE, write_report
from mtv_jax.evaluation.report.schema import RESULTS, Failure, Figure, Report, VideoRow, read_report
from mtv_jax.evaluation.report.text import text_lines
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json, write_json

FIGURES = [
    Figure(
        "lips.correlation", 0.9, 12, [0.85, 0.95], 0.85, {"theatre": 0.99, "autoencoder": None}, "a <note>"
    ),
    Figure("leaks.speech_by_music", None, 3, target=0.10),
    Figure("mood.hue_other_music", -0.2, 3, target=0.10),
]
REPORT = Report(
    "theatre",
    FIGURES,
    {"preset": "some", "files": {"vae/config.json": "12ab"}},
    [
        VideoRow("videos/one.mp4", caption="a <drum> & a bell", shown=True),
        VideoRow("b", "ff", values={"score": 0.5}, strip="strips/ff.jpg"),
    ],
    [Failure("broken.mp4", "no sound & no picture")],
    ["vae"],
    "contact_sheet.png",
)


def test_a_report_is_read_as_it_was_written(tmp_path):
    write_report(tmp_path, REPORT)
    assert read_report(tmp_path / RESULTS) == REPORT


def test_rows_without_a_strip_are_read():
    """Reports had none before."""
    values = REPORT.to_json()
    for row in values["rows"]:
        del row["strip"]
    assert [row.strip for row in Report.from_json(values).rows] == ["", ""]


def test_the_file_says_in_words_what_its_ids_mean(tmp_path):
    write_report(tmp_path, REPORT)
    results = read_json(tmp_path / RESULTS)
    assert (results["schema_version"], results["valid"]) == (2, False)
    first, second, third = results["figures"]
    assert (first["claim"], first["name"]) == ("speech moves the speaker's lips", "correlation with loudness")
    assert [first["met"], second["met"], third["met"]] == [True, False, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 1}, "schema_version 1"),
        ({"suite": "opera"}, "suite 'opera'"),
        ({"figure": []}, "unknown keys figure"),
        ({"figures": [{}]}, "Figure: missing keys"),
        ({"figures": [FIGURES[0].to_json() | {"id": "lips.corelation"}]}, "did you mean 'lips.correlation'"),
        ({"figures": [FIGURES[0].to_json() | {"value": "high"}]}, "'high' is of the wrong type"),
        ({"figures": [FIGURES[0].to_json() | {"interval": [0.1]}]}, "two ends"),
        ({"figures": [FIGURES[0].to_json() | {"baselines": {"rival": 1.0}}]}, "unknown baselines rival"),
        ({"rows": [{"video": "a"}]}, "VideoRow: missing keys"),
        ({"failures": "none"}, "Report.failures"),
    ],
)
def test_anything_else_is_refused_naming_the_file(change, message, tmp_path):
    write_json(tmp_path / RESULTS, REPORT.to_json() | change)
    with pytest.raises(UserError, match=message) as caught:
        read_report(tmp_path / RESULTS)
    assert RESULTS in str(caught.value)


def test_an_unknown_claim_is_an_error_wherever_it_is_named():
    for name in (lambda: claim("lips"), lambda: Figure("lips", 1.0, 1), lambda: REPORT.figure("lips")):
        with pytest.raises(UserError, match="claim 'lips': unknown"):
            name()
    with pytest.raises(UserError, match=r"has no figure events\.f1"):
        REPORT.figure("events.f1")


def test_ids_are_unique_and_names_are_within_their_statement():
    names = [(row.statement, row.name) for row in CLAIMS.values()]
    assert len(set(names)) == len(names)
    assert all(identifier == row.id for identifier, row in CLAIMS.items())


def test_every_field_of_a_report_comes_back(tmp_path):
    """A field that is written but not read, or the reverse, would be lost without a test of its own."""
    for kind, value in ((Report, REPORT), (Figure, FIGURES[0]), (VideoRow, REPORT.rows[1])):
        default = {field.name: field.default for field in fields(kind)}
        assert any(getattr(value, name) != default[name] for name in default)
    changed = replace(REPORT, figures=[replace(FIGURES[0], note="another")])
    write_report(tmp_path, changed)
    assert read_report(tmp_path / RESULTS) == changed != REPORT


def test_the_page_shows_everything_and_loads_nothing(tmp_path):
    write_report(tmp_path, REPORT)
    page = (tmp_path / PAGE).read_text()
    assert "http" not in page
    assert "<script" not in page
    for text in (
        "Not a valid result: random weights, not trained: vae",
        "1 of 3 targets met",
        "a &lt;note&gt;",
        "a &lt;drum&gt; &amp; a bell",
        "no sound &amp; no picture",
        "at least 0.85",
        "0.850 to 0.950",
        "<video src='videos/one.mp4'",
        "<img src='contact_sheet.png'",
        "12ab",
        "undefined",
    ):
        assert text in page, text


def test_results_are_written_last(tmp_path, monkeypatch):
    write_report(tmp_path, REPORT)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("mtv_jax.evaluation.report.output.write_text", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(tmp_path, REPORT)
    assert not (tmp_path / RESULTS).exists()


def test_each_figure_and_failure_is_printed():
    lines = list(text_lines(REPORT))
    assert lines[0] == "b: score 0.5"
    assert lines[1] == "broken.mp4: failed: no sound & no picture"
    assert lines[2] == (
        "speech moves the speaker's lips: correlation with loudness: 0.900 (0.850 to 0.950), at least 0.85: met; "
        "the theatre's own frames: 0.990; those through the autoencoder: undefined; a <note>"
    )
    assert lines[-1] == "1 of 3 targets met"
    assert json.dumps(REPORT.to_json())
