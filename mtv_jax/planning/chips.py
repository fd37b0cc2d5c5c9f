"""TPU topologies for ahead-of-time compilation, and GPUs for estimates."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mtv_jax.io.errors import UserError
from mtv_jax.sharding.mesh import AnyMesh, MeshConfig, abstract_mesh, make_mesh

GIB = 2**30


@dataclass(frozen=True)
class Chip:
    """Figures of one chip (Google Cloud's TPU documentation, 2026; NVIDIA's data sheets).

    Attributes:
      flops: peak bfloat16 operations a second, without sparsity.
      hbm: bytes of memory. For a GPU as in the data sheet, in powers of ten: the remainder is used by the CUDA
        context and the buffers of its libraries.
      hbm_bandwidth: bytes a second.
      ici_bandwidth: bytes a second over all links, one way; of GPUs NVLink (L4, L40S: PCIe), inside a machine.
      devices: number of JAX devices per chip.
      gpu: whether it is a GPU, for which programs are estimated and not compiled.
    """

    name: str
    flops: float
    hbm: float
    hbm_bandwidth: float
    ici_bandwidth: float
    devices: int = 1
    gpu: bool = False


CHIPS = {
    "v4": Chip("TPU v4", 275e12, 32 * GIB, 1228e9, 300e9),
    "v5e": Chip("TPU v5e", 197e12, 16 * GIB, 819e9, 200e9),
    "v5p": Chip("TPU v5p", 459e12, 95 * GIB, 2765e9, 600e9),
    "v6e": Chip("TPU v6e", 918e12, 32 * GIB, 1638e9, 400e9),
    "tpu7x": Chip("TPU7x (Ironwood)", 2307e12, 192 * GIB, 7380e9, 600e9, devices=2),
    "a100-80gb": Chip("NVIDIA A100 80GB", 312e12, 80e9, 2039e9, 300e9, gpu=True),
    "h100": Chip("NVIDIA H100 SXM", 989e12, 80e9, 3350e9, 450e9, gpu=True),
    "h200": Chip("NVIDIA H200 SXM", 989e12, 141e9, 4800e9, 450e9, gpu=True),
    "b200": Chip("NVIDIA B200", 2250e12, 180e9, 7700e9, 900e9, gpu=True),
    "l40s": Chip("NVIDIA L40S", 362e12, 48e9, 864e9, 32e9, gpu=True),
    "l4": Chip("NVIDIA L4", 121e12, 24e9, 300e9, 32e9, gpu=True),
}


_DEVICE_KINDS = {
    "TPU v4": "v4",
    "TPU v5 lite": "v5e",
    "TPU v5e": "v5e",
    "TPU v5": "v5p",
    "TPU v5p": "v5p",
    "TPU v6 lite": "v6e",
    "TPU v6e": "v6e",
    "TPU7x": "tpu7x",
}
"""`device_kind` in JAX -> chip."""
_GPU_WORDS = {
    "A100": "a100-80gb",
    "H100": "h100",
    "H200": "h200",
    "B200": "b200",
    "L40S": "l40s",
    "L4": "l4",
}
"""A word of a GPU's `device_kind` in JAX -> chip."""


def peak_flops(device_kind: str) -> float | None:
    """Peak bfloat16 FLOP/s of a device by its JAX `device_kind`; None if unknown."""
    if device_kind in _DEVICE_KINDS:
        chip = CHIPS[_DEVICE_KINDS[device_kind]]
        return chip.flops / chip.devices
    words = set(re.split(r"[\s-]+", device_kind))
    return next((CHIPS[chip].flops for word, chip in _GPU_WORDS.items() if word in words), None)


@dataclass(frozen=True)
class Topology:
    """Devices to plan for.

    Attributes:
      count: number of JAX devices.
      chip: None on a CPU, for which no figures are known.
      devices: to compile for; None if programs can only be estimated (GPUs).
    """

    name: str
    count: int
    chip: Chip | None
    devices: list[Any] | None = None

    @property
    def num_chips(self) -> int:
        """Number of chips; on a CPU, of devices."""
        return self.count // (self.chip.devices if self.chip else 1)

    def mesh(self, config: MeshConfig) -> AnyMesh:
        """A mesh of the devices; an abstract mesh of the same size where there are none to compile for."""
        if self.devices is None:
            return abstract_mesh(config, self.count)
        return make_mesh(config, self.devices)


def topology(name: str) -> Topology:
    """The topology called `cpu`, `<TPU>:<shape>` such as `v5p:4x4x8`, or `<GPU>:<number>` such as `h100:8`.

    Raises UserError for an unknown name, or if the compiler for TPUs (extra `tpu`) is not installed.
    """
    if name == "cpu":
        import jax

        devices = jax.devices("cpu")
        return Topology(name, len(devices), None, devices)
    kind, _, shape = name.partition(":")
    chip = CHIPS.get(kind)
    if chip is None or not re.fullmatch(r"[1-9]\d*" if chip.gpu else r"\d+(x\d+){1,2}", shape):
        raise UserError(
            f"topology {name!r}: give cpu alone, TPU:SHAPE such as v5p:4x4x8, or GPU:NUMBER such as h100:8, in small "
            f"letters; chips are {', '.join(CHIPS)}"
        )
    if chip.gpu:
        return Topology(name, int(shape), chip)
    devices = _devices(name)
    return Topology(name, len(devices), chip, devices)


def _devices(name: str) -> list[Any]:
    # The compiler queries the machine for its TPU; these variables declare that there is none.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5p-8")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    # Compiling does not lock a chip, so several processes may compile concurrently.
    os.environ.setdefault("ALLOW_MULTIPLE_LIBTPU_LOAD", "1")
    try:
        import libtpu  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise UserError(
            f"topology {name!r}: needs the compiler for TPUs: pip install 'mtv_jax[tpu]'"
        ) from error
    from jax.experimental import topologies

    try:
        with _quiet_stderr():
            return topologies.get_topology_desc(platform="tpu", topology_name=name).devices
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"topology {name!r}: the compiler does not know it ({first[:200]})") from error


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Suppresses the warnings about the missing TPU that the compiler writes directly to the file descriptor."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
