"""What is held out, what may be released, and features that are made anew."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from curation.films import PLAIN, run, separate_into_halves, write_film

from mtv_jax import curate
from mtv_jax.curation.budget import Estimate, packing_bytes
from mtv_jax.curation.pack import _is_packed, held_out_sources
from mtv_jax.curation.release import release_problems
from mtv_jax.curation.settings import Layout, load_settings
from mtv_jax.curation.verdicts import Verdicts
from mtv_jax.data.shards import open_shards
from mtv_jax.io.errors import UserError
from mtv_jax.names import TRACKS


def clips_of(**counts):
    """Clips of sources, so many each."""
    return [
        {"clip": f"{source}{i}", "film": source, "source": source, "subsets": ["x"]}
        for source, count in counts.items()
        for i in range(count)
    ]


def test_whole_sources_are_held_out_until_about_as_many_clips_as_are_wanted():
    clips = clips_of(**{f"film{i}": 1 + i % 7 for i in range(200)})
    held = held_out_sources(clips, 100)
    assert abs(sum(clip["source"] in held for clip in clips) - 100) <= 4
    assert held_out_sources(clips[::-1], 100) == held
    assert held_out_sources(clips, 0) == set()


def test_by_default_a_tenth_is_held_out_at_most_and_something_of_each_subset_stays():
    assert held_out_sources(clips_of(a=9), None) == set()
    assert held_out_sources(clips_of(a=5, b=5), 5) in ({"a"}, {"b"})
    with pytest.raises(UserError, match="--test-clips 6: 10 clips are kept; hold out at most half of them"):
        held_out_sources(clips_of(a=5, b=5), 6)
    only = clips_of(a=5, b=5)
    for clip in only[:5]:
        clip["subsets"] = ["rare"]
    assert held_out_sources(only, 5) == set()
    many = clips_of(**{f"film{i}": 2 for i in range(100)})
    assert len(held_out_sources(many, None)) == 10


def test_sources_of_one_recording_are_held_out_together():
    clips = clips_of(**{f"part{i}": 2 for i in range(20)})
    recordings = {f"part{i}": f"recording{i // 4}" for i in range(20)}
    held = held_out_sources(clips, 8, recordings)
    assert len(held) == 4
    assert len({recordings[source] for source in held}) == 1


def film(**values):
    return {"source": "a.mp4", "licence": "CC-BY 3.0", **values}


def card(**values):
    return {"name": "model", "licence": "MIT", "fidelity": "real", **values}


@pytest.mark.parametrize(
    ("cards", "films", "problems"),
    [
        (card(), film(), []),
        (card(fidelity="stub"), film(), ["quality is by model, a stub"]),
        (card(licence="none stated"), film(), ["quality is by model, without a licence"]),
        (
            card(licence="CC-BY-NC-4.0"),
            film(),
            ["quality is by model, not for commercial use (CC-BY-NC-4.0)"],
        ),
        (card(), film(licence="unknown"), ["source a.mp4 is without a licence"]),
        (
            card(),
            film(licence="CC BY-NC-SA 4.0"),
            ["source a.mp4 is not for commercial use (CC BY-NC-SA 4.0)"],
        ),
        (card(), film(source="dropped", licence="unknown"), []),
    ],
)
def test_a_release_names_what_must_not_be_given_away(cards, films, problems):
    models = {"quality": {"quality": cards}, "encode": {"encoders": {"vae": {}}}}
    verdicts = Verdicts([films], [{"source": "a.mp4", "keep": True}])
    assert release_problems(models, verdicts) == problems


@pytest.fixture(scope="module")
def packed(pipeline_folder, tmp_path_factory):
    """Shards of three films of a clip each."""
    folder = tmp_path_factory.mktemp("packed")
    (folder / "films").mkdir()
    for shade, name in ((90, "a"), (40, "b"), (200, "c")):
        write_film(folder / "films" / f"{name}.mp4", 5, shade=shade, licence="unknown")
    with pytest.MonkeyPatch.context() as patch:
        separate_into_halves(patch)
        options = [*PLAIN, "--workers", "0", "--encoders", str(pipeline_folder)]
        run(folder / "films", folder / "out", *options)
    return folder / "out"


def test_a_release_is_refused(packed):
    with pytest.raises(UserError, match=r"cannot be released: .*source c\.mp4 is without a licence"):
        curate.main(["pack", str(packed), "--release"])


def test_sources_that_say_their_split_are_held_out_as_they_say(packed, tmp_path):
    shutil.copytree(packed, tmp_path / "out")
    layout = Layout(tmp_path / "out")
    films = json.loads(layout.films.read_text())
    for found, split in zip(films, ("train", "test", "train"), strict=True):
        found["about"] |= {"split": split, "label": "tone", "recording": found["source"]}
    layout.films.write_text(json.dumps(films))
    curate.main(["pack", str(tmp_path / "out")])
    test = open_shards(tmp_path / "out" / "test")
    assert [test.read(i).source.name for i in range(len(test))] == ["b.mp4"]
    assert test.read(0).facts["label"] == "tone"
    (line,) = map(json.loads, (tmp_path / "out/test/sources.jsonl").read_text().splitlines())
    assert (line["label"], line["split"], line["recording"]) == ("tone", "test", "b.mp4")
    with pytest.raises(UserError, match=r"--test-clips 1: .* says which sources are held out \(split\)"):
        curate.main(["pack", str(tmp_path / "out"), "--test-clips", "1"])
    layout.films.write_text(json.dumps([f | {"about": f["about"] | {"split": "test"}} for f in films]))
    with pytest.raises(UserError, match="all kept clips are of sources of the test split"):
        curate.main(["pack", str(tmp_path / "out")])


def test_a_held_out_source_is_in_the_test_split_alone_with_its_media(packed, tmp_path, capsys):
    shutil.copytree(packed, tmp_path / "out")
    curate.main(["pack", str(tmp_path / "out"), "--test-clips", "1"])
    train, test = open_shards(tmp_path / "out"), open_shards(tmp_path / "out" / "test")
    assert (len(train), len(test), len(open_shards(tmp_path / "out" / "test" / "media"))) == (2, 1, 1)
    assert test.read(0).source.sha256 not in {train.read(i).source.sha256 for i in range(2)}
    capsys.readouterr()
    curate.main(["verify", str(tmp_path / "out")])
    assert capsys.readouterr().out.count("all whole") == 4
    curate.main(["pack", str(tmp_path / "out")])  # as the last time: no clip changes sides unasked
    assert len(open_shards(tmp_path / "out" / "test")) == 1
    held_out = tmp_path / "again"
    shutil.copytree(tmp_path / "out", held_out)
    curate.main(["pack", str(held_out), "--test-clips", "0"])
    assert open_shards(held_out).manifest["shards"] == open_shards(packed).manifest["shards"]
    for path in packed.glob("*.*"):
        shutil.copy(path, tmp_path / "out")
    shutil.copytree(packed / "media", tmp_path / "out" / "media", dirs_exist_ok=True)
    with pytest.raises(UserError, match=r"is in the training split too"):
        curate.main(["verify", str(tmp_path / "out"), "--again"])


def test_arrays_of_packed_clips_are_on_disk_once_until_their_shards_are_gone(packed, tmp_path):
    shutil.copytree(packed, tmp_path / "out")
    arrays = sorted((tmp_path / "out" / "work").glob("films/*/*/*/arrays.msgpack"))
    assert [path.stat().st_size for path in arrays] == [0, 0, 0]
    layout = Layout(tmp_path / "out")
    settings = load_settings(layout)
    before = estimate_of(9 * 10**6).left(layout, settings)
    (tmp_path / "out" / "manifest.json").unlink()
    with pytest.raises(
        UserError, match=r"arrays of 3 clips are gone or damaged; .*curate run` encodes those clips again"
    ):
        curate.main(["pack", str(tmp_path / "out")])
    assert not any(path.exists() for path in arrays)
    for path in (tmp_path / "out").glob("*.array_record"):
        path.unlink()
    shards = sum(path.stat().st_size for path in packed.glob("*.array_record"))
    assert estimate_of(9 * 10**6).left(layout, settings) == before + 2 * shards
    assert estimate_of(1).left(layout, settings) == 0
    assert estimate_of(1).left(layout, dataclasses.replace(settings, separator="another")) == 0
    assert estimate_of(1).left(layout, dataclasses.replace(settings, stride=settings.stride + 1)) == 2


def test_shards_without_the_media_of_the_same_packing_are_packed_again(packed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(packed, out)
    stamp = open_shards(out).manifest["info"]["stamp"]
    path = out / "media" / "manifest.json"
    manifest = json.loads(path.read_text())
    for info, whole in (({"stamp": stamp}, True), ({}, True), ({"stamp": "another"}, False)):
        path.write_text(json.dumps(manifest | {"info": info}))
        assert _is_packed(out, stamp, media=True) == whole
    path.unlink()
    assert not _is_packed(out, stamp, media=True)


def test_packing_anew_takes_the_arrays_twice_and_the_media(tmp_path):
    layout, clip = Layout(tmp_path), {"film": "ff", "clip": "x"}
    layout.clip(clip).mkdir(parents=True)
    for name, size in (("clip.mp4", 70), ("arrays.msgpack", 0), *((f"{track}.flac", 10) for track in TRACKS)):
        (layout.clip(clip) / name).write_bytes(bytes(size))
    assert packing_bytes(layout, [clip], record=1000.0, taken_back=1, media=True) == 2 * 1000 + 70 + 3 * 10
    assert packing_bytes(layout, [clip], record=1000.0, taken_back=1, media=False) == 2 * 1000
    (layout.clip(clip) / "arrays.msgpack").write_bytes(bytes(400))
    assert packing_bytes(layout, [clip], record=1000.0, taken_back=0, media=False) == 400


def estimate_of(clip_bytes):
    return Estimate(films=1, unread=0, seconds=1.0, clips=1, clip_bytes=clip_bytes)


def test_features_are_made_anew_from_the_tracks_that_are_kept(packed, pipeline_folder, tmp_path, capsys):
    same = str(pipeline_folder / "audio_encoder")
    mel = tmp_path / "mel"
    mel.mkdir()
    tiny = json.loads((pipeline_folder / "audio_encoder" / "config.json").read_text())
    (mel / "config.json").write_text(json.dumps(tiny | {"bins": 4}))
    encoders = ["--audio-encoder", f"speech={same}", "--audio-encoder", f"effects={mel}"]
    curate.main(["features", str(packed), *encoders, "--out", str(tmp_path / "out")])
    before, now = open_shards(packed), open_shards(tmp_path / "out")
    for number in range(3):
        old, new = before.read(number), now.read(number)
        assert dataclasses.replace(new, arrays={}) == dataclasses.replace(old, arrays={})
        for name in ("speech", "music", "latents_mean", "text"):
            np.testing.assert_array_equal(new.arrays[name], old.arrays[name])
        assert (old.arrays["effects"].shape, new.arrays["effects"].shape) == ((5, 2, 8), (5, 2, 4))
    assert set(now.manifest["info"]["audio_encoders"]) == {"speech", "effects"}
    assert not (tmp_path / "out" / "encoders").exists()
    curate.main(["verify", str(tmp_path / "out")])
    everywhere = [
        part for track in ("speech", "effects", "music") for part in ("--audio-encoder", f"{track}={same}")
    ]
    curate.main(["features", str(packed), *everywhere, "--out", str(tmp_path / "all")])
    assert open_shards(tmp_path / "all").manifest["shards"] == before.manifest["shards"]
    assert (tmp_path / "all" / "encoders" / "audio_encoder" / "config.json").exists()
    with pytest.raises(UserError, match="write TRACK=FOLDER"):
        curate.main(["features", str(packed), "--audio-encoder", "beats", "--out", str(tmp_path / "x")])
