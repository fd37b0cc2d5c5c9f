"""Level and clipping of a sound file."""

import numpy as np
import pytest

from mtv_jax.curation.filters.sound import clipping_share, sound_scores
from mtv_jax.io.audio import write_audio

NOISE = np.random.default_rng(0).standard_normal((16000, 2)).astype(np.float32)


def test_level_over_the_whole_clip_and_clipping(tmp_path):
    half = np.concatenate([0.1 * NOISE, np.zeros_like(NOISE)])
    write_audio(tmp_path / "mix.flac", half, 16000)
    found = sound_scores(tmp_path / "mix.flac")
    assert found["dbfs"] == pytest.approx(-23.0, abs=0.2)
    assert found["clipped"] == 0


def test_digital_silence(tmp_path):
    write_audio(tmp_path / "mix.flac", np.zeros((16000, 1), np.float32), 16000)
    assert sound_scores(tmp_path / "mix.flac") == {"status": "ok", "dbfs": -120.0, "clipped": 0.0}


def test_the_share_of_clipped_samples():
    assert clipping_share(np.clip(NOISE, -1, 1)) == pytest.approx(0.323, abs=0.01)  # P(|x| > .989)
    assert clipping_share(np.zeros(0)) == 0
