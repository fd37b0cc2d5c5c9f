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
_SAME = ("num_train_timesteps", "beta_start", "beta_end", "snr_shift_scale", "set_alpha_to_one")
_PREDICTIONS = {"v_prediction": "v", "epsilon": "epsilon", "sample": "sample"}
_FIXED = {"beta_schedule": "scaled_linear", "clip_sample": False, "steps_offset": 0, "trained_betas": None}
_HARMLESS = ("clip_sample_range", "sample_max_value", "prediction_type")
_OURS = ("zero_snr_on", "step_to", "x0_level")
_DEFAULTS = {"zero_terminal_snr": False, "spacing": "leading", "snr_shift_scale": 3.0, "step_to": "stride"}
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
    """The schedule of diffusers' CogVideoXDDIMScheduler or CogVideoXDPMScheduler config."""
    chosen = read_fields(
        values,
        {**_RENAMED, **{key: key for key in (*_SAME, *_OURS)}},
        fixed=_FIXED,
        harmless=(*DIFFUSERS_HARMLESS, *_HARMLESS),
        origin=_FILE,
    )
    prediction = values.get("prediction_type", "epsilon")
    if prediction not in _PREDICTIONS:
        raise UserError(f"{_FILE}: prediction_type={prediction!r}: use one of {', '.join(_PREDICTIONS)}")
    # Fields that a file omits have the defaults of diffusers' class, not of ours.
    chosen = _DEFAULTS | chosen
    config = ScheduleConfig(prediction=_PREDICTIONS[prediction], **chosen)  # pyright: ignore[reportArgumentType]
    check_fields(config, most=_MOST_TIMESTEPS)
    if not (0 < config.beta_start <= config.beta_end < 1 and config.snr_shift_scale > 0):
        raise UserError(
            f"beta_start {config.beta_start}, beta_end {config.beta_end}, snr_shift_scale {config.snr_shift_scale}: "
            "betas must rise between 0 and 1, and the scale be above 0"
        )
    return config


def config_to_json(config: ScheduleConfig) -> dict[str, Any]:
    """The inverse of `config_from_json`; our own fields are written only where they differ from diffusers'."""
    words = {ours: theirs for theirs, ours in _RENAMED.items()}
    out: dict[str, Any] = {"_class_name": "CogVideoXDPMScheduler", "beta_schedule": "scaled_linear"}
    for field in fields(config):
        value = getattr(config, field.name)
        if field.name == "prediction":
            out["prediction_type"] = next(k for k, v in _PREDICTIONS.items() if v == value)
        elif field.name not in _OURS or value != _DEFAULTS.get(field.name, field.default):
            out[words.get(field.name, field.name)] = value
    return out
