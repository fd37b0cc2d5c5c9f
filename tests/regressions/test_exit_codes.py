"""A user's error exits with 2 and one line that names it; a traceback or exit 1 are for our own. Found by attack."""

import pytest
from front_doors import exit_code, forbid_networks

from mtv_jax import curate, demix, evaluate, sample

SAMPLE = ["--preset", "tiny", "--out", "x.mp4"]
LONG = "n" * 300


@pytest.mark.parametrize(
    ("argv", "reported"),
    [
        (["--prompt", "caf\udce9"], "prompt 'caf\\\\udce9': is not UTF-8"),
        (["--prompt", ""], "prompt: is blank"),
        (["--prompt", " \t\n"], "prompt: is blank"),
        (["--prompt", "a bell", "--guidance", "-5"], "guidance_scale -5: must be from 0 to 100"),
        (["--prompt", "a bell", "--guidance", "nan"], "guidance_scale nan"),
        (["--prompt", "a bell", "--guidance", "1e30"], "guidance_scale 1e+30"),
        (["--prompt", "a bell", "--speech", LONG], LONG),
        (["--prompt", "a bell", "--keyframe", f"0={LONG}"], LONG),
        (["--prompt", "a bell", "--tracks", LONG], LONG),
        (["--prompt", "a bell", "--num-frames", "ten"], "'ten' is not a number of frames"),
        (["--prompt", "a bell", "--seeds", "3:1"], "no seed is in '3:1'"),
        (["--prompt", "a bell", "--seeds", "1,1"], "a seed is listed twice"),
        (["--prompt", "a bell", "--seeds", "-1"], "seeds are such as"),
        (["--prompts", LONG], LONG),
    ],
)
def test_sample(argv, reported, tmp_path, monkeypatch, capsys):
    forbid_networks(monkeypatch)
    monkeypatch.chdir(tmp_path)
    assert exit_code(sample.main, *SAMPLE, *argv) == 2
    error = capsys.readouterr().err
    assert reported in error.splitlines()[-1]
    error.encode("utf-8")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("main", "argv"),
    [
        (demix.main, [LONG, "--out", "out"]),
        (curate.main, ["run", "--videos", LONG, "--out", "out"]),
        (curate.main, ["theatre", "--encoders", LONG, "--out", "out"]),
        (evaluate.main, [LONG, "--out", "out"]),
        (evaluate.main, ["x.mp4", "--scene", LONG, "--out", "out"]),
        (evaluate.main, ["--suite", "theatre", "--preset", LONG, "--out", "out"]),
    ],
)
def test_a_name_that_no_file_can_have(main, argv, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.mp4").write_text("")
    assert exit_code(main, *argv) == 2
    assert LONG in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_prompt_file_that_is_not_utf8(tmp_path, monkeypatch, capsys):
    forbid_networks(monkeypatch)
    (tmp_path / "prompts.txt").write_bytes(b"a bell\ncaf\xe9\n")
    argv = ["--preset", "tiny", "--prompts", tmp_path / "prompts.txt", "--out", tmp_path / "out"]
    assert exit_code(sample.main, *argv) == 2
    assert "prompts.txt: its text is not UTF-8 (byte 0xe9 at 10)" in capsys.readouterr().err
