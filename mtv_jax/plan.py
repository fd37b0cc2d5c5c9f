"""`python -m mtv_jax.plan`: estimates memory and least time of a run on other hardware."""

import argparse
import os
from dataclasses import replace
from pathlib import Path

from mtv_jax.io.cli import add_overwrite, parser, run
from mtv_jax.io.config import split_overrides
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output, write_json, write_text

_MOST_SOURCES = 7
"""Sources of 10 tokens each that a text of 77 tokens has room for."""


def _parser() -> argparse.ArgumentParser:
    top = parser(
        "plan",
        "Compile the real train step and the sampling during training (or, with --sample, a sampling step and the "
        "decoder) for TPUs ahead of time, and print memory, operations, traffic and the least time. Needs no TPU. "
        "For GPUs, whose programs cannot be compiled without one, weights and moments are exact and the rest is "
        "estimated (mtv_jax.planning.estimates). Exits with 1 if it does not fit.",
    )
    top.add_argument("--config", required=True, metavar="FILE.py[:ARG]", help="config of the training")
    top.add_argument(
        "--topology",
        default="cpu",
        help="cpu, or TPU:SHAPE such as v5p:4x4x8, v6e:16x16, tpu7x:4x4x4, or GPU:NUMBER such as a100-80gb:24, h100:8",
    )
    top.add_argument(
        "--mesh",
        default=None,
        metavar="AXIS=N,...",
        help="sizes of data, fsdp, tensor, context instead of the config's; one may be -1, the rest",
    )
    top.add_argument("--sample", action="store_true", help="plan sampling of one video instead of training")
    top.add_argument("--steps", type=int, default=50, help="with --sample: sampling steps")
    top.add_argument(
        "--sources",
        type=int,
        default=0,
        metavar="N",
        help="with --sample of a UNet (Maestro): sources of sound in boxes, 0 to 7; the dearer way of placing them is "
        "planned",
    )
    top.add_argument(
        "--report", type=Path, default=None, metavar="FILE.json|html", help="also write the plan to this file"
    )
    add_overwrite(top)
    top.epilog = "--config.KEY=VALUE replaces a value of the config."
    return top


def main(argv: list[str]) -> int:
    """Runs the command."""
    rest, overrides = split_overrides(argv)
    args = _parser().parse_args(rest)
    if args.report is not None and args.report.suffix not in (".json", ".html"):
        raise UserError(f"--report {args.report}: must end in .json or .html")
    if args.report is not None:
        check_output(args.report, overwrite=args.overwrite)
    if args.steps < 1:
        raise UserError(f"--steps {args.steps}: must be at least 1")
    if not 0 <= args.sources <= _MOST_SOURCES:
        raise UserError(f"--sources {args.sources}: must be from 0 to {_MOST_SOURCES}")
    if args.sources and not args.sample:
        raise UserError("--sources: only with --sample")
    # Planning allocates nothing and does not use this machine's accelerators.
    os.environ["JAX_PLATFORMS"] = "cpu"
    from mtv_jax.planning.chips import topology
    from mtv_jax.planning.plans import sampling_plans, training_plans
    from mtv_jax.planning.report import amount, to_html, to_text
    from mtv_jax.training.configs import load_train_config, train_config

    values = load_train_config(args.config, overrides).to_dict()
    # No data is read, so the config need not name any.
    values["data"]["dir"] = values["data"].get("dir") or "none"
    config = train_config(values)
    if args.mesh is not None:
        config = replace(config, mesh=_mesh(args.mesh))
    target = topology(args.topology)
    plans = (
        sampling_plans(config, target, args.steps, args.sources)
        if args.sample
        else training_plans(config, target)
    )
    print("\n\n".join(to_text(plan) for plan in plans))
    if args.report is not None:
        if args.report.suffix == ".json":
            write_json(args.report, [plan.to_json() for plan in plans])
        else:
            write_text(args.report, to_html(plans))
    worst = max(plan.missing for plan in plans)
    if worst:
        print(f"does not fit: {amount(worst)} too much on each device")
    return 1 if worst else 0


def _mesh(text: str):
    from mtv_jax.sharding.mesh import AXES, MeshConfig

    sizes = {}
    for part in text.split(","):
        axis, _, size = part.partition("=")
        if axis not in AXES or not size.lstrip("-").isdigit():
            raise UserError(f"--mesh {text}: {part!r} is not AXIS=N with an axis of {', '.join(AXES)}")
        sizes[axis] = int(size)
    # Axes that are not named have size 1.
    return MeshConfig(**({"data": 1} | sizes))


if __name__ == "__main__":
    run(main)
