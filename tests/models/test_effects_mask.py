"""The effects mask: its spectra are invertible, its reach is what it says, its weights are the project's own."""

import jax
import numpy as np

from mtv_jax.models.effects_mask import (
    BINS,
    EffectsMask,
    EffectsMaskConfig,
    levels,
    reach,
    spectrum,
    waveform,
)
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights.pretrained import load_model, save_model


def tiny():
    model = EffectsMask(EffectsMaskConfig.tiny())
    heard = np.random.default_rng(0).uniform(0, 2, (1, 40, BINS)).astype(np.float32)
    return model, jax.jit(model.init)(jax.random.key(0), heard), heard


def test_spectra_give_the_sound_back_at_any_length():
    for length in (1, 255, 256, 3001):
        wave = np.random.default_rng(length).normal(0, 0.1, length).astype(np.float32)
        np.testing.assert_allclose(waveform(spectrum(wave), length), wave, atol=1e-6)


def test_levels_are_zero_for_silence_and_two_for_a_full_scale_sine():
    sine = np.sin(2 * np.pi * 1000 * np.arange(4096) / 16000).astype(np.float32)
    assert abs(float(levels(np.abs(spectrum(sine)) ** 2).max()) - 2) < 1e-3
    assert float(np.abs(levels(np.abs(spectrum(0 * sine)) ** 2)).max()) == 0


def test_a_mask_depends_on_the_windows_within_its_reach_and_on_no_others():
    model, params, heard = tiny()
    apply = jax.jit(model.apply)
    changed = heard.copy()
    changed[:, 20] += 1
    moved = np.abs(apply(params, changed) - apply(params, heard))[0].max(axis=-1) > 0
    assert list(np.flatnonzero(moved)[[0, -1]]) == [20 - reach(model.config), 20 + reach(model.config)]


def test_weights_are_kept_and_there_are_under_a_million(tmp_path):
    model, params, _ = tiny()
    save_model(tmp_path / "mask", model, params)
    again, same = load_model(tmp_path / "mask")
    assert again.config == model.config
    jax.tree.map(np.testing.assert_array_equal, params, same)
    sizes = [leaf.size for leaf in jax.tree.leaves(parameter_shapes(EffectsMask(EffectsMaskConfig())))]
    assert 400_000 < sum(sizes) < 1_000_000
