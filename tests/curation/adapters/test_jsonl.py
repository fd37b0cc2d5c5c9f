"""A program as diarizer."""

import gc
import json
import shlex
import sys

import numpy as np
import pytest

from mtv_jax.curation.adapters.jsonl import JsonlDiarizer
from mtv_jax.curation.roles import Diarizer
from mtv_jax.io.errors import UserError

CARD = {"name": "N", "version": "1", "licence": "MIT", "weights": None, "fidelity": "real"}


def program(*answers: dict) -> JsonlDiarizer:
    """Gives one answer after the other; `"size"` in it becomes the bytes of the file that it was asked about."""
    code = f"""
import json, os, sys
answers = {list(map(json.dumps, answers))!r}
for line in sys.stdin:
    question = json.loads(line)
    size = str(os.path.getsize(question["speech"])) if question else ""
    print(answers.pop(0).replace('"size"', size) if question else {json.dumps(CARD)!r}, flush=True)
"""
    return JsonlDiarizer(f"{sys.executable} -S -c {shlex.quote(code)}")


def test_turns_are_counted():
    model = program({"turns": [[1, 2, "B"], [0, "size", "A"]]})
    assert isinstance(model, Diarizer)
    assert model.card().name == "N"
    found = model.diarize(np.zeros(16_000, np.float32), 16_000)
    (start, size, name), other = found["turns"]
    assert (start, name, other) == (0, "A", [1, 2, "B"])
    assert size >= 4 * 16_000
    assert (found["status"], found["speakers"], found["speech"]) == ("ok", 2, size)


def test_answers_without_turns():
    """It may say that it has none; anything else is refused."""
    none = {"status": "unavailable", "reason": "no credit"}
    wrong = [{"turns": [[0, 1]]}, {"turns": [[2, 1, "A"]]}, {"speakers": 2}, {"turns": 3}]
    model = program(none, *wrong)
    assert model.diarize(np.zeros(9, np.float32), 16_000) == none
    for _ in wrong:
        with pytest.raises(UserError, match="turn"):
            model.diarize(np.zeros(9, np.float32), 16_000)


def test_a_program_that_does_not_start_has_no_card():
    """It is an error of whoever gave it; one that ends at a question may answer another time."""
    code = "import sys; sys.exit(3)"
    model = JsonlDiarizer(f"{sys.executable} -S -c {shlex.quote(code)}")
    with pytest.raises(
        UserError, match="^[^\n]*ended with status 3 instead of an answer; start it by itself"
    ):
        model.card()
    with pytest.raises(RuntimeError, match="ended with status 3"):
        model.diarize(np.zeros(9, np.float32), 16_000)


def test_programs_do_not_outlive_their_model():
    model = program()
    model.card()
    process = model._program._process
    assert process.poll() is None
    del model
    gc.collect()
    assert process.poll() is not None
