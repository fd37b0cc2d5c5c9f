"""The shipped preset `tiny` follows its sound: the theatre suite on few clips, with wide tolerances.

`python -m mtv_jax.evaluate --suite theatre --preset tiny` measures the same as it should be measured.
"""

import pytest

from mtv_jax.evaluate import generated
from mtv_jax.evaluation.theatre_readers import fit_readers
from mtv_jax.evaluation.theatre_run import Run, evaluation_clips, watch
from mtv_jax.evaluation.theatre_suite import EXACT_FRAME, EXACT_LAG, figures
from mtv_jax.pipelines.base import Pipeline
from mtv_jax.theatre import TheatreConfig

CLIPS = 10


@pytest.fixture(scope="module")
def found():
    """Values of the suite's figures, by their names."""
    pipe = Pipeline.from_pretrained("tiny")
    assert not pipe.untrained

    def generate(cases):
        return generated(pipe, cases, steps=6, guidance_scale=1.0, batch_size=20)

    clips = evaluation_clips(Run(TheatreConfig(), CLIPS, seed=11))
    samples = watch(fit_readers(clips=60), clips, [0], generate)
    return {figure.name: figure.value for figure in figures(clips, samples)}


def test_speech_moves_lips(found):
    assert found["correlation with loudness"] > 0.9
    assert abs(found["control: another clip's speech"]) < 0.4
    assert found["control: widest opening without speech"] < 0.1


def test_lips_and_events_are_in_time_to_the_frame(found):
    assert found[EXACT_LAG] >= 0.85  # of ten clips; README has the share of 199
    assert found[EXACT_FRAME] > 0.85


def test_only_the_speaker_speaks(found):
    assert found["widest opening of the other head"] < 0.1


def test_effects_trigger_events(found):
    assert found["F1 within a frame"] > 0.9
    assert found["F1 within a frame"] > found["control: another clip's effects"] + 0.4


def test_music_sets_the_mood(found):
    for part in ("hue", "brightness"):
        assert found[f"rank correlation of {part}"] > 0.8
        assert abs(found[f"control: {part} under another clip's music, beyond chance"]) < 0.2


def test_text_decides_the_look(found):
    assert found["counts and colours right"] > 0.9
    assert found["counts and colours right"] > found["control: another clip's text"] + 0.4


def test_tracks_do_not_leak(found):
    leaks = {name: value for name, value in found.items() if "by its own effect" in name}
    assert len(leaks) == 6
    assert all(value < 0.2 for value in leaks.values()), leaks
