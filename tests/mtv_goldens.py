"""Reads the goldens of the authors' MTV code: every size, config, case and bound is taken from the files."""

import functools
import json
from collections.abc import Mapping
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from golden_folders import ORIGINALS
from safetensors.numpy import load_file

from mtv_jax.diffusion.noise.vp import ScheduleConfig
from mtv_jax.models.mtv import MTV
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.typing import Params
from mtv_jax.weights.mtv_sat import IGNORED, RULES, config_from_json
from mtv_jax.weights.rules import to_params

FOLDER = ORIGINALS / "mtv"
DENOISER = FOLDER / "denoiser"

Case = Mapping[str, np.ndarray]


def cases(*needed: str) -> list[str]:
    """The cases among the files that have all the tensors `needed` (a trailing `*` stands for anything)."""
    names = sorted(p.stem.removeprefix("case_") for p in DENOISER.glob("case_*.safetensors"))
    return [name for name in names if all(_has(case(name), key) for key in needed)]


@functools.cache
def case(name: str) -> Case:
    """The tensors of a case."""
    return load_file(DENOISER / f"case_{name}.safetensors")


@functools.cache
def values() -> dict:
    """The folder's config."""
    return json.loads((DENOISER / "config.json").read_text())


@functools.cache
def bounds() -> dict[str, float]:
    """The recommended bounds."""
    return json.loads((FOLDER / "tolerances.json").read_text())["recommended_atol"]


def _has(tensors: Case, key: str) -> bool:
    if key.endswith("*"):
        return any(name.startswith(key[:-1]) for name in tensors)
    return key in tensors


def num_speakers(tensors: Case) -> int:
    """1, or 2 if there is a second speaker's track."""
    return 2 if "in.speech2" in tensors else 1


def schedule_of(base: ScheduleConfig) -> ScheduleConfig:
    """`base` with the numbers that the folder's config gives."""
    given = values()["schedule"]
    return replace(
        base,
        num_train_timesteps=given["num_train_timesteps"],
        beta_start=given["linear_start"],
        beta_end=given["linear_end"],
        snr_shift_scale=given["shift_scale"],
        zero_terminal_snr=given["zero_terminal_snr"],
        prediction=given["prediction"],
    )


@functools.cache
def checkpoint(speakers: int) -> dict[str, np.ndarray]:
    """The original's state dict."""
    state = load_file(DENOISER / "weights_single.safetensors")
    return state if speakers == 1 else state | load_file(DENOISER / "weights_multi_extra.safetensors")


@functools.cache
def load(speakers: int, scan_layers: bool = True) -> tuple[MTV, Params]:
    """Our module and the original's weights."""
    model = MTV(config_from_json(values(), speakers), scan_layers=scan_layers)
    return model, convert(model, checkpoint(speakers))


def convert(model: MTV, state: Mapping[str, np.ndarray]) -> Params:
    """A state dict of the original as parameters of `model`."""
    return to_params(state, RULES, parameter_shapes(model), ignored=IGNORED)


def params_of(name: str) -> tuple[MTV, Params]:
    """The module and weights a case was made with: some have tensors multiplied by factors."""
    speakers = num_speakers(case(name))
    model, params = load(speakers)
    factors = DENOISER / f"case_{name}.factors.json"
    if not factors.exists():
        return model, params
    state = dict(checkpoint(speakers))
    for key, factor in json.loads(factors.read_text()).items():
        state[key] = state[key] * np.float32(factor)
    return model, convert(model, state)


def channels_last(latents: np.ndarray) -> np.ndarray:
    """Latents `... f c h w` as `... f h w c`."""
    return np.moveaxis(latents, -3, -1)


def tracks(tensors: Case) -> dict[str, jnp.ndarray]:
    """The audio features of a case, windowed."""
    names = ("speech", "effects", "music", "speech2")
    return {name: jnp.asarray(tensors[f"in.{name}"]) for name in names if f"in.{name}" in tensors}


def clean_frames(tensors: Case, batch: int) -> jnp.ndarray:
    """Bool [batch, f], true on clean frames; without keyframes all false, so that cases share a compilation."""
    noisy = tensors.get("in.mask", np.ones((1, values()["model"]["latent_frames"]), bool))
    return jnp.broadcast_to(~noisy, (batch, noisy.shape[1]))
