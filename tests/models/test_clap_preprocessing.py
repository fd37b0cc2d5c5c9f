"""CLAP's spectrograms against those of transformers, and its tokenizer."""

import numpy as np
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.models.clap import ClapFeatureConfig, clap_features, load_clap_tokenizer
from mtv_jax.models.clap.preprocessing import repeat_pad, windows
from mtv_jax.pipelines.presets import pipeline_folder
from tests.clap_folders import write_tokenizer

TRUNCATION = {"unfused": "rand_trunc", "fused": "fusion"}


@pytest.fixture(scope="module")
def golden(goldens):
    with np.load(goldens / "clap.npz") as file:
        return {key: file[key] for key in file if key.startswith(("sound.", "features.", "longer."))}


def config(case: str) -> ClapFeatureConfig:
    return ClapFeatureConfig(
        sampling_rate=8000,
        hop_length=400,
        fft_window_size=1024,
        max_length_s=1,
        frequency_max=3800,
        truncation=TRUNCATION[case],
    )


@pytest.mark.parametrize("case", TRUNCATION)
@pytest.mark.parametrize("name", ["short", "exact", "barely", "long"])
def test_spectrograms_are_those_of_transformers(golden, case, name):
    mels, longer = clap_features(golden[f"sound.{name}"], config(case))
    if (case, name) == ("unfused", "barely"):
        assert len(mels) == 2  # neither is the crop in the middle
        return
    middle = len(mels) // 2
    np.testing.assert_allclose(mels[middle], golden[f"features.{case}.{name}"], atol=2e-4)
    assert longer[middle] == golden[f"longer.{case}.{name}"]


def test_windows_cover_a_long_sound_evenly():
    sound = np.arange(25.0)
    found = list(windows(sound, 10))
    assert [window[0] for window in found] == [0, 8, 15]
    assert all(len(window) == 10 for window in found)
    assert found[-1][-1] == 24
    assert len(list(windows(sound[:20], 10))) == 2


def test_a_short_sound_is_repeated_whole_and_padded():
    np.testing.assert_array_equal(repeat_pad(np.array([1, 2, 3.0]), 8), [1, 2, 3, 1, 2, 3, 0, 0])


def test_a_sound_without_samples_is_an_error():
    with pytest.raises(UserError, match="without samples"):
        clap_features(np.zeros(0, np.float32), ClapFeatureConfig())


def test_frequencies_that_do_not_fit_are_named():
    with pytest.raises(UserError, match="up to half of sampling_rate 16000"):
        ClapFeatureConfig(sampling_rate=16000)


def test_texts_are_put_between_start_and_end(tmp_path):
    write_tokenizer(tmp_path)
    tokens = load_clap_tokenizer(tmp_path).encode(["dog barking", ""])
    assert tokens.dtype == np.int32
    assert tokens[1].tolist() == [0, 2, *[1] * (tokens.shape[1] - 2)]
    assert tokens[0][0] == 0
    assert tokens[0][-1] == 2
    assert 1 not in tokens[0]


def test_words_that_a_vocabulary_of_words_has_not_are_named():
    tokenizer = load_clap_tokenizer(pipeline_folder("maestro-tiny") / "clap")
    assert tokenizer.encode(["bell", "rain"]).shape == (2, 3)
    with pytest.raises(
        UserError, match="'bell ringing': not known to this network, which knows bell, bird, car"
    ):
        tokenizer.encode(["bell", "bell ringing"])


def test_other_tokenizers_are_named(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer\.json: missing; put RoBERTa-base's"):
        load_clap_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="not a tokenizer"):
        load_clap_tokenizer(tmp_path)
    write_tokenizer(tmp_path, marks=("<cls>", "<pad>", "</s>"))
    with pytest.raises(UserError, match="not RoBERTa's tokenizer"):
        load_clap_tokenizer(tmp_path)
