"""`python -m mtv_jax.train --config configs/tiny/denoiser.py`: trains, or resumes, the run of a config."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mtv_jax.io.cli import run
from mtv_jax.io.config import describe, split_overrides
from mtv_jax.io.files import check_output
from mtv_jax.training.flags import named_config, train_parser
from mtv_jax.training.skipping import parse_range

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from mtv_jax.evaluation.videos.in_training import Evaluation
    from mtv_jax.training.configs import TrainConfig
    from mtv_jax.training.job import Setup
    from mtv_jax.training.loop import Job

BUNDLED = "bundled"


def main(argv: list[str]) -> int:
    """Runs the command; see `mtv_jax.io.cli.run` for exit codes."""
    rest, overrides = split_overrides(argv)
    if {"-h", "--help"} & set(rest):
        return _help(rest)
    args = train_parser().parse_args(rest)
    skip = tuple(parse_range(text) for text in args.skip_batches)

    from mtv_jax.io.compilation import enable_compilation_cache
    from mtv_jax.sharding.distributed import join_processes
    from mtv_jax.training.configs import load_train_config, train_config
    from mtv_jax.training.job import run_job
    from mtv_jax.training.workdir import locked, run_name

    join_processes()
    values = load_train_config(args.config, overrides)
    workdir = Path(args.workdir or Path("runs") / run_name(args.config))
    check_output(workdir, folder=True)
    config = train_config(values.to_dict())
    enable_compilation_cache(config.compilation_cache)
    with locked(workdir):
        return run_job(_job(config, values, workdir, skip, force=args.force))


def _job(
    config: "TrainConfig",
    values: "ConfigDict",
    workdir: Path,
    skip: tuple[tuple[int, int], ...],
    *,
    force: bool,
) -> "Job":
    """The run's job. It is refused when it starts if it would not fit into memory, unless `force`."""
    from mtv_jax.planning.throughput import throughput_of
    from mtv_jax.planning.training_memory import row_bound, training_check
    from mtv_jax.training.job import make_job, set_up

    setup = set_up(_with_bundled_data(config, workdir))
    bound = row_bound(setup.model, setup.shards)
    check = training_check(setup.config, setup.task, setup.model.dtype, bound, force=force)
    return make_job(
        setup,
        values,
        workdir,
        evaluate=_evaluation(setup, workdir),
        throughput=throughput_of(setup),
        skip=skip,
        check=check,
    )


def _evaluation(setup: "Setup", workdir: Path) -> "Evaluation | None":
    """What measures the parameters by `config.evaluate`; None if that is off."""
    how = setup.config.evaluate
    if not how.every:
        return None
    from mtv_jax.evaluation.videos.in_training import Evaluation, open_metrics
    from mtv_jax.training.held_out import open_held_out

    tools = open_metrics(how.metrics, Path(how.weights) if how.weights else None)
    held_out = open_held_out(setup.config, setup.model, setup.task)
    make, tracks, out = held_out.make, setup.model.tracks, workdir / "evaluation"
    return Evaluation(tools, held_out.media, how.clips, make, tracks, how.seed, out)


def _with_bundled_data(config: "TrainConfig", workdir: Path) -> "TrainConfig":
    """The config with `data.dir` "bundled" replaced by shards in the workdir, which the first process builds."""
    if config.data.dir != BUNDLED:
        return config
    from mtv_jax.curation.bundled import build_bundled_shards
    from mtv_jax.sharding.distributed import from_first
    from mtv_jax.training.job import check_config

    check_config(config)  # before anything is built
    folder, frames_only = workdir / "shards", config.task == "vae"
    made = from_first("bundled data", lambda: str(build_bundled_shards(folder, frames_only=frames_only)))
    return replace(config, data=replace(config.data, dir=made))


def _help(argv: list[str]) -> int:
    """Prints the usage, and the keys of the config if one is named."""
    print(train_parser().format_help())
    spec = named_config(argv)
    if spec:
        from mtv_jax.training.configs import load_train_config, with_network_fields

        print(f"keys of {spec}, with their values:\n{describe(with_network_fields(load_train_config(spec)))}")
    return 0


if __name__ == "__main__":
    run(main)
