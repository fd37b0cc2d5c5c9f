"""Voices become speakers, and turns those of clips."""

from fractions import Fraction

import numpy as np
import pytest

from mtv_jax.audio.turns import Turn, read_rttm
from mtv_jax.curation import roles
from mtv_jax.curation.engine import _cards
from mtv_jax.curation.shots import Span
from mtv_jax.curation.speakers import (
    Clustering,
    Windows,
    assign,
    find_speakers,
    likeness,
    runs,
    turn_scores,
)
from mtv_jax.curation.stages import Item
from mtv_jax.curation.steps import speakers as steps
from mtv_jax.curation.steps.people import Speaking
from mtv_jax.curation.steps.speakers import Speakers, within
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError

LENGTH, HOP, RATE = 160, 20, 16_000


def voices(rng, count: int, alike: float = 0.6) -> np.ndarray:
    """Directions of which any two have this cosine."""
    base = np.linalg.qr(rng.standard_normal((64, count + 1)))[0].T
    return np.sqrt(alike) * base[0] + np.sqrt(1 - alike) * base[1:]


def windows_of(order: list[int], rng, noise: float = 0.5, count: int = 4) -> tuple[Windows, np.ndarray]:
    """Windows in which the speakers of `order` speak, each for 30 of them; windows across changes have both."""
    who = np.repeat(order, 30)
    frames = np.repeat(who, HOP)
    starts = np.arange(0, len(frames) - LENGTH + 1, HOP)
    made = voices(rng, count)
    embeddings = np.stack([made[frames[s : s + LENGTH]].mean(0) for s in starts])
    embeddings += noise * rng.standard_normal(embeddings.shape) / 8
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    return Windows(embeddings.astype(np.float32), starts, LENGTH), frames


@pytest.mark.parametrize("order", [[0], [0, 1], [0, 1, 0, 2, 1], [0, 1, 2, 3, 0, 2]])
def test_the_number_of_speakers_and_their_times_are_found(order):
    rng, how = np.random.default_rng(len(order)), Clustering()
    windows, frames = windows_of(order, rng)
    found = find_speakers(windows, how)
    assert len(found) == len(set(order))
    times = np.arange(5, len(frames), 10.0)
    at = times.astype(int)
    path = assign(windows, found, times, how)
    names = {who: np.bincount(path[frames[at] == who]).argmax() for who in set(order)}
    assert len(set(names.values())) == len(names)
    wrong = path != np.array([names[who] for who in frames[at]])
    assert wrong.mean() < 0.05


def test_a_few_odd_windows_are_no_speaker():
    rng = np.random.default_rng(0)
    windows, _ = windows_of([0], rng, count=2)
    odd = voices(rng, 2)[1]
    windows.embeddings[10:13] = odd / np.linalg.norm(odd)
    every = Clustering(steady=1.0)
    assert len(find_speakers(windows, every)) == 1
    assert len(find_speakers(windows, Clustering(steady=1.0, fewest=1))) == 2


