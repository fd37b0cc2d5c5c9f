"""Are our networks as fast as diffusers' and transformers' on the same weights?

    python benchmarks/vs_diffusers.py [--peer-python PATH] [--only dit,t5] [--dtype float32] [--out FILE]

For each network and type two processes are started, theirs in the interpreter that has torch, diffusers and
transformers (the extra `parity`), ours in this one. Theirs makes random weights and writes them in its own
format; ours loads them by `load_model`. Then forwards take turns: ours, theirs, ours, theirs... Prints JSON, pairs
being [ours, theirs]: medians in seconds after compilation and their ratio (at most 1 is the aim), by the
clock and by the processor (all threads; the one to go by on a busy machine), the time to compile, the peak
memory of each process, and the largest difference of the outputs relative to theirs' largest value.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from sides import SIZES, Case, latent_sizes

REST = 0.1
"""Seconds between two forwards, for the other process's threads to fall asleep."""


class Side:
    """A process that prepares one case and runs it on request."""

    def __init__(self, python: str, script: str, case: Case):
        self.script = script
        path = Path(__file__).parent / script
        environment = os.environ | {"OMP_NUM_THREADS": str(case.threads), "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen(
            [python, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        self.preparation = self.ask(asdict(case))

    def ask(self, request: dict) -> Any:
        """Sends a request and waits for its answer; exits if the process ends instead."""
        assert self.process.stdin
        assert self.process.stdout
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())
        except (BrokenPipeError, json.JSONDecodeError):
            sys.exit(f"error: {self.script} ended: see its message above")

    def run(self) -> tuple[float, float]:
        """Seconds of one forward, by the clock and by the processor."""
        time.sleep(REST)
        return self.ask({"run": True})

    def close(self) -> None:
        """Ends the process."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def compare(network: str, dtype: str, args: argparse.Namespace, directory: Path) -> dict:
    """The figures of one network in one type."""
    sizes = dict(SIZES[network])
    if network == "vae":
        sizes |= dict(zip(("frames", "height", "width"), args.vae_latents, strict=True))
    case = Case(network, dtype, str(directory / "weights"), sizes, args.threads)
    theirs = Side(args.peer_python, "torch_side.py", case)
    ours = Side(sys.executable, "jax_side.py", case)
    times = [(ours.run(), theirs.run()) for _ in range(args.rounds)]
    files = [directory / "ours.npy", directory / "theirs.npy"]
    peaks = [side.ask({"save": str(file)}) for side, file in zip((ours, theirs), files, strict=True)]
    ours.close()
    theirs.close()
    mine, original = (np.load(file) for file in files)
    clock, processor = (
        [statistics.median(turn[side][kind] for turn in times) for side in (0, 1)] for kind in (0, 1)
    )
    return {
        "network": network,
        "dtype": dtype,
        "seconds": clock,
        "ratio": clock[0] / clock[1],
        "ratio_of_each_round": [a / b for (a, _), (b, _) in times],
        "processor_seconds": processor,
        "processor_ratio": processor[0] / processor[1],
        "compile_seconds": ours.preparation,
        "peak_bytes": peaks,
        "largest_difference": float(np.abs(mine - original).max() / np.abs(original).max()),
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--peer-python", default=sys.executable, help="interpreter with torch and diffusers (default: this)"
    )
    parser.add_argument("--only", default=",".join(SIZES), help="networks, by commas (default: %(default)s)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), help="one type (default: both)")
    parser.add_argument("--rounds", type=int, default=5, help="forwards of each side (default: 5)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch (default: 2)")
    parser.add_argument(
        "--vae-latents",
        type=latent_sizes,
        default=[13, 32, 32],
        help="smaller is quicker (default: 13x32x32)",
    )
    parser.add_argument("--out", type=Path, help="file for the JSON too")
    args = parser.parse_args(argv)
    networks = args.only.split(",")
    if unknown := set(networks) - set(SIZES):
        parser.error(f"--only {','.join(sorted(unknown))}: known are {', '.join(SIZES)}")
    results = []
    for network in networks:
        for dtype in [args.dtype] if args.dtype else ["float32", "bfloat16"]:
            with tempfile.TemporaryDirectory() as directory:
                results.append(compare(network, dtype, args, Path(directory)))
            print(json.dumps(results[-1]), file=sys.stderr, flush=True)
    text = json.dumps({"cores": os.cpu_count(), "torch_threads": args.threads, "results": results}, indent=2)
    print(text)
    if args.out:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
