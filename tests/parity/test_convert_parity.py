"""Torch's own files are converted, and those that could run code are refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from mtv_jax.convert import main
from mtv_jax.io.errors import UserError
from mtv_jax.weights.tensor_files import read_tensors

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")


class Anything:
    """What has no place in a file of weights."""


def tensors(folder: Path) -> dict[str, np.ndarray]:
    return {key: np.asarray(tensor) for key, tensor in read_tensors(folder).items()}


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_pt_file_gives_what_its_safetensors_give(original_goldens, tmp_path, wrapped, dtype):
    source = original_goldens / "mtv/denoiser"
    state = {
        key: torch.from_numpy(tensor).to(getattr(torch, dtype))
        for key, tensor in load_file(source / "weights_single.safetensors").items()
    }
    folder = tmp_path / "single"
    (folder / "1").mkdir(parents=True)
    torch.save({"module": state, "epoch": 3} if wrapped else state, folder / "1/mp_rank_00_model_states.pt")
    shutil.copy(source / "config.json", folder)
    main(["--from", "mtv-sat", "--in", str(folder), "--out", str(tmp_path / "out")])
    main(
        ["--from", "diffusers", "--in", str(tmp_path / "out"), "--to", "mtv-sat", "--out", f"{tmp_path}/back"]
    )
    for key, tensor in tensors(tmp_path / "back").items():
        assert str(tensor.dtype) == dtype
        np.testing.assert_array_equal(tensor.astype(np.float32), state[key].float().numpy(), err_msg=key)


@pytest.mark.parametrize(
    "content",
    [{"a": Anything()}, {"a": torch.zeros(2), "b": 3}, {"module": {}, "x": [torch.zeros(1)]}, [1, 2]],
)
def test_anything_but_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(UserError, match="refused"):
        main(["--from", "mtv-sat", "--in", str(tmp_path / "weights.pt"), "--out", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


def test_bin_files_of_transformers_become_safetensors(tmp_path):
    import transformers

    config = transformers.T5Config(
        vocab_size=50, d_model=16, d_kv=4, d_ff=24, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
    )
    original = transformers.T5EncoderModel(config).eval()
    folder = tmp_path / "theirs"
    original.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    state = {key: tensor.clone() for key, tensor in original.state_dict().items()}
    names = sorted(state)
    shards = {"pytorch_model-00001-of-00002.bin": names[:3], "pytorch_model-00002-of-00002.bin": names[3:]}
    for file, keys in shards.items():
        torch.save({key: state[key] for key in keys}, folder / file)
    index = {"weight_map": {key: file for file, keys in shards.items() for key in keys}}
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    main(["--from", "hf", "--in", str(folder), "--out", str(tmp_path / "ours")])
    again = transformers.T5EncoderModel.from_pretrained(tmp_path / "ours")
    for key, tensor in original.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key
