"""The README's section "A command each": its commands are parsed by the quick tests, and run by the slow one."""

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def blocks() -> list[str]:
    """The section's blocks of code: the commands, and the same in Python."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text[text.index("\n## A command each\n") :].split("\n## ")[1]
    return section.split("```")[1::2]


def commands() -> list[list[str]]:
    """The words of each command of the section, in order."""
    block = blocks()[0]
    return [shlex.split(line) for line in block.splitlines() if line and not line.startswith("#")]


def test_there_is_a_command_for_each_front_door():
    told = [words[2].removeprefix("mtv_jax.") for words in commands()]
    assert all(words[:2] == ["python", "-m"] for words in commands())
    assert set(told) == {"doctor", "sample", "demix", "curate", "train", "evaluate", "convert", "plan"}


class _ParsedError(Exception):
    """Its flags were all known."""


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(words[2:5]))
def test_its_flags_are_known(words, monkeypatch):
    known = argparse.ArgumentParser.parse_args

    def parse_args(self, args=None, namespace=None):
        known(self, args, namespace)
        raise _ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    main = importlib.import_module(words[2]).main
    if "--describe" in words:  # says at once what it knows
        assert not main(words[3:])
        return
    with pytest.raises(_ParsedError):
        main(words[3:])


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
    for words in [*(words[1:] for words in commands()), ["-c", blocks()[1].removeprefix("python")]]:
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, timeout=3600
        )
        assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}{done.stderr}"
