"""The shipped preset `maestro-tiny` puts the right thing into each box: the objects suite on few mixes, wide bounds.

`python -m mtv_jax.evaluate --suite objects --preset maestro-tiny` measures the same as it should be measured.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.separation_metrics import si_sdr
from mtv_jax.audio.separation.by_text.audiosep import AudioSep
from mtv_jax.evaluation.objects.cases import evaluation_clips
from mtv_jax.evaluation.objects.pipeline import watch
from mtv_jax.evaluation.objects.suite import figures
from mtv_jax.names import TRACK_RATE
from mtv_jax.pipelines.presets import pipeline_folder

ROOT = Path(__file__).parents[3]
CLIPS, SEED = 6, 0
GENERATE = """
import sys
import numpy as np
from mtv_jax.evaluation.objects.cases import evaluation_clips, variants
from mtv_jax.evaluation.objects.options import ObjectsOptions
from mtv_jax.evaluation.objects.pipeline import drawn
from mtv_jax.pipelines.base import Pipeline

pipe = Pipeline.from_pretrained("maestro-tiny")
assert not pipe.untrained
clips = evaluation_clips(int(sys.argv[1]), things=2, seed=int(sys.argv[2]))
cases = [case for found in variants(clips, 0, controls=False) for case in found.values()]
options = ObjectsOptions("maestro-tiny", batch_size=len(cases))
np.save(sys.argv[3], list(drawn(pipe, cases, options)))
"""
"""Its own process: tests compile without optimisation, with which these videos take a fraction of the time."""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Values of the suite's figures, by the ids of their claims."""
    file = tmp_path_factory.mktemp("maestro") / "frames.npy"
    flags = [flag for flag in os.environ["XLA_FLAGS"].split() if "optimization_level" not in flag]
    command = [sys.executable, "-c", GENERATE, str(CLIPS), str(SEED), str(file)]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"XLA_FLAGS": " ".join(flags)}, check=True)
    clips = evaluation_clips(CLIPS, things=2, seed=SEED)
    samples = watch(clips, [0], lambda _cases: np.load(file), controls=False)
    return {figure.id: figure.value for figure in figures(samples)}


def test_the_right_thing_stands_in_each_box(found):
    assert found["objects.accuracy"] >= 0.7  # of twelve boxes; docs/maestro_tiny.md has 200 pairs
    assert found["objects.overlap"] > 0.2  # .25; on 200 pairs Mosaic Denoising alone has .198


def test_things_are_seen_to_sound_when_they_do(found):
    assert found["objects.brightness"] > 0.4
    assert found["objects.changes_f1"] > found["objects.changes_of_others"]


def test_its_separator_finds_the_sounds_of_a_mix():
    clip = evaluation_clips(2, things=2)[1]  # the bundled mix
    found = AudioSep(str(pipeline_folder("maestro-tiny"))).separate(
        clip.mix[:, None], TRACK_RATE, list(clip.places)
    )
    for kind in clip.places:
        gain = si_sdr(found[kind][:, 0], clip.sources[kind]) - si_sdr(clip.mix, clip.sources[kind])
        assert gain > 5, kind


def test_its_weights_are_small_enough_to_ship():
    files = pipeline_folder("maestro-tiny").rglob("*.safetensors")
    assert sum(file.stat().st_size for file in files) <= 12_000_000
