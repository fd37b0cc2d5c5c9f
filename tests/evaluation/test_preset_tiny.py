"""The shipped preset `tiny` follows its sound: the theatre suite on few clips, with wide tolerances.

`python -m mtv_jax.evaluate --suite theatre --preset tiny` measures the same as it should be measured.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mtv_jax.evaluation.theatre.readers import fitting_clips, readers_of
from mtv_jax.evaluation.theatre.run import Run, evaluation_clips, watch
from mtv_jax.evaluation.theatre.suite import figures
from mtv_jax.theatre import TheatreConfig

ROOT = Path(__file__).parents[2]
RUN = Run(TheatreConfig(), clips=6, seed=11)
GENERATE = """
import sys
import numpy as np
from mtv_jax.evaluation.theatre.cases import variants
from mtv_jax.evaluation.theatre.pipeline import Pipeline, generated
from mtv_jax.evaluation.theatre.run import Run, evaluation_clips
from mtv_jax.theatre import TheatreConfig

pipe = Pipeline.from_pretrained("tiny")
assert not pipe.untrained
clips = evaluation_clips(Run(TheatreConfig(), clips=int(sys.argv[1]), seed=int(sys.argv[2])))
cases = [case for found in variants(clips, 0) for case in found.values()]
np.save(sys.argv[3], list(generated(pipe, cases, steps=6, guidance_scale=1.0, batch_size=15)))
"""
"""Its own process: tests compile without optimisation, with which these thirty videos take a third of the time."""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Values of the suite's figures, by the ids of their claims."""
    file = tmp_path_factory.mktemp("tiny") / "frames.npy"
    flags = [flag for flag in os.environ["XLA_FLAGS"].split() if "optimization_level" not in flag]
    command = [sys.executable, "-c", GENERATE, str(RUN.clips), str(RUN.seed), str(file)]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"XLA_FLAGS": " ".join(flags)}, check=True)
    samples = watch(readers_of(fitting_clips(60)), evaluation_clips(RUN), [0], lambda _cases: np.load(file))
    return {figure.id: figure.value for figure in figures(samples)}


def test_speech_moves_lips(found):
    assert found["lips.correlation"] > 0.9
    assert abs(found["lips.other_speech"]) < 0.4
    assert found["lips.without_speech"] < 0.1


def test_lips_and_events_are_in_time_to_the_frame(found):
    assert found["lips.exact_lag"] >= 0.85  # of six clips; README has the share of 199
    assert found["events.f1_exact"] > 0.85


def test_only_the_speaker_speaks(found):
    assert found["other_head.opening"] < 0.1


def test_effects_trigger_events(found):
    assert found["events.f1"] > 0.9
    assert found["events.f1"] > found["events.other_effects"] + 0.4


def test_music_sets_the_mood(found):
    for part in ("hue", "brightness"):
        assert found[f"mood.{part}"] > 0.7  # of six clips
        assert abs(found[f"mood.{part}_other_music_beyond_chance"]) < 0.2


def test_text_decides_the_look(found):
    assert found["looks.correct"] > 0.9
    assert found["looks.correct"] > found["looks.other_text"] + 0.4


def test_tracks_do_not_leak(found):
    leaks = {name: value for name, value in found.items() if name.startswith("leaks.")}
    assert len(leaks) == 6
    assert all(value < 0.2 for value in leaks.values()), leaks
