"""The causal 3D autoencoder against golden numbers of diffusers, and its own promises."""

import json
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_weights import scaled_weights

from mtv_jax.io.errors import UserError
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.models.vae3d import (
    VAE3D,
    Tiling,
    VAE3DConfig,
    decode_stream,
    encode_stream,
    tiled_decode,
    tiled_encode,
)
from mtv_jax.models.vae3d.model import chunk_lengths
from mtv_jax.models.vae3d.streaming import encode_pieces
from mtv_jax.weights.rules import flat_paths, to_params
from mtv_jax.weights.vae3d import RULES, config_from_json


@pytest.fixture(scope="module")
def golden(goldens):
    with np.load(goldens / "vae3d.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def model(golden):
    return VAE3D(config_from_json(json.loads(str(golden["config"]))))


@pytest.fixture(scope="module")
def params(golden, model):
    state = {k.removeprefix("weights."): v for k, v in golden.items() if k.startswith("weights.")}
    return to_params(state, RULES, parameter_shapes(model))


def relative(ours, theirs) -> float:
    assert ours.shape == theirs.shape
    return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


def run(model, params, x, **options):
    return jax.jit(lambda params, x: model.apply(params, x, **options))(params, x)


def test_encodes_in_chunks_as_diffusers(golden, model, params):
    mean, logvar = run(model, params, golden["video"], method="encode")
    assert relative(mean, golden["mean"]) < 1e-4
    assert relative(logvar, golden["logvar"]) < 1e-4
    pieces = list(encode_stream(model, params, golden["video"]))
    assert [piece[0].shape[1] for piece in pieces] == [4, 2]
    assert relative(jnp.concatenate([piece[0] for piece in pieces], 1), golden["mean"]) < 1e-4


def test_encodes_all_at_once(golden, model, params):
    mean, logvar = run(model, params, golden["video"][:, :9], method="encode", frames_per_chunk=None)
    assert relative(mean, golden["once.mean"]) < 1e-4
    assert relative(logvar, golden["once.logvar"]) < 1e-4


def test_decodes_in_chunks_as_diffusers(golden, model, params):
    assert relative(run(model, params, golden["latents"], method="decode"), golden["decoded"]) < 1e-4
    pieces = list(decode_stream(model, params, golden["latents"]))
    assert [piece.shape[1] for piece in pieces] == [9, 8]
    assert relative(jnp.concatenate(pieces, 1), golden["decoded"]) < 1e-4


def test_decodes_an_even_number_of_latents_as_diffusers_on_request(golden, model, params):
    latents = golden["latents"][:, :4]
    theirs = run(model, params, latents, method="decode", lone_first=False)
    assert relative(theirs, golden["even.decoded"]) < 1e-4
    assert theirs.shape[1] == 16


def test_decodes_in_tiles_as_diffusers(golden, model, params):
    assert relative(tiled_decode(model, params, golden["wide.latents"]), golden["wide.decoded"]) < 1e-4


@pytest.mark.parametrize("size", [(480, 720), (64, 96), (112, 176), (120, 200)])
def test_aligned_tiles_overlap_by_whole_cells(size):
    config = VAE3DConfig(sample_height=size[0], sample_width=size[1])
    tiling = Tiling.aligned(config)
    assert tiling.height % 8 == tiling.width % 8 == 0
    for cells, overlap in zip(
        tiling.cells(config), (tiling.overlap_height, tiling.overlap_width), strict=True
    ):
        assert cells * overlap == pytest.approx(round(cells * overlap))
    if size == (480, 720):
        assert tiling == Tiling.of(config)


def test_refuses_tiles_that_leave_an_edge_smaller_than_a_cell(model, params):
    with pytest.raises(UserError, match="tiles of 32x32 on 56x32 leave one of 32x7 at the edge"):
        tiled_encode(model, params, np.zeros((1, 1, 56, 32, 3), np.float32), Tiling(32, 32))


def test_bfloat16_gives_float32_results_close_to_those_of_float32(golden, model, params):
    half = VAE3D(model.config, jnp.bfloat16)
    mean, logvar = run(half, params, golden["video"][:, :9], method="encode", frames_per_chunk=None)
    assert mean.dtype == logvar.dtype == jnp.float32
    assert relative(mean, golden["once.mean"]) < 2e-2


@pytest.mark.parametrize(("frames", "latents"), [(1, 1), (5, 2), (9, 3), (49, 13)])
def test_frames_and_latents_count_each_other(model, frames, latents):
    def shapes(video):
        mean, _ = VAE3D(model.config).apply(parameters, video, method="encode")
        return mean, VAE3D(model.config).apply(parameters, mean, method="decode")

    parameters = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), parameter_shapes(model))
    mean, video = jax.eval_shape(shapes, jax.ShapeDtypeStruct((2, frames, 24, 16, 3), jnp.float32))
    assert mean.shape == (2, latents, 3, 2, model.config.latent_channels)
    assert video.shape == (2, frames, 24, 16, 3)


