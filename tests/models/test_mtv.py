"""The MTV denoiser gives the numbers of the authors' code."""

import functools
import json
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from mtv_jax.io.errors import UserError
from mtv_jax.models.dit import DiTConfig
from mtv_jax.models.mst_controlnet import MSTControlNetConfig, frame_windows
from mtv_jax.models.mst_controlnet.model import AudioProjection
from mtv_jax.models.mtv import MTV, MTVConfig
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights.mtv_sat import IGNORED, RULES
from mtv_jax.weights.rules import to_params, to_state

MTV_GOLDENS = "mtv/denoiser"


def config_of(values: dict, num_speakers: int) -> MTVConfig:
    """Our configuration of a golden folder's."""
    m, a = values["model"], values["audio"]
    dit = DiTConfig(
        num_layers=m["num_layers"],
        num_attention_heads=m["num_attention_heads"],
        attention_head_dim=m["head_dim"],
        in_channels=m["in_channels"],
        out_channels=m["out_channels"],
        patch_size=m["patch_size"],
        text_embed_dim=m["text_hidden_size"],
        max_text_seq_length=m["text_length"],
        time_embed_dim=m["time_embed_dim"],
        ffn_multiplier=m["ffn_size"] // m["hidden_size"],
        positions="rope_learned" if m["learned_pos_embed"] else "rope",
        sample_frames=m["latent_frames"],
        sample_height=m["latent_height"],
        sample_width=m["latent_width"],
        rope_theta=m["rope_theta"],
        norm_eps=m["layernorm_eps_blocks"],
        qk_norm_eps=m["layernorm_eps_qk"],
        final_norm_eps=m["layernorm_eps_final_layernorm"],
        final_adaln_eps=m["layernorm_eps_final_adaln"],
    )
    controlnet = MSTControlNetConfig(
        audio_layers=a["wav2vec_layers"],
        audio_channels=a["wav2vec_channels"],
        window=a["window"],
        projection_width=a["projection_inter_dim"],
        context_tokens=a["context_tokens"],
        width=a["width"],
        interaction_blocks=a["interaction_blocks"],
        interaction_heads=a["interaction_heads"],
        mlp_multiplier=a["interaction_mlp"] // a["width"],
        norm_eps=m["layernorm_eps_interaction"],
        num_speakers=num_speakers,
    )
    return MTVConfig(dit, controlnet)


@pytest.fixture(scope="session")
def folder(goldens: Path) -> Path:
    return goldens / MTV_GOLDENS


@pytest.fixture(scope="session")
def bounds(goldens: Path) -> dict:
    return json.loads((goldens / "mtv/tolerances.json").read_text())["recommended_atol"]


@functools.cache
def checkpoint(folder: Path, num_speakers: int) -> dict[str, np.ndarray]:
    state = load_file(folder / "weights_single.safetensors")
    return state if num_speakers == 1 else state | load_file(folder / "weights_multi_extra.safetensors")


@functools.cache
def load(folder: Path, num_speakers: int, scan_layers: bool = True):
    model = MTV(
        config_of(json.loads((folder / "config.json").read_text()), num_speakers), scan_layers=scan_layers
    )
    state = checkpoint(folder, num_speakers)
    return model, to_params(state, RULES, parameter_shapes(model), ignored=IGNORED)


@functools.partial(jax.jit, static_argnums=0)
def denoise(model, params, *args):
    """Prediction and intermediates."""
    return model.apply(params, *args, method="denoise", mutable=["intermediates"])


def inputs(case: dict[str, np.ndarray], num_speakers: int):
    latents = jnp.asarray(case["in.x"]).transpose(0, 1, 3, 4, 2)
    tracks = ["speech", "effects", "music"] + ["speech2"] * (num_speakers - 1)
    audio = {track: jnp.asarray(case[f"in.{track}"]) for track in tracks}
    # Without keyframes an all-false mask gives the same numbers, and all cases share one compilation.
    noisy = case.get("in.mask", np.ones((1, latents.shape[1]), bool))
    clean = jnp.broadcast_to(~noisy, latents.shape[:2])
    timesteps = jnp.broadcast_to(jnp.asarray(case["in.timestep"]), latents.shape[:1])
    return latents, timesteps, jnp.asarray(case["in.text"]), audio, clean


def run(folder: Path, name: str):
    case = load_file(folder / f"case_{name}.safetensors")
    num_speakers = 2 if name.startswith("multi") else 1
    model, params = load(folder, num_speakers)
    if name == "single_eps_probe":
        state = dict(checkpoint(folder, num_speakers))
        factors = json.loads((folder / "case_single_eps_probe.factors.json").read_text())
        for key, factor in factors.items():
            state[key] = state[key] * np.float32(factor)
        params = to_params(state, RULES, parameter_shapes(model), ignored=IGNORED)
    prediction, seen = denoise(model, params, *inputs(case, num_speakers))
    return case, np.asarray(prediction).transpose(0, 1, 4, 2, 3), seen["intermediates"]


def cases(kind: str) -> list[str]:
    default = Path(__file__).resolve().parent.parent / "goldens"
    folder = Path(os.environ.get("MTV_JAX_GOLDENS", default)) / MTV_GOLDENS
    names = sorted(p.stem.removeprefix("case_") for p in folder.glob("case_*.safetensors"))
    return [name for name in names if name.startswith(kind)]


@pytest.mark.parametrize("name", cases("single") + cases("multi"))
def test_prediction_is_the_original_s(folder, bounds, name):
    case, prediction, _ = run(folder, name)
    bound = bounds["single_eps_probe out.v" if name == "single_eps_probe" else "network out.v / out.x0"]
    np.testing.assert_allclose(prediction, case["out.v"], rtol=0, atol=bound)


