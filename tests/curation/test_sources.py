"""Which files of a folder or a manifest are sources, and why the others are not."""

import json
import os
import socket

import pytest

from mtv_jax.curation.sources import Source, Sources, sources_of
from mtv_jax.io.errors import UserError


def touch(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def manifest(folder, *lines):
    path = folder / "sources.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def test_a_folder_s_videos_are_found_with_its_subfolders(tmp_path):
    touch(tmp_path / "b.mp4")
    touch(tmp_path / "season 1" / "a.MKV")
    found = sources_of(tmp_path, kind="talking_head").found
    assert [(source.id, source.kind, source.licence) for source in found] == [
        ("b.mp4", "talking_head", "unknown"),
        ("season 1/a.MKV", "talking_head", "unknown"),
    ]
    assert found[1].path == tmp_path / "season 1" / "a.MKV"


def test_the_id_of_a_source_does_not_depend_on_the_others(tmp_path):
    touch(tmp_path / "b.mp4")
    before = sources_of(tmp_path).found
    touch(tmp_path / "a.mp4")
    touch(tmp_path / "c" / "b.mp4")
    after = sources_of(tmp_path).found
    assert before[0] in after
    assert len({source.id for source in after}) == 3


@pytest.mark.parametrize(
    "name", ["a b.mp4", 'quote\'s "film".mp4', "two\nlines.mp4", "Käse 映画 🎬.mp4", "-i.mp4"]
)
def test_names_of_any_characters_are_kept(tmp_path, name):
    touch(tmp_path / name)
    (source,) = sources_of(tmp_path).found
    assert source.id == name
    assert Source.from_json(json.loads(json.dumps(source.to_json()))) == source
    assert sources_of(manifest(tmp_path, {"path": name})).found == (source,)


def test_everything_else_is_listed_with_its_reason(tmp_path):
    touch(tmp_path / "film.mp4")
    touch(tmp_path / "._film.mp4")
    touch(tmp_path / ".cache" / "old.mp4")
    touch(tmp_path / "notes.txt")
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "gone.mp4").symlink_to("nowhere.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "device.mp4").symlink_to("/dev/null")
    found = sources_of(tmp_path)
    assert [source.id for source in found.found] == ["film.mp4"]
    assert set(found.skipped) == {
        "._film.mp4", ".cache", "notes.txt", "pipe.mp4", "gone.mp4", "loop.mp4", "device.mp4"
    }  # fmt: skip
    assert found.skipped["._film.mp4"] == found.skipped[".cache"] == "hidden"
    assert "suffix (.txt)" in found.skipped["notes.txt"]
    assert found.skipped["pipe.mp4"] == "a pipe"
    assert "broken link" in found.skipped["gone.mp4"]
    assert "cannot be read" in found.skipped["loop.mp4"]
    assert found.skipped["device.mp4"] == "a device"


@pytest.mark.parametrize(
    ("reason", "unread"),
    [
        ("hidden", False),
        ("not a video by its suffix (.txt)", False),
        ("a link to a folder that contains it", False),
        ("a pipe", False),
        ("not a file", False),
        ("an empty folder", True),
        ("a broken link (to disk/a.mp4)", True),
        ("not readable (permission denied)", True),
        ("a folder that cannot be read (Input/output error)", True),
        ("hidden/a.json: not valid JSON", True),
    ],
)
def test_what_may_hold_films_is_told_from_what_never_does(reason, unread):
    assert Sources((), {"x": reason, "y": "hidden"}).unread == unread


def test_an_empty_folder_may_be_a_disk_that_is_away(tmp_path):
    touch(tmp_path / "a.mp4")
    (tmp_path / "disk").mkdir()
    found = sources_of(tmp_path)
    assert (found.skipped, found.unread) == ({"disk": "an empty folder"}, True)


def test_a_socket_is_not_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the name of a socket has at most 108 bytes
    with socket.socket(socket.AF_UNIX) as end:
        end.bind("s.mp4")
        assert sources_of(tmp_path).skipped == {"s.mp4": "a socket"}


def test_a_loop_of_folders_is_entered_once(tmp_path):
    touch(tmp_path / "a" / "film.mp4")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    found = sources_of(tmp_path)
    assert [source.id for source in found.found] == ["a/film.mp4", "b/film.mp4"]
    assert found.skipped == dict.fromkeys(("a/again", "b/again"), "a link to a folder that contains it")


def test_a_folder_that_cannot_be_read_is_listed(tmp_path, monkeypatch):
    touch(tmp_path / "closed" / "film.mp4")
    touch(tmp_path / "open" / "film.mp4")
    scandir = os.scandir

    def refuse(folder):  # these tests may run as root, who may read everything
        if str(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    found = sources_of(tmp_path)
    assert [source.id for source in found.found] == ["open/film.mp4"]
    assert found.skipped == {"closed": "a folder that cannot be read (Permission denied)"}


def test_a_name_that_is_not_utf8_is_listed(tmp_path):
    try:
        touch(tmp_path / os.fsdecode(b"\xff.mp4"))
    except OSError:
        pytest.skip("this file system has no such names")
    found = sources_of(tmp_path)
    assert not found.found
    (name,) = found.skipped
    assert "not valid UTF-8" in found.skipped[name]
    json.dumps(name, ensure_ascii=False).encode()


def test_a_description_beside_a_video_is_read(tmp_path):
    touch(tmp_path / "a.MP4")
    touch(tmp_path / "a.json", json.dumps({"licence": "CC0", "prompt": "a cat", "kind": "talking_head"}))
    touch(tmp_path / "b.mp4")
    touch(tmp_path / "b.json", json.dumps({"licence": 3}))
    found = sources_of(tmp_path)
    (source,) = found.found
    assert (source.licence, source.prompt, source.kind) == ("CC0", "a cat", "talking_head")
    assert "licence 3" in found.skipped["b.mp4"]
    assert "a.json" not in found.skipped


def test_a_manifest_s_paths_are_relative_to_it(tmp_path):
    touch(tmp_path / "films" / "a.mp4")
    touch(tmp_path / "b.bin")
    lines = [
        {"path": "films/../films/a.mp4", "licence": "CC-BY-4.0", "url": "https://example.org/a"},
        "",
        {"path": "b.bin", "id": "second", "kind": "talking_head", "prompt": "a head"},
        {"path": "gone.mp4"},
    ]
    found = sources_of(manifest(tmp_path, *lines))
    first, second = found.found
    assert first == Source(
        "films/a.mp4", tmp_path / "films/../films/a.mp4", licence="CC-BY-4.0", url="https://example.org/a"
    )
    assert (second.id, second.kind, second.prompt) == ("second", "talking_head", "a head")
    assert found.skipped == {str(tmp_path / "gone.mp4"): "no such file"}


def test_a_manifest_cannot_leave_its_folder(tmp_path):
    outside = touch(tmp_path / "outside.mp4")
    folder = tmp_path / "manifest"
    folder.mkdir()
    (folder / "link.mp4").symlink_to(outside)
    for name in ("../outside.mp4", str(outside), "link.mp4", str(touch(folder / "own.mp4"))):
        path = manifest(folder, {"path": name})
        with pytest.raises(UserError, match="line 1: path .* leaves the folder"):
            sources_of(path)
        (source,) = sources_of(path, outside=True).found
        assert source.path.exists()


def test_every_wrong_line_is_named(tmp_path):
    touch(tmp_path / "a.mp4")
    lines = [
        {"path": "a.mp4"},
        "{",
        "[1]",
        {"path": "a.mp4"},
        {"path": "a.mp4", "license": "CC0"},
        {"path": "a\0.mp4"},
        {"path": 3},
    ]
    with pytest.raises(UserError) as caught:
        sources_of(manifest(tmp_path, *lines))
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "sources.jsonl: line 2: not valid JSON",
        "line 3: holds a list",
        "line 4: the id 'a.mp4' is that of line 1",
        "line 5: unknown key 'license'",
        "line 6: path 'a\\x00.mp4'",
        "and 1 more",
    ):
        assert part in message


def test_kinds_are_checked(tmp_path):
    touch(tmp_path / "a.mp4")
    with pytest.raises(UserError, match="kind 'series': must be one of talking_head, film"):
        sources_of(manifest(tmp_path, {"path": "a.mp4", "kind": "series"}))
    with pytest.raises(UserError, match="kind series"):
        sources_of(tmp_path, kind="series")


def test_sources_of_a_data_set_say_their_label_split_and_recording(tmp_path):
    touch(tmp_path / "a.mp4")
    touch(tmp_path / "b.mp4")
    about = {"label": "dog barking", "split": "test", "recording": "x"}
    lines = [{"path": "a.mp4", **about}, {"path": "b.mp4"}]
    a, b = sources_of(manifest(tmp_path, *lines)).found
    assert (a.label, a.split, a.recording) == ("dog barking", "test", "x")
    assert (b.label, b.split, b.recording) == (None, None, None)
    with pytest.raises(UserError, match="split 'valid': must be one of train, test"):
        sources_of(manifest(tmp_path, {"path": "a.mp4", "split": "valid"}))
    both = [{"path": "a.mp4", **about}, {"path": "b.mp4", "split": "train", "recording": "x"}]
    with pytest.raises(
        UserError, match=r"'a.mp4' and 'b.mp4' are of one recording \(x\), and in both splits"
    ):
        sources_of(manifest(tmp_path, *both))
