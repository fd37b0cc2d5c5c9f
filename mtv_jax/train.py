"""`python -m mtv_jax.train --config configs/tiny/denoiser.py`: trains, or goes on with, the run of a config."""

import argparse
import contextlib
import hashlib
import importlib.resources
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from mtv_jax.data.manifests import MANIFEST
from mtv_jax.data.pipeline import make_dataset
from mtv_jax.data.shards import ShardSet, open_shards
from mtv_jax.io import cli
from mtv_jax.io.compilation import enable_compilation_cache
from mtv_jax.io.config import describe, split_overrides, to_plain
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import check_output, existing_directory
from mtv_jax.io.lock import FolderLock
from mtv_jax.models.registry import make_config, trained_by
from mtv_jax.pipelines.presets import PIPELINE, pipeline_folder
from mtv_jax.planning.chips import peak_flops
from mtv_jax.planning.flops import num_tokens
from mtv_jax.planning.memory import row_bound, training_check
from mtv_jax.planning.plans import training_work
from mtv_jax.planning.sizes import LatentSize
from mtv_jax.sharding.distributed import from_first, join_processes
from mtv_jax.sharding.mesh import check_batch_size, make_mesh
from mtv_jax.training.build import make_task
from mtv_jax.training.configs import TrainConfig, load_train_config, train_config, with_network_fields
from mtv_jax.training.export import encoders_folder, export, has_encoders
from mtv_jax.training.init import initial_params_of
from mtv_jax.training.loop import Job, NonFiniteError, fit
from mtv_jax.training.metrics import Throughput
from mtv_jax.training.samples import make_sample_fn
from mtv_jax.training.skipping import parse_range
from mtv_jax.training.stop import StoppedError
from mtv_jax.training.tasks import VAELossConfig
from mtv_jax.weights.model_index import default_clip_size
from mtv_jax.weights.pretrained import load_config as load_model_config

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
    workdir = Path(args.workdir or Path("runs") / _run_name(args.config))
    check_output(workdir, folder=True)
    config = train_config(values.to_dict())
    enable_compilation_cache(config.compilation_cache)
    with locked(workdir):
        job = replace(make_job(config, values, workdir, force=args.force), skip=skip)
        try:
            state = fit(job)
        except NonFiniteError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except StoppedError as stopped:
            print(stopped, file=sys.stderr)
            return stopped.exit_code
        if jax.process_index() == 0:
            print(f"checkpoints and metrics: {workdir}")
            if int(state.step) >= config.num_steps and (config.task == "vae" or has_encoders(job.config)):
                _export(workdir)
    return 0


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """The lock of a run's folder, which the first process holds for all. Raises UserError on all if it is taken."""
    with contextlib.ExitStack() as held:

        def take() -> str:
            held.enter_context(FolderLock(workdir))
            return ""

        from_first("lock", take)
        yield


def _export(workdir: Path) -> None:
    """Makes the pipeline folder of a run that is done, or says how to."""
    if jax.process_count() > 1:
        # Orbax reads with all processes or with one, and the others are gone by now.
        print(f"pipeline folder: python -m mtv_jax.convert --from train --in {workdir} --out DIR")
        return
    export(workdir, workdir / PIPELINE)
    print(f"pipeline folder: {workdir / PIPELINE}")


def make_job(config: TrainConfig, values: ConfigDict, workdir: Path, *, force: bool = False) -> Job:
    """What `config` says to train: model and loss, batches, samples. `values` is what it was made from.

    It is refused where it would not fit into memory, unless `force`.
    """
    check_batch_size(make_mesh(config.mesh), config.data.batch_size, config.accumulate)
    # Mistakes in the model are told before any data is made or read.
    section = config.model
    if section.name not in trained_by(config.task):
        known = " or ".join(trained_by(config.task))
        raise UserError(f"config.model.name {section.name!r}: the task {config.task!r} trains {known}")
    make_config(section.name, section.variant, section.overrides)
    config = with_latent_scale(with_bundled_data(config, workdir))
    model, task = make_task(config)
    initial = initial_params_of(config.init_from, model, workdir)
    shards = open_shards(config.data.dir)
    reading = config.data.pipeline(task.keys, config.data_seed)
    make_dataset(shards, reading)  # its mistakes are told now
    identity = to_plain(values)
    identity["data"] |= {"dir": config.data.dir, "shards": _content(shards)}
    return Job(
        config,
        task,
        lambda n: make_dataset(shards, reading, first_batch=n),
        workdir,
        identity,
        make_sample_fn(config, model, task, shards),
        initial,
        throughput_of(config, model, shards),
        check=training_check(config, task, model.dtype, row_bound(model, shards), force=force),
    )


