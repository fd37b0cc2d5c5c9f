"""Numbers that are none, or larger than what takes them."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from mtv_jax.audio.features import mel_encoder, track_features
from mtv_jax.curation.encoders import stored
from mtv_jax.curation.theatre import TheatreBuild
from mtv_jax.data.pipeline import DataConfig, make_dataset
from mtv_jax.data.records import ClipRecord, ClipSource
from mtv_jax.data.shards import open_shards, write_shards
from mtv_jax.evaluation.theatre.run import Run
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.config import check_finite, override
from mtv_jax.io.errors import UserError
from mtv_jax.models.mel import MelConfig
from mtv_jax.models.shapes import init_key
from mtv_jax.ops.seeds import check_seed, seed_key
from mtv_jax.pipelines.mtv import MTVPipeline
from mtv_jax.pipelines.run import GenerateConfig, check_latents
from mtv_jax.theatre import TheatreConfig
from mtv_jax.training.configs import load_train_config, train_config

CONFIG = "configs/tiny/denoiser.py"


def numbers(key) -> tuple[int, ...]:
    return tuple(np.asarray(jax.random.key_data(key)).ravel().tolist())


def test_seeds_of_any_size_are_distinct_and_small_ones_as_before():
    """SeedVR2#320: seed 2**32 gave the video of seed 0."""
    seeds = [0, 1, 2**31, 2**32 - 1, 2**32, 2**32 + 1, 2**33, 2**63, 2**64 - 1]
    for key in (seed_key, init_key):
        assert len({numbers(key(seed)) for seed in seeds}) == len(seeds)
    for seed in (0, 7, 2**31, 2**32 - 1, np.int64(7)):
        assert numbers(seed_key(seed)) == numbers(jax.random.key(int(seed)))


@pytest.mark.parametrize("seed", [-1, 2**64, 2**70, pytest.param(10**5000, id="long"), 1.5, True, "1", None])
def test_what_is_no_seed_is_refused(seed):
    """SeedVR2#320: 2**63 was a traceback."""
    with pytest.raises(UserError, match="seed .*: must be"):
        check_seed(seed)


def test_a_pipeline_refuses_such_a_seed_before_it_does_anything():
    """SeedVR2#320, by the public function."""
    nothing = object.__new__(MTVPipeline)
    for seed in (-1, 2**64):
        with pytest.raises(UserError, match=f"seed {seed}: must be from 0"):
            nothing("a bell", seed=seed)


def test_training_evaluation_and_the_theatre_refuse_or_tell_seeds_apart():
    """SeedVR2#320: siblings, each with a seed of its own."""
    values = load_train_config(CONFIG, {"seed": "4294967296"}).to_dict()
    orders = {train_config({**values, "seed": seed}).data_seed for seed in (0, 2**32, 2**33, 2**64 - 1)}
    assert len(orders) == 4
    assert max(orders) < 2**32
    for seed in (-1, 2**64):
        with pytest.raises(UserError, match=r"config\.seed"):
            train_config({**values, "seed": seed})
    with pytest.raises(UserError, match=r"config\.stream"):
        train_config({**values, "stream": 2**31})
    for seed in (-1, 2**32):
        with pytest.raises(UserError, match=f"seed {seed}: must be in"):
            TheatreBuild(ClipSize(25), clips=1, seed=seed)
        with pytest.raises(UserError, match=f"seed {seed}: must be in"):
            Run(TheatreConfig(), 1, 1, seed)


def test_the_last_seed_of_the_data_mixes_subsets(tmp_path):
    """Found by attack: Grain takes 32 bits, and the subsets of a mixture count on from the seed."""
    source, arrays = ClipSource("a.mp4", "00", 0, 5, (1, 24)), {"latents_mean": np.ones((1, 1), np.float16)}
    clips = [ClipRecord(name, "", (24, 1), 5, 16, 16, source, arrays) for name in "ab"]
    write_shards(tmp_path, clips, kind="latents", subsets={"one": ["a"], "two": ["b"]})
    config = DataConfig(batch_size=2, seed=2**32 - 1, mixture={"one": 1, "two": 1})
    batch = next(iter(make_dataset(open_shards(tmp_path), config)))
    assert batch["latents_mean"].shape == (2, 1, 1)
    for seed in (-1, 2**32):
        with pytest.raises(UserError, match=f"seed {seed}: must be at"):
            make_dataset(open_shards(tmp_path), DataConfig(batch_size=1, seed=seed))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999"])
def test_numbers_of_a_config_are_finite(value):
    """CogVideo#637: `--config.optimizer.learning_rate=nan` trained on."""
    with pytest.raises(UserError, match=r"config\.optimizer\.learning_rate='.*': must be a finite number"):
        load_train_config(CONFIG, {"optimizer.learning_rate": value})
    config = ConfigDict({"section": {"weights": {"a": 1.0}, "pair": (1.0, 2.0)}}).lock()
    with pytest.raises(UserError, match=r"config\.section\.weights\.a.*finite"):
        override(config, "section.weights.a", value)
    with pytest.raises(UserError, match=r"config\.a\.b nan: must be a finite number"):
        check_finite({"a": {"b": [1, float("nan")]}})


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), -5.0])
def test_guidance_is_a_finite_number_of_0_or_more(scale):
    """CogVideo#637: `--guidance nan` gave a black video and exit 0."""
    with pytest.raises(UserError, match="guidance_scale"):
        GenerateConfig(guidance_scale=scale)
    with pytest.raises(UserError, match="guidance_scale of speech"):
        GenerateConfig(track_scales=(("speech", scale),))


@pytest.mark.parametrize("fps", [float("nan"), float("inf")])
def test_a_frame_rate_is_finite(fps):
    """CogVideo#637: a sibling, by the public function."""
    with pytest.raises(UserError, match="fps .*: must be a finite number"):
        ClipSize().replace(fps=fps)


def test_latents_that_are_not_finite_are_no_video():
    """CogVideo#637: NaN became black."""
    latents = jnp.zeros((1, 2, 2, 2, 4))
    check_latents(latents)
    for value in (jnp.nan, jnp.inf):
        with pytest.raises(FloatingPointError, match="latents: 1 of 32 numbers are NaN or infinite"):
            check_latents(latents.at[0, 1, 0, 0, 2].set(value))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_sound_that_is_not_finite_is_named_by_its_track(value):
    """CogVideo#637: a sibling; samples of 1e30 overflow in the features."""
    sound = np.zeros(16000, np.float32)
    spoilt = sound.copy()
    spoilt[5000] = value
    with pytest.raises(UserError, match="effects: its sound has samples"):
        track_features(mel_encoder(MelConfig.tiny()), {"speech": sound, "effects": spoilt}, 12, Fraction(12))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6])
def test_records_hold_finite_numbers(value):
    """CogVideo#637: a sibling; float16 has no room for 1e6."""
    with pytest.raises(UserError, match="latents_mean: not finite"):
        stored("latents_mean", np.array([0, value], np.float32))
