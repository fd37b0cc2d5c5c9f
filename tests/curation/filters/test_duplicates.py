"""Duplicates across films are found through another encoding, size and level; other moments are not duplicates."""

import dataclasses

import numpy as np
import pytest
from media_files import SHARED

from mtv_jax.curation import verdicts
from mtv_jax.curation.config import CurateConfig, DuplicatesConfig, FiltersConfig
from mtv_jax.curation.evidence import FilmEvidence
from mtv_jax.curation.filters import duplicates
from mtv_jax.curation.filters.duplicates import (
    candidate_pairs,
    find_alike,
    fingerprint,
    picture_distance,
    repeated,
    sound_distance,
)
from mtv_jax.curation.filters.fingerprints import HASH_RATE, from_text, picture_hashes, sound_hashes, to_text
from mtv_jax.curation.inputs import Film
from mtv_jax.curation.verdicts import judge
from mtv_jax.io.audio import read_audio, write_audio
from mtv_jax.io.video import read_video, write_video

CONFIG = DuplicatesConfig()
needs_media = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the shared media")


def find_duplicates(prints, passing=None):
    """Clip -> the one that it repeats, of prints by clip that have their `film`."""
    alike = find_alike(((clip, print_["film"], print_) for clip, print_ in prints.items()), CONFIG)
    return repeated(alike, prints if passing is None else passing)


