"""Sync-C and Sync-D: the original's numbers, planted lags, and controls."""

import json
from dataclasses import replace

import numpy as np
import pytest
from golden_folders import ORIGINALS

from mtv_jax.evaluation.metrics.base import Measured, measured
from mtv_jax.evaluation.metrics.sync import (
    SYNC,
    Agreement,
    SyncFailure,
    SyncScore,
    agreement,
    agreements,
    existing_pairs,
    shifted_distances,
    values_of,
)

FOLDER = ORIGINALS / "syncnet"


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no goldens of SyncNet in {FOLDER.parent}")
def test_distances_offset_and_confidence_are_those_of_the_original():
    cases = [key for key in json.loads((FOLDER / "config.json").read_text()) if key.startswith("pdist")]
    assert cases
    with np.load(FOLDER / "io.npz") as golden:
        for case in cases:
            video, audio = golden[f"{case}.im_feat"], golden[f"{case}.cc_feat"]
            distances = shifted_distances(video, audio)
            np.testing.assert_allclose(distances, golden[f"{case}.dists"], atol=1e-5)
            np.testing.assert_allclose(distances.mean(0), golden[f"{case}.mean_dist"], atol=1e-5)
            padded, _ = agreements(video, audio)
            assert padded.offset == golden[f"{case}.offset"][0]
            assert padded.distance == pytest.approx(golden[f"{case}.min_dist"][0], abs=1e-5)
            assert padded.confidence == pytest.approx(golden[f"{case}.confidence"][0], abs=1e-5)


def embeddings(count=60, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 8))


@pytest.mark.parametrize("lag", [-7, 0, 4])
def test_a_planted_lag_is_the_offset(lag):
    """Pictures that are `lag` frames late show at i what is heard at i - lag."""
    whole = embeddings(100)
    for found in agreements(whole[20 - lag : 80 - lag], whole[20:80]):
        assert found.offset == lag
        assert found.distance < (1e-4 if lag == 0 else 1.0)
    assert agreements(whole[20 - lag : 80 - lag], whole[20:80])[1].distance < 1e-4


def test_a_constant_sound_has_no_confidence_but_by_the_padding():
    sound = np.full((60, 8), 2.0)
    padded, valid = agreements(sound + 1, sound)
    assert valid.confidence == pytest.approx(0, abs=1e-9)
    assert valid.distance == pytest.approx(np.sqrt(8), rel=1e-5)
    assert padded.confidence > 0.3


def test_padding_raises_the_confidence_of_noise():
    noise = [agreements(3 + embeddings(46, a), 3 + embeddings(46, a + 100)) for a in range(20)]
    padded, valid = (np.mean([pair[side].confidence for pair in noise]) for side in (0, 1))
    assert padded > valid + 0.2


def test_only_pairs_that_exist_count_as_valid():
    np.testing.assert_array_equal(
        existing_pairs(3, 2),
        [
            [False, False, True, True, True],
            [False, True, True, True, False],
            [True, True, True, False, False],
        ],
    )


def test_agreement_is_the_least_and_the_middle():
    assert agreement(np.array([5.0, 4.0, 1.0, 4.5, 6.0])) == Agreement(1.0, 3.5, 0)
    assert agreement(np.array([1.0, 4.0, 3.0])) == Agreement(1.0, 2.0, 1)


def test_too_few_positions_are_an_error():
    with pytest.raises(ValueError, match="30 pictures and 30 sounds: needed are 31 of each"):
        agreements(embeddings(30), embeddings(30))


SCORE = SyncScore(Agreement(8.0, 4.0, 1), Agreement(9.0, 3.0, -2), 51, 2)
FOUND = [
    SyncFailure("no face"),
    SCORE,
    SyncFailure("no sound"),
    SyncFailure("too short"),
    replace(SCORE, padded=Agreement(6.0, 8.0, 0), frames=100),
]
SAMPLES = [Measured(f"{n}", n, values_of(found)) for n, found in enumerate(FOUND)]


def test_videos_without_a_score_are_counted():
    figures = {figure.id.removeprefix("sync.syncnet_"): figure for figure in measured(SYNC, SAMPLES)}
    assert {name: figure.value for name, figure in figures.items()} == {
        "c": 6.0,
        "d": 7.0,
        "c_valid": 3.0,
        "d_valid": 9.0,
        "offset": 2.0,
        "short": 1.0,
        "no_face": 1.0,
        "no_sound": 1.0,
        "too_short": 1.0,
    }
    assert (figures["c"].n, figures["no_face"].n) == (2, 5)
    assert figures["c"].interval == [4.0, 8.0]


def test_only_failures_have_counts_alone_and_nothing_has_no_figures():
    assert [figure.value for figure in measured(SYNC, SAMPLES[:1])] == [0.0, 1.0, 0.0, 0.0]
    assert measured(SYNC, []) == []


def test_figures_do_not_depend_on_the_order():
    halves = [SYNC.update(SYNC.empty(), sample) for sample in SAMPLES]
    state = SYNC.empty()
    for half in reversed(halves):
        state = SYNC.merge(half, state)
    assert SYNC.compute(state) == measured(SYNC, SAMPLES)
