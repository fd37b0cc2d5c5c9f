"""The mouths of several heads are read from the theatre's own pictures."""

import json

import pytest

from benchmarks import theatre_speakers


@pytest.mark.slow  # renders 400 clips for the readers
def test_theatre_speakers(capsys):
    theatre_speakers.main(["--clips", "3"])
    found = json.loads(capsys.readouterr().out)["heads"]
    assert set(found) == {"1", "2", "3", "4"}
    assert all(figures["correlation"] > 0.95 and figures["looks_right"] == 1 for figures in found.values())
