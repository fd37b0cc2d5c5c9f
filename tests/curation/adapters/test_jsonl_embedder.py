"""A program as embedder."""

import json
import shlex
import sys

import numpy as np
import pytest

from mtv_jax.curation.adapters.jsonl_embedder import JsonlEmbedder
from mtv_jax.curation.roles import Embedder
from mtv_jax.io.errors import UserError

CARD = {"name": "N", "version": "1", "licence": "MIT", "weights": None, "fidelity": "real"}
FRAMES = np.zeros((2, 8, 8, 3), np.uint8)
SOUNDS = [np.zeros(32_000, np.float32)] * 2


def program(answer):
    """It answers with `answer`, in which `"files"` becomes how many of its files there are."""
    code = f"""
import json, os, sys
for line in sys.stdin:
    asked = json.loads(line)
    if not asked:
        print({json.dumps(json.dumps(CARD))}, flush=True)
        continue
    files = sum(os.path.getsize(path) > 0 for path in asked["keyframes"] + asked["sounds"])
    print({json.dumps(json.dumps(answer))}.replace('"files"', str(files)), flush=True)
"""
    return JsonlEmbedder(f"{sys.executable} -S -c {shlex.quote(code)}")


def test_vectors_come_back_at_unit_length():
    model = program({"keyframes": [[3, 4], [0, 2]], "sounds": [["files", 0], [0, 1]], "label": [0, 5]})
    assert isinstance(model, Embedder)
    assert model.card().name == "N"
    found = model.embed(FRAMES, SOUNDS, "dog")
    np.testing.assert_allclose(found.keyframes, [[0.6, 0.8], [0, 1]])
    np.testing.assert_allclose(found.sounds, [[1, 0], [0, 1]])  # 4 files were there
    assert found.label is not None
    np.testing.assert_allclose(found.label, [0, 1])
    assert model.embed(FRAMES, SOUNDS, None).label is None


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"keyframes": [[1, 0]], "sounds": [[1, 0]] * 2}, "keyframes must be 2 vectors"),
        ({"keyframes": [[1, 0], [1]], "sounds": [[1, 0]] * 2}, "keyframes must be 2 vectors"),
        ({"keyframes": [[1, 0]] * 2, "sounds": [[0, 0], [1, 0]]}, "sounds must be 2 vectors"),
        ({"keyframes": [[1, 0]] * 2}, "sounds must be 2 vectors"),
        ({"keyframes": [[1, 0]] * 2, "sounds": [["x", 0]] * 2}, "sounds must be 2 vectors"),
    ],
)
def test_other_answers_are_refused(answer, told):
    with pytest.raises(UserError, match=told):
        program(answer).embed(FRAMES, SOUNDS, None)


def test_a_label_needs_a_vector():
    with pytest.raises(UserError, match="label must be 1 vectors"):
        program({"keyframes": [[1, 0]] * 2, "sounds": [[1, 0]] * 2}).embed(FRAMES, SOUNDS, "dog")