@pytest.mark.parametrize(("count", "one_voice"), [(14, True), (300, False)])
def test_what_few_windows_say_of_the_noise_of_a_voice_counts_little(count, one_voice):
    """The windows of each half agree better (.9) than the halves do (.7): chance, if they are few."""
    members = np.repeat(np.eye(2, dtype=np.float32), count // 2, axis=1)
    cosines = np.where(members.T @ members, 0.9, 0.7).astype(np.float32)
    starts = np.arange(count)
    apart = np.abs(starts[:, None] - starts) >= LENGTH // HOP - 2
    assert (likeness(cosines, apart, members, Clustering().within)[0, 1] > Clustering().same) == one_voice


def test_one_window_is_one_speaker():
    windows, _ = windows_of([0], np.random.default_rng(0))
    one = windows[np.arange(len(windows.starts)) == 3]
    assert len(find_speakers(one, Clustering())) == 1


def test_runs_have_their_ends():
    assert runs(np.array([1, 1, 0, 0, 1], bool)) == [(0, 2), (4, 5)]
    assert runs(np.zeros(0, bool)) == []


def test_seconds_of_speech_count_once():
    found = turn_scores([Turn(1, 3, "b"), Turn(0, 2, "a"), Turn(4, 5, "a")])
    assert found["turns"] == [[0, 2, "a"], [1, 3, "b"], [4, 5, "a"]]
    assert (found["speakers"], found["speech"]) == (2, 4)


class Alternating:
    """Says that two people speak in turns of a second, wherever there is sound."""

    def __init__(self):
        self.heard = []

    def card(self):
        return roles.ModelCard("alternating", "1", "MIT", None, "stub")

    def diarize(self, samples, sample_rate):
        self.heard.append(samples)
        seconds = round(len(samples) / sample_rate)
        return turn_scores([Turn(i, i + 1, "ab"[i % 2]) for i in range(seconds)])


class Missing(Alternating):
    def card(self):
        raise roles.NotInstalledError("no weights; pip install them")


@pytest.fixture
def clips(tmp_path):
    """Clips of 2 s that begin at 0, 1.5, 130 and 131.8 s; the last has no speech."""
    made = {}
    for name, start in {"d": "659/5", "c": "130", "b": "3/2", "a": "0"}.items():
        folder = tmp_path / name
        write_audio(folder / "speech.flac", np.full(2 * RATE, 0.1, np.float32), RATE)
        heard = [] if name == "d" else ["speech"]
        begin = Fraction(start)
        span = Span(
            begin, 48, Fraction(24), round(begin * 90_000), round((begin + 2) * 90_000), Fraction(1, 90_000)
        )
        cut = {"status": "ok", "span": span.to_json()}
        made[name] = Item(name, tmp_path, folder, {}, {"clips": cut, "separation": {"heard": heard}})
    return made


def run(model, clips, monkeypatch):
    monkeypatch.setattr(steps, "find_model", lambda role, name: model)
    return Speakers("resemblyzer").run(next(iter(clips.values())), clips)


def test_clips_of_a_film_are_heard_together(clips, monkeypatch):
    model = Alternating()
    outcome = run(model, clips, monkeypatch)
    assert outcome.evidence["status"] == "ok"
    assert [len(heard) / RATE for heard in model.heard] == pytest.approx([3.5, 3.8], abs=1e-3)
    assert np.mean(model.heard[1] != 0) == pytest.approx(2 / 3.8, abs=1e-3)
    assert outcome.clips["a"]["turns"] == [[0, 1, "a"], [1, 2, "b"]]
    assert outcome.clips["b"]["turns"] == [[0, 0.5, "b"], [0.5, 1.5, "a"], [1.5, 2, "b"]]
    assert read_rttm(clips["a"].folder / "speakers.rttm") == [Turn(0, 1, "a"), Turn(1, 2, "b")]


def test_who_is_hardly_heard_in_a_clip_is_not_its_speaker():
    turns = [Turn(0, 1, "a"), Turn(1, 3, "b"), Turn(3, 3.25, "c"), Turn(3.5, 3.75, "c"), Turn(9, 10, "a")]
    assert within(turns, 0.75, 4) == [
        Turn(0.25, 2.25, "b"),
        Turn(2.25, 2.5, "c"),
        Turn(2.75, 3, "c"),
    ]


def test_without_speech_no_model_runs(clips, monkeypatch):
    model = Alternating()
    outcome = run(model, {"d": clips["d"]}, monkeypatch)
    assert (outcome.clips["d"]["speakers"], outcome.clips["d"]["turns"], model.heard) == (0, [], [])


def test_without_weights_each_clip_says_how_to_get_them(clips, monkeypatch, tmp_path):
    outcome = run(Missing(), clips, monkeypatch)
    assert set(outcome.clips) == set(clips)
    for evidence in (outcome.evidence, *outcome.clips.values()):
        assert evidence == {"status": "unavailable", "reason": "no weights; pip install them"}


def test_a_curation_goes_on_without_weights_and_has_another_key_with_them(monkeypatch, tmp_path):
    stage = Speakers("resemblyzer")
    monkeypatch.setattr(steps, "find_model", lambda role, name: Missing())
    assert _cards(stage) == {}
    monkeypatch.setattr(Speakers, "optional", False)
    with pytest.raises(UserError, match="no weights"):
        _cards(stage)
    monkeypatch.undo()
    for stage in (Speakers(f"resemblyzer:{tmp_path / 'gone'}"), Speaking(f"lr_asd:{tmp_path / 'gone'}")):
        assert stage.optional
        with pytest.raises(UserError, match="gone: no such"):
            _cards(stage)
    stage = Speakers("resemblyzer")
    monkeypatch.setattr(steps, "find_model", lambda role, name: Alternating())
    assert _cards(stage)["diarizer"]["name"] == "alternating"
