"""How much host memory does loading a large checkpoint take, beyond the parameters themselves?

    python benchmarks/load_memory.py [--gigabytes 6] [--dtype bfloat16] [--devices 4]

Writes a synthetic checkpoint (blocks of CogVideoX-5b, in shards with an index), loads it in a separate process and
prints JSON (Linux). On a CPU "devices" are host memory too: what the parameters take is subtracted from the peak of the
process, and what jax and the imports took before. The bound is twice the largest tensor of the checkpoint plus 1 GB.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import deque
from pathlib import Path

_CHILD = """
import json, sys, time
import jax
from pathlib import Path
from mtv_jax import load_model
from mtv_jax.sharding.mesh import MeshConfig, make_mesh

devices = len(jax.devices())
mesh = make_mesh(MeshConfig(data=1, fsdp=devices)) if devices > 1 else None
jax.numpy.zeros(8).block_until_ready()

def peak():
    # Not getrusage: its figure begins with what the parent process held.
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])

before, started = peak(), time.perf_counter()
model, params = load_model(sys.argv[1], param_dtype=sys.argv[2], mesh=mesh)
jax.block_until_ready(params)
seconds = time.perf_counter() - started
size = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
print(json.dumps({"before": before, "peak": peak(), "parameters": size, "seconds": seconds}))
"""


def write_checkpoint(folder: Path, gigabytes: float, variant: str) -> tuple[int, int]:
    """Writes blocks of a variant of the DiT in float32; returns the size in bytes, and that of the largest tensor."""
    import dataclasses

    import numpy as np

    from mtv_jax.io.files import write_json
    from mtv_jax.models.dit import DiT
    from mtv_jax.models.registry import make_config
    from mtv_jax.models.shapes import parameter_shapes
    from mtv_jax.weights import dit
    from mtv_jax.weights.rules import flat_paths, from_flat_paths, to_tensors
    from mtv_jax.weights.tensor_files import write_tensors

    one = make_config("dit", variant, {"num_layers": 1})
    layer = sum(
        int(np.prod(x.shape)) * 4 for p, x in flat_paths(parameter_shapes(DiT(one))).items() if "blocks" in p
    )
    config = dataclasses.replace(one, num_layers=max(1, round(gigabytes * 1e9 / layer)))

    class Filled:
        """An array that exists only while it is written."""

        def __init__(self, shape: tuple[int, ...]):
            self.shape, self.dtype = shape, np.dtype(np.float32)

        def __getitem__(self, index: int) -> np.ndarray:
            return np.full(self.shape[1:], index + 1, self.dtype)

        def __array__(self, dtype=None, copy=None) -> np.ndarray:
            return np.full(self.shape, 1, self.dtype)

    flat = {path: Filled(leaf.shape) for path, leaf in flat_paths(parameter_shapes(DiT(config))).items()}
    tensors = to_tensors(from_flat_paths(flat), dit.RULES)
    write_json(folder / "config.json", dit.config_to_json(config))
    deque(write_tensors(folder, "diffusion_pytorch_model", tensors), maxlen=0)
    sizes = [int(np.prod(tensor.shape)) * 4 for tensor in tensors.values()]
    return sum(sizes), max(sizes)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gigabytes", type=float, default=6.0, help="size of the checkpoint (default 6)")
    parser.add_argument("--variant", default="cogvideox_5b", help="of the DiT (default cogvideox_5b)")
    parser.add_argument("--dtype", default="bfloat16", help="of the parameters loaded (default bfloat16)")
    parser.add_argument(
        "--devices", type=int, default=1, help="simulated devices of the mesh (default 1: no mesh)"
    )
    parser.add_argument("--folder", type=Path, help="where to write the checkpoint (default: temporary)")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        size, largest = write_checkpoint(Path(name), args.gigabytes, args.variant)
        flags = f"--xla_force_host_platform_device_count={args.devices}"
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, name, args.dtype],
            env=os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
            stdout=subprocess.PIPE,
            check=True,
        )
    found = json.loads(done.stdout)
    beyond = found["peak"] - found["before"] - found["parameters"]
    bound = 2 * largest + 10**9
    report = {"checkpoint_bytes": size, "largest_tensor_bytes": largest, **found, "beyond_parameters": beyond}
    print(json.dumps(report | {"bound": bound, "holds": beyond < bound}, indent=2))
    sys.exit(0 if beyond < bound else 1)


if __name__ == "__main__":
    main()
