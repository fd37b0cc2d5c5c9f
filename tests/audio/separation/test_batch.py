"""Finding mixes: each result has a name of its own, and what is no mix is ignored for a stated reason."""

from pathlib import Path

import pytest

from mtv_jax.audio.separation.batch import find_mixes
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import shown


@pytest.fixture
def folder(tmp_path):
    """Makes empty files in a folder."""

    def make(*names):
        for name in names:
            path = tmp_path / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "in"

    return make


def named(mixes):
    return {str(name): path.name for name, path in mixes.files.items()}


def test_results_are_named_by_path_without_suffix_unless_two_would_have_one_name(folder):
    root = folder("a.wav", "a.mp4", "a.wav.flac", "b.wav", "b.x.wav", "C.wav", "c.MP3", "d/a.ogg", "d.wav")
    assert named(find_mixes([root])) == {
        "a.wav": "a.wav",
        "a.mp4": "a.mp4",
        "a.wav.flac": "a.wav.flac",
        "b": "b.wav",
        "b.x": "b.x.wav",
        "C.wav": "C.wav",
        "c.MP3": "c.MP3",
        "d/a": "a.ogg",
        "d": "d.wav",
    }


def test_results_of_several_inputs_are_named_from_their_common_parent(folder, monkeypatch):
    root = folder("day 1/a.wav", "day 2/a.wav", "day 2/deep/b.wav", "c.data")
    monkeypatch.chdir(root)
    assert named(find_mixes(["day 1", root / "day 2", "day 2/a.wav"])) == {
        "day 1/a": "a.wav",
        "day 2/a": "a.wav",
        "day 2/deep/b": "b.wav",
    }
    assert named(find_mixes(["day 2/a.wav", "day 2/deep/b.wav"])) == {"a": "a.wav", "deep/b": "b.wav"}
    assert named(find_mixes(["c.data", "day 1"])) == {"c": "c.data", "day 1/a": "a.wav"}
    assert named(find_mixes(["c.data"])) == {".": "c.data"}  # directly in the output folder
    assert named(find_mixes(["day 1"])) == {"a": "a.wav"}


def test_tracks_of_an_earlier_run_are_no_mixes(folder):
    root = folder("a.wav", "a/speech.flac", "a/music.flac", "a/demix.json", "a/b.wav", "c/speech.wav")
    mixes = find_mixes([root])
    assert set(named(mixes)) == {"a", "a/b", "c/speech"}
    assert {path.name for path in mixes.ignored} == {"speech.flac", "music.flac", "demix.json"}
    with pytest.raises(UserError, match="only tracks"):
        find_mixes([folder("x/demix.json", "x/rest.wav") / "x"])


def test_hidden_files_links_to_folders_and_other_files_are_not_mixes(folder):
    root = folder("a.WAV", "._a.WAV", ".cache/b.wav", "__MACOSX/a.wav", "notes.txt", "page.html")
    (root / "loop").symlink_to(root)
    (root / "gone.wav").symlink_to("nowhere.wav")
    mixes = find_mixes([root])
    assert set(named(mixes)) == {"a", "gone"}  # a broken link fails later, and so is reported
    assert {path.name: reason for path, reason in mixes.ignored.items()} == {
        "loop": "a link to a folder",
        "notes.txt": "not a sound or video",
        "page.html": "not a sound or video",
    }


def test_names_that_are_not_utf8_are_escaped(folder):
    root = folder("caf\udce9.wav", "line\nbreak.wav")
    assert set(find_mixes([root]).files) == {Path("caf\\xe9"), Path("line\nbreak")}
    assert [shown(path.name) for path in find_mixes([root]).files.values()] == [
        "caf\\xe9.wav",
        "line\\nbreak.wav",
    ]


def test_what_does_not_exist_is_refused(folder):
    with pytest.raises(UserError, match=r"none\.wav: no such file"):
        find_mixes([folder("a.wav"), "none.wav"])
    with pytest.raises(UserError, match="no sound or video in it"):
        find_mixes([folder("b/notes.txt") / "b"])
