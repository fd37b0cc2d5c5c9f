"""AudioSep's checkpoint, which holds a separator and CLAP, beside the state of the training."""

import jax
import numpy as np
import pytest

from mtv_jax import convert, load_model
from mtv_jax.io.errors import UserError
from mtv_jax.models.clap import ClapText, ClapTextConfig
from mtv_jax.models.resunet import ResUNetConfig
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights import audiosep
from mtv_jax.weights.resunet import RULES
from mtv_jax.weights.rules import to_state
from tests.resunet_goldens import FOLDER, load_golden
from tests.torch_writer import tensor, write_torch

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no goldens of AudioSep in {FOLDER.parent}")

CLAP = {"text_branch.pooler.dense.bias": np.arange(3, dtype=np.float32)}
"""Of the tensors of CLAP one, in these tests, which are about the others."""


@pytest.fixture
def golden(monkeypatch):
    """The network of the goldens takes the place of the released one, and another of CLAP's."""
    found, text = load_golden(), ClapText(ClapTextConfig.tiny())
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), parameter_shapes(text))

    def laion_clap(tensors, settle, origin):
        assert {key: np.asarray(value).tolist() for key, value in tensors.items()} == {
            key: value.tolist() for key, value in CLAP.items()
        }
        return text, params

    monkeypatch.setattr(ResUNetConfig, "audiosep_base", lambda: found.config)
    monkeypatch.setattr(audiosep, "laion_clap", laion_clap)
    return found


def write(path, state):
    """As Lightning writes it."""
    kinds = {np.dtype("float32"): "Float", np.dtype("int64"): "Long"}
    content, storages = {}, {}
    for key, array in state.items():
        strides = tuple(stride // array.itemsize for stride in array.strides)
        content[key] = tensor(key, kinds[array.dtype], array.size, array.shape, strides)
        storages[key] = array.tobytes()
    training = {"epoch": 3, "optimizer_states": [{"state": {}}], "loops": {"fit_loop": {}}}
    write_torch(path, {**training, "state_dict": content}, storages)


def named(state, clap=CLAP):
    return {f"ss_model.{key}": array for key, array in state.items()} | {
        f"query_encoder.model.{key}": array for key, array in clap.items()
    }


def run(path, out):
    convert.main(["--from", "audiosep", "--in", str(path), "--out", str(out), "--overwrite"])


def test_both_networks_are_converted(tmp_path, golden):
    path, out = tmp_path / "audiosep_base_4M_steps.ckpt", tmp_path / "audiosep"
    unused = {
        "base.stft.conv_real.weight": np.ones((2, 1, 2), np.float32),
        "base.bn0.num_batches_tracked": np.array(7, np.int64),
    }
    write(path, named(golden.state | unused))
    for _ in range(2):
        run(path, out)
    model, params = load_model(out / "separator")
    assert model == golden.network[0]
    jax.tree.map(np.testing.assert_array_equal, params, golden.network[1])
    assert isinstance(load_model(out / "clap")[0], ClapText)


def test_the_original_s_tensors_lead_back(golden):
    back = to_state(golden.network[1], RULES)
    assert set(back) == set(golden.state)
    for key, array in back.items():
        np.testing.assert_array_equal(array, golden.state[key])


def test_missing_and_foreign_tensors_are_errors(tmp_path, golden):
    path = tmp_path / "audiosep_base_4M_steps.ckpt"
    write(path, named({key: array for key, array in golden.state.items() if ".bn2." not in key}))
    with pytest.raises(UserError, match=r"audiosep_base_4M_steps\.ckpt: .*base\.conv_block7a.*bn2"):
        run(path, tmp_path / "out")
    write(path, named(golden.state) | {"generator.bias": np.ones(1, np.float32)})
    with pytest.raises(
        UserError, match=r"no checkpoint of AudioSep, since generator\.bias is neither ss_model"
    ):
        run(path, tmp_path / "out")
