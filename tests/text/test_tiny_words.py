"""The text encoder of the preset `tiny` knows the words of the synthetic theatre, and who they are said of."""

import numpy as np
import pytest

from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.text.pretrained import TextEncoder
from mtv_jax.text.template import scene_prompt
from mtv_jax.theatre import EVALUATION_SEEDS, plan_clip
from mtv_jax.theatre.clip import describe
from mtv_jax.weights.model_index import read_defaults


@pytest.fixture(scope="module")
def encoder():
    folder = pipeline_folder("tiny")
    return TextEncoder.from_pretrained(folder, read_defaults(folder).text)


def _prompt(index):
    words = describe(plan_clip(EVALUATION_SEEDS, index))
    return scene_prompt(words.scene, words.persons, words.speaking)


def test_every_word_of_the_theatre_is_known(encoder):
    unknown = encoder.tokenizer.encode("zeppelin")[0]
    ids = [encoder.tokenizer.encode(_prompt(index)) for index in range(300)]
    assert all(unknown not in row for row in ids)
    assert max(len(row) for row in ids) <= encoder.text_length


def test_the_same_word_of_two_persons_is_distinguished(encoder):
    """Embeddings of `red` in the first person's shirt and in the second's differ more than by the other words."""

    def red(first, second, behind):
        look = "pale skin, short black hair, {} shirt"
        prompt = scene_prompt(f"A stage, {behind} behind.", (look.format(first), look.format(second)), (1,))
        return encoder.encode([prompt])[0][_words(prompt).index("red")]

    ones = [red("red", "blue", "arch"), red("red", "green", "window")]
    twos = [red("blue", "red", "arch"), red("green", "red", "window")]
    within = max(np.linalg.norm(a - b) for a, b in (ones, twos))
    between = min(np.linalg.norm(a - b) for a in ones for b in twos)
    assert between > 1.5 * within


def _words(prompt):
    return "".join(c if c.isalnum() else " " for c in prompt.lower()).split()
