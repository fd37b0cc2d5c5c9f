"""The demixing filter compares what MTV says it compares, by a distance that knows neither gain nor pauses."""

import numpy as np
import pytest

from mtv_jax.curation.filters.demixing import RATE, compare_separations, demixing_scores, spectral_distance
from mtv_jax.io.audio import write_audio

SILENT = dict.fromkeys(("speech", "effects", "music"), -45.0)
TIMES = np.arange(RATE) / RATE


def voice(seed=0):
    """Harmonics of a gliding pitch in syllables."""
    draw = np.random.default_rng(seed)
    pitch = 110 + 40 * np.sin(2 * np.pi * (0.7 * TIMES + draw.random()))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    syllables = np.clip(np.sin(2 * np.pi * (3 * TIMES + draw.random())), 0, 1)
    harmonics = np.sum([np.sin(k * phase) / k for k in range(1, 20)], axis=0)
    return (0.1 * syllables * harmonics).astype(np.float32)


def chord():
    tones = [np.sin(2 * np.pi * f * TIMES) for f in (220, 277, 330, 660)]
    return (0.1 * np.sum(tones, axis=0)).astype(np.float32)


def strikes():
    decay = np.exp(-20 * (TIMES % 0.5))
    return (0.3 * decay * np.random.default_rng(5).standard_normal(RATE)).astype(np.float32)


NONE = np.zeros(RATE, np.float32)
SPEECH, MUSIC, EFFECTS = voice(), chord(), strikes()


def test_equal_sounds_are_at_distance_nought_whatever_their_level():
    assert spectral_distance(SPEECH, SPEECH) == 0
    assert spectral_distance(SPEECH, 0.05 * SPEECH) == pytest.approx(0, abs=1e-3)


def test_other_sounds_are_far_and_leakage_is_between():
    leaky = spectral_distance(SPEECH, SPEECH + 0.03 * MUSIC)
    assert 0.01 < leaky < 0.3
    assert spectral_distance(SPEECH, MUSIC) > 0.7
    assert spectral_distance(SPEECH, NONE) == 1


def test_a_pause_does_not_make_two_sounds_more_alike():
    short, long = (
        [np.concatenate([x, np.zeros(n, np.float32)]) for x in (SPEECH, MUSIC)] for n in (0, 3 * RATE)
    )
    assert spectral_distance(*long) == pytest.approx(spectral_distance(*short), abs=0.1)


def test_what_is_above_11_khz_and_far_below_the_level_does_not_count():
    hiss = 1e-4 * np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    assert spectral_distance(MUSIC, MUSIC + hiss) < 0.05


@pytest.mark.parametrize(
    ("effects", "music", "rest", "compared"),
    [
        (EFFECTS, NONE, EFFECTS, "effects"),
        (NONE, MUSIC, MUSIC, "music"),
        (EFFECTS, 0.001 * MUSIC, EFFECTS, "effects"),
    ],
)
def test_the_rest_is_compared_with_the_track_that_is_alone_in_it(effects, music, rest, compared):
    first = {"speech": SPEECH, "effects": effects, "music": music}
    found = compare_separations(first, {"speech": SPEECH, "rest": rest}, SILENT)
    assert found["compared"] == compared
    assert found["others"] == pytest.approx(0, abs=1e-6)
    wrong = compare_separations(first, {"speech": SPEECH, "rest": SPEECH}, SILENT)
    assert wrong["others"] > 0.6


@pytest.mark.parametrize(("effects", "music"), [(EFFECTS, MUSIC), (NONE, NONE)])
def test_with_both_or_neither_in_the_rest_only_speech_is_compared(effects, music):
    first = {"speech": SPEECH, "effects": effects, "music": music}
    found = compare_separations(first, {"speech": SPEECH, "rest": effects + music}, SILENT)
    assert found == {"status": "ok", "speech": 0.0, "others": None, "compared": None}


def test_swapped_tracks_are_far():
    first = {"speech": SPEECH, "effects": EFFECTS, "music": NONE}
    found = compare_separations(first, {"speech": EFFECTS, "rest": SPEECH}, SILENT)
    assert min(found["speech"], found["others"]) > 0.6


def test_two_silent_speech_tracks_agree_whatever_was_left_in_them():
    first = {"speech": 0.001 * MUSIC, "effects": EFFECTS, "music": NONE}
    assert compare_separations(first, {"speech": 0.001 * EFFECTS, "rest": EFFECTS}, SILENT)["speech"] == 0
    assert compare_separations(first, {"speech": SPEECH, "rest": EFFECTS}, SILENT)["speech"] > 0.5


def test_the_bound_of_silence_is_the_separators_own():
    """Of one that leaves music at -41 dBFS where there is none, that level is silence."""
    first = {"speech": SPEECH, "effects": EFFECTS, "music": 0.06 * MUSIC}
    second = {"speech": SPEECH, "rest": EFFECTS}
    assert compare_separations(first, second, SILENT)["compared"] is None
    assert compare_separations(first, second, SILENT | {"music": -35.0})["compared"] == "effects"


def test_files_of_any_rate_and_channels(tmp_path):
    def files(**tracks):
        for name, sound in tracks.items():
            write_audio(tmp_path / f"{name}.flac", np.stack([sound, sound], axis=1), RATE)
        return {name.split("_")[0]: tmp_path / f"{name}.flac" for name in tracks}

    first = files(speech_1=SPEECH, effects_1=EFFECTS, music_1=NONE)
    found = demixing_scores(first, files(speech_2=SPEECH, rest_2=EFFECTS), SILENT)
    assert (found["speech"], found["compared"]) == (pytest.approx(0, abs=0.01), "effects")
