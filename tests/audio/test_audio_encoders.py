"""Networks as audio encoders: what a pipeline folder holds, and features that lie on the frames."""

import dataclasses
import json
from fractions import Fraction
from typing import Any

import jax
import numpy as np
import pytest
from random_weights import scaled_weights
from safetensors.numpy import load_file

from mtv_jax.audio.beats import BEATsEncoder
from mtv_jax.audio.pretrained import load_audio_encoder
from mtv_jax.audio.wav2vec2 import Wav2Vec2Encoder
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import write_json
from mtv_jax.models.beats import BEATs, BEATsConfig, normalised_fbank
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.t5 import T5Config
from mtv_jax.models.wav2vec2 import Wav2Vec2, Wav2Vec2Config, normalise_waveform
from mtv_jax.weights import t5
from mtv_jax.weights.pretrained import save_model

SMALL = Wav2Vec2Config(
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=16,
    conv_dim=(8,) * 3,
    conv_kernel=(10, 3, 3),
    conv_stride=(16, 4, 4),
    num_conv_pos_embeddings=8,
    num_conv_pos_embedding_groups=2,
)


@pytest.fixture(scope="module")
def wav2vec2():
    model = Wav2Vec2(SMALL)
    return model, scaled_weights(model)


@pytest.fixture(scope="module")
def beats():
    model = BEATs(BEATsConfig.tiny())
    return BEATsEncoder(model, scaled_weights(model))


def noise(samples, seed=0):
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def test_wav2vec2_gives_the_output_of_every_layer_per_frame(wav2vec2):
    model, params = wav2vec2
    encoder = Wav2Vec2Encoder(model, params)
    wave = noise(16000)
    features = encoder(wave, 24, 24)
    assert features.shape == (24, encoder.num_layers, encoder.num_channels) == (24, 2, 16)
    middles = (np.arange(24) + 0.5) / 24 * 16000
    positions = ((middles - (170 - 1) / 2) / 256).astype(np.float32)  # receptive field and hop of SMALL
    states = jax.jit(model.apply)(params, normalise_waveform(wave)[None], positions=positions)
    np.testing.assert_allclose(features, np.swapaxes(states[0, 1:], 0, 1), atol=1e-5)


def test_exact_wav2vec2_uses_only_the_clip(wav2vec2):
    encoder = Wav2Vec2Encoder(*wav2vec2)
    assert not encoder.needs_full_audio
    wave = noise(32000)
    np.testing.assert_array_equal(encoder(wave, 24, 24), encoder(wave[:16000], 24, 24))
    short = encoder(wave[:8000], 24, 24)
    assert np.isfinite(short).all()
    assert np.isfinite(encoder(wave[:0], 24, 24)).all()


def test_released_wav2vec2_uses_the_whole_file_in_whole_clips(wav2vec2):
    encoder = Wav2Vec2Encoder(*wav2vec2, alignment="released", clip_length=9)
    assert encoder.needs_full_audio
    wave = noise(20000)  # 15 frames at 12 a second: two clips of nine, which share one, are 17
    whole = encoder(wave, 17, 12)
    assert whole.shape == (17, 2, 16)
    np.testing.assert_array_equal(encoder(wave, 9, 12), whole[:9])
    assert np.abs(encoder(wave[:12000], 9, 12) - whole[:9]).max() > 1e-3
    assert encoder(wave, 18, 12).shape == (18, 2, 16)  # longer than the sound: another clip of silence
    samples, frames = encoder._released(wave[:0], 3, Fraction(12))
    assert (len(samples), frames) == (9 * 1333, 9)


def test_wav2vec2_takes_only_what_it_can_do(wav2vec2):
    with pytest.raises(UserError, match="alignment 'loose'"):
        Wav2Vec2Encoder(*wav2vec2, alignment="loose")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match="clip_length 1"):
        Wav2Vec2Encoder(*wav2vec2, clip_length=1)


def released_cases(folder):
    """Name, arrays and waveform of each case; some share the waveform of another, or are silent."""
    files = {path.stem.removeprefix("case_"): path for path in sorted(folder.glob("case_*.safetensors"))}
    cases = {name: load_file(path) for name, path in files.items()}
    waves = {name.split("_")[0]: case["in.waveform"] for name, case in cases.items() if "in.waveform" in case}
    samples = json.loads((folder.parent / "tolerances.json").read_text())["audio_features_measured"]
    for name, case in cases.items():
        silence = np.zeros(samples[name]["samples"], np.float32)
        yield name, case, waves.get(name.split("_")[0], silence)