@pytest.mark.parametrize(
    ("total", "size", "lengths"),
    [(49, 8, [9, 8, 8, 8, 8, 8]), (13, 8, [13]), (5, 8, [5]), (13, 2, [3, 2, 2, 2, 2, 2]), (7, None, [7])],
)
def test_first_chunk_takes_the_remainder(total, size, lengths):
    assert chunk_lengths(total, size) == lengths


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        ((1, 10, 16, 16, 3), {}, "video of 10 frames: must be 1\\+4k"),
        ((1, 0, 16, 16, 3), {}, "video of 0 frames"),
        ((1, 9, 20, 16, 3), {}, "video of 20x16: .* divisible by 8"),
        ((1, 9, 16, 16, 4), {}, "video with 4 channels: must have 3"),
        ((1, 9, 16, 16, 3), {"frames_per_chunk": 6}, "frames_per_chunk 6: must be a multiple of 4"),
    ],
)
def test_refuses_videos_that_do_not_fit(model, shape, options, message):
    with pytest.raises(UserError, match=message):
        model.apply({"params": {}}, np.zeros(shape, np.float32), method="encode", **options)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"norm_num_groups": 3}, "not divisible by norm_num_groups 3"),
        ({"temporal_compression_ratio": 3}, "must be a power of 2"),
        ({"temporal_compression_ratio": 16}, "at most one halving between two of the 4 levels"),
        ({"temporal_kernel_size": 0}, "temporal_kernel_size 0: must be at least 1"),
    ],
)
def test_refuses_sizes_that_do_not_fit(changes, message):
    with pytest.raises(UserError, match=message):
        VAE3DConfig(**changes)


FRAMES_ALONE = VAE3DConfig(
    block_out_channels=(4, 8),
    latent_channels=2,
    layers_per_block=1,
    norm_num_groups=2,
    temporal_compression_ratio=1,
    temporal_kernel_size=1,
)


def coder(**changes):
    """Encodes to mean and log-variance [2, f, 2, 4, z] in chunks; decodes."""
    model = VAE3D(replace(FRAMES_ALONE, **changes))
    params = scaled_weights(model)

    @partial(jax.jit, static_argnums=1)
    def encode(video, frames_per_chunk: int | None = 1):
        moments = model.apply(params, video, method="encode", frames_per_chunk=frames_per_chunk)
        return jnp.concatenate(moments, axis=-1)

    @partial(jax.jit, static_argnums=1)
    def decode(latents, frames_per_chunk: int | None = 1):
        return model.apply(params, latents, method="decode", frames_per_chunk=frames_per_chunk)

    return encode, decode


@pytest.fixture
def videos():
    """Five frames of noise, and latents of as many."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 5, 4, 8, 3)).astype(np.float32), rng.normal(size=(2, 5, 2, 4, 2)).astype(
        np.float32
    )


def test_frames_that_are_coded_alone_do_not_know_of_each_other(videos):
    for code, five in zip(coder(), videos, strict=True):
        x = five[:, :3]  # every frame is a chunk, and every chunk is compiled
        together = code(x)
        assert together.shape[1] == 3
        for i in range(3):
            np.testing.assert_allclose(together[:, i : i + 1], code(x[:, i : i + 1]), rtol=1e-5, atol=1e-5)
        other = x.copy()
        other[:, 1] += 1
        changed = code(other)
        np.testing.assert_array_equal(np.delete(changed, 1, axis=1), np.delete(together, 1, axis=1))
        assert np.abs(changed[:, 1] - together[:, 1]).max() > 1e-3


@pytest.mark.parametrize(("size", "alone"), [(1, True), (3, False)])
def test_with_a_temporal_kernel_of_one_a_chunk_s_order_does_not_matter(videos, size, alone):
    """Its frames share the norms' statistics, and nothing else."""
    order = np.array([3, 0, 4, 2, 1])
    for code, x in zip(coder(temporal_kernel_size=size), videos, strict=True):
        plain, mixed = code(x, None), code(x[:, order], None)
        assert np.allclose(plain[:, order], mixed, atol=1e-4) == alone


def test_frames_that_are_coded_alone_stream_too(videos):
    model = VAE3D(FRAMES_ALONE)
    params = scaled_weights(model)
    means = [mean for mean, _ in encode_pieces(model, params, videos[0], 2)]
    assert [mean.shape[1] for mean in means] == [3, 2]
    whole, _ = run(model, params, videos[0], method="encode", frames_per_chunk=2)
    np.testing.assert_allclose(jnp.concatenate(means, 1), whole, rtol=1e-5, atol=1e-5)
    pieces = list(decode_stream(model, params, videos[1]))
    assert [piece.shape[1] for piece in pieces] == [3, 2]
    decoded = run(model, params, videos[1], method="decode")
    np.testing.assert_allclose(jnp.concatenate(pieces, 1), decoded, rtol=1e-5, atol=1e-5)


def test_the_preset_tiny_codes_every_frame():
    config = VAE3DConfig.tiny()
    assert (config.temporal_compression_ratio, config.temporal_kernel_size) == (1, 1)
    kernels = {
        path: leaf.shape
        for path, leaf in flat_paths(parameter_shapes(VAE3D(config))).items()
        if leaf.ndim == 5
    }
    assert {shape[0] for shape in kernels.values()} == {1}
    assert {shape[1:3] for path, shape in kernels.items() if "/conv1/" in path} == {(3, 3)}


@pytest.mark.parametrize("variant", ["cogvideox_2b", "cogvideox_5b"])
def test_full_size_has_the_originals_number_of_parameters(variant):
    shapes = parameter_shapes(VAE3D(getattr(VAE3DConfig, variant)()))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 215_583_907
