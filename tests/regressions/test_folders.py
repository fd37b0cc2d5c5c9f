"""Folders as others leave them: links, hidden files, bad videos, and files that are none."""

import json
import os
import shutil
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from curation.films import PLAIN, separate_into_halves

from mtv_jax import curate
from mtv_jax.audio.silence import is_silent
from mtv_jax.curation.encoders import TrackEncoders
from mtv_jax.data.shards import open_shards
from mtv_jax.evaluation.videos.manifest import items_of
from mtv_jax.io.audio import write_audio
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import copy_tree, link_tree, visible
from mtv_jax.io.video import write_video
from mtv_jax.io.video_folders import VIDEO_SUFFIXES
from mtv_jax.names import TRACKS
from mtv_jax.pipelines.loading import untrained_parts
from mtv_jax.pipelines.mtv import MTVPipeline
from mtv_jax.pipelines.presets import pipeline_folder
from mtv_jax.pipelines.request import read_sounds
from mtv_jax.text.pretrained import TextEncoder
from mtv_jax.training.export import link_encoders
from mtv_jax.weights.conversion import convert_pretrained
from mtv_jax.weights.pretrained import load_config, load_model

SMALL = [
    *PLAIN,
    "--workers",
    "0",
    "--num-frames",
    "1",
    "--stride",
    "9",
    "--fps",
    "12",
    "--height",
    "16",
    "--width",
    "16",
]


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    """`loud.mp4`, `quiet.mp4` (its sound is silence), `mute.mp4` (it has none), of three frames each, described."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    tone = 0.3 * np.sin(np.arange(12000) / 20).astype(np.float32)
    for name, sound in (("loud", tone), ("quiet", 0 * tone), ("mute", None)):
        frames = rng.integers(0, 255, (3, 16, 16, 3), np.uint8)
        write_video(folder / f"{name}.mp4", frames, 12, audio=sound, sample_rate=48000)
        (folder / f"{name}.json").write_text(json.dumps({"prompt": name}))
    return folder


@pytest.fixture
def no_networks(monkeypatch):
    """Records without running an encoder: what is tested is which videos become some."""
    monkeypatch.setattr(TrackEncoders, "encode", lambda *_: {"latents_mean": np.zeros((2, 1), np.float16)})
    monkeypatch.setattr(TextEncoder, "encode", lambda *_: [np.zeros((1, 1), np.float32)])
    separate_into_halves(monkeypatch)


@pytest.fixture
def snapshot(tmp_path) -> Path:
    """The preset as a Hugging Face cache has it: relative links to blobs."""
    root, source = tmp_path / "hub" / "models--me--tiny", pipeline_folder("tiny")
    (root / "blobs").mkdir(parents=True)
    for number, file in enumerate(sorted(path for path in source.rglob("*") if path.is_file())):
        blob, link = root / "blobs" / str(number), root / "snapshots" / "abc" / file.relative_to(source)
        shutil.copy(file, blob)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return root / "snapshots" / "abc"


def run(videos: Path, out: Path, *options: str, encoders: str = "tiny") -> int | None:
    given = ["--videos", str(videos), "--out", str(out), "--encoders", encoders, *SMALL, *options]
    return curate.main(["run", *given])


def all_real(folder: Path) -> bool:
    return not any(path.is_symlink() for path in folder.rglob("*"))


def test_links_of_a_cache_become_real_files_that_verify_opens(clips, snapshot, no_networks, tmp_path, capsys):
    """cpython#81793, huggingface_hub#1388: `encoders/` held relative links that led nowhere."""
    out = tmp_path / "out"
    assert not run(clips, out, encoders=str(snapshot))
    shutil.rmtree(snapshot.parents[1])
    assert all_real(out / "encoders")
    load_model(out / "encoders" / "text_encoder")
    curate.main(["verify", str(out)])
    assert "all whole" in capsys.readouterr().out
    weights = out / "encoders" / "vae" / "diffusion_pytorch_model.safetensors"
    os.replace(weights, weights.with_name("away"))
    weights.symlink_to("../../blobs/0")
    with pytest.raises(UserError, match="diffusion_pytorch_model.safetensors: no such file"):
        curate.main(["verify", str(out)])


def test_links_are_resolved_wherever_a_folder_is_copied(snapshot, tmp_path):
    """cpython#81793, in training's export and in `convert`."""
    (tmp_path / "exported").mkdir()
    link_encoders(snapshot, tmp_path / "exported")
    copy_tree(snapshot, tmp_path / "copied")
    (snapshot / "transformer").rename(tmp_path / "transformer")
    shutil.rmtree(snapshot / "controlnet")
    list(convert_pretrained(snapshot, tmp_path / "converted"))
    shutil.rmtree(tmp_path / "hub")
    for name in ("exported", "copied", "converted"):
        assert all_real(tmp_path / name)
        assert (tmp_path / name / "tokenizer" / "tokenizer.json").read_text().startswith("{")


