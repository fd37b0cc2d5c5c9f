"""The shipped preset `tiny` follows its sound: the theatre suite on few clips, with wide tolerances.

`python -m mtv_jax.evaluate --suite theatre --preset tiny` measures the same as it should be measured.
"""

import pytest

from mtv_jax.evaluation.theatre.pipeline import generated
from mtv_jax.evaluation.theatre.readers import fit_readers
from mtv_jax.evaluation.theatre.run import Run, evaluation_clips, watch
from mtv_jax.evaluation.theatre.suite import figures
from mtv_jax.sampling.pipeline import Pipeline
from mtv_jax.theatre import TheatreConfig

CLIPS = 10


@pytest.fixture(scope="module")
def found():
    """Values of the suite's figures, by the ids of their claims."""
    pipe = Pipeline.from_pretrained("tiny")
    assert not pipe.untrained

    def generate(cases):
        return generated(pipe, cases, steps=6, guidance_scale=1.0, batch_size=20)

    clips = evaluation_clips(Run(TheatreConfig(), CLIPS, seed=11))
    samples = watch(fit_readers(clips=60), clips, [0], generate)
    return {figure.id: figure.value for figure in figures(samples)}


def test_speech_moves_lips(found):
    assert found["lips.correlation"] > 0.9
    assert abs(found["lips.other_speech"]) < 0.4
    assert found["lips.without_speech"] < 0.1


def test_lips_and_events_are_in_time_to_the_frame(found):
    assert found["lips.exact_lag"] >= 0.85  # of ten clips; README has the share of 199
    assert found["events.f1_exact"] > 0.85


def test_only_the_speaker_speaks(found):
    assert found["other_head.opening"] < 0.1


def test_effects_trigger_events(found):
    assert found["events.f1"] > 0.9
    assert found["events.f1"] > found["events.other_effects"] + 0.4


def test_music_sets_the_mood(found):
    for part in ("hue", "brightness"):
        assert found[f"mood.{part}"] > 0.8
        assert abs(found[f"mood.{part}_other_music_beyond_chance"]) < 0.2


def test_text_decides_the_look(found):
    assert found["looks.correct"] > 0.9
    assert found["looks.correct"] > found["looks.other_text"] + 0.4


def test_tracks_do_not_leak(found):
    leaks = {name: value for name, value in found.items() if name.startswith("leaks.")}
    assert len(leaks) == 6
    assert all(value < 0.2 for value in leaks.values()), leaks