def throughput_of(config: TrainConfig, model: Any, shards: ShardSet) -> Throughput | None:
    """What a step of a denoiser gets done; of an autoencoder nothing is counted."""
    if config.task == "vae":
        return None
    size = LatentSize(*shards.read(0).arrays["latents_mean"].shape[:3])
    peak = peak_flops(jax.devices()[0].device_kind)
    return Throughput(
        config.data.batch_size * num_tokens(model, size),
        training_work(config, model, size).needed,
        peak and peak * make_mesh(config.mesh).size,
    )


def with_bundled_data(config: TrainConfig, workdir: Path) -> TrainConfig:
    """The config with `data.dir` "bundled" replaced: shards of the clip that comes with the package.

    They are made in the workdir, by the encoders of the preset `tiny`, unless they are there already; of many
    processes the first one makes them.
    """
    if config.data.dir != BUNDLED:
        return config
    folder, frames_only = workdir / "shards", config.task == "vae"

    def make() -> str:
        if (folder / MANIFEST).exists():
            return ""
        from mtv_jax.curation.build import BuildConfig, build_shards
        from mtv_jax.curation.encoders import Encoders

        clips = Path(str(importlib.resources.files("mtv_jax.assets"))) / "clips"
        size = default_clip_size(pipeline_folder("tiny"))
        size = size.replace(num_frames=5) if frames_only else size
        encoders = None if frames_only else Encoders.from_pretrained("tiny")
        build_shards(clips, folder, encoders, BuildConfig(size, stride=3, frames_only=frames_only))
        return ""

    from_first("bundled data", make)
    return replace(config, data=replace(config.data, dir=str(folder)))


def with_latent_scale(config: TrainConfig) -> TrainConfig:
    """The config with the latents' scale, if it does not say, from the autoencoder beside the shards."""
    loss = config.loss
    if isinstance(loss, VAELossConfig) or loss.scaling_factor is not None:
        return config
    if not has_encoders(config):
        existing_directory(config.data.dir)
        raise UserError(
            f"{config.data.dir}: no encoders/ beside the shards to take the latents' scale from; "
            "add --config.loss.scaling_factor=VALUE"
        )
    vae = load_model_config(encoders_folder(config) / "vae")
    return replace(config, loss=replace(loss, scaling_factor=vae.scaling_factor))


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser("train", "Train, or go on with a run of the same --workdir.")
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
        "and their noise; the workdir remembers it, so once is enough; may be given several times",
    )
    cli.add_force(parser, "memory")
    parser.epilog = (
        "--config.KEY=VALUE replaces a value of the config; --config FILE.py --help lists the keys. "
        "On SIGTERM, and on Ctrl-C, it finishes the step, saves, and exits with 143 or 130; a second Ctrl-C aborts at "
        "once; the same command goes on. Other exit codes: 0 done, 1 failed (a loss that is not finite, say), 2 bad "
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


def _run_name(spec: str) -> str:
    """`configs/stage3.py:tiny` -> `stage3-tiny`, `configs/tiny/vae.py` -> `tiny/vae`."""
    path, _, argument = spec.partition(":")
    parts = Path(path).with_suffix("").parts
    # The last `configs` of the path: a checkout may lie in another folder of that name.
    above = parts[-2::-1]
    depth = above.index("configs") + 1 if "configs" in above else 1
    inside = parts[-depth:]
    return "/".join(inside) + (f"-{argument}" if argument else "")


def _content(shards: ShardSet) -> str:
    """A name for what shards hold, wherever they lie."""
    digests = "".join(shard["sha256"] for shard in shards.manifest["shards"])
    return hashlib.sha256(digests.encode()).hexdigest()[:16]


if __name__ == "__main__":
    cli.run(main)
