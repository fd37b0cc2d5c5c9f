"""A folder of videos becomes shards, the same each time, and a stopped run goes on."""

import json
import re
import shutil
from fractions import Fraction

import numpy as np
import pytest

from mtv_jax import curate
from mtv_jax.audio.tracks import load_tracks
from mtv_jax.curation import build
from mtv_jax.data.shards import open_shards
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import write_video
from mtv_jax.pipelines.presets import pipeline_folder as preset_folder
from mtv_jax.weights.model_index import default_clip_size, read_defaults

FPS = 12
RATES = (Fraction(25), Fraction(30000, 1001))


def moving_square(frames: int) -> np.ndarray:
    """A white square that walks over grey."""
    video = np.full((frames, 36, 48, 3), 90, np.uint8)
    for i in range(frames):
        video[i, 10:20, i % 40 : i % 40 + 8] = 250
    return video


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two described videos of 14 and 9 frames with a tone."""
    folder = tmp_path_factory.mktemp("videos")
    for name, frames in (("a", 14), ("b", 9)):
        tone = 0.2 * np.sin(2 * np.pi * 300 * np.arange(48000 * frames // FPS) / 48000).astype(np.float32)
        write_video(folder / f"{name}.mp4", moving_square(frames), FPS, audio=tone, sample_rate=48000)
        (folder / f"{name}.json").write_text(json.dumps({"prompt": f"square {name}", "licence": "CC0"}))
    return folder


@pytest.fixture(scope="module")
def shards(videos, pipeline_folder, tmp_path_factory):
    """Shards of clips of five frames, three frames apart."""
    out = tmp_path_factory.mktemp("shards") / "out"
    run(videos, out, pipeline_folder, "--stride", "3")
    return out


def run(videos, out, encoders, *options):
    return curate.main(
        ["run", "--videos", str(videos), "--out", str(out), "--encoders", str(encoders), *options]
    )


def test_clips_are_cut_and_encoded(shards):
    opened = open_shards(shards)
    # Starts 0, 3, 6, 9 of 14 frames, and 0, 3 of 9.
    assert len(opened) == 6
    record = opened.read(0)
    assert record.prompt == "square a"
    assert record.source.licence == "CC0"
    assert {name: x.shape for name, x in record.arrays.items()} == {
        "latents_mean": (2, 4, 4, 4),
        "latents_logvar": (2, 4, 4, 4),
        "text": (9, 8),
        "speech": (5, 2, 8),
        "effects": (5, 2, 8),
        "music": (5, 2, 8),
    }
    assert len({opened.read(i).id for i in range(6)}) == 6


def test_shards_carry_the_encoders_they_were_made_with(shards, pipeline_folder):
    assert read_defaults(shards / "encoders") == read_defaults(pipeline_folder)
    written = (shards / "encoders/vae/diffusion_pytorch_model.safetensors").read_bytes()
    assert written == (pipeline_folder / "vae/diffusion_pytorch_model.safetensors").read_bytes()
    assert "vae" in open_shards(shards).manifest["info"]["encoders"]


def test_same_input_gives_the_same_shards(shards, videos, pipeline_folder, tmp_path):
    run(videos, tmp_path / "again", pipeline_folder, "--stride", "3")
    first, again = open_shards(shards).manifest, open_shards(tmp_path / "again").manifest
    assert first["shards"] == again["shards"]


def test_stopped_run_goes_on(videos, pipeline_folder, tmp_path, monkeypatch):
    encoded = []
    original = build.clips_of

    def stop_at_second(file, *args):
        if encoded and not resumed:
            raise KeyboardInterrupt
        encoded.append(file.name)
        return original(file, *args)

    resumed = False
    monkeypatch.setattr(build, "clips_of", stop_at_second)
    with pytest.raises(KeyboardInterrupt):
        run(videos, tmp_path / "out", pipeline_folder)
    assert not (tmp_path / "out/manifest.json").exists()
    resumed = True
    run(videos, tmp_path / "out", pipeline_folder)
    assert encoded == ["a.mp4", "b.mp4"]
    assert not (tmp_path / "out/.work").exists()


def test_frames_only_keeps_pixels(videos, tmp_path):
    options = ["--frames-only", "--num-frames", "9", "--fps", "12", "--height", "32", "--width", "48"]
    run(videos, tmp_path / "frames", "tiny", *options)
    opened = open_shards(tmp_path / "frames")
    assert opened.manifest["kind"] == "frames"
    video = opened.read(0).arrays["video"]
    assert (video.shape, video.dtype) == ((9, 32, 48, 3), np.uint8)


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """Videos of two rates, ten frames each of a brightness of its own, with a tone that grows."""
    folder = tmp_path_factory.mktemp("steps")
    for name, rate in zip("ab", RATES, strict=True):
        frames = np.repeat(np.arange(10, 210, 20, dtype=np.uint8), 16 * 16 * 3).reshape(10, 16, 16, 3)
        time = np.arange(round(10 * 16000 / rate)) / 16000
        tone = (time * np.sin(2 * np.pi * 300 * time)).astype(np.float32)
        write_video(folder / f"{name}.mp4", frames, rate, audio=tone, sample_rate=16000)
        (folder / f"{name}.json").write_text(json.dumps({"prompt": "steps"}))
    return folder


def test_at_native_rate_a_clip_has_every_frame_of_its_video_but_the_first_three(steps, tmp_path):
    size = ["--num-frames", "5", "--height", "16", "--width", "16"]
    run(steps, tmp_path / "out", "tiny", "--frames-only", "--fps", "native", *size)
    shards = open_shards(tmp_path / "out")
    assert shards.manifest["fps"] is None
    for number, rate in enumerate(RATES):
        record = shards.read(number)
        assert Fraction(*record.fps) == rate
        shown = record.arrays["video"].mean((1, 2, 3))
        np.testing.assert_allclose(shown, [70, 90, 110, 130, 150], atol=3)
        begin, end = (
            pts * Fraction(*record.source.time_base)
            for pts in (record.source.start_pts, record.source.end_pts)
        )
        assert (begin, end) == (3 / rate, 8 / rate)


@pytest.mark.parametrize(
    ("options", "first"),
    [
        (("--fps", "native"), 70),
        (("--fps", "native", "--skip-frames", "0"), 10),
        (("--fps", "native", "--skip-frames", "5"), 110),
        (("--fps", "25"), 10),
        (("--fps", "25", "--skip-frames", "1"), 30),
        ((), 10),  # the preset's own rate
    ],
)
def test_frames_are_skipped_as_requested_or_by_the_rate(steps, tmp_path, options, first):
    size = ["--num-frames", "1", "--height", "16", "--width", "16"]
    run(steps, tmp_path / "out", "tiny", "--frames-only", *size, *options)
    assert open_shards(tmp_path / "out").read(0).arrays["video"].mean() == pytest.approx(first, abs=3)


def test_sound_is_heard_at_the_rate_of_its_video(steps, pipeline_folder, tmp_path):
    run(steps, tmp_path / "out", pipeline_folder, "--fps", "native")
    shards, encoders = open_shards(tmp_path / "out"), build.Encoders.from_pretrained(pipeline_folder)
    for number, (name, rate) in enumerate(zip("ab", RATES, strict=True)):
        first = round(3 / rate * 16000)
        speech = load_tracks({"audio": steps / f"{name}.mp4"})["speech"][
            first : first + round(5 / rate * 16000)
        ]
        heard = shards.read(number).arrays["speech"]
        np.testing.assert_array_equal(heard, encoders.audio(speech, 5, rate).astype(np.float16))


def test_clips_are_those_of_a_pipeline_of_ours_and_of_no_other(tmp_path):
    assert default_clip_size(preset_folder("tiny")) == ClipSize(25, Fraction(12), 64, 64)
    backbone = {"_class_name": "CogVideoXImageToVideoPipeline"}
    (tmp_path / "model_index.json").write_text(json.dumps(backbone))
    (tmp_path / "transformer").mkdir()
    config = {"sample_frames": 9, "sample_height": 4, "sample_width": 4}
    (tmp_path / "transformer" / "config.json").write_text(json.dumps(config))
    assert default_clip_size(tmp_path) == ClipSize(49, Fraction(24), 480, 720, native_rate=True)
    assert read_defaults(tmp_path).clip.fps == 8  # sampled as it stands
    with pytest.raises(UserError, match=r"no audio_encoder/ in it.*wav2vec2-base-960h"):
        build.Encoders.from_pretrained(tmp_path)


def test_encoders_say_nothing_of_how_a_model_is_sampled(shards):
    noted = json.loads((shards / "encoders/model_index.json").read_text())["_defaults"]
    size = {"num_frames": 5, "fps": [12, 1], "height": 32, "width": 32, "native_rate": False}
    assert noted == size | {"text_length": 24, "text_padding": "zeros"}
    assert default_clip_size(shards / "encoders") == ClipSize(5, Fraction(12), 32, 32)
    assert not (shards / "encoders/scheduler").exists()


def test_existing_shards_are_not_replaced_without_overwrite(shards, videos, pipeline_folder):
    with pytest.raises(UserError, match="--overwrite"):
        run(videos, shards, pipeline_folder)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "a.json").unlink(), r"a\.mp4: no description.*a\.json"),
        (lambda folder: (folder / "a.json").write_text("{}"), r"a\.mp4: a\.json: must hold"),
        (lambda folder: (folder / "a.json").write_text("{"), r"a\.mp4: a\.json: not valid JSON"),
        (lambda folder: (folder / "a.mp4").write_bytes(b"nothing"), r"a\.mp4: "),
        (lambda folder: shutil.copy(folder / "a.mp4", folder / "b.mp4"), r"b\.mp4: the same video as a\.mp4"),
    ],
)
def test_a_bad_video_is_left_out_and_named_or_with_strict_ends_the_run(
    videos, tmp_path, spoil, message, capsys
):
    shutil.copytree(videos, tmp_path / "videos")
    spoil(tmp_path / "videos")
    options = ["--frames-only", "--num-frames", "5", "--height", "16", "--width", "16"]
    assert not run(tmp_path / "videos", tmp_path / "out", "tiny", *options)
    assert re.search(r"warning: 1 video left out:\n  " + message, capsys.readouterr().err)
    (name,) = open_shards(tmp_path / "out").manifest["info"]["left_out"]
    assert name in message.replace("\\", "")
    copied = name == "b.mp4"
    assert run(tmp_path / "videos", tmp_path / "strict", "tiny", "--strict", *options) == (0 if copied else 1)
    assert copied or re.search(rf"error: .*{name}", capsys.readouterr().err)
    assert (tmp_path / "strict" / "manifest.json").exists() == copied


def test_a_folder_without_videos_is_an_error(videos, tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UserError, match=r"no video in it.*it has a\.json"):
        run(tmp_path, tmp_path / "out", "tiny", "--frames-only", "--num-frames", "5")


def test_videos_shorter_than_a_clip_are_an_error(videos, tmp_path):
    with pytest.raises(UserError, match=r"no video is as long as a clip \(2\.08 s\)"):
        run(videos, tmp_path / "out", "tiny", "--frames-only", "--num-frames", "25")
    with pytest.raises(UserError, match=r"as long as a clip \(16 frames, the skipped start included\)"):
        run(videos, tmp_path / "out", "tiny", "--frames-only", "--num-frames", "13", "--fps", "native")
    with pytest.raises(UserError, match="skip -1"):
        run(videos, tmp_path / "out", "tiny", "--frames-only", "--skip-frames", "-1")


def test_verify_reads_everything_and_names_a_damaged_shard(shards, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(shards, copy)
    curate.main(["verify", str(copy)])
    assert "6 records in 1 shards, all whole" in capsys.readouterr().out
    curate.main(["verify", str(copy)])
    assert "6 records in 1 shards (1 of them found whole before), all whole" in capsys.readouterr().out
    shard = next(copy.glob("*.array_record"))
    data = shard.read_bytes()
    shard.write_bytes(data[::-1])
    with pytest.raises(UserError, match=shard.name):
        curate.main(["verify", "--again", str(copy)])
