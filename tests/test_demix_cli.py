"""The demix command, and what all commands share: exit codes, one line an error, progress."""

import base64
import hashlib
import io
import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from mtv_jax import demix
from mtv_jax.audio.separation import files, pictures
from mtv_jax.audio.separation.base import STEMS, Context
from mtv_jax.io.audio import read_audio, write_audio
from mtv_jax.io.cli import parser, run
from mtv_jax.io.errors import UserError
from mtv_jax.io.progress import progress
from mtv_jax.io.video import write_video
from tests import separators
from tests.separators import HALVES, FunctionSeparator


def sine(seconds, rate, amplitude=0.3):
    return (amplitude * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.fixture
def mix(tmp_path):
    left = sine(0.5, 22050)
    path = tmp_path / "mix.wav"
    write_audio(path, np.stack([left, left / 2], axis=1), 22050)
    return path


@pytest.fixture
def halves(monkeypatch):
    """Stands for every separator (`dfn3` makes two tracks); a list of the lengths of what it separated."""
    lengths = []

    def three(samples, sample_rate):
        lengths.append(len(samples))
        return HALVES.separate(samples, sample_rate)

    def two(samples, sample_rate):
        lengths.append(len(samples))
        return {"speech": samples / 2, "rest": samples / 2}

    found = {"dfn3": FunctionSeparator(two, tracks=STEMS)}
    monkeypatch.setattr(files, "find_separator", lambda name: found.get(name, FunctionSeparator(three)))
    return lengths


@pytest.fixture
def clips(tmp_path):
    """A folder of two mixes, one in a folder below."""
    folder = tmp_path / "clips"
    (folder / "day 1").mkdir(parents=True)
    write_audio(folder / "a.wav", sine(0.1, 8000), 8000)
    write_audio(folder / "day 1" / "b.flac", np.stack([sine(0.1, 16000)] * 6, axis=1), 16000)
    return folder


def exit_code(main, *argv):
    with pytest.raises(SystemExit) as caught:
        run(main, [str(a) for a in argv])
    return caught.value.code


def contents(folder):
    """The files in a folder and those below it, by relative path."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_the_tracks_of_a_real_separator_add_up_and_are_written_with_their_model(mix, tmp_path, capsys):
    out = tmp_path / "out"
    assert exit_code(demix.main, mix, "--out", out, "--separator", "dfn3") == 0
    tracks = [read_audio(out / f"{n}.wav", None, mono=False) for n in ("speech", "rest")]
    np.testing.assert_allclose(sum(tracks), read_audio(mix, None, mono=False), atol=1e-6)
    report = json.loads((out / "demix.json").read_text())
    assert report["separator"] == "dfn3"
    assert list(report["tracks"]) == ["speech", "rest"]
    model = report["tracks"]["speech"]["model"]
    assert (model["name"], model["fidelity"], len(model["weights"])) == ("DeepFilterNet3", "real", 64)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["speech", "rest"]
    assert "DeepFilterNet3" in lines[0]
    assert sorted(contents(out)) == ["demix.json", "rest.wav", "speech.wav"]


@pytest.mark.parametrize(("kind", "rate"), [("wav", None), ("flac", 16000)])
def test_tracks_are_written_in_either_format_and_at_any_rate(mix, halves, tmp_path, capsys, kind, rate):
    out = tmp_path / "out"
    options = [] if rate is None else ["--sample-rate", rate]
    assert exit_code(demix.main, mix, "--out", out, "--format", kind, *options) == 0
    rate = rate or 22050
    tracks = [read_audio(out / f"{n}.{kind}", None, mono=False) for n in ("speech", "effects", "music")]
    assert [t.shape for t in tracks] == [(rate // 2, 2)] * 3
    np.testing.assert_allclose(sum(tracks), read_audio(mix, rate, mono=False), atol=1e-4)
    report = json.loads((out / "demix.json").read_text())
    assert report["mix"]["sha256"] == hashlib.sha256(mix.read_bytes()).hexdigest()
    assert (report["sample_rate"], report["samples"]) == (rate, rate // 2)
    assert [report["tracks"][name]["share"] for name in ("speech", "effects", "music")] == [
        0.25,
        0.0625,
        0.0625,
    ]
    assert report["mix"]["rms_dbfs"] == pytest.approx(10 * np.log10(0.3**2 * 1.25 / 4), abs=0.1)
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0]
        == f"speech: {out}/speech.{kind} by test 1 (classical), -21.5 dBFS, 25.0 % of the mix's energy"
    )
    assert sorted(contents(out)) == ["demix.json", f"effects.{kind}", f"music.{kind}", f"speech.{kind}"]


def test_sections_of_a_compressed_file_add_up_to_its_one_decoding(tmp_path, monkeypatch):
    """AAC decoders fill in random noise after a seek, so parts must come from one decoding."""
    separator = replace(HALVES, context=Context(section=1, past=0.5, future=0.5))
    monkeypatch.setattr(files, "find_separator", lambda *_: separator)
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * 22050).astype(np.float32)
    write_video(tmp_path / "mix.mp4", np.zeros((24, 32, 32, 3), np.uint8), 8, audio=noise, sample_rate=22050)
    out = tmp_path / "out"
    assert exit_code(demix.main, tmp_path / "mix.mp4", "--out", out) == 0
    tracks = [read_audio(out / f"{n}.wav", None) for n in ("speech", "effects", "music")]
    np.testing.assert_allclose(sum(tracks), read_audio(tmp_path / "mix.mp4", None), atol=1e-5)
    assert sorted(contents(out)) == ["demix.json", "effects.wav", "music.wav", "speech.wav"]


def test_a_silent_track_is_called_silent(halves, tmp_path, capsys):
    write_audio(tmp_path / "mix.wav", np.zeros(1600, np.float32), 16000)
    assert exit_code(demix.main, tmp_path / "mix.wav", "--out", tmp_path / "out") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("-120.0 dBFS, silent (below -45 dBFS)") for line in lines] == [True] * 3


def test_what_counts_as_silent_is_the_separators(mix, tmp_path, monkeypatch, capsys):
    class Leaky(FunctionSeparator):
        @property
        def leak_db(self):
            return {"speech": 5.0, "effects": None, "music": 10.0}

    monkeypatch.setattr(files, "find_separator", lambda name: Leaky(HALVES.function))
    assert exit_code(demix.main, mix, "--out", tmp_path / "out") == 0
    lines = capsys.readouterr().out.splitlines()
    # The mix has -15.5 dBFS, the tracks 6, 12 and 12 dB less.
    assert ["silent (below" in line for line in lines] == [True, False, True]
    tracks = json.loads((tmp_path / "out" / "demix.json").read_text())["tracks"]
    silent = {name: track["silent_dbfs"] for name, track in tracks.items()}
    assert silent == pytest.approx({"speech": -20.5, "effects": -45, "music": -25.5}, abs=0.05)


def test_bad_input_is_one_line_and_exit_2(mix, tmp_path, capsys):
    assert exit_code(demix.main, tmp_path / "none.wav", "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error == f"error: {tmp_path / 'none.wav'}: no such file\n"
    (tmp_path / "text.wav").write_text("words")
    assert exit_code(demix.main, tmp_path / "text.wav", "--out", tmp_path / "out") == 2
    assert "not a sound file" in capsys.readouterr().err
    assert exit_code(demix.main, mix, "--out", tmp_path / "out", "--sample-rate", 7) == 2
    assert exit_code(demix.main, mix) == 2
    (tmp_path / "empty").mkdir()
    assert exit_code(demix.main, tmp_path / "empty", "--out", tmp_path / "out") == 2
    assert "no sound or video in it" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_is_separated_and_a_bad_file_does_not_stop_it(clips, halves, tmp_path, capsys):
    (clips / "._a.wav").write_text("of macOS")
    (clips / "aa.wav").write_text("")
    (clips / "notes.txt").write_text("words")
    out = tmp_path / "out"
    assert exit_code(demix.main, clips, "--out", out, "--format", "flac") == 1
    tracks = ["demix.json", "effects.flac", "music.flac", "speech.flac"]
    assert sorted(contents(out)) == [f"{folder}/{name}" for folder in ("a", "day 1/b") for name in tracks]
    assert not (out / "aa").exists()
    output = capsys.readouterr()
    assert len(output.out.splitlines()) == 6
    assert f"ignored: {clips}/notes.txt (not a sound or video)\n" in output.err
    assert "._a.wav" not in output.err
    assert f"error: {clips}/aa.wav: not a sound file: empty (0 bytes)\n" in output.err
    assert "3/3 b.flac: 1 done" in output.err
    assert output.err.endswith("error: 1 of 3 files could not be separated\n")


def test_a_file_that_fails_while_it_is_separated_leaves_nothing(clips, tmp_path, monkeypatch, capsys):
    def fail_at_8_khz(samples, sample_rate):
        if sample_rate == 8000:
            raise ValueError("too narrow")
        return HALVES.separate(samples, sample_rate)

    monkeypatch.setattr(files, "find_separator", lambda name: FunctionSeparator(fail_at_8_khz))
    assert exit_code(demix.main, clips, "--out", tmp_path / "out") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["day 1"]
    assert f"error: {clips}/a.wav: ValueError: too narrow\n" in capsys.readouterr().err


def test_what_does_not_fit_the_format_is_refused(clips, halves, tmp_path, monkeypatch, capsys):
    write_audio(tmp_path / "9.wav", np.zeros((100, 9), np.float32), 16000)
    assert exit_code(demix.main, tmp_path / "9.wav", "--out", tmp_path / "out", "--format", "flac") == 2
    assert "0 s of 9 channels do not fit a flac file; give --format wav" in capsys.readouterr().err
    monkeypatch.setitem(files._MOST_BYTES, "wav", 4 * 6 * 1600 - 1)
    assert exit_code(demix.main, clips, "--out", tmp_path / "out") == 1
    assert "b.flac: 0 s of 6 channels do not fit a wav file" in capsys.readouterr().err
    assert len(halves) == 1


def test_a_folder_is_continued_where_it_was_stopped(clips, halves, tmp_path, capsys):
    out = tmp_path / "out"
    argv = [clips, "--out", out, "--format", "flac"]  # libsndfile writes the time into float WAV files
    assert exit_code(demix.main, *argv) == 0
    lines, before = capsys.readouterr().out, contents(out)
    (out / "day 1" / "b" / "music.flac").unlink()
    (out / "a" / ".tmp-killed").mkdir()
    (out / "a" / "notes.txt").write_text("not ours")
    del halves[:]
    assert exit_code(demix.main, *argv) == 0
    assert len(halves) == 1
    output = capsys.readouterr()
    assert output.out == lines
    assert f"{out}: 1 of 2 files were separated before\n" in output.err
    assert contents(out) == before | {"a/notes.txt": b"not ours"}
    assert not (out / "a" / ".tmp-killed").exists()


@pytest.mark.parametrize("change", ["content", "format", "rate", "separator", "model"])
def test_what_was_made_of_something_else_is_replaced_only_with_overwrite(
    change, mix, halves, tmp_path, monkeypatch, capsys
):
    out = tmp_path / "out"
    assert exit_code(demix.main, mix, "--out", out) == 0
    options = {
        "format": ["--format", "flac"],
        "rate": ["--sample-rate", 9000],
        "separator": ["--separator", "dfn3"],
    }
    argv = [mix, "--out", out, *options.get(change, [])]
    if change == "content":
        write_audio(mix, sine(0.2, 8000), 8000)
    if change == "model":
        monkeypatch.setattr(separators, "CARD", replace(separators.CARD, weights="0" * 64))
    before = contents(out)
    assert exit_code(demix.main, *argv) == 2
    assert "exists already; give --overwrite" in capsys.readouterr().err
    assert (len(halves), contents(out)) == (1, before)
    assert exit_code(demix.main, *argv, "--overwrite") == 0
    assert exit_code(demix.main, *argv) == 0  # finished
    assert exit_code(demix.main, *argv, "--overwrite") == 0
    assert len(halves) == 2
    assert len(contents(out)) == (3 if change == "separator" else 4)


def test_a_result_that_was_being_moved_when_the_process_died_is_made_again(
    mix, halves, tmp_path, monkeypatch
):
    out = tmp_path / "out"
    move, moved = os.replace, []

    def die(source, target):
        if Path(target).parent == out and Path(target).suffix == ".wav":
            moved.append(target)
            if len(moved) == 2:
                raise RuntimeError("killed")
        move(source, target)

    monkeypatch.setattr(files.os, "replace", die)
    assert exit_code(demix.main, mix, "--out", out) == 1
    assert sorted(contents(out)) == ["demix.json", "speech.wav"]
    assert exit_code(demix.main, mix, "--out", out, "--sample-rate", 16000) == 2  # another result
    assert exit_code(demix.main, mix, "--out", out) == 0
    assert sorted(contents(out)) == ["demix.json", "effects.wav", "music.wav", "speech.wav"]


def test_the_report_is_one_page_that_plays_the_tracks(clips, halves, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "_WIDTH", 60)
    (clips / "a.wav").rename(clips / "a & <b> 'c'\n?.wav")
    (clips / "empty.wav").write_text("")
    out = tmp_path / "out"
    assert exit_code(demix.main, clips, "--out", out, "--report") == 1
    page = (out / "demix.html").read_text()
    sources = re.findall(r"<audio src='([^']*)'", page)
    assert len(sources) == 8
    assert all((out / unquote(source)).is_file() for source in sources)
    assert page.count("a &amp; &lt;b&gt; &#x27;c&#x27;\\n?") == 2
    assert "<b>" not in page
    images = [
        base64.b64decode(data) for data in re.findall(r"<img src='data:image/webp;base64,([^']*)'", page)
    ]
    assert len({Image.open(io.BytesIO(picture)).size for picture in images}) == 1
    assert len(images) == 2
    assert "empty.wav</td><td>not a sound file" in page
    assert not re.search(r"https?:|<script|<link", page)
    assert "25.0 %" in page
    assert exit_code(demix.main, clips, "--out", out, "--overwrite", "--format", "flac") == 1
    assert not (out / "demix.html").exists()  # of the former tracks


def test_help_shows_a_default_where_there_is_one():
    top = parser("name", "Does something.")
    top.add_argument("--count", type=int, default=0, help="how many")
    top.add_argument("--rate", type=int, help="of the result")
    top.add_argument("--quiet", action="store_true", help="say less")
    text = top.format_help()
    assert "how many (default: 0)" in text
    assert text.count("default") == 1


def raiser(error):
    def main(argv):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("a.wav: bad\nfile"), 2, "error: a.wav: bad file\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (ZeroDivisionError("by zero"), 1, "error: ZeroDivisionError: by zero\n"),
    ],
)
def test_exit_codes(error, code, line, capsys, monkeypatch):
    monkeypatch.delenv("MTV_JAX_DEBUG", raising=False)
    assert exit_code(raiser(error)) == code
    assert capsys.readouterr().err == line
    monkeypatch.setenv("MTV_JAX_DEBUG", "1")
    assert exit_code(raiser(error)) == code
    assert "Traceback" in capsys.readouterr().err


def test_success_exits_0_and_a_code_is_passed_on():
    assert exit_code(lambda argv: None) == 0
    assert exit_code(lambda argv: 3) == 3


def test_help_shows_defaults(capsys):
    arguments = parser("thing", "Does a thing.")
    arguments.add_argument("--steps", type=int, default=50, help="how many")
    with pytest.raises(SystemExit) as caught:
        arguments.parse_args(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert "python -m mtv_jax.thing" in text
    assert "(default: 50)" in text


def test_progress_yields_all_and_says_so(capsys):
    assert list(progress(3, "counting")) == [0, 1, 2]
    assert list(progress(iter("ab"), "reading", total=2)) == ["a", "b"]
    error = capsys.readouterr().err
    assert "counting: 3 done in" in error
    assert "reading: 2 done in" in error


def test_progress_on_a_terminal_is_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert list(progress(3, "separating [/i]")) == [0, 1, 2]  # no markup: it may be the name of a file
    error = capsys.readouterr().err
    assert "separating [/i]" in error
    assert "3/3" in error
