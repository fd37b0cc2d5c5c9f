"""TPU chips, and topologies of them to compile for without having any."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mtv_jax.io.errors import UserError

GIB = 2**30


@dataclass(frozen=True)
class Chip:
    """Figures of one chip (Google Cloud's TPU documentation, 2026).

    Attributes:
      flops: peak bfloat16 operations a second.
      hbm: bytes of memory.
      hbm_bandwidth: bytes a second.
      ici_bandwidth: bytes a second over all links, one way.
      devices: how many devices JAX sees a chip as.
    """

    name: str
    flops: float
    hbm: float
    hbm_bandwidth: float
    ici_bandwidth: float
    devices: int = 1


CHIPS = {
    "v4": Chip("TPU v4", 275e12, 32 * GIB, 1228e9, 300e9),
    "v5e": Chip("TPU v5e", 197e12, 16 * GIB, 819e9, 200e9),
    "v5p": Chip("TPU v5p", 459e12, 95 * GIB, 2765e9, 600e9),
    "v6e": Chip("TPU v6e", 918e12, 32 * GIB, 1638e9, 400e9),
    "tpu7x": Chip("TPU7x (Ironwood)", 2307e12, 192 * GIB, 7380e9, 600e9, devices=2),
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
"""What JAX calls a device -> its chip."""
_GPU_FLOPS = {"A100": 312e12, "H100": 989e12, "H200": 989e12, "B200": 2250e12, "L40S": 362e12, "L4": 121e12}
"""Peak bfloat16 operations a second without sparsity, by a word of the device's name (NVIDIA's data sheets)."""


def peak_flops(device_kind: str) -> float | None:
    """Peak bfloat16 operations a second of what JAX calls one device; None if it is not known."""
    if device_kind in _DEVICE_KINDS:
        chip = CHIPS[_DEVICE_KINDS[device_kind]]
        return chip.flops / chip.devices
    words = set(re.split(r"[\s-]+", device_kind))
    return next((flops for name, flops in _GPU_FLOPS.items() if name in words), None)


@dataclass(frozen=True)
class Topology:
    """Devices to compile for. `chip` is None on a CPU, of which no figures are known."""

    name: str
    devices: list[Any]
    chip: Chip | None

    @property
    def num_chips(self) -> int:
        """Number of chips; of a CPU, of devices."""
        return len(self.devices) // (self.chip.devices if self.chip else 1)


def topology(name: str) -> Topology:
    """The topology called `cpu`, or `<chip>:<shape>` such as `v5p:4x4x8`.

    Raises UserError for an unknown name, or if the compiler for TPUs (extra `tpu`) is not installed.
    """
    if name == "cpu":
        import jax

        return Topology(name, jax.devices("cpu"), None)
    kind, _, shape = name.partition(":")
    if kind not in CHIPS or not re.fullmatch(r"\d+(x\d+){1,2}", shape):
        known = ", ".join(CHIPS)
        raise UserError(f"topology {name!r}: give cpu or CHIP:SHAPE, such as v5p:4x4x8; chips are {known}")
    return Topology(name, _devices(name), CHIPS[kind])


def _devices(name: str) -> list[Any]:
    # The compiler asks the machine what TPU it is; these say that there is none to ask.
    os.environ.setdefault("TPU_SKIP_MDS_QUERY", "1")
    os.environ.setdefault("TPU_ACCELERATOR_TYPE", "v5p-8")
    os.environ.setdefault("TPU_WORKER_HOSTNAMES", "localhost")
    # Compiling holds no chip, so several may do so at once.
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
    """Drops what the compiler's start-up writes past Python: warnings about the missing machine."""
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
