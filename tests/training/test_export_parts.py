"""What `mtv_jax.training.export` is made of: where each network goes, the scale of latents, the encoders."""

import jax
import numpy as np
import pytest
from pipeline_folders import SMALL

from mtv_jax.data.records import ClipRecord, ClipSource
from mtv_jax.data.shards import write_shards
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_json, write_json
from mtv_jax.models.registry import NETWORKS
from mtv_jax.training import export
from mtv_jax.weights.pretrained import load_config, load_model

SIZE = {"num_frames": 1, "height": 2, "width": 2}


def write_clips(folder, values, **arrays):
    """Shards of clips of one frame; clip i is of the brightness `values[i]`."""

    def record(i):
        source = ClipSource("grey.mp4", "0" * 64, i, i + 1, (1, 12), "CC0")
        video = np.full((1, 2, 2, 3), values[i], np.uint8)
        return ClipRecord(
            f"clip{i}", "grey", (12, 1), source=source, arrays={"video": video, **arrays}, **SIZE
        )

    write_shards(folder, map(record, range(len(values))), kind="frames")
    return folder


class Doubling:
    """An autoencoder whose latents are twice its pixels, which are in [-1, 1]."""

    def apply(self, params, video, method):
        return params["params"] * video, None


def test_the_deviation_of_latents_is_that_of_clips_from_first_to_last(tmp_path):
    values = np.linspace(0, 255, 31).astype(np.uint8)
    shards = write_clips(tmp_path, values)
    pixels = values[::2] / 127.5 - 1.0
    got = export.latent_deviation(Doubling(), {"params": 2.0}, shards)
    assert got == pytest.approx(2 * pixels.std(), rel=1e-5)


@pytest.fixture
def trained(pipeline_folder, tmp_path, monkeypatch):
    """Makes the export of a run that left the weights of a network of `pipeline_folder`."""

    def make(name, task, **loss):
        _, params = load_model(NETWORKS[name].folder_in(pipeline_folder))
        values = {
            "task": task,
            "num_steps": 1,
            "model": {"name": name, "variant": "tiny", "overrides": overrides_of(name)},
            "loss": loss,
            "data": {"dir": str(tmp_path / "shards"), "batch_size": 1},
        }
        monkeypatch.setattr(export, "load_trained", lambda workdir: (params, {"config": values}))
        monkeypatch.setattr(export, "latent_deviation", lambda *_: 0.4)
        export.export(tmp_path / "run", tmp_path / "out")
        return params, tmp_path / "out"

    return make


def overrides_of(name):
    return SMALL["mtv"]["dit"] if name == "dit" else SMALL[name]


def test_an_autoencoder_is_written_with_the_scale_that_its_latents_have(trained):
    params, out = trained("vae3d", "vae")
    assert [path.name for path in out.iterdir()] == ["vae"]
    assert load_config(out / "vae").scaling_factor == 2.5
    jax.tree.map(np.testing.assert_array_equal, load_model(out / "vae")[1], params)


def test_a_backbone_is_written_beside_the_encoders_of_its_shards(trained, tmp_path):
    write_clips(tmp_path / "shards", [0], text=np.zeros((3, 8), np.float16))
    write_json(tmp_path / "shards/encoders/vae/config.json", {"scaling_factor": 1.0})
    write_json(tmp_path / "shards/encoders/tokenizer/spiece.json", {})
    params, out = trained("dit", "denoiser", scaling_factor=0.7)
    parts = {path.name for path in out.iterdir()}
    assert parts == {"transformer", "vae", "tokenizer", "scheduler", "model_index.json"}
    assert read_json(out / "vae/config.json") == {"scaling_factor": 0.7}
    # The encoders of the shards are as they were.
    assert read_json(tmp_path / "shards/encoders/vae/config.json") == {"scaling_factor": 1.0}
    jax.tree.map(np.testing.assert_array_equal, load_model(out)[1], params)


def test_shards_without_their_encoders_are_named(trained, tmp_path):
    with pytest.raises(UserError, match="shards/encoders: no such folder; make the shards by"):
        trained("dit", "denoiser", scaling_factor=0.7)
    assert not (tmp_path / "out").exists()
