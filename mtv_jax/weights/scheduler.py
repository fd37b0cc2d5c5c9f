"""`scheduler/scheduler_config.json` of a pipeline folder, in diffusers' format."""

from dataclasses import fields
from pathlib import Path
from typing import Any

from mtv_jax.diffusion.noise.vp import Schedule, ScheduleConfig
from mtv_jax.io.checks import check_fields
from mtv_jax.io.errors import UserError, errors_in_file
from mtv_jax.io.files import read_json_object, write_json
from mtv_jax.weights.json_config import DIFFUSERS_HARMLESS, read_fields

_RENAMED = {
    "rescale_betas_zero_snr": "zero_terminal_snr",
    "timestep_spacing": "spacing",
}
_SAME = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "snr_shift_scale",
    "set_alpha_to_one",
    "steps_offset",
)
_PREDICTIONS = {"v_prediction": "v", "epsilon": "epsilon", "sample": "sample"}
_FIXED = {
    "beta_schedule": "scaled_linear",
    "clip_sample": False,
    "trained_betas": None,
    "thresholding": False,
    # EulerDiscreteScheduler
    "interpolation_type": "linear",
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "sigma_min": None,
    "sigma_max": None,
    "timestep_type": "discrete",
    "final_sigmas_type": "zero",
}
_HARMLESS = (
    "clip_sample_range",
    "sample_max_value",
    "prediction_type",
    "dynamic_thresholding_ratio",
    "skip_prk_steps",
)
_OURS = ("zero_snr_on", "step_to", "x0_level", "scale_b", "scale_steps")
_COGVIDEOX = {"zero_terminal_snr": False, "spacing": "leading", "snr_shift_scale": 3.0, "step_to": "stride"}
_DDIM = _COGVIDEOX | {"snr_shift_scale": 1.0}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "CogVideoXDPMScheduler": _COGVIDEOX,
    "CogVideoXDDIMScheduler": _COGVIDEOX,
    "DDIMScheduler": _DDIM,
    "PNDMScheduler": _DDIM | {"set_alpha_to_one": False},
    "EulerDiscreteScheduler": _DDIM | {"spacing": "linspace", "step_to": "next"},
}
"""Fields that a file omits have the defaults of diffusers' class, not of ours."""
_REQUIRED = ("beta_schedule", "beta_start", "beta_end")
"""Of the classes of Stable Diffusion, whose defaults (linear betas) are nobody's schedule."""
_FILE = "scheduler_config.json"
_MOST_TIMESTEPS = 100_000


def load_schedule(folder: Path) -> Schedule:
    """The schedule of a scheduler folder. Raises UserError for unsupported settings."""
    path = folder / _FILE
    with errors_in_file(path):
        return Schedule.create(config_from_json(read_json_object(path)))


def save_schedule(folder: Path, config: ScheduleConfig) -> None:
    """Writes a scheduler folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _FILE, config_to_json(config))


def config_from_json(values: dict[str, Any]) -> ScheduleConfig:
    """The schedule of a scheduler config of diffusers: CogVideoX's two, DDIM, PNDM or Euler (Stable Diffusion).

    The class gives the defaults and the end of sampling; the solver is the sampler's own choice.
    """
    name = values.get("_class_name", "CogVideoXDPMScheduler")
    if not isinstance(name, str) or name not in _DEFAULTS:
        raise UserError(f"{_FILE}: scheduler {name!r} is not supported; known are {', '.join(_DEFAULTS)}")
    cogvideox = _DEFAULTS[name] is _COGVIDEOX
    chosen = read_fields(
        values if cogvideox else _with_class_defaults(name, values),
        {**_RENAMED, **{key: key for key in (*_SAME, *_OURS)}},
        fixed=_FIXED,
        harmless=(*DIFFUSERS_HARMLESS, *_HARMLESS),
        required=() if cogvideox else _REQUIRED,
        origin=_FILE,
    )
    prediction = values.get("prediction_type", "epsilon")
    if prediction not in _PREDICTIONS:
        raise UserError(f"{_FILE}: prediction_type={prediction!r}: use one of {', '.join(_PREDICTIONS)}")
    chosen = _DEFAULTS[name] | chosen
    config = ScheduleConfig(prediction=_PREDICTIONS[prediction], **chosen)  # pyright: ignore[reportArgumentType]
    check_fields(config, most=_MOST_TIMESTEPS)
    _check_ranges(config)
    return config


def _with_class_defaults(name: str, values: dict[str, Any]) -> dict[str, Any]:
    if name == "DDIMScheduler":
        return {"clip_sample": True} | values
    if name == "EulerDiscreteScheduler":
        # It ends at the clean sample; files that were made from another class's still have the key.
        return {key: value for key, value in values.items() if key != "set_alpha_to_one"}
    return values


def _check_ranges(config: ScheduleConfig) -> None:
    if not (0 < config.beta_start <= config.beta_end < 1 and config.snr_shift_scale > 0):
        raise UserError(
            f"beta_start {config.beta_start}, beta_end {config.beta_end}, snr_shift_scale {config.snr_shift_scale}: "
            "betas must rise between 0 and 1, and the scale be above 0"
        )
    if not 0 < config.scale_b <= 1:
        raise UserError(f"scale_b {config.scale_b}: must be above 0 and at most 1")


def config_to_json(config: ScheduleConfig) -> dict[str, Any]:
    """The inverse of `config_from_json`; our own fields are written only where they differ from the class's.

    The class is Stable Diffusion's for noise that is predicted without a shift, otherwise CogVideoX's.
    """
    plain = config.prediction == "epsilon" and config.snr_shift_scale == 1
    name = "DDIMScheduler" if plain else "CogVideoXDPMScheduler"
    words = {ours: theirs for theirs, ours in _RENAMED.items()}
    out: dict[str, Any] = {"_class_name": name, "beta_schedule": "scaled_linear"}
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name == "prediction":
            out["prediction_type"] = next(k for k, v in _PREDICTIONS.items() if v == value)
        elif field.name not in _OURS or value != _DEFAULTS[name].get(field.name, field.default):
            out[words.get(field.name, field.name)] = value
    if plain:
        del out["snr_shift_scale"]  # the class has none
        out["clip_sample"] = False  # which is not its default
    return out
