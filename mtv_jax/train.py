"""`python -m mtv_jax.train --config configs/tiny/denoiser.py`: trains, or resumes, the run of a config."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import jax
from ml_collections import ConfigDict

from mtv_jax.io import cli
from mtv_jax.io.compilation import enable_compilation_cache
from mtv_jax.io.config import describe, split_overrides
from mtv_jax.io.files import check_output
from mtv_jax.pipelines.presets import PIPELINE
from mtv_jax.planning.memory import row_bound, training_check
from mtv_jax.planning.throughput import throughput_of
from mtv_jax.sharding.distributed import from_first, join_processes
from mtv_jax.training.configs import TrainConfig, load_train_config, train_config, with_network_fields
from mtv_jax.training.export import export, has_encoders
from mtv_jax.training.job import check_config, make_job, set_up
from mtv_jax.training.loop import Job, NonFiniteError, fit
from mtv_jax.training.skipping import parse_range
from mtv_jax.training.stop import StoppedError
from mtv_jax.training.workdir import locked, run_name

BUNDLED = "bundled"


def main(argv: list[str]) -> int:
    """Runs the command; see `mtv_jax.io.cli.run` for exit codes."""
    rest, overrides = split_overrides(argv)
    parser = _parser()
    if {"-h", "--help"} & set(rest):
        return _help(parser, rest)
    args = parser.parse_args(rest)
    skip = tuple(parse_range(text) for text in args.skip_batches)
    join_processes()
    values = load_train_config(args.config, overrides)
    workdir = Path(args.workdir or Path("runs") / run_name(args.config))
    check_output(workdir, folder=True)
    config = train_config(values.to_dict())
    enable_compilation_cache(config.compilation_cache)
    with locked(workdir):
        return _train(_job(config, values, workdir, skip, force=args.force))


def _job(
    config: TrainConfig, values: ConfigDict, workdir: Path, skip: tuple[tuple[int, int], ...], *, force: bool
) -> Job:
    """The run's job. It is refused when it starts if it would not fit into memory, unless `force`."""
    setup = set_up(_with_bundled_data(config, workdir))
    bound = row_bound(setup.model, setup.shards)
    check = training_check(setup.config, setup.task, setup.model.dtype, bound, force=force)
    return make_job(setup, values, workdir, throughput=throughput_of(setup), skip=skip, check=check)


def _with_bundled_data(config: TrainConfig, workdir: Path) -> TrainConfig:
    """The config with `data.dir` "bundled" replaced by shards in the workdir, which the first process builds."""
    if config.data.dir != BUNDLED:
        return config
    from mtv_jax.curation.bundled import build_bundled_shards

    check_config(config)  # before anything is built
    folder, frames_only = workdir / "shards", config.task == "vae"
    made = from_first("bundled data", lambda: str(build_bundled_shards(folder, frames_only=frames_only)))
    return replace(config, data=replace(config.data, dir=made))


def _train(job: Job) -> int:
    """Runs the job and, when it is done, makes its pipeline folder. The exit code."""
    try:
        state = fit(job)
    except NonFiniteError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except StoppedError as stopped:
        print(stopped, file=sys.stderr)
        return stopped.exit_code
    if jax.process_index() == 0:
        print(f"checkpoints and metrics: {job.workdir}")
        done = int(state.step) >= job.config.num_steps
        if done and (job.config.task == "vae" or has_encoders(job.config)):
            _export(job.workdir)
    return 0


def _export(workdir: Path) -> None:
    """Makes the pipeline folder of a finished run, or prints the command that does."""
    if jax.process_count() > 1:
        # Orbax reads with all processes or with one, and the others have exited by now.
        print(f"pipeline folder: python -m mtv_jax.convert --from train --in {workdir} --out DIR")
        return
    export(workdir, workdir / PIPELINE)
    print(f"pipeline folder: {workdir / PIPELINE}")


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("train", "Train, or resume the run of the same --workdir.")
    parser.add_argument("--config", required=True, metavar="FILE.py[:ARG]", help="config file")
    parser.add_argument(
        "--workdir", help="checkpoints, metrics and samples go here; by default runs/<name of the config>"
    )
    parser.add_argument(
        "--skip-batches",
        metavar="A:B",
        action="append",
        default=[],
        help="leave out the batches A to B - 1 (numbered from 0; a step that is not finite names its own), their data "
        "and their noise; it is recorded in the workdir, so once is enough; may be given several times",
    )
    cli.add_force(parser, "memory")
    parser.epilog = (
        "--config.KEY=VALUE replaces a value of the config; --config FILE.py --help lists the keys. "
        "On SIGTERM, and on Ctrl-C, it finishes the step, saves, and exits with 143 or 130; a second Ctrl-C aborts at "
        "once; the same command resumes. Other exit codes: 0 done, 1 failed (a loss that is not finite, say), 2 bad "
        "usage, or a workdir in use by another run (its lock.json names the process; the lock of a dead process is "
        "taken over)."
    )
    return parser


def _help(parser: argparse.ArgumentParser, rest: list[str]) -> int:
    """The usage, and the keys of the config if one is named."""
    finder = argparse.ArgumentParser(add_help=False)
    finder.add_argument("--config")
    spec = finder.parse_known_args(rest)[0].config
    print(parser.format_help())
    if spec:
        print(f"keys of {spec}, with their values:\n{describe(with_network_fields(load_train_config(spec)))}")
    return 0


if __name__ == "__main__":
    cli.run(main)
