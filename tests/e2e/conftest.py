"""Small shards of random arrays, and the train command as a process."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mtv_jax.data.records import ClipRecord, ClipSource, clip_id
from mtv_jax.data.shards import write_shards

ROOT = Path(__file__).resolve().parents[2]


def clip(number: int, frames: int, arrays: dict[str, np.ndarray]) -> ClipRecord:
    source = ClipSource(
        name="noise.mp4", sha256="0" * 64, start_pts=number, end_pts=number + 1, time_base=(1, 8)
    )
    name = clip_id(source.sha256, source.start_pts, source.end_pts, source.time_base)
    return ClipRecord(name, "noise", (8, 1), frames, 32, 32, source, arrays)


@pytest.fixture(scope="session")
def latent_shards(tmp_path_factory):
    """Twelve clips of five latent frames of 4 x 4 cells, log-mel features of five video frames."""
    rng = np.random.default_rng(0)

    def record(number: int) -> ClipRecord:
        arrays = {name: rng.normal(size=(5, 4, 64)) for name in ("speech", "effects", "music")}
        arrays |= {
            "latents_mean": rng.normal(size=(5, 4, 4, 8)),
            "text": rng.normal(size=(3 + number % 4, 64)),
        }
        arrays["latents_logvar"] = np.full((5, 4, 4, 8), -6.0)
        return clip(number, 5, {key: value.astype(np.float32) for key, value in arrays.items()})

    folder = tmp_path_factory.mktemp("latents")
    write_shards(folder, [record(i) for i in range(12)], kind="latents")
    return folder


@pytest.fixture(scope="session")
def frame_shards(tmp_path_factory):
    """Four clips of five frames of 32 x 32 pixels."""
    rng = np.random.default_rng(0)
    clips = [clip(i, 5, {"video": rng.integers(0, 256, (5, 32, 32, 3), np.uint8)}) for i in range(4)]
    folder = tmp_path_factory.mktemp("frames")
    write_shards(folder, clips, kind="frames")
    return folder


@pytest.fixture(scope="session")
def train():
    """Starts `python -m mtv_jax.train`; `wait=False` gives the process. Compiled programs are shared."""
    cache = os.environ["JAX_COMPILATION_CACHE_DIR"]

    def start(*arguments: object, wait: bool = True, **environment: str):
        command = [sys.executable, "-m", "mtv_jax.train", *map(str, arguments)]
        env = os.environ | {"XDG_CACHE_HOME": cache, "JAX_PLATFORMS": "cpu"} | environment
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        if not wait:
            return subprocess.Popen(command, cwd=ROOT, env=env, **pipes)
        return subprocess.run(command, cwd=ROOT, env=env, timeout=3600, check=False, **pipes)

    return start
