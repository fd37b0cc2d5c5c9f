"""Live comparison with diffusers' AutoencoderKL. `MTV_JAX_SEED` draws weights, sizes and pictures."""

import json
import os
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from goldens.make_keys import KL_F8

from mtv_jax import load_model, save_model
from mtv_jax.models.kl_vae import AutoencoderKL, KLVAEConfig
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.vae3d import decode_stream, encode_stream, tiled_decode, tiled_encode
from mtv_jax.weights import kl_vae as table
from mtv_jax.weights.rules import to_state, to_tensors

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

SEED = int(os.environ.get("MTV_JAX_SEED", "0"))


def relative(got, want) -> float:
    assert got.shape == want.shape
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


@pytest.fixture(scope="module")
def original():
    """A small random network with widths that change from level to level."""
    import diffusers

    rng = np.random.default_rng(SEED)
    groups, levels = int(rng.choice([1, 2, 4])), int(rng.integers(2, 4))
    model: Any = diffusers.AutoencoderKL(
        block_out_channels=tuple(4 * int(n) for n in rng.integers(1, 4, levels)),
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=int(rng.integers(1, 3)),
        latent_channels=int(rng.integers(2, 5)),
        norm_num_groups=groups,
        sample_size=4 * 2 ** (levels - 1),
    ).eval()
    generator = torch.Generator().manual_seed(SEED)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim > 1:
                weight.copy_(noise / weight[0].numel() ** 0.5)
            else:
                weight.copy_(0.2 * noise + float("norm" in name and name.endswith("weight")))
    return model


@pytest.fixture(scope="module")
def network(original, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kl_vae")
    original.save_pretrained(folder)
    return load_model(folder)


def video(model, frames: int, cells: tuple[int, int], *, latent: bool) -> np.ndarray:
    rng = np.random.default_rng(SEED + 1)
    config, ratio = model.config, model.config.spatial_compression_ratio
    if latent:
        return rng.normal(size=(1, frames, *cells, config.latent_channels)).astype(np.float32)
    return rng.uniform(-1, 1, (1, frames, *(ratio * n for n in cells), 3)).astype(np.float32)


def to_torch(frames):
    return torch.from_numpy(np.moveaxis(frames[0], -1, 1).copy())


def of_torch(pictures) -> np.ndarray:
    return np.moveaxis(pictures.detach().numpy(), 1, -1)[None]


@pytest.mark.parametrize(("dtype", "bound"), [(jnp.float32, 1e-4), (jnp.bfloat16, 2e-2)], ids=str)
def test_encodes_and_decodes_alike(original, network, dtype, bound):
    model, params = AutoencoderKL(network[0].config, dtype), network[1]
    frames, latents = video(model, 3, (5, 3), latent=False), video(model, 5, (3, 5), latent=True)
    posterior = original.encode(to_torch(frames)).latent_dist
    ((mean, logvar),) = encode_stream(model, params, frames)
    assert relative(mean, of_torch(posterior.mean)) < bound
    assert relative(logvar, of_torch(posterior.logvar)) < bound
    decoded = jnp.concatenate(list(decode_stream(model, params, latents)), axis=1)
    assert relative(decoded, of_torch(original.decode(to_torch(latents)).sample)) < bound
    assert model.latent_scale.factor == original.config.scaling_factor


def test_tiles_alike(original, network):
    model, params = network
    frames, latents = video(model, 1, (4, 6), latent=False), video(model, 1, (6, 6), latent=True)
    original.enable_tiling()
    try:
        posterior = original.encode(to_torch(frames)).latent_dist
        decoded = original.decode(to_torch(latents)).sample
    finally:
        original.disable_tiling()
    assert relative(tiled_encode(model, params, frames)[0], of_torch(posterior.mean)) < 1e-4
    assert relative(tiled_decode(model, params, latents), of_torch(decoded)) < 1e-4


def test_what_we_write_is_what_diffusers_reads(original, network, tmp_path):
    import diffusers

    save_model(tmp_path, *network)
    again: Any = diffusers.AutoencoderKL.from_pretrained(tmp_path)
    configs = [json.loads(network.to_json_string()) for network in (again, original)]
    assert len({json.dumps({k: v for k, v in config.items() if k[0] != "_"}) for config in configs}) == 1
    for key, tensor in original.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key


def test_ldms_names_are_those_that_diffusers_converts(original, network):
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    model, params = network
    theirs = to_state(params, table.ldm_rules(model.config))
    checkpoint = {f"first_stage_model.{key}": torch.from_numpy(np.array(a)) for key, a in theirs.items()}
    converted = convert_ldm_vae_checkpoint(dict(checkpoint), original.config)
    want = original.state_dict()
    assert set(converted) == set(want)
    for key, tensor in want.items():
        assert torch.equal(converted[key], tensor), key
    arrays = {key: tensor.numpy() for key, tensor in checkpoint.items()}
    again, same = table.open_ldm_vae(arrays, lambda _, leaf: leaf, config=model.config, origin="a.ckpt")
    assert again == model
    for key, array in to_state(same, table.RULES).items():
        np.testing.assert_array_equal(array, want[key].numpy(), err_msg=key)


def test_ldms_names_at_full_size_are_all_converted():
    from diffusers import AutoencoderKL as Original
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    with torch.device("meta"):
        want = Original(**KL_F8)
        config = KLVAEConfig.kl_f8()
        theirs = to_tensors(parameter_shapes(AutoencoderKL(config)), table.ldm_rules(config))
        checkpoint = {f"first_stage_model.{key}": torch.empty(tensor.shape) for key, tensor in theirs.items()}
        converted = convert_ldm_vae_checkpoint(checkpoint, want.config)
    assert {key: tensor.shape for key, tensor in converted.items()} == {
        key: tensor.shape for key, tensor in want.state_dict().items()
    }
