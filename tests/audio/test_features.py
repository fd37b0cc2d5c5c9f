"""Audio encoders behind one door."""

import jax
import numpy as np
import pytest

from mtv_jax.audio.features import mel_encoder, track_features, wav2vec2_encoder
from mtv_jax.audio.tracks import Tracks
from mtv_jax.models.mel import MelConfig
from mtv_jax.models.wav2vec2 import Wav2Vec2, Wav2Vec2Config, normalise_waveform


@pytest.fixture(scope="module")
def wav2vec2():
    model = Wav2Vec2(Wav2Vec2Config.tiny())
    params = jax.jit(model.init)(jax.random.key(0), np.zeros((1, 800), np.float32))
    return model, params


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def test_every_track_gets_features_of_its_own():
    silence = np.zeros(16000, np.float32)
    tracks = Tracks(speech=noise(16000), effects=silence, music=noise(16000, 1))
    encoder = mel_encoder(MelConfig.tiny())
    features = track_features(encoder, tracks, 9, 9)
    assert list(features) == ["speech", "effects", "music"]
    for value in features.values():
        assert value.shape == (9, encoder.num_layers, encoder.num_channels)
        assert value.dtype == np.float32
    assert np.all(features["effects"] == -1)
    assert not np.array_equal(features["speech"], features["music"])


def test_wav2vec2_gives_the_output_of_every_layer_per_frame(wav2vec2):
    model, params = wav2vec2
    encoder = wav2vec2_encoder(model, params)
    wave = noise(16000)
    features = encoder(wave, 24, 24)
    assert features.shape == (24, encoder.num_layers, encoder.num_channels) == (24, 2, 64)
    states = jax.jit(model.apply, static_argnums=2)(params, normalise_waveform(wave)[None], 24)
    np.testing.assert_allclose(features, np.swapaxes(states[0, 1:], 0, 1), atol=1e-5)


def test_wav2vec2_hears_the_clip_and_no_more(wav2vec2):
    encoder = wav2vec2_encoder(*wav2vec2)
    wave = noise(32000)
    np.testing.assert_array_equal(encoder(wave, 24, 24), encoder(wave[:16000], 24, 24))
    short = encoder(wave[:8000], 24, 24)
    assert np.isfinite(short).all()
    assert np.isfinite(encoder(wave[:0], 24, 24)).all()
