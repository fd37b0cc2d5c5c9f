"""Videos of a test set: drawn with a seed, made once, measured by their manifest."""

import json

import numpy as np
import pytest
from maestro_folders import write_maestro

from mtv_jax import Pipeline, evaluate
from mtv_jax.data.records import ClipRecord, ClipSource
from mtv_jax.data.shards import write_shards
from mtv_jax.evaluation.videos import generate as generating
from mtv_jax.evaluation.videos.manifest import read_manifest
from mtv_jax.io.audio import read_audio, write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.lock import FolderLock
from mtv_jax.io.video import probe, write_video
from mtv_jax.names import TRACKS

CLIPS = 7


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """A data set whose test split has some clips; their tracks are tones of their own."""
    folder = tmp_path_factory.mktemp("shards")

    def record(number: int) -> ClipRecord:
        write_video(folder / "clip.mp4", np.full((5, 16, 16, 3), 30 * number, np.uint8), 8)
        arrays = {"mp4": folder / "clip.mp4"}
        for pitch, track in enumerate(TRACKS, 1):
            tone = 0.1 * np.sin(np.arange(10_000) * 0.05 * pitch * (number + 1)).astype(np.float32)
            write_audio(folder / f"{track}.flac", tone, 16_000)
            arrays[track] = folder / f"{track}.flac"
        bits = {name: np.frombuffer(path.read_bytes(), np.uint8) for name, path in arrays.items()}
        source = ClipSource("film.mp4", "0" * 64, number, number + 1, (1, 8))
        return ClipRecord(f"clip{number}", f"prompt {number}", (8, 1), 5, 16, 16, source, bits)

    write_shards(folder / "set" / "test" / "media", [record(n) for n in range(CLIPS)], kind="media")
    return folder / "set"


@pytest.fixture(scope="module")
def generate(shards, pipeline_folder):
    pipe = Pipeline.from_pretrained(pipeline_folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generating, "_pipeline", lambda _: pipe)  # loaded once
        yield _generate(shards, pipeline_folder)


def _generate(shards, pipeline_folder):
    def call(out, *flags):
        given = [
            "--shards",
            shards,
            "--pipeline",
            pipeline_folder,
            "--out",
            out,
            "--steps",
            1,
            "--batch-size",
            2,
        ]
        return evaluate.main(["generate", *map(str, (*given, "--guidance-scale", 1, *flags))])

    return call


def kept(patch):
    """The frames that are written from now on, by the names of their files: encoding is not exact."""
    frames = {}

    def write(path, written, *args, **kwargs):
        frames[path.name] = np.asarray(written)
        write_video(path, written, *args, **kwargs)

    patch.setattr(generating, "write_video", write)
    return frames


@pytest.fixture(scope="module")
def run(generate, tmp_path_factory):
    """A folder of three videos, and their frames."""
    out = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        frames = kept(patch)
        assert generate(out, "--n", 3) == 0
    return out, frames


@pytest.fixture(scope="module")
def made(run):
    return run[0]


@pytest.mark.slow
def test_a_maestro_folder_draws_the_tracks_as_sources(shards, tmp_path):
    folder = write_maestro(tmp_path / "maestro")
    assert _generate(shards, folder)(tmp_path / "made", "--n", 2) == 0
    items = read_manifest(tmp_path / "made" / "manifest.jsonl").items
    assert [probe(item.video).num_frames for item in items] == [4, 4]
    sound = read_audio(items[0].video, 16_000)
    assert np.abs(sound[: len(sound) // 4]).max() > 0.1


def test_the_manifest_has_what_metrics_need(made):
    items = read_manifest(made / "manifest.jsonl").items
    assert len({item.id for item in items}) == 3
    for item in items:
        assert item.prompt == f"prompt {item.id.removeprefix('clip')}"
        info = probe(item.video)
        assert info.has_audio
        assert item.reference is not None
        assert probe(item.reference).num_frames == 5
        tracks = [read_audio(item.tracks[name]) for name in TRACKS]
        sound, length = read_audio(item.video), round(info.num_frames / info.fps * 16_000)
        wanted = np.zeros(length, np.float32)
        wanted[:10_000] = np.sum(tracks, axis=0)[:length]
        assert np.corrcoef(sound[: len(wanted)], wanted[: len(sound)])[0, 1] > 0.95


def test_the_draw_is_that_of_the_seed(generate, tmp_path, monkeypatch):
    monkeypatch.setattr(generating, "_make", lambda *_: None)
    monkeypatch.setattr(generating.Drawn, "video", generating.Drawn.reference)

    def ids(name, *flags):
        generate(tmp_path / name, *flags)
        return [item.id for item in read_manifest(tmp_path / name / "manifest.jsonl").items]

    assert ids("a", "--n", 4) == ids("b", "--n", 4) != ids("c", "--n", 4, "--seed", 1)
    assert ids("d", "--n", CLIPS) == [f"clip{n}" for n in range(CLIPS)]
    with pytest.raises(UserError, match=f"--n 8: .* has {CLIPS} clips"):
        generate(tmp_path / "e", "--n", 8)


def test_a_run_that_was_stopped_makes_what_is_missing_and_the_same(run, generate, monkeypatch):
    made, frames = run
    gone = sorted((made / "videos").iterdir())[-1]  # alone in its batch
    gone.unlink()
    (made / "manifest.jsonl").unlink()
    again = kept(monkeypatch)
    assert generate(made, "--n", 3) == 0
    assert (made / "manifest.jsonl").exists()
    assert list(again) == [gone.name]
    np.testing.assert_array_equal(again[gone.name], frames[gone.name])
    monkeypatch.setattr(generating, "write_video", None)  # there is nothing left to make
    assert generate(made, "--n", 3) == 0
    with pytest.raises(UserError, match=r"were made otherwise \(seed\)"):
        generate(made, "--n", 3, "--seed", 5)


def test_parts_leave_the_manifest_to_the_last(made, generate, tmp_path, capsys):
    assert generate(tmp_path / "out", "--n", 3, "--part", "1/2") == 0
    assert "1 of 3 videos are left" in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.jsonl").exists()
    # Another part may be made at the same time, the same part may not.
    with FolderLock(tmp_path / "out" / "parts" / "1_of_2", "--out"):
        with pytest.raises(UserError, match="in use by process"):
            generate(tmp_path / "out", "--n", 3, "--part", "1/2")
        assert generate(tmp_path / "out", "--n", 3, "--part", "2/2") == 0
    lines = [(folder / "manifest.jsonl").read_text() for folder in (made, tmp_path / "out")]
    assert lines[0] == lines[1]
    assert all(json.loads(line) for line in lines[0].splitlines())


def test_shards_without_media_are_refused(generate):
    with pytest.raises(UserError, match="has no media of the split train"):
        generate("/tmp/never", "--split", "train")
