import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from mtv_jax.diffusion.noise.vp import ScheduleConfig


@pytest.fixture(scope="session")
def mtv_goldens(original_goldens) -> Path:
    """Folder of the MTV reference's numbers."""
    return original_goldens / "mtv"


@pytest.fixture(scope="session")
def reference_schedule(mtv_goldens) -> ScheduleConfig:
    """The preset `released` with the numbers that the goldens' own config gives."""
    given = json.loads((mtv_goldens / "denoiser" / "config.json").read_text())["schedule"]
    return dataclasses.replace(
        ScheduleConfig.released(),
        num_train_timesteps=given["num_train_timesteps"],
        beta_start=given["linear_start"],
        beta_end=given["linear_end"],
        snr_shift_scale=given["shift_scale"],
        zero_terminal_snr=given["zero_terminal_snr"],
        prediction=given["prediction"],
    )


@pytest.fixture(scope="session")
def sampler_golden(mtv_goldens) -> dict[str, np.ndarray]:
    """Schedule and toy runs of the reference's sampler."""
    with np.load(mtv_goldens / "sampler" / "dpmpp_2m_sde.npz") as file:
        return dict(file)


@pytest.fixture(scope="session")
def bounds(mtv_goldens) -> dict[str, float]:
    """Absolute bounds that the goldens recommend."""
    return json.loads((mtv_goldens / "tolerances.json").read_text())["recommended_atol"]
