"""Audio encoders behind one door."""

import numpy as np

from mtv_jax.audio.features import mel_encoder, track_features
from mtv_jax.models.mel import MelConfig


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def test_every_track_gets_features_of_its_own():
    silence = np.zeros(16000, np.float32)
    tracks = {"speech": noise(16000), "effects": silence, "music": noise(16000, 1)}
    encoder = mel_encoder(MelConfig.tiny())
    features = track_features(encoder, tracks, 9, 9)
    assert list(features) == ["speech", "effects", "music"]
    for value in features.values():
        assert value.shape == (9, encoder.num_layers, encoder.num_channels)
        assert value.dtype == np.float32
    assert np.all(features["effects"] == -1)
    assert not np.array_equal(features["speech"], features["music"])


def test_a_sound_is_in_the_features_of_its_own_frame():
    burst = np.zeros(16000, np.float32)
    begin, end = (round(time / 9 * 16000) for time in (5.25, 5.75))  # inside frame 5 of 9
    burst[begin:end] = noise(end - begin)
    silence = np.zeros_like(burst)
    names = ("speech", "effects", "music")
    for name in names:
        tracks = {track: burst if track == name else silence for track in names}
        level = track_features(mel_encoder(MelConfig.tiny()), tracks, 9, 9)[name].mean((1, 2))
        assert int(np.argmax(level)) == 5
        assert np.all(np.delete(level, 5) == -1)