def scene(seed, height=96, width=160):
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 10, 3))
    return np.kron(coarse, np.ones((height // 6, width // 10, 1))).astype(np.uint8)


def tune(seed, seconds=2):
    """Notes of a quarter of a second."""
    draw = np.random.default_rng(seed)
    times = np.arange(HASH_RATE * seconds) / HASH_RATE
    notes = draw.uniform(300, 1500, (seconds * 4, 3))[(times * 4).astype(int)]
    return (0.1 * np.sin(2 * np.pi * notes * times[:, None]).sum(axis=1)).astype(np.float32)


def evidence(picture, sound, film, sha256="?", frames=4):
    pictures = picture_hashes(np.stack([scene(picture * 100 + i) for i in range(frames)]))
    hashes = sound_hashes(tune(sound)) if sound is not None else np.zeros(0, np.uint32)
    sha256 = f"{picture}-{sound}-{film}" if sha256 == "?" else sha256
    return {"sha256": sha256, "film": film, "pictures": to_text(pictures), "sounds": to_text(hashes)}


def test_hashes_survive_their_text():
    for kind in (np.uint32, np.uint64):
        values = np.array([0, 1, np.iinfo(kind).max, 12345], kind)
        assert np.array_equal(from_text(to_text(values), kind), values)


def test_picture_hashes_survive_size_level_and_noise_but_no_mirror():
    picture = scene(1)
    large = picture.repeat(3, axis=0).repeat(3, axis=1)
    dim = (0.6 * picture + 10 + np.random.default_rng(0).normal(0, 4, picture.shape)).astype(np.uint8)
    own, bigger, dimmer, mirrored, other = (
        picture_hashes(frame[None]) for frame in (picture, large, dim, picture[:, ::-1], scene(2))
    )
    assert picture_distance(own, bigger) <= 2
    assert picture_distance(own, dimmer) <= CONFIG.max_picture_bits
    assert min(picture_distance(own, mirrored), picture_distance(own, other)) > 20


def test_a_blank_frame_has_no_hash():
    blank = np.full((3, 32, 32, 3), 17, np.uint8)
    assert len(picture_hashes(blank)) == 0
    assert picture_distance(picture_hashes(blank), picture_hashes(scene(1)[None])) == 64


def test_sound_hashes_survive_level_noise_and_a_small_offset():
    sound = tune(1)
    noise = 0.005 * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    own = sound_hashes(sound)
    assert sound_distance(own, sound_hashes(0.1 * sound)) < 0.02
    assert sound_distance(own, sound_hashes(sound + noise)) < 0.25
    assert sound_distance(own, sound_hashes(sound[900:])) < 0.25
    assert sound_distance(own, sound_hashes(tune(2))) > 0.38


def test_silence_and_a_click_have_no_sound_hashes():
    silence = np.zeros(HASH_RATE * 2, np.float32)
    assert len(sound_hashes(silence)) == len(sound_hashes(silence[:100])) == 0


def test_the_smallest_id_of_a_group_is_kept_in_any_order():
    prints = {
        "c": evidence(1, 1, "film 1"),
        "a": evidence(1, 1, "film 2"),
        "b": evidence(1, 1, "film 3"),
        "d": evidence(2, 2, "film 4"),
    }
    found = find_duplicates(prints)
    assert found == {"b": "a", "c": "a"}
    assert find_duplicates(dict(reversed(prints.items()))) == found


def test_both_picture_and_sound_have_to_match():
    prints = {
        "a": evidence(1, 1, "film"),
        "dubbed": evidence(1, 2, "dubbed film"),
        "other picture": evidence(2, 1, "third"),
    }
    assert find_duplicates(prints) == {}


def test_silent_clips_are_compared_by_their_pictures():
    prints = {
        "a": evidence(1, None, "film 1"),
        "b": evidence(1, None, "film 2"),
        "c": evidence(1, 1, "film 3"),
    }
    assert find_duplicates(prints) == {"b": "a"}


def test_silent_clips_have_to_look_twice_as_alike():
    def pair(sound):
        own = evidence(1, sound, "film 1")
        other = from_text(own["pictures"], np.uint64) ^ np.uint64(0xFF)
        return {"a": own, "b": own | {"film": "film 2", "sha256": "other", "pictures": to_text(other)}}

    assert CONFIG.max_picture_bits / 2 < 8 < CONFIG.max_picture_bits
    assert find_duplicates(pair(1)) == {"b": "a"}
    assert find_duplicates(pair(None)) == {}


def test_clips_of_one_film_are_no_duplicates_even_if_their_files_are_equal():
    prints = {name: evidence(1, 1, "film", sha256="same") for name in "ab"}
    assert find_duplicates(prints) == {}


def test_equal_files_without_a_hash_are_duplicates():
    prints = {name: evidence(1, None, f"film {name}", sha256="same", frames=1) for name in "ab"}
    blank = {name: print_ | {"pictures": ""} for name, print_ in prints.items()}
    assert find_duplicates(blank) == {"b": "a"}


def test_candidates_have_similar_frames_with_an_equal_part():
    draw = np.random.default_rng(0)
    hashes = [draw.integers(0, 2**64, 4, np.uint64) for _ in range(3000)]
    hashes[2000] = hashes[7] ^ np.uint64(0x0003000100010000)  # four bits in three of the parts
    hashes[2001] = hashes[8] ^ np.uint64(0x0001000100010001)  # a bit in each part: not found
    hashes[2002] = hashes[9] ^ np.uint64(0xFFFF000000000000)
    films = np.arange(3000)
    assert list(candidate_pairs(hashes, films, 6)) == [(7, 2000)]
    films[2000] = 7
    assert list(candidate_pairs(hashes, films, 6)) == []


def test_a_part_that_very_many_share_says_nothing(monkeypatch):
    monkeypatch.setattr(duplicates, "_MOST_IN_PART", 3)
    same = [np.array([5], np.uint64)] * 4
    films = np.arange(4)
    assert list(candidate_pairs(same, films, 6)) == []
    assert list(candidate_pairs(same[:3], films[:3], 6)) == [(0, 1), (0, 2), (1, 2)]


@needs_media
def test_real_clips_in_another_encoding(tmp_path):
    def write(name, start, size, gain):
        frames, fps = read_video(SHARED / "bbb_0-240s_640x360.mp4", fps=8, start=start, num_frames=16)
        small = frames[:, ::size, ::size]
        write_video(tmp_path / f"{name}.mp4", small, fps, crf=32 if size > 1 else 18)
        sound = read_audio(SHARED / "bbb_0-240s_640x360.mp4", 16000, start=start, duration=2)
        write_audio(tmp_path / f"{name}.flac", gain * sound, 16000)
        return fingerprint(tmp_path / f"{name}.mp4", tmp_path / f"{name}.flac") | {"film": name}

    prints = {"a": write("a", 60, 1, 1.0), "b": write("b", 60.04, 2, 0.5), "c": write("c", 62.5, 1, 1.0)}
    assert find_duplicates(prints) == {"b": "a"}


class Known(tuple):
    """Films of a clip each, with equal files."""

    prints = "of these"

    def fingerprints(self):
        return ((name, name, found["fingerprint"]) for film in self for name, found in film.clips.items())

    def vectors(self):
        return iter(())

    @classmethod
    def of(cls, **clipped):
        return cls(
            FilmEvidence(
                Film(name, f"{name}.mp4", {"kind": "film", "licence": ""}, name), clips={name: clip(share)}
            )
            for name, share in clipped.items()
        )


def clip(clipped):
    span = {"start": [0, 1], "num_frames": 5, "fps": [12, 1]}
    return {
        "clips": {"status": "ok", "span": span},
        "fingerprint": {"status": "ok", "sha256": "x", "pictures": "", "sounds": ""},
        "sound": {"status": "ok", "dbfs": -20.0, "clipped": clipped},
    }


def test_a_rejected_clip_does_not_stand_for_its_copies(tmp_path):
    def failures(**clipped):
        found = judge(Known.of(**clipped), CurateConfig(), tmp_path / "alike.json")
        return {row["clip"]: row["failures"] for row in found.clips}

    assert failures(a=0.0, b=0.0, c=0.0) == {"a": [], "b": ["duplicate"], "c": ["duplicate"]}
    assert failures(a=0.5, b=0.0, c=0.0) == {"a": ["clipped"], "b": [], "c": ["duplicate"]}


def test_clips_are_compared_once_for_all_thresholds_but_those_of_duplicates(tmp_path, monkeypatch):
    compared = []
    find = verdicts.find_alike
    monkeypatch.setattr(verdicts, "find_alike", lambda *args: compared.append(1) or find(*args))
    config = CurateConfig()
    looser = dataclasses.replace(config, filters=FiltersConfig(max_clipped=None))
    other = dataclasses.replace(config, duplicates=DuplicatesConfig(max_picture_bits=2))
    for judged_by, times in ((config, 1), (looser, 1), (other, 2)):
        judge(Known.of(a=0.0, b=0.0), judged_by, tmp_path / "alike.json")
        assert len(compared) == times
