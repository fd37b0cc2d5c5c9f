"""The README's section "A command each": its commands are parsed by the quick tests, and run by the slow one."""

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from mtv_jax.io.config import split_overrides

ROOT = Path(__file__).resolve().parent.parent


def commands() -> list[list[str]]:
    """The words of each command of the section, in order."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("\n## A command each\n") :].split("\n## ")[1]
    block = section.split("```")[1]
    return [shlex.split(line) for line in block.splitlines() if line and not line.startswith("#")]


def test_there_is_a_command_for_each_front_door():
    told = [words[2].removeprefix("mtv_jax.") for words in commands()]
    assert all(words[:2] == ["python", "-m"] for words in commands())
    assert set(told) == {"doctor", "sample", "demix", "curate", "train", "evaluate", "convert", "plan"}


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words[2:5]))
def test_its_flags_are_known(words):
    parser = importlib.import_module(words[2])._parser()
    rest = words[3:]
    if "--describe" in rest:  # what a video needs is not needed to be told of a preset
        rest = [*rest, "--prompt", "", "--out", "out.mp4"]
    args = parser.parse_args(split_overrides(rest)[0] if words[2].endswith(("train", "plan")) else rest)
    assert args is not None


def test_what_it_reads_is_bundled_or_made_by_a_command_before():
    made: list[str] = []
    for words in commands():
        for flag, word in zip(["", *words[3:]], words[3:], strict=False):
            path = word.partition("=")[2] if word.startswith("--config.data.dir=") else word
            if flag in ("--out", "--workdir"):
                made.append(path)
            elif re.match(r"(mtv_jax|configs)/", path):
                assert (ROOT / path).exists(), path
            elif path.startswith("runs/"):
                assert any(path == other or path.startswith(f"{other}/") for other in made), path


@pytest.mark.slow
def test_it_runs_as_it_stands(tmp_path):
    for name in ("mtv_jax", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    for words in commands():
        command = [sys.executable, *words[1:]]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=3600)
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