def test_a_link_to_nothing_or_to_its_own_folder_is_named(tmp_path):
    """Found by attack: siblings of the links of a cache."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "gone").symlink_to("nowhere")
    with pytest.raises(UserError, match="a/gone: a broken link"):
        link_tree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "a" / "gone").unlink()
    (tmp_path / "a" / "up").symlink_to("..")
    with pytest.raises(UserError, match="a/up: a link to a folder that contains it"):
        copy_tree(tmp_path / "a", tmp_path / "c")


def test_hidden_files_are_no_videos_and_no_weights(clips, tmp_path, capsys):
    """QzoneExporter#32: `._clip.mp4` of macOS stopped a folder, `._model.safetensors` a model."""
    videos = tmp_path / "videos"
    shutil.copytree(clips, videos)
    for name in ("._loud.mp4", "._loud.json", ".DS_Store"):
        (videos / name).write_bytes(b"\x00\x05\x16\x07")
    (videos / ".cache").mkdir()
    assert not run(videos, tmp_path / "out", "--frames-only", "--strict")
    assert "left out" not in capsys.readouterr().err
    model = tmp_path / "model"
    shutil.copytree(pipeline_folder("tiny") / "text_encoder", model)
    for name in ("._model.safetensors", "._model.safetensors.index.json", ".DS_Store"):
        (model / name).write_bytes(b"\x00\x05\x16\x07")
    load_model(model)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "config.json").write_text("no JSON")
    assert untrained_parts(tmp_path) == ()
    link_tree(model, tmp_path / "linked")
    assert [path.name for path in visible(tmp_path / "linked")] == ["config.json", "model.safetensors"]
    assert len(list((tmp_path / "linked").iterdir())) == 2


def test_one_bad_clip_does_not_stop_a_folder(clips, no_networks, tmp_path, capsys):
    """vision#1271, SimpleTuner#2537: a video without sound among good ones."""
    assert not run(clips, tmp_path / "out")
    shards = open_shards(tmp_path / "out")
    assert sorted(shards.read(i).prompt for i in range(len(shards))) == ["loud", "quiet"]
    left_out = shards.manifest["info"]["left_out"]
    assert list(left_out) == ["mute.mp4"]
    assert "no sound track" in left_out["mute.mp4"]
    assert "left out:\n  mute.mp4: no sound track" in capsys.readouterr().err
    assert run(clips, tmp_path / "strict", "--strict") == 1
    assert not (tmp_path / "strict" / "manifest.json").exists()


def test_a_silent_film_is_dropped_and_named(clips, no_networks, tmp_path, capsys):
    """Found by a newcomer: a video whose mouth stays shut, of a file without sound in it."""
    assert not run(clips, tmp_path / "out", "--config.filters.min_dbfs=-60")
    assert "  quiet.mp4: all clips rejected: silent\n" in capsys.readouterr().err


def test_a_folder_of_bad_clips_alone_fails_and_lists_them(tmp_path, capsys):
    """SimpleTuner#2537: cut-off videos; with none left the run has failed."""
    for name in ("a.mp4", "b.wmv"):
        (tmp_path / name).write_bytes(b"cut")
        (tmp_path / name).with_suffix(".json").write_text('{"prompt": "x"}')
    assert run(tmp_path, tmp_path / "out", "--frames-only") == 1
    reported = capsys.readouterr().err
    assert "  a.mp4: " in reported
    assert "  b.wmv: " in reported
    assert "no clip of its 2 films is kept" in reported


def test_every_video_is_taken_and_what_is_none_is_named(clips, tmp_path, capsys):
    """photoprism#2899: `.ts .mpg .wmv` were dropped without a word."""
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(clips / "loud.mp4", videos / "loud.TS")
    (videos / "loud.json").write_text('{"prompt": "x"}')
    (videos / "notes.docx").write_text("x")
    (videos / "other.json").write_text("{}")
    assert not run(videos, tmp_path / "out", "--frames-only")
    ignored = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ignored")]
    assert ignored == [
        "ignored: notes.docx (not a video by its suffix (.docx))",
        "ignored: other.json (not a video by its suffix (.json))",
    ]
    assert [item.id for item in items_of([videos]).items] == ["loud.TS"]
    wanted = [
        f".{name}"
        for name in ("ts", "mpg", "mpeg", "wmv", "flv", "3gp", "m2ts", "mts", "ogv", "m4v", "mov", "vob")
    ]
    assert set(wanted) <= VIDEO_SUFFIXES


def test_silence_is_inaudible_sound_not_quiet_sound():
    """Found by a newcomer: a track that turned out silent was not named."""
    rng = np.random.default_rng(0)
    assert is_silent(np.zeros(0, np.float32))
    assert is_silent((rng.integers(-1, 2, 1000) / 32768).astype(np.float32))
    assert not is_silent(np.array([0, 0.01, 0], np.float32))


def test_a_given_track_that_is_silent_is_named(tmp_path, caplog):
    """Found by a newcomer: a video whose mouth stays shut, of a file without sound in it."""
    write_audio(tmp_path / "a.wav", np.zeros(16000, np.float32), 16000)
    write_audio(tmp_path / "b.wav", np.full(16000, 0.1, np.float32), 16000)
    pipe = SimpleNamespace(tracks=TRACKS, needs_full_audio=False)
    files = {"speech": tmp_path / "a.wav", "effects": tmp_path / "b.wav"}
    MTVPipeline.tracks_of(pipe, read_sounds(files, None), ClipSize(6, Fraction(12)))
    assert caplog.messages == [
        f"speech: the track in {tmp_path / 'a.wav'} is silent or too quiet for speech (the 0.50 s that are used)"
    ]


def test_descriptions_with_a_byte_order_mark_are_read(clips, tmp_path):
    """QzoneExporter#32: `clip.json` of a Windows editor."""
    videos = tmp_path / "videos"
    videos.mkdir()
    shutil.copy(clips / "loud.mp4", videos)
    (videos / "loud.json").write_bytes(b'\xef\xbb\xbf{"prompt": "a bell"}')
    run(videos, tmp_path / "out", "--frames-only", "--strict")
    assert open_shards(tmp_path / "out").read(0).prompt == "a bell"


def test_the_config_of_a_snapshot_is_read_through_its_links(snapshot):
    """huggingface_hub#1388."""
    assert load_config(snapshot / "vae") == load_config(pipeline_folder("tiny") / "vae")
