"""Live comparison with diffusers' AutoencoderKLCogVideoX on small random originals."""

import copy
import json
import os
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.models.vae3d import VAE3D, Tiling, VAE3DConfig, tiled_decode, tiled_encode
from mtv_jax.weights.rules import flat_paths, to_params, to_state
from mtv_jax.weights.vae3d import RULES, config_from_json, config_to_json

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

SEED = int(os.environ.get("MTV_JAX_SEED", "0"))


def relative(ours, theirs) -> float:
    ours, theirs = np.asarray(ours, np.float32), np.asarray(theirs, np.float32)
    assert ours.shape == theirs.shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def to_torch(x: np.ndarray):
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def to_numpy(x) -> np.ndarray:
    return np.moveaxis(x.detach().float().numpy(), 1, -1)


class Pair:
    """A random original and our model with its weights."""

    def __init__(self, seed: int, **changes):
        self.rng = np.random.default_rng(seed)
        groups = int(self.rng.choice([2, 4]))
        widths = [groups * int(n) for n in self.rng.integers(1, 5, size=4)]
        config = VAE3DConfig(
            block_out_channels=tuple(widths),
            latent_channels=int(self.rng.integers(2, 9)),
            layers_per_block=int(self.rng.integers(1, 3)),
            norm_num_groups=groups,
            sample_height=64,
            sample_width=96,
            **changes,
        )
        torch.manual_seed(seed)
        self.original = diffusers.AutoencoderKLCogVideoX.from_config(config_to_json(config)).eval()
        with torch.no_grad():
            for name, p in self.original.named_parameters():
                # Norms start at 1 and 0, which would hide an error in their use.
                p += 0.2 * torch.randn(p.shape) * (1.0 if p.ndim == 1 else p.std(correction=0))
                assert p.isfinite().all(), name
        self.state = {k: v.numpy() for k, v in self.original.state_dict().items()}
        self.config = config_from_json(json.loads(self.original.to_json_string()))
        self.model = VAE3D(self.config)
        self.params = to_params(self.state, RULES, parameter_shapes(self.model))

    def video(self, frames: int, height: int = 0, width: int = 0, batch: int = 1) -> np.ndarray:
        height = height or 8 * int(self.rng.integers(1, 5))
        width = width or 8 * int(self.rng.integers(1, 5))
        return self.rng.uniform(-1, 1, (batch, frames, height, width, 3)).astype(np.float32)

    def latents(self, frames: int, height: int = 0, width: int = 0, batch: int = 1) -> np.ndarray:
        height, width = height or int(self.rng.integers(1, 6)), width or int(self.rng.integers(1, 6))
        shape = (batch, frames, height, width, self.config.latent_channels)
        return self.rng.normal(size=shape).astype(np.float32)

    def apply(self, *args, **kwargs):
        statics = {k: v for k, v in kwargs.items() if k != "dtype"}
        model = VAE3D(self.config, kwargs.get("dtype", jnp.float32))
        return jax.jit(lambda params, x: model.apply(params, x, **statics))(self.params, *args)


def parameter_shapes(model: VAE3D):
    video = jax.ShapeDtypeStruct((1, 1, 8, 8, model.config.in_channels), jnp.float32)
    return jax.eval_shape(model.init, jax.random.key(0), video)


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair(SEED)


def encode(original, video: np.ndarray):
    with torch.no_grad():
        posterior = original.encode(to_torch(video).to(original.dtype)).latent_dist
    return to_numpy(posterior.mean), to_numpy(posterior.logvar)


def decode(original, latents: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return to_numpy(original.decode(to_torch(latents).to(original.dtype)).sample)


def assert_same_moments(ours, theirs, tolerance: float = 1e-4) -> None:
    for name, a, b in zip(("mean", "logvar"), ours, theirs, strict=True):
        assert relative(a, b) < tolerance, name


@pytest.mark.parametrize("frames", [1, 5, 9, 13, 21, 49])
def test_encode(pair, frames):
    video = pair.video(frames, batch=2 if frames == 9 else 1)
    assert_same_moments(pair.apply(video, method="encode"), encode(pair.original, video))


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 13])
def test_decode_as_diffusers(pair, frames):
    latents = pair.latents(frames, batch=2 if frames == 3 else 1)
    ours = pair.apply(latents, method="decode", lone_first=False)
    assert relative(ours, decode(pair.original, latents)) < 1e-4


@pytest.mark.parametrize("frames", [1, 5, 9, 13, 49])
def test_roundtrip(pair, frames):
    video = pair.video(frames, height=16, width=24)
    with torch.no_grad():
        theirs = to_numpy(pair.original(to_torch(video)).sample)
    mean, _ = pair.apply(video, method="encode")
    ours = pair.apply(mean, method="decode", lone_first=False)
    assert relative(ours, theirs) < 1e-4
    ours = pair.apply(mean, method="decode")
    assert ours.shape == video.shape
    if frames % 8 == 1:  # otherwise diffusers gives more frames than went in
        assert relative(ours, theirs) < 1e-4


@pytest.mark.parametrize("frames", [5, 9, 13, 25])
def test_encode_all_at_once(pair, frames):
    video = pair.video(frames)
    with torch.no_grad():
        moments = to_numpy(pair.original.encoder(to_torch(video))[0])
    mean, logvar = pair.apply(video, method="encode", frames_per_chunk=None)
    assert_same_moments((mean, logvar), np.split(moments, 2, axis=-1))


