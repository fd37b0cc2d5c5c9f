"""The suite of figures: all met by the theatre itself, none by clips that do not listen."""

import functools
from dataclasses import replace

import numpy as np
import pytest

from mtv_jax.evaluation.report.claims import OTHER_HEAD
from mtv_jax.evaluation.theatre.cases import performed, see, variants
from mtv_jax.evaluation.theatre.readers import fitting_clips, readers_of
from mtv_jax.evaluation.theatre.suite import figures
from mtv_jax.theatre import EVALUATION_SEEDS, render_clip

SOME_CLIP = render_clip(EVALUATION_SEEDS + 7, 3).frames


def deaf(_case):
    """The same clip whatever its text and sound."""
    return SOME_CLIP


@pytest.fixture(scope="module")
def table():
    readers = readers_of(fitting_clips(120))
    clips = [render_clip(EVALUATION_SEEDS, index) for index in range(32)]

    @functools.cache
    def make(generate, noises=1):
        samples = [
            {name: see(readers, case, generate(case)) for name, case in cases.items()}
            for seed in range(noises)
            for cases in variants(clips, seed)
        ]
        return {figure.id: figure for figure in figures(samples)}

    return make


def test_the_theatre_itself_meets_every_target(table):
    rows = table(performed)
    assert len(rows) == 27
    for identifier, figure in rows.items():
        low, high = figure.interval or (figure.value, figure.value)  # a single clip gives no interval
        assert low <= figure.value <= high, identifier
        if figure.target is not None and not figure.met:
            # A control is zero but for the noise of so few clips.
            assert "control" in figure.claim.name, identifier
            assert figure.value <= figure.target + (high - low) / 2, identifier
    assert rows["events.other_effects"].value < 0.6
    for part in ("hue", "brightness"):
        assert abs(rows[f"mood.{part}_other_music_beyond_chance"].value) < 0.02


def test_more_noises_of_the_same_clips_do_not_count_as_more_clips(table):
    once, thrice = table(deaf), table(deaf, noises=3)
    assert list(once) == list(thrice)
    for identifier, row in once.items():
        assert thrice[identifier].value == pytest.approx(row.value)
        assert thrice[identifier].interval == pytest.approx(row.interval)
        assert thrice[identifier].n == row.n


def test_clips_that_do_not_listen_fail_every_claim(table):
    rows = table(deaf).values()
    met = {figure.claim.statement for figure in rows if "control" not in figure.claim.name and figure.met}
    assert met <= {OTHER_HEAD}  # nobody's lips move: that claim alone is met by nothing


def test_pictures_a_frame_late_are_distinguished_from_pictures_in_time(table):
    def late(case):
        frames = performed(case)
        return np.concatenate([frames[:1], frames[:-1]])

    rows = table(late)
    # A lag that all clips share is tolerated by the first two, and counted by the others.
    assert rows["lips.correlation"].met
    assert rows["events.f1"].met
    assert rows["lips.exact_lag"].value < 0.1
    assert rows["events.f1_exact"].value < 0.3


def careless(case):
    """Ignores the text, lets a mouth twitch without speech, and gets brighter with another speech."""
    frames = performed(replace(case, text=case.clip))
    if case.speech is None:
        spoken = performed(replace(case, speech=case.clip))
        widest = int(np.argmax(case.clip.truth.envelope))
        frames[3] = spoken[widest]
    elif case.speech is not case.clip:
        frames = np.minimum(frames.astype(np.int16) + 60, 255).astype(np.uint8)
    return frames


def test_controls_and_leaks_are_not_met_by_a_careless_generator(table):
    rows = table(careless)
    for identifier in ("lips.without_speech", "looks.other_text_beyond_chance", "leaks.music_by_speech"):
        assert not rows[identifier].met, identifier
    assert rows["looks.correct"].met
    assert rows["leaks.music_by_effects"].met


def test_the_theatre_shows_a_clip_s_own_case_as_the_clip():
    clips = [render_clip(EVALUATION_SEEDS, index) for index in range(4)]
    for clip, cases in zip(clips, variants(clips, 0), strict=True):
        np.testing.assert_array_equal(performed(cases["own"]), clip.frames)


def test_a_case_has_the_tracks_of_the_clips_it_names():
    clips = [render_clip(EVALUATION_SEEDS, index) for index in range(8)]
    case = next(cases["other_music"] for cases in variants(clips, 0) if "other_music" in cases)
    assert case.music is not None
    np.testing.assert_array_equal(case.tracks["music"], case.music.tracks["music"])
    np.testing.assert_array_equal(case.tracks["speech"], case.clip.tracks["speech"])
    assert not replace(case, effects=None).tracks["effects"].any()
