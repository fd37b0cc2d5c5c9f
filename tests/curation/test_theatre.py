"""The theatre as shards: five subsets, truth beside the records and not in them, resumable."""

import json

import numpy as np
import pytest

from mtv_jax import curate
from mtv_jax.curation import theatre
from mtv_jax.data.shards import open_shards
from mtv_jax.io.errors import UserError
from mtv_jax.names import SUBSETS
from mtv_jax.text.theatre_language import theatre_prompt
from mtv_jax.theatre import SoundLibrary, TheatreConfig, render_clip
from mtv_jax.weights.model_index import read_defaults

FRAMES = ["--frames-only", "--num-frames", "5", "--fps", "12", "--height", "32", "--width", "32"]


def run(out, *options):
    curate.main(["theatre", "--out", str(out), *options])


def read_truth(shards):
    return [json.loads(line) for line in (shards / "truth.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Pixels of twenty clips of five frames."""
    out = tmp_path_factory.mktemp("theatre") / "out"
    run(out, "--clips", "20", *FRAMES)
    return out


def test_records_hold_the_rendered_clips(shards):
    opened = open_shards(shards)
    assert opened.manifest["kind"] == "frames"
    assert len(opened) == 20
    record = opened.read(17)
    stage = TheatreConfig(height=32, width=32, num_frames=5)
    clip = render_clip(0, 17, stage, SoundLibrary.training())
    np.testing.assert_array_equal(record.arrays["video"], clip.frames)
    assert set(record.arrays) == {"video"}
    assert record.prompt == theatre_prompt(clip.words)
    assert all(person in record.prompt for person in clip.words.persons)


def test_subsets_and_truth_agree_by_clip_id(shards):
    opened, truths = open_shards(shards), read_truth(shards)
    assert [truth["id"] for truth in truths] == [opened.read(i).id for i in range(20)]
    assert set(opened.subset_names) == {name for truth in truths for name in truth["subsets"]}
    assert set(opened.subset_names) <= set(SUBSETS)
    for name in opened.subset_names:
        assert opened.subset(name).tolist() == [i for i, t in enumerate(truths) if name in t["subsets"]]


def test_encoded_clips_carry_their_encoders_and_no_truth(pipeline_folder, tmp_path):
    run(tmp_path / "out", "--clips", "3", "--encoders", str(pipeline_folder))
    opened = open_shards(tmp_path / "out")
    assert opened.manifest["kind"] == "latents"
    assert set(opened.read(0).arrays) == {
        "latents_mean",
        "latents_logvar",
        "text",
        "speech",
        "effects",
        "music",
    }
    assert read_defaults(tmp_path / "out/encoders") == read_defaults(pipeline_folder)
    assert len(read_truth(tmp_path / "out")) == 3


def test_a_stopped_run_goes_on_and_gives_the_same_bytes(shards, tmp_path, monkeypatch):
    rendered = []
    original = theatre.render_clip

    def stop_once(seed, index, *rest):
        if index == 18 and index not in rendered:
            rendered.append(index)
            raise KeyboardInterrupt
        rendered.append(index)
        return original(seed, index, *rest)

    monkeypatch.setattr(theatre, "render_clip", stop_once)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out", "--clips", "20", *FRAMES)
    assert not (tmp_path / "out/manifest.json").exists()
    run(tmp_path / "out", "--clips", "20", *FRAMES)
    assert rendered == [*range(19), *range(16, 20)]  # the first sixteen were finished
    assert not (tmp_path / "out/.work").exists()
    assert open_shards(tmp_path / "out").manifest == open_shards(shards).manifest
    assert (tmp_path / "out/truth.jsonl").read_bytes() == (shards / "truth.jsonl").read_bytes()


def test_existing_shards_are_not_replaced_without_overwrite(shards, tmp_path):
    with pytest.raises(UserError, match="--overwrite"):
        run(shards, "--clips", "2", *FRAMES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--clips", "0"], "clips 0: must be at least 1"),
        (["--seed", str(2**32)], "kept for evaluation"),
        (["--seed", "-1"], "seed -1"),
        (["--height", "30"], "height 30: must be divisible by 16"),
    ],
)
def test_bad_requests_say_what_is_wrong(tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        run(tmp_path / "out", *FRAMES, *options)


def test_clips_for_several_speakers_have_a_track_for_each(pipeline_folder, tmp_path):
    run(tmp_path / "out", "--clips", "12", "--speakers", "3", "--encoders", str(pipeline_folder))
    opened, truths = open_shards(tmp_path / "out"), read_truth(tmp_path / "out")
    stage = opened.manifest["info"]["theatre"]
    assert (stage["num_speakers"], len(stage["actors"])) == (3, 4)
    assert {len(truth["looks"]) for truth in truths} == {0, 1, 2, 3}
    silence = None
    for number, truth in enumerate(truths):
        arrays = opened.read(number).arrays
        voices = [arrays[name] for name in ("speech", "speech2", "speech3")]
        if not truth["speakers"]:
            silence = voices[0]
        for actor, voice in enumerate(voices):
            if silence is not None:
                assert (voice != silence).any() == (actor in truth["speakers"])
    assert silence is not None
    with pytest.raises(UserError, match="speakers 5: must be from 1 to 4"):
        run(tmp_path / "more", "--speakers", "5", *FRAMES)
