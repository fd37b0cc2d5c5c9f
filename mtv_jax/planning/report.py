"""Reports a program's needs against the hardware: memory, a lower bound on step time, and the whole run."""

import html
import math
from dataclasses import dataclass
from typing import Any

from mtv_jax.planning.chips import Topology
from mtv_jax.planning.programs import Program


@dataclass(frozen=True)
class Work:
    """Operations of one program over all chips: model FLOPs, and hardware FLOPs."""

    needed: float
    run: float


@dataclass(frozen=True)
class Plan:
    """A program on a topology.

    Attributes:
      name: of the program.
      mesh: sizes of its axes.
      steps: number of executions in the planned run.
    """

    name: str
    topology: Topology
    mesh: dict[str, int]
    program: Program
    work: Work | None
    steps: int = 1

    def to_json(self) -> dict[str, Any]:
        """All values as plain numbers: bytes, seconds, operations."""
        topology, chip = self.topology, self.topology.chip
        per_device = chip.hbm / chip.devices if chip else None
        values: dict[str, Any] = {
            "program": self.name,
            "topology": topology.name,
            "chips": topology.num_chips,
            "mesh": self.mesh,
            "memory_bytes_per_device": self.program.memory,
            "memory_peak": self.program.peak,
            "memory_limit": per_device,
            "fits": None if per_device is None else self.program.peak <= per_device,
            "estimate": self.program.estimated,
            "collectives": {
                kind: {"count": c.count, "bytes_sent_per_device": c.bytes}
                for kind, c in (self.program.collectives or {}).items()
            },
            "compile_seconds": None if self.program.seconds is None else round(self.program.seconds, 1),
            "flops": None if self.work is None else {"needed": self.work.needed, "run": self.work.run},
        }
        return values | {"least_seconds": self.least_seconds(), "whole": self.whole()}

    def least_seconds(self) -> dict[str, float] | None:
        """Lower bounds on the time of one execution, by peak FLOP/s, memory and interconnect bandwidth.

        For an estimate only by FLOP/s; None where nothing is known.
        """
        chip, program = self.topology.chip, self.program
        if chip is None:
            return None
        bounds = {}
        if program.collectives is not None:
            # Inputs are read once, outputs written once, temporaries written and read.
            moved = program.peak + program.memory.get("temporary", 0)
            sent = sum(c.bytes for c in program.collectives.values())
            bounds["memory"] = moved / (chip.hbm_bandwidth / chip.devices)
            bounds["interconnect"] = sent / (chip.ici_bandwidth / chip.devices)
        if self.work is not None:
            bounds["operations"] = self.work.run / (chip.flops * self.topology.num_chips)
        return bounds or None

    def whole(self) -> dict[str, float] | None:
        """Hours and chip-hours of all steps, at the lower bound of one."""
        bounds = self.least_seconds()
        if bounds is None:
            return None
        hours = max(bounds.values()) * self.steps / 3600
        return {"steps": self.steps, "hours": hours, "chip_hours": hours * self.topology.num_chips}

    @property
    def missing(self) -> float:
        """Bytes by which a device's memory is exceeded; 0 if the program fits or no limit is known."""
        chip = self.topology.chip
        return 0.0 if chip is None else max(0.0, self.program.peak - chip.hbm / chip.devices)


def to_text(plan: Plan) -> str:
    """The plan as text."""
    return "\n".join(f"{name:<34} {value}" for name, value in _rows(plan))


def to_html(plans: list[Plan]) -> str:
    """An HTML page with a table for each plan."""
    parts = []
    for plan in plans:
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>"
            for name, value in _rows(plan)
        )
        parts.append(f"<table>{rows}</table>")
    style = "table{border-collapse:collapse;margin:1em}td{padding:.2em .8em;border-bottom:1px solid #ccc}"
    return f"<!doctype html><meta charset=utf-8><title>Plan</title><style>{style}</style>{''.join(parts)}\n"


def _rows(plan: Plan) -> list[tuple[str, str]]:
    chip = plan.topology.chip
    sizes = " x ".join(f"{n} {axis}" for axis, n in plan.mesh.items())
    rows = [(plan.name, f"{plan.topology.name}, {plan.topology.num_chips} chips, mesh {sizes}")]
    program = plan.program
    for kind, size in program.memory.items():
        text = f"{amount(size)}, an ESTIMATE" if program.estimated and kind == "temporary" else amount(size)
        rows += [(f"  {kind}", text)] if size else []
    peak = f"{amount(program.peak)} a device"
    if chip is not None:
        limit = chip.hbm / chip.devices
        peak += f" of {amount(limit)} ({program.peak / limit:.0%})"
        peak += f": {amount(plan.missing)} TOO MUCH" if plan.missing else ": fits"
    rows.append(("memory", peak))
    if plan.work is not None:
        rows.append(("operations", f"{plan.work.needed:.4g} needed, {plan.work.run:.4g} run"))
    for kind, found in (program.collectives or {}).items():
        rows.append((f"  {kind}", f"{found.count} times, {amount(found.bytes)} sent by each device"))
    bounds, whole = plan.least_seconds(), plan.whole()
    if bounds is not None and whole is not None:
        text = ", ".join(f"{seconds:.3g} s by {kind}" for kind, seconds in bounds.items())
        rows.append(("least time", text))
        if plan.work is not None and math.isfinite(max(bounds.values())):
            share = plan.work.needed / plan.work.run * bounds["operations"] / max(bounds.values())
            rows.append(("highest possible utilisation", f"{share:.0%} of peak, counting what is needed"))
        rows.append(
            (
                f"{plan.steps} of them",
                f"{whole['hours']:.3g} h, {whole['chip_hours']:.4g} chip-hours at least",
            )
        )
    if program.seconds is None:
        rows.append(("not compiled", "temporaries are estimated from shapes (mtv_jax.planning.estimates)"))
    else:
        rows.append(("compiled in", f"{program.seconds:.0f} s"))
    return rows


def amount(size: float) -> str:
    """Formats bytes with a unit."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.3g} TiB"
