"""Small films, and curations of them, for tests."""

import json
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from separators import CARD, HALVES, FunctionSeparator

from mtv_jax import curate
from mtv_jax.io.video import write_video

PLAIN = ["--config", str(Path(__file__).resolve().parents[2] / "configs" / "curate.py") + ":plain"]
FRAMES = [*PLAIN, "--workers", "0", "--frames-only", "--num-frames", "5", "--height", "16", "--width", "16"]
FPS = 12


def write_film(path: Path, frames: int = 14, *, rate: Fraction | int = FPS, shade: int = 90, **about) -> Path:
    """A described film in which a white square walks over a shade, with a tone."""
    video = np.full((frames, 36, 48, 3), shade, np.uint8)
    for i in range(frames):
        video[i, 10:20, i % 40 : i % 40 + 8] = 250
    time = np.arange(round(48000 * frames / rate)) / 48000
    tone = (0.2 * np.sin(2 * np.pi * 300 * time)).astype(np.float32)
    write_video(path, video, rate, audio=tone, sample_rate=48000)
    about = {"prompt": f"square {path.stem}", "licence": "CC0"} | about
    path.with_suffix(".json").write_text(json.dumps(about))
    return path


def run(films: Path, out: Path, *options: str) -> int | None:
    """`curate run`."""
    return curate.main(["run", "--videos", str(films), "--out", str(out), *options])


def start(films: Path, out: Path, *options: str) -> subprocess.Popen:
    """`curate run` of small clips, in a process of its own; what it says is appended to `OUT.log`."""
    argv = [sys.executable, "-m", "mtv_jax.curate", "run", "--videos", films, "--out", out, *PLAIN]
    argv += ["--num-frames", "5", "--height", "64", "--width", "64", *options]
    with open(f"{out}.log", "ab") as log:
        return subprocess.Popen(list(map(str, argv)), stderr=log, stdout=log, start_new_session=True)


def separate_into_halves(patch: pytest.MonkeyPatch) -> None:
    """No network separates."""
    for place in ("slices", "steps.sound"):
        patch.setattr(f"mtv_jax.curation.{place}.find_separator", lambda _: HALVES)


def separate_twice(patch: pytest.MonkeyPatch, second: Callable[[np.ndarray], np.ndarray]) -> list[str]:
    """`spleeter` finds `second` of a mix as speech; the first separator is `HALVES`. Options of a run."""

    def stems(samples: np.ndarray, sample_rate: int) -> dict[str, np.ndarray]:
        return {"speech": second(samples), "rest": samples - second(samples)}

    found = FunctionSeparator(stems, tracks=("speech", "rest"))
    for place in ("slices", "steps.sound"):
        patch.setattr(
            f"mtv_jax.curation.{place}.find_separator", lambda name: found if name == "spleeter" else HALVES
        )
    return ["--config.demixing.separator=spleeter"]


def ledger(out: Path) -> list[dict]:
    """Its rows."""
    return [json.loads(line) for line in (out / "work" / "ledger.jsonl").read_text().splitlines()]


class OneVoice:
    """Hears one voice from beginning to end."""

    def card(self):
        return CARD

    def diarize(self, samples, sample_rate):
        seconds = len(samples) / sample_rate
        return {"status": "ok", "turns": [[0.0, seconds, "a"]], "speakers": 1, "speech": seconds}
