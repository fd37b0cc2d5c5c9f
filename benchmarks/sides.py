"""What both sides of `vs_diffusers.py` share: the cases, their inputs, and how they speak with the driver.

A side reads one JSON object a line and answers each with one: first the case (answer: seconds of the first
call or of compiling), then `{"run": true}` (seconds of one forward, by the clock and by the processor, all
threads together) as often as wanted, then
`{"save": path}` (the output as .npy, and the peak memory in bytes). It ends with its input.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

SIZES = {
    "dit": {
        "layers": 4, "heads": 30, "frames": 13, "height": 16, "width": 24,
        "channels": 16, "text_length": 226, "text_dim": 4096,
    },
    "vae": {"frames": 13, "height": 32, "width": 32, "channels": 16},
    "t5": {"layers": 4, "d_model": 1024, "d_ff": 2816, "heads": 16, "length": 226, "vocabulary": 32128},
    "wav2vec2": {"samples": 32000},
}  # fmt: skip
"""Sizes of each case by network; the networks themselves are in full width."""


@dataclass(frozen=True)
class Case:
    """One network in one type, and where its weights are."""

    network: str
    dtype: str
    weights: str
    sizes: dict[str, int] = field(default_factory=dict)
    threads: int = 2

    def inputs(self) -> list[np.ndarray]:
        """The same on both sides; video is channels-last."""
        rng, sizes = np.random.default_rng(0), self.sizes
        if self.network == "t5":
            return [rng.integers(0, sizes["vocabulary"], (1, sizes["length"]))]
        if self.network == "wav2vec2":
            return [rng.normal(size=(1, sizes["samples"])).astype(np.float32)]
        shape = (1, sizes["frames"], sizes["height"], sizes["width"], sizes["channels"])
        latents = rng.normal(size=shape).astype(np.float32)
        if self.network == "vae":
            return [latents]
        text = rng.normal(size=(1, sizes["text_length"], sizes["text_dim"])).astype(np.float32)
        return [latents, text, np.full(1, 500, np.float32)]


Prepared = tuple[float, Callable[[], object], Callable[[], np.ndarray]]
"""Seconds to compile or of the first call, one forward (until it is done), and its last output."""


def peak_memory() -> int:
    """Bytes; the system counts in kilobytes, but for macOS."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def timed(run: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock and by the processor."""
    clock, processor = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - clock, time.process_time() - processor


def latent_sizes(text: str) -> list[int]:
    """`13x32x32` as frames, height, width."""
    sizes = [int(part) for part in text.split("x")]
    if len(sizes) != 3 or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give frames, height and width, such as 13x32x32")
    return sizes


def serve(prepare: Callable[[Case], Prepared]) -> None:
    """Answers the driver until its lines end; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    first, run, output = prepare(Case(**json.loads(sys.stdin.readline())))
    print(json.dumps(first), file=answers)
    for line in sys.stdin:
        request = json.loads(line)
        if "run" in request:
            answer = timed(run)
        else:
            answer = peak_memory()
            np.save(request["save"], output())
        print(json.dumps(answer), file=answers)
