"""Sounding objects as shards: pixels or latents, with the truth beside them."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from pipeline_folders import make_small

from mtv_jax import curate
from mtv_jax.data.shards import open_shards
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import write_json
from mtv_jax.models.imagebind import log_mels
from mtv_jax.pipelines.maestro.features import cut_clips
from mtv_jax.theatre.objects import ObjectsConfig, objects_prompt, plan_objects, render_objects
from mtv_jax.weights.model_index import MAESTRO, TextOptions, encoders_json
from mtv_jax.weights.pretrained import save_model


def run(out, *options):
    curate.main(["objects", "--out", str(out), *options])


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """A tiny autoencoder of pictures and text encoder."""
    folder = tmp_path_factory.mktemp("encoders")
    save_model(folder / "vae", *make_small("kl_vae"))
    save_model(folder / "text_encoder", *make_small("t5"))
    write_json(folder / "model_index.json", encoders_json(ClipSize(), TextOptions(20, "zeros"), MAESTRO))
    return folder


def test_pixels_are_those_of_the_world(tmp_path):
    run(tmp_path / "a", "--content", "pictures", "--frames-only", "--clips", "20", "--seed", "4")
    opened = open_shards(tmp_path / "a")
    assert (len(opened), opened.manifest["kind"]) == (20, "frames")
    clip = render_objects(plan_objects(4, 17, ObjectsConfig.pictures()))
    np.testing.assert_array_equal(opened.read(17).arrays["video"], clip.frames)
    truth = [json.loads(line) for line in (tmp_path / "a" / "truth.jsonl").read_text().splitlines()]
    assert [row["index"] for row in truth] == list(range(20))
    assert set(truth[17]["places"]) == set(clip.places)
    run(tmp_path / "b", "--content", "pictures", "--frames-only", "--clips", "20", "--seed", "4")
    shard = "clips-00000-of-00001.array_record"
    assert (tmp_path / "a" / shard).read_bytes() == (tmp_path / "b" / shard).read_bytes()


def test_latents_and_text_of_pictures(tmp_path, encoders):
    run(tmp_path / "out", "--content", "pictures", "--clips", "2", "--encoders", str(encoders))
    opened = open_shards(tmp_path / "out")
    record = opened.read(1)
    model, params = make_small("kl_vae")
    clip = render_objects(plan_objects(0, 1, ObjectsConfig.pictures()))
    video = clip.frames[None].astype(np.float32) / 127.5 - 1
    mean, _ = jax.jit(lambda v: model.apply(params, v, method="encode"))(video)
    np.testing.assert_allclose(record.arrays["latents_mean"], mean[0], atol=2e-2, rtol=2e-2)
    assert record.prompt == clip.prompt
    assert record.arrays["text"].ndim == 2
    assert (tmp_path / "out" / "encoders" / "vae" / "config.json").exists()


def test_single_sources_are_what_the_condition_injection_module_learns_from(tmp_path, encoders):
    hearing = shutil.copytree(encoders, tmp_path / "hearing")
    save_model(hearing / "imagebind", *make_small("imagebind_audio"))
    run(tmp_path / "out", "--content", "sources", "--clips", "2", "--encoders", str(hearing))
    record = open_shards(tmp_path / "out").read(1)
    clip = render_objects(plan_objects(0, 1, ObjectsConfig.single_sources()))
    assert len(clip.sources) == 1
    want = log_mels(cut_clips(clip.mix, 8.0, "tiled"))
    np.testing.assert_allclose(record.arrays["mel"], want, atol=2e-2)
    assert len(record.arrays["latents_mean"]) == len(want) == 4
    assert (tmp_path / "out" / "encoders" / "imagebind" / "config.json").exists()
    with pytest.raises(UserError, match="imagebind"):
        run(tmp_path / "other", "--content", "sources", "--clips", "2", "--encoders", str(encoders))
    with pytest.raises(UserError, match="their sound would be lost"):
        run(tmp_path / "other", "--content", "sources", "--frames-only")


def test_latents_need_encoders(tmp_path):
    with pytest.raises(UserError, match="--encoders"):
        run(tmp_path / "out", "--clips", "2")


def test_prompts_may_leave_things_out(tmp_path):
    run(tmp_path / "out", "--content", "pictures", "--frames-only", "--clips", "9", "--unnamed", "0.5")
    opened = open_shards(tmp_path / "out")
    config = dataclasses.replace(ObjectsConfig.pictures(), unnamed=0.5)
    plans = [plan_objects(0, index, config) for index in range(9)]
    assert [opened.read(index).prompt for index in range(9)] == [objects_prompt(plan) for plan in plans]
    assert any(len(plan.named) < len(plan.activities) for plan in plans)
    with pytest.raises(UserError, match="chances"):
        run(tmp_path / "other", "--frames-only", "--unnamed", "2")


def test_seeds_of_evaluation_are_refused(tmp_path):
    with pytest.raises(UserError, match="kept for evaluation"):
        run(tmp_path / "out", "--frames-only", "--clips", "2", "--seed", str(2**32))
