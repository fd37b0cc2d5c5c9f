"""`mtv-jax doctor`: what it looks at, what it calls broken, and its exit code; and the one script for all commands."""

import importlib.metadata
import importlib.util
import json
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from mtv_jax import __main__ as script
from mtv_jax import doctor
from mtv_jax.io.errors import UserError
from mtv_jax.planning import health, memory
from mtv_jax.planning.health import Finding

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """States of full-size trainings take seconds to be counted."""
    monkeypatch.setattr(health, "TRAININGS", ())


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(health, "TRAININGS", ())
        patch.setattr(memory, "sample_need", lambda sample, advise: memory.Need("a video", {"all": 2**20}))
        return health.examine("tiny")


def test_all_that_is_needed_is_looked_at_and_well(found):
    assert [finding for finding in found if finding.state == "broken"] == []
    names = {(finding.section, finding.name) for finding in found}
    assert {("packages", Requirement(text).name) for text in PROJECT["dependencies"]} <= names
    assert {("extras", extra) for extra in PROJECT["optional-dependencies"]} <= names
    roles = {"denoiser", "autoencoder", "text encoder", "audio encoder", "separator, speech", "lip score"}
    assert {("weights", role) for role in roles} <= names
    speech = [finding.message.split()[0] for finding in found if finding.name == "separator, speech"]
    assert speech == ["DeepFilterNet3", "Spleeter"]
    assert {
        ("python", "python"),
        ("devices", "device 0"),
        ("media", "ffmpeg"),
        ("memory", "sample tiny"),
    } <= names
    assert any(finding.section == "cache" for finding in found)


def test_what_is_not_there_says_how_to_get_it(found):
    assert all(finding.fix for finding in found if finding.state == "note")
    full_size = [finding for finding in found if "CogVideoX-5b" in finding.message]
    assert full_size[0].fix.startswith("hf download") or full_size[0].state == "ok"


def test_a_version_out_of_bounds_is_broken_and_exits_with_1(monkeypatch, capsys):
    real = importlib.metadata.version

    def version(name):
        if name == "soxr":
            raise importlib.metadata.PackageNotFoundError(name)
        return "14.0.1" if name == "av" else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(health, "examine", lambda preset: list(health.packages_found()))
    assert doctor.main(["--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["usable"] is False
    broken = {row["name"]: row for row in report["findings"] if row["state"] == "broken"}
    assert set(broken) == {"av", "soxr"}
    assert "14.0.1" in broken["av"]["message"]
    (bounds,) = (Requirement(text) for text in PROJECT["dependencies"] if text.startswith("av>"))
    assert broken["av"]["fix"] == f"pip install 'av{bounds.specifier}'"
    assert broken["soxr"]["message"] == "missing"


def test_another_python_is_broken(monkeypatch):
    monkeypatch.setattr(health.platform, "python_version", lambda: "3.10.4")
    python, _ = health.python_found()
    assert python.state == "broken"
    assert "3.10.4" in python.message


def test_a_check_that_fails_is_broken_and_the_others_are_made(monkeypatch):
    def broken():
        raise OSError("libavcodec.so: cannot open")
        yield

    for name in ("devices_found", "weights_found", "memory_found"):
        monkeypatch.setattr(health, name, lambda *_: iter(()))
    monkeypatch.setattr(health, "media_found", broken)
    rows = [finding for finding in health.examine("tiny") if finding.state == "broken"]
    assert [(row.section, row.message) for row in rows] == [("media", "OSError: libavcodec.so: cannot open")]


def test_it_prints_a_line_each_and_whether_it_is_usable(monkeypatch, capsys):
    rows = [Finding("a", "x", "there"), Finding("b", "long name", "missing", "broken", "pip install y")]
    monkeypatch.setattr(health, "examine", lambda preset: rows)
    assert doctor.main([]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown == [
        "a",
        "  ok     x          there",
        "b",
        "  BROKEN long name  missing  ->  pip install y",
        "1 broken: long name",
    ]
    monkeypatch.setattr(health, "examine", lambda preset: rows[:1])
    assert doctor.main([]) == 0
    assert "usable" in capsys.readouterr().out


def test_a_missing_preset_is_the_users_error():
    with pytest.raises(UserError, match="nowhere: no such folder"):
        doctor.main(["--preset", "nowhere"])


def test_missing_parts_are_reported(tmp_path):
    (tmp_path / "vae").mkdir()
    states = {finding.name: finding.state for finding in health._parts(str(tmp_path))}
    assert states["denoiser"] == states["autoencoder"] == "broken"
    assert states["controlnet"] == "note"


def test_one_script_runs_every_command(monkeypatch, capsys):
    assert PROJECT["scripts"] == {"mtv-jax": "mtv_jax.__main__:main"}
    ran = []
    monkeypatch.setattr(script.runpy, "run_module", lambda name, **_: ran.append((name, sys.argv[1:])))
    for command in script.COMMANDS:
        monkeypatch.setattr(sys, "argv", ["mtv-jax", command, "--x", "1"])
        script.main()
        assert ran[-1] == (f"mtv_jax.{command}", ["--x", "1"])
        assert importlib.util.find_spec(f"mtv_jax.{command}") is not None
    for argv, message in ((["mtv-jax"], "no command"), (["mtv-jax", "smple"], "'smple': unknown")):
        monkeypatch.setattr(sys, "argv", argv)
        with pytest.raises(SystemExit, match="2"):
            script.main()
        assert message in capsys.readouterr().err


def test_notebooks_have_an_extra():
    needed = {Requirement(text).name for text in PROJECT["optional-dependencies"]["notebooks"]}
    assert {"ipykernel", "jupyterlab", "nbclient"} <= needed
