"""Files in the folders of clips are those of the present settings, and those that nothing needs are removed."""

import json

import pytest
from curation.films import FRAMES, run, write_film

from mtv_jax import curate
from mtv_jax.curation import clips
from mtv_jax.curation.cleaning import delete_old_clips
from mtv_jax.curation.inputs import Film
from mtv_jax.curation.settings import Layout
from mtv_jax.curation.verdicts import Verdicts
from mtv_jax.io.errors import UserError
from mtv_jax.io.jsonl import RowWriter

SMALLER, LARGER = "--config.short_side=18", "--height=32"
"""Settings with which clips of the same ids have other bytes, and other arrays."""


@pytest.fixture
def films(tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    write_film(folder / "a.mp4", 10)
    write_film(folder / "b.mp4", 5, shade=40)
    return folder


def made(out):
    return {path: path.read_bytes() for path in (out / "work" / "films").rglob("*") if path.is_file()}


def stop_after_the_first_clip(patch):
    write, written = clips.write_video, []

    def stopped(path, *args, **options):
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write(path, *args, **options)

    patch.setattr(clips, "write_video", stopped)


def stop_before_the_row(stage):
    def patch_with(patch):
        append = RowWriter.append

        def stopped(writer, rows):
            if any(row["stage"] == stage for row in rows):
                raise KeyboardInterrupt
            append(writer, rows)

        patch.setattr(RowWriter, "append", stopped)

    return patch_with


@pytest.mark.parametrize(
    ("stop", "other"),
    [
        (stop_after_the_first_clip, SMALLER),
        (stop_before_the_row("clips"), SMALLER),
        (stop_before_the_row("encode"), LARGER),
    ],
)
def test_files_of_other_settings_are_not_taken_for_those_of_an_older_row(films, tmp_path, stop, other):
    """A run with other settings is killed when it has written files; then the first settings come back."""
    out = tmp_path / "out"
    run(films, out, *FRAMES)
    before, settings = made(out), Layout(out).settings.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        stop(patch)
        with pytest.raises(KeyboardInterrupt):
            run(films, out, *FRAMES, other, "--overwrite")
    assert any(made(out).get(path) != data for path, data in before.items())
    Layout(out).settings.write_bytes(settings)
    (out / "manifest.json").unlink()
    with pytest.raises(UserError, match="is kept and not encoded yet"):
        curate.main(["pack", str(out)])
    run(films, out, *FRAMES)
    assert made(out) == before


def test_clips_that_no_film_has_any_more_are_removed(films, tmp_path, capsys):
    out = tmp_path / "out"
    run(films, out, *FRAMES)
    film = Layout(out).all_films()[0]
    (film / ".decoded-x").mkdir()
    (film / ".decoded-x" / "sound.w64").write_bytes(bytes(100))
    before = made(out)
    capsys.readouterr()
    run(films, out, *FRAMES, "--stride", "4", "--overwrite")
    assert "removed the files of 1 clip that no film has any more (0.0 MiB)" in capsys.readouterr().err
    after = made(out)
    assert len(set(before) - set(after)) == len(("clip.mp4", "arrays.msgpack", "made.json", "sound.w64"))
    (films / "a.mp4").unlink()
    run(films, out, *FRAMES, "--stride", "4")
    assert "removed the files of 2 clips" in capsys.readouterr().err
    assert {path.parent.parent for path in made(out)} < {path.parent.parent for path in after}
    run(films, out, *FRAMES, "--stride", "4")
    assert "removed" not in capsys.readouterr().err


def test_while_a_file_cannot_be_read_films_that_are_missing_keep_their_clips(tmp_path):
    layout = Layout(tmp_path)
    for film in ("aa", "bb"):
        path = layout.clip({"film": film, "clip": "old"}) / "clip.mp4"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    (layout.work / "films" / "bb" / ".DS_Store").write_bytes(b"no film")
    known = Film("a.mp4", "a.mp4", {}, "aa")
    unread = Film("c.mp4", "c.mp4", {}, "", "Input/output error")
    delete_old_clips(layout, [known, unread], Verdicts([], []), unread=False)
    assert [path.name for path in layout.all_films() if list(path.iterdir())] == ["bb"]
    delete_old_clips(layout, [known], Verdicts([], []), unread=True)
    delete_old_clips(layout, [], Verdicts([], []), unread=False)
    assert len(made_files(layout)) == 1
    delete_old_clips(layout, [known], Verdicts([], []), unread=False)
    assert not made_files(layout)


def made_files(layout):
    return list(layout.work.rglob("clip.mp4"))


def test_a_damaged_list_of_files_means_that_they_are_made_again(films, tmp_path):
    out = tmp_path / "out"
    run(films, out, *FRAMES)
    before = made(out)
    (listed, *_) = [path for path in before if path.name == "made.json"]
    assert set(json.loads(listed.read_text())) == {"clips", "encode"}
    listed.write_text("{")
    run(films, out, *FRAMES)
    assert made(out) == before
