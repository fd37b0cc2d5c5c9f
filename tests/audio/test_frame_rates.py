"""Any frame rate: features come from the sound at their frame's own time, without drift."""

from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
import pytest
from random_weights import scaled_weights

from mtv_jax.audio.beats import BEATsEncoder
from mtv_jax.audio.features import mel_encoder, track_features
from mtv_jax.audio.pretrained import load_audio_encoder
from mtv_jax.audio.tracks import mix_sounds
from mtv_jax.audio.wav2vec2 import Wav2Vec2Encoder
from mtv_jax.io.audio import Recording, num_samples
from mtv_jax.models.beats import BEATs, BEATsConfig
from mtv_jax.models.mel import MelConfig
from mtv_jax.models.mel.model import _centres
from mtv_jax.models.wav2vec2 import Wav2Vec2, Wav2Vec2Config
from mtv_jax.names import TRACK_RATE, VIDEO_SOUND_RATE
from mtv_jax.pipelines.presets import pipeline_folder

RATES = [Fraction(rate) for rate in (8, 10, 12, 15, 16, 24, 25, 30, 32, 48, 50, 60)]
RATES += [Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60)] + [Fraction(768, 25)]
MINUTES = 10


def burst(frame: int, fps: Fraction, count: int) -> np.ndarray:
    """Silence of `count` frames with noise in the middle half of one of them."""
    wave = np.zeros(round(count / fps * TRACK_RATE), np.float32)
    begin, end = (round((frame + part) / fps * TRACK_RATE) for part in (Fraction(1, 4), Fraction(3, 4)))
    wave[begin:end] = np.random.default_rng(frame).normal(0, 0.3, end - begin)
    return wave


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_a_sound_is_in_the_features_of_its_frame_at_any_rate(fps):
    """With the encoder of the preset: two seconds, every eleventh frame, the first and the last."""
    encoder, count = load_audio_encoder(pipeline_folder("tiny") / "audio_encoder"), round(2 * fps)
    for frame in {0, count - 1, *range(0, count, 11)}:
        features = track_features(encoder, {"speech": burst(frame, fps, count)}, count, fps)["speech"]
        assert int(features.mean(axis=(1, 2)).argmax()) == frame


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_features_do_not_drift_in_ten_minutes(fps):
    config, frames = MelConfig(), round(60 * MINUTES * fps)
    centres = _centres(frames, fps, config)
    index = np.append(np.arange(0, len(centres), 997), len(centres) - 1)
    exact = [Fraction(2 * int(k) + 1, 2 * config.subframes) / fps * TRACK_RATE for k in index]
    assert max(abs(int(centres[k]) - time) for k, time in zip(index, exact, strict=True)) <= Fraction(1, 2)


def test_features_of_a_part_are_those_of_the_whole():
    """A window of a long video is a slice of the features of the whole sound."""
    fps, encoder = Fraction(30000, 1001), mel_encoder(MelConfig.tiny())
    wave = np.random.default_rng(0).normal(0, 0.1, num_samples(3000 / fps, TRACK_RATE)).astype(np.float32)
    whole = encoder(wave, 3000, fps)
    # 1001 samples are no whole number of frames; 15 frames at this rate are 8008 samples.
    part = encoder(wave[8008 * 100 :], 1000, fps)
    np.testing.assert_allclose(part[1:-1], whole[1500:2500][1:-1], atol=1e-6)


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_sound_is_as_long_as_the_video_to_a_sample(fps):
    for frames in (1, 7, 25, 840, 1050, 1680, 2100, round(60 * MINUTES * fps)):
        for rate in (TRACK_RATE, 44100, VIDEO_SOUND_RATE):
            # As frames are muxed: the sound of the first n frames ends where frame n begins.
            assert num_samples(frames / fps, rate) == round(frames / fps * rate)
    sound = Recording(
        Path("s.wav"), np.ones((VIDEO_SOUND_RATE, 1), np.float32), ["FC"], VIDEO_SOUND_RATE, 1.0
    )
    mixed = mix_sounds({"speech": sound}, VIDEO_SOUND_RATE, 3 / fps)
    assert len(mixed) == round(3 / fps * VIDEO_SOUND_RATE)
    assert np.all(mixed > 0)


def local(params):
    """Weights without attention and position: features then depend on the sound of their own moment alone."""

    def silence(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return leaf * (not any(part in name for part in ("attention/out/", "position/weight_g")))

    return jax.tree_util.tree_map_with_path(silence, params)


SMALL = Wav2Vec2Config(
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    conv_dim=(8,) * 4,
    conv_kernel=(10, 3, 3, 3),
    conv_stride=(5, 4, 4, 4),
    num_conv_pos_embeddings=8,
    num_conv_pos_embedding_groups=2,
)


@pytest.fixture(scope="module")
def encoders():
    wav2vec2, beats = Wav2Vec2(SMALL), BEATs(BEATsConfig.tiny())
    return {
        "wav2vec2": Wav2Vec2Encoder(wav2vec2, local(scaled_weights(wav2vec2))),
        "beats": BEATsEncoder(beats, local(scaled_weights(beats))),
    }


def moment(encoder, wave: np.ndarray, count: int, fps: Fraction) -> float:
    """When the features differ from those of most frames, seconds: the middle, by how much they differ."""
    features = encoder(wave, count, fps)
    changed = np.abs(features - np.median(features, axis=0)).sum(axis=(1, 2))
    return float(changed @ (np.arange(count) + 0.5) / changed.sum() / fps)


@pytest.mark.parametrize("fps", [Fraction(12), Fraction(30000, 1001)], ids=str)
@pytest.mark.parametrize(("name", "seconds"), [("wav2vec2", 0.012), ("beats", 0.08)])
def test_encoders_with_weights_hear_a_sound_when_it_is(encoders, name, fps, seconds):
    """Within half of what they resolve: 20 ms, and patches of 160 ms."""
    count = round(4 * fps)
    for at in (0.125, 0.5, 0.875):
        frame = round(at * count)
        heard = moment(encoders[name], burst(frame, fps, count), count, fps)
        assert heard == pytest.approx(float((frame + Fraction(1, 2)) / fps), abs=seconds)
