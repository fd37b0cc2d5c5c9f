"""How fast does AudioSep's network separate at full width, and does its memory grow with the length of the sound?

    python benchmarks/by_text.py [--seconds 20] [--dtype bfloat16]

Separates noise of one channel in windows of 5 s, with random weights. Prints JSON: seconds of sound separated in a
second of time and of the processor's time, and the peak memory of the process in bytes, and what it was before.
"""

import argparse
import json
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from sides import peak_memory

from mtv_jax.audio.separation.by_text.audiosep import apply_window, separate_windows
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.shapes import random_params


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="of the sound (default: %(default)s)")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--variant", default="audiosep_base", help="of the network (default: %(default)s)")
    args = parser.parse_args(argv)
    config = make_config("resunet", args.variant)
    model = make_model("resunet", config, dtype=jnp.dtype(args.dtype))
    params = jax.block_until_ready(random_params(model, 0))
    random = np.random.default_rng(0)
    condition = random.normal(size=(1, config.condition_size)).astype(np.float32)
    separate = partial(apply_window, model, params, condition)
    noise = random.normal(0, 0.1, (round(args.seconds * config.sample_rate), 1)).astype(np.float32)
    before = peak_memory()
    separate_windows(separate, noise[:1], config.sample_rate, "noise")  # compiles
    started, processor = time.perf_counter(), time.process_time()
    separate_windows(separate, noise, config.sample_rate, "noise")
    result = {
        "jax": jax.__version__,
        "dtype": args.dtype,
        "seconds": args.seconds,
        "times_real_time": args.seconds / (time.perf_counter() - started),
        "times_real_time_of_processor": args.seconds / (time.process_time() - processor),
        "peak_bytes_before": before,
        "peak_bytes": peak_memory(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