def test_released_features_are_the_originals(original_goldens, tmp_path):
    folder = original_goldens / "mtv" / "audio_features"
    config = json.loads((folder / "config.json").read_text()) | {"architectures": ["Wav2Vec2Model"]}
    write_json(tmp_path / "config.json", config)
    (tmp_path / "model.safetensors").write_bytes((folder / "wav2vec2_weights.safetensors").read_bytes())
    bounds = json.loads((folder.parent / "tolerances.json").read_text())["recommended_atol"]
    bound = bounds["audio_features out.hidden_states, out.windows"]
    encoders = {}
    for clip_length in (49, None):
        write_json(
            tmp_path / "preprocessor_config.json", {"_alignment": "released", "_clip_length": clip_length}
        )
        encoders[clip_length] = load_audio_encoder(tmp_path)
    for name, case, waveform in released_cases(folder):
        clip_length, want = int(case["meta.clip_length"][0]), case["out.hidden_states"]
        encoder = encoders[clip_length if clip_length > 0 else None]
        got = encoder(waveform, len(want), float(case["meta.fps"][0]))
        np.testing.assert_allclose(got, want, atol=bound, rtol=0, err_msg=name)


def test_a_folder_of_transformers_is_an_encoder(wav2vec2, tmp_path):
    save_model(tmp_path / "audio_encoder", *wav2vec2)
    extractor = {
        "do_normalize": True,
        "feature_extractor_type": "Wav2Vec2FeatureExtractor",
        "feature_size": 1,
        "padding_side": "right",
        "padding_value": 0.0,
        "return_attention_mask": False,
        "sampling_rate": 16000,
    }
    path = tmp_path / "audio_encoder" / "preprocessor_config.json"
    write_json(path, extractor)
    wave = noise(8000)
    want = Wav2Vec2Encoder(*wav2vec2)(wave, 12, 24)
    np.testing.assert_array_equal(load_audio_encoder(tmp_path / "audio_encoder")(wave, 12, 24), want)
    for change, message in (
        ({"sampling_rate": 8000}, "sampling_rate = 8000"),
        ({"_alignment": "late"}, "alignment 'late'"),
        ({"_aligment": "exact"}, "unknown keys _aligment"),
    ):
        write_json(path, extractor | change)
        with pytest.raises(UserError, match=message):
            load_audio_encoder(tmp_path / "audio_encoder")


def test_a_folder_of_beats_is_an_encoder(beats, tmp_path):
    save_model(tmp_path / "audio_encoder", beats.model, beats.params)
    wave = noise(8000)
    loaded = load_audio_encoder(tmp_path / "audio_encoder")
    np.testing.assert_array_equal(loaded(wave, 12, 24), beats(wave, 12, 24))
    write_json(tmp_path / "audio_encoder" / "preprocessor_config.json", {"fbank_mean": 14.0})
    changed: Any = load_audio_encoder(tmp_path / "audio_encoder")
    assert changed.bank.mean == 14.0


def test_what_is_no_audio_encoder_is_an_error(tmp_path):
    write_json(tmp_path / "config.json", t5.config_to_json(T5Config.tiny()))
    with pytest.raises(
        UserError, match="T5EncoderModel is no audio encoder; known are BEATs, LogMel, Wav2Vec2"
    ):
        load_audio_encoder(tmp_path)


def test_beats_means_over_frequencies_and_lies_on_the_frames(beats):
    # Frames as long as patches: what is interpolated are the patches themselves, a little later.
    fps, patch = 6.25, 2560
    wave = noise(8 * patch)
    features = beats(wave, 8, fps)
    assert features.shape == (8, beats.num_layers, beats.num_channels) == (8, 2, 32)
    bank = normalised_fbank(np.pad(wave, (0, 240)))
    states = jax.jit(beats.model.apply)(beats.params, bank[None])[0, 1:]
    patches = np.asarray(states.reshape(2, 8, 8, 32).mean(2)).swapaxes(0, 1)
    late = 120 / patch  # a patch's windows reach 240 samples farther than its hops
    want = patches[1:] * (1 - late) + patches[:-1] * late
    np.testing.assert_allclose(features[1:], want, atol=1e-5)
    np.testing.assert_allclose(features[0], patches[0], atol=1e-5)


def test_beats_processes_a_long_sound_in_sections(beats):
    fps, patch = 6.25, 2560
    wave = noise(130 * patch)
    whole = beats(wave, 130, fps)
    assert np.isfinite(whole).all()
    # The first section's inner part does not depend on what comes after it.
    other = np.concatenate([wave[: 65 * patch], noise(65 * patch, 1)])
    changed = np.abs(beats(other, 130, fps) - whole).max(axis=(1, 2))
    assert changed[:50].max() == 0
    assert changed[70:].min() > 1e-3


def test_beats_with_a_classifier_has_all_its_parameters():
    model = BEATs(dataclasses.replace(BEATsConfig.tiny(), num_classes=5))
    assert parameter_shapes(model)["params"]["predictor"]["kernel"].shape == (32, 5)
