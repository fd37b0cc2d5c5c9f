"""The demix command, and what all commands share: exit codes, one line an error, progress."""

import hashlib
import json
import sys
from dataclasses import replace

import numpy as np
import pytest

from mtv_jax import demix
from mtv_jax.audio import demix_files
from mtv_jax.audio.separation.base import Context
from mtv_jax.io.audio import read_audio, write_audio
from mtv_jax.io.cli import parser, run
from mtv_jax.io.errors import UserError
from mtv_jax.io.progress import progress
from mtv_jax.io.video import write_video
from tests.separators import HALVES


@pytest.fixture
def mix(tmp_path):
    t = np.arange(22050) / 22050
    left = (0.3 * np.sin(2 * np.pi * 440 * t)).astype(np.float32)
    path = tmp_path / "mix.wav"
    write_audio(path, np.stack([left, left / 2], axis=1), 22050)
    return path


def exit_code(main, *argv):
    with pytest.raises(SystemExit) as caught:
        run(main, [str(a) for a in argv])
    return caught.value.code


@pytest.mark.parametrize(("kind", "rate"), [("wav", None), ("flac", 16000)])
def test_tracks_that_add_up_are_written_with_their_makers(mix, tmp_path, capsys, kind, rate):
    out = tmp_path / "out"
    options = [] if rate is None else ["--sample-rate", rate]
    assert exit_code(demix.main, mix, "--out", out, "--format", kind, *options) == 0
    rate = rate or 22050
    tracks = [read_audio(out / f"{n}.{kind}", None, mono=False) for n in ("speech", "effects", "music")]
    assert [t.shape for t in tracks] == [(rate, 2)] * 3
    np.testing.assert_allclose(sum(tracks), read_audio(mix, rate, mono=False), atol=1e-4)
    report = json.loads((out / "demix.json").read_text())
    assert report["mix"]["sha256"] == hashlib.sha256(mix.read_bytes()).hexdigest()
    assert report["sample_rate"] == rate
    assert report["samples"] == rate
    assert report["tracks"]["speech"]["model"]["fidelity"] == "real"
    assert report["tracks"]["effects"]["model"]["fidelity"] == "classical"
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "DeepFilterNet3" in lines[0]
    assert "HPSS" in lines[2]
    assert "silent" not in lines[2]
    assert sorted(p.name for p in out.iterdir()) == sorted(
        ["demix.json", *(f"{n}.{kind}" for n in ("speech", "effects", "music"))]
    )


def test_sections_of_a_compressed_file_add_up_to_its_one_decoding(tmp_path, monkeypatch):
    """AAC decoders fill in random noise after a seek, so parts must come from one decoding."""
    separator = replace(HALVES, context=Context(section=2, past=1, future=1))
    monkeypatch.setattr(demix_files, "find_separator", lambda *_: separator)
    noise = np.random.default_rng(0).normal(0, 0.1, 6 * 22050).astype(np.float32)
    write_video(tmp_path / "mix.mp4", np.zeros((48, 32, 32, 3), np.uint8), 8, audio=noise, sample_rate=22050)
    out = tmp_path / "out"
    assert exit_code(demix.main, tmp_path / "mix.mp4", "--out", out) == 0
    tracks = [read_audio(out / f"{n}.wav", None) for n in ("speech", "effects", "music")]
    np.testing.assert_allclose(sum(tracks), read_audio(tmp_path / "mix.mp4", None), atol=1e-5)
    assert sorted(p.name for p in out.iterdir()) == ["demix.json", "effects.wav", "music.wav", "speech.wav"]


def test_a_silent_track_is_called_silent(tmp_path, capsys):
    write_audio(tmp_path / "mix.wav", np.zeros(16000, np.float32), 16000)
    assert exit_code(demix.main, tmp_path / "mix.wav", "--out", tmp_path / "out") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.endswith("-120.0 dBFS, silent (below -45 dBFS)") for line in lines] == [True] * 3


def test_bad_input_is_one_line_and_exit_2(mix, tmp_path, capsys):
    assert exit_code(demix.main, tmp_path / "none.wav", "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert error == f"error: {tmp_path / 'none.wav'}: no such file\n"
    assert exit_code(demix.main, mix, "--out", tmp_path / "out", "--sample-rate", 7) == 2
    assert exit_code(demix.main, mix) == 2
    assert not (tmp_path / "out").exists()


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
    assert list(progress(3, "counting")) == [0, 1, 2]
    assert "3/3" in capsys.readouterr().err
