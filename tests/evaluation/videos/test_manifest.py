"""Manifests of videos: what a line may hold, and that a bad line harms no other."""

import json

import pytest

from mtv_jax.evaluation.videos.command import references_of
from mtv_jax.evaluation.videos.manifest import Item, Manifest, items_of, read_manifest
from mtv_jax.io.errors import UserError


def written(path, *lines, encoding="utf-8", end="\n"):
    path.write_bytes("".join(f"{line}{end}" for line in lines).encode(encoding))
    return path


def line(**fields):
    return json.dumps({"video": "a.mp4"} | fields)


def test_all_keys(tmp_path):
    keys = ("video", "audio", "reference", "speech", "effects", "music")
    fields = {key: f"{key}.x" for key in keys} | {"id": "one", "prompt": "a cat", "seed": 3}
    item = read_manifest(written(tmp_path / "m.jsonl", line(**fields))).items[0]
    assert (item.id, item.prompt) == ("one", "a cat")
    assert (item.video, item.audio, item.reference) == tuple(tmp_path / f"{k}.x" for k in keys[:3])
    assert item.tracks == {key: tmp_path / f"{key}.x" for key in keys[3:]}


@pytest.mark.parametrize(("encoding", "end"), [("utf-8-sig", "\n"), ("utf-8", "\r\n"), ("utf-8-sig", "\r\n")])
def test_marks_of_windows_do_no_harm(tmp_path, encoding, end):
    lines = (line(), "", line(video="b.mp4", prompt="a line\u2028separator"))
    manifest = read_manifest(written(tmp_path / "m.jsonl", *lines, encoding=encoding, end=end))
    assert [item.id for item in manifest.items] == ["a.mp4", "b.mp4"]
    assert not manifest.problems


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("{", "line 2"),
        ("[]", "holds a list"),
        ("{}", "has no 'video'"),
        (line(id="a"), "the id 'a' is there twice"),
        (line(id="b", promt="x"), "unknown key 'promt'"),
        (line(id="b", seed="1"), "seed '1': must be a whole number"),
        (line(id="b", seed=True), "seed True: must be a whole number"),
        (line(id=""), "id '': must be a text"),
        (line(id=7), "id 7: must be a text"),
        (line(id="b", audio=3), "audio 3: must be a text"),
    ],
)
def test_a_bad_line_is_a_problem_of_its_own(tmp_path, bad, problem):
    manifest = read_manifest(written(tmp_path / "m.jsonl", line(id="a"), bad, line(id="z")))
    assert [item.id for item in manifest.items] == ["a", "z"]
    assert list(manifest.problems) == ["line 2"]
    assert problem in "line 2: " + manifest.problems["line 2"]


def test_a_manifest_without_any_video_is_an_error_that_says_why(tmp_path):
    with pytest.raises(UserError, match=r"no video in it; line 1: has no 'video'"):
        read_manifest(written(tmp_path / "m.jsonl", "{}"))
    with pytest.raises(UserError, match="UTF-16"):
        read_manifest(written(tmp_path / "m.jsonl", line(), encoding="utf-16"))


def test_files_folders_and_manifests_together(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("x.mp4", "folder/y.mp4", "folder/x.mp4"):
        (tmp_path / name).touch()
    manifest = written(tmp_path / "m.jsonl", line(id="from the manifest"))
    found = items_of([tmp_path / "x.mp4", tmp_path / "folder", manifest])
    assert [item.id for item in found.items] == ["x.mp4", "y.mp4", "from the manifest"]
    assert list(found.problems) == [str(tmp_path / "folder" / "x.mp4")]
    with pytest.raises(UserError, match="no such file"):
        items_of([tmp_path / "nowhere.mp4"])


def test_a_manifest_may_have_any_name(tmp_path):
    manifest = written(tmp_path / "m.json", line(id="one"))
    assert [item.id for item in items_of([], manifest).items] == ["one"]


def test_a_reference_that_is_named_twice_counts_once(tmp_path):
    named = Manifest((Item("a", tmp_path / "a.mp4", reference=tmp_path / "sub" / ".." / "real.mp4"),))
    given = Manifest((Item("real.mp4", tmp_path / "real.mp4"), Item("other", tmp_path / "other.mp4")))
    found = references_of(named, given)
    assert [item.id for item in found] == [str(tmp_path / "real.mp4"), str(tmp_path / "other.mp4")]