@pytest.mark.parametrize("frames", [3, 4, 7])
def test_decode_all_at_once(pair, frames):
    latents = pair.latents(frames)
    with torch.no_grad():
        theirs = to_numpy(pair.original.decoder(to_torch(latents))[0])
    ours = pair.apply(latents, method="decode", frames_per_chunk=None, lone_first=False)
    assert relative(ours, theirs) < 1e-4


@pytest.mark.parametrize(("chunk", "frames"), [(4, 13), (12, 29), (16, 37)])
def test_encode_with_other_chunks(pair, chunk, frames, monkeypatch):
    monkeypatch.setattr(pair.original, "num_sample_frames_batch_size", chunk)
    video = pair.video(frames)
    ours = pair.apply(video, method="encode", frames_per_chunk=chunk)
    assert_same_moments(ours, encode(pair.original, video))


@pytest.mark.parametrize(("chunk", "frames"), [(1, 3), (3, 7), (3, 8), (4, 9), (5, 11)])
def test_decode_with_other_chunks(pair, chunk, frames, monkeypatch):
    monkeypatch.setattr(pair.original, "num_latent_frames_batch_size", chunk)
    latents = pair.latents(frames)
    ours = pair.apply(latents, method="decode", frames_per_chunk=chunk, lone_first=False)
    assert relative(ours, decode(pair.original, latents)) < 1e-4


@pytest.fixture
def tiled(pair):
    pair.original.enable_tiling()
    yield pair
    pair.original.disable_tiling()


@pytest.mark.parametrize(("height", "width"), [(7, 11), (4, 9), (3, 6)])
def test_tiled_decode(tiled, height, width):
    latents = tiled.latents(3, height, width)
    ours = tiled_decode(tiled.model, tiled.params, latents)
    assert relative(ours, decode(tiled.original, latents)) < 1e-4


def test_tiled_decode_with_other_tiles(pair):
    pair.original.enable_tiling(24, 40, 0.25, 0.3)
    try:
        latents = pair.latents(5, 7, 8)
        theirs = decode(pair.original, latents)
    finally:
        pair.original.disable_tiling()
        pair.original.enable_tiling(32, 48, 1 / 6, 1 / 5)
        pair.original.disable_tiling()
    ours = tiled_decode(pair.model, pair.params, latents, Tiling(24, 40, 0.25, 0.3))
    assert relative(ours, theirs) < 1e-4


def test_tiled_encode(tiled):
    video = tiled.video(9, 48, 88)  # a higher one would leave an edge that no convolution fits
    ours = tiled_encode(tiled.model, tiled.params, video)
    assert_same_moments(ours, encode(tiled.original, video))


def test_bfloat16(pair):
    """Ours strays from float32 by less than the original in bfloat16 does, on the same draw.

    How far that is depends on the draw: rounding errors of the layers before go through the last convolution, whose
    terms partly cancel, so they are large beside a small output. Measured on three draws, ours is 0.3 to 0.75 of
    theirs, since what goes from layer to layer stays float32 here (`mtv_jax/models/vae3d/blocks.py`).
    """
    video, latents = pair.video(9, 32, 32), pair.latents(3, 4, 4)
    coarse = copy.deepcopy(pair.original).to(torch.bfloat16)
    for ours, theirs, exact in zip(
        (
            *pair.apply(video, method="encode", dtype=jnp.bfloat16),
            pair.apply(latents, method="decode", dtype=jnp.bfloat16),
        ),
        (*encode(coarse, video), decode(coarse, latents)),
        (*encode(pair.original, video), decode(pair.original, latents)),
        strict=True,
    ):
        assert relative(ours, exact) < relative(theirs, exact)


def test_gradients(pair):
    """Of a loss through encoder and decoder, with respect to the video and to three weights."""
    video = pair.video(9, 16, 16)
    keys = [
        "encoder.down_blocks.0.resnets.0.conv1.conv.weight",
        "decoder.mid_block.resnets.1.norm2.conv_y.conv.weight",
        "decoder.up_blocks.1.upsamplers.0.conv.weight",
    ]
    x = to_torch(video).requires_grad_()
    weights = dict(pair.original.named_parameters())
    loss = pair.original(x).sample.square().mean()
    grads = torch.autograd.grad(loss, [x, *(weights[k] for k in keys)])

    def ours(params, video):
        return jnp.square(pair.model.apply(params, video)).mean()

    value, (by_params, by_video) = jax.jit(jax.value_and_grad(ours, (0, 1)))(pair.params, video)
    assert abs(float(value) - loss.item()) < 1e-3 * loss.item()
    assert relative(by_video, to_numpy(grads[0])) < 1e-3
    state = to_state(by_params, RULES)
    for key, grad in zip(keys, grads[1:], strict=True):
        assert relative(state[key], grad.numpy()) < 1e-3, key


def test_every_tensor_maps_both_ways(pair):
    back = to_state(pair.params, RULES)
    assert set(back) == set(pair.state)
    for key, tensor in pair.state.items():
        np.testing.assert_array_equal(back[key], tensor, err_msg=key)


@pytest.mark.parametrize("variant", ["tiny", "cogvideox_2b", "cogvideox_5b"])
def test_named_variants_map_onto_the_original(variant):
    # What diffusers has built in and the tiny one does without.
    config = replace(getattr(VAE3DConfig, variant)(), temporal_kernel_size=3)
    with torch.device("meta"):
        original = diffusers.AutoencoderKLCogVideoX.from_config(config_to_json(config))
    theirs = {k: np.broadcast_to(np.float32(0), tuple(v.shape)) for k, v in original.state_dict().items()}
    shapes = parameter_shapes(VAE3D(config))
    assert len(flat_paths(to_params(theirs, RULES, shapes))) == len(theirs)
    assert config_from_json(json.loads(original.to_json_string())) == config