@pytest.mark.parametrize(
    "name", [n for n in cases("single") if n in ("single_plain", "single_keyframe_scatter")]
)
def test_intermediates_are_the_original_s(folder, bounds, name):
    case, _, seen = run(folder, name)
    compared = set()
    for key, ours in named_intermediates(seen).items():
        if key in case:
            expected = case[key]
            bound = next(
                value
                for prefix, value in (
                    ("mid.audio_proj", bounds["mid.audio_proj.*"]),
                    ("mid.interaction", bounds["mid.interaction*"]),
                    ("mid.", bounds["network mid.* (block0/last block, std about 1..5)"]),
                )
                if key.startswith(prefix)
            )
            np.testing.assert_allclose(
                ours.reshape(expected.shape), expected, rtol=0, atol=bound, err_msg=key
            )
            compared.add(key)
    # The time embedding shows in everything; the quantised level belongs to the sampler.
    unnamed = {
        key for key in case if key.startswith("mid.") and "sqrt_alphabar" not in key and ".time_" not in key
    }
    assert compared == unnamed - {"mid.block0.in"}


def named_intermediates(seen: dict) -> dict[str, np.ndarray]:
    """What our modules sowed, under the goldens' names."""
    out: dict[str, np.ndarray] = {}
    projected = seen["controlnet"]["projected"][0]
    for track, value in zip(("speech", "effects", "music"), projected, strict=True):
        out[f"mid.audio_proj.{track}"] = np.asarray(value)
    for track, values in zip(("speech", "effects"), seen["controlnet"]["blocks"]["out"][0], strict=True):
        for i, value in enumerate(np.asarray(values)):
            out[f"mid.interaction{i}.{track}"] = value
    blocks = seen["transformer"]["blocks"]
    joined = {"self_attn_out": "self_attn_out", "out": "out"}
    for ours, theirs in joined.items():
        text, video = (np.asarray(x) for x in blocks[ours][0])
        for i in range(len(text)):
            out[f"mid.block{i}.{theirs}"] = np.concatenate([text[i], video[i]], axis=1)
    single = {
        "video_after_self_attn": "img_after_self_attn",
        "video_after_injection": "img_after_style",
        "ff_out": "mlp_out",
    }
    for ours, theirs in single.items():
        for i, value in enumerate(np.asarray(blocks[ours][0])):
            out[f"mid.block{i}.{theirs}"] = value
    for track in ("speech", "effects"):
        for i, value in enumerate(np.asarray(blocks["injection"][f"cross_{track}"][0])):
            out[f"mid.block{i}.cross_{track}_out"] = value
    out["mid.final_layernorm_out"] = np.concatenate(
        [np.asarray(x) for x in seen["transformer"]["final_norm"][0]], axis=1
    )
    return out


def test_audio_projection_takes_any_number_of_frames(folder, bounds):
    case = load_file(folder / "case_audio_proj_lengths.safetensors")
    model, params = load(folder, 1)
    projection = AudioProjection(model.config.controlnet)
    own = {"params": params["params"]["controlnet"]["speech"]}
    lengths = [key.removeprefix("in.features_F") for key in case if key.startswith("in.")]
    assert lengths
    for length in lengths:
        ours = projection.apply(own, jnp.asarray(case[f"in.features_F{length}"]))
        np.testing.assert_allclose(
            ours, case[f"out.tokens_F{length}"], rtol=0, atol=bounds["mid.audio_proj.*"], err_msg=length
        )


@pytest.mark.parametrize("num_speakers", [1, 2])
def test_checkpoint_round_trip_is_exact(folder, num_speakers):
    _, params = load(folder, num_speakers)
    state = checkpoint(folder, num_speakers)
    back = to_state(params, RULES)
    ignored = set(state) - set(back)
    assert len(ignored) <= 3, ignored
    for key, tensor in back.items():
        np.testing.assert_array_equal(tensor, state[key], err_msg=key)


def test_scanned_and_unscanned_layers_agree(folder):
    case = load_file(folder / "case_single_plain.safetensors")
    args = inputs(case, 1)
    scanned, _ = denoise(*load(folder, 1), *args)
    unscanned, _ = denoise(*load(folder, 1, scan_layers=False), *args)
    # The same operations; XLA may fuse them differently, so allow the last bit of a float32.
    np.testing.assert_allclose(scanned, unscanned, rtol=0, atol=5e-6)


def test_bfloat16_stays_close(folder):
    case = load_file(folder / "case_single_plain.safetensors")
    model, params = load(folder, 1)
    low = MTV(model.config, dtype=jnp.bfloat16)
    prediction, _ = denoise(low, params, *inputs(case, 1))
    expected = case["out.v"].transpose(0, 1, 3, 4, 2)
    assert prediction.dtype == jnp.float32
    error = np.sqrt(np.mean((np.asarray(prediction) - expected) ** 2)) / np.abs(expected).max()
    assert error < 2e-2


def test_windows_are_clamped_at_the_ends():
    features = jnp.arange(4.0).reshape(1, 4, 1, 1)
    windows = np.asarray(frame_windows(features, 5))[0, :, :, 0, 0]
    np.testing.assert_array_equal(windows[0], [0, 0, 0, 1, 2])
    np.testing.assert_array_equal(windows[3], [1, 2, 3, 3, 3])


def test_missing_track_is_named(folder):
    case = load_file(folder / "case_single_plain.safetensors")
    model, params = load(folder, 1)
    latents, timesteps, text, audio, _ = inputs(case, 1)
    del audio["music"]
    with pytest.raises(UserError, match="music"):
        model.apply(params, latents, timesteps, text, audio, method="denoise")
