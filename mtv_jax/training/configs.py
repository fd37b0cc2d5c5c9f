"""The training config: frozen dataclasses, the tree that a config file fills in, and the conversion between them."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from mtv_jax.data.pipeline import DataConfig
from mtv_jax.io.checks import check_whole
from mtv_jax.io.config import check_finite, load_config, override, to_plain
from mtv_jax.io.errors import UserError
from mtv_jax.io.limits import check_guidance
from mtv_jax.io.trees import from_dict, to_tree
from mtv_jax.models.registry import controlnet_parameters, make_config
from mtv_jax.names import SamplerName
from mtv_jax.ops.seeds import check_seed
from mtv_jax.ops.stack import REMAT_POLICIES
from mtv_jax.sharding.mesh import MeshConfig
from mtv_jax.training.cim_task import CIMLossConfig
from mtv_jax.training.optim import OptimizerConfig
from mtv_jax.training.tasks import DenoiserLossConfig, VAELossConfig

TASKS = {"denoiser": DenoiserLossConfig, "vae": VAELossConfig, "cim": CIMLossConfig}

MAY_CHANGE = (
    "num_steps",
    "checkpoint",
    "sample",
    "evaluate",
    "mesh",
    "compilation_cache",
    "data.dir",
    "init_from",
    "pipeline",
)
"""Keys (or sections) whose values may differ when a run is resumed. The others identify the run: a checkpoint with
other values belongs to another run. (The data is identified by its content, `data.shards`, not its path; the starting
point of a run is in its weights.)"""

_RETIRED = ("sample.num",)
"""Obsolete keys of earlier versions; a saved config may have them."""

ABLATIONS = ("no_separate_extraction", "no_separate_injection", "frozen_backbone")
"""Values of `config.ablation`: `W/o SE`, `W/o SI` and `W/o TB` of MTV's Table 2."""

_MOST = 2**31 - 1
"""Upper limit of counts."""

_NETWORK = "model.overrides"
"""Where a config replaces fields of its network."""


@dataclass(frozen=True)
class ModelSection:
    """A network: name and variant of `mtv_jax.models.registry`, fields replaced, and how it computes."""

    name: str
    variant: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    remat: str = "none"

    def __post_init__(self):
        if self.remat not in REMAT_POLICIES:
            raise UserError(f"config.model.remat {self.remat!r}: must be one of {', '.join(REMAT_POLICIES)}")


@dataclass(frozen=True)
class DataSection:
    """Which shards, and how they are read (`mtv_jax.data.pipeline.DataConfig`).

    A subset whose weight in `mixture` is 0 is excluded; if all weights are 0, every clip is read.
    """

    dir: str
    batch_size: int
    text_length: int | None = None
    mixture: Mapping[str, float] | None = None
    num_workers: int = 0
    read_threads: int = 4
    prefetch_batches: int = 4

    def pipeline(self, keys: tuple[str, ...], seed: int) -> DataConfig:
        """The reader's config: endless, shuffled by `seed`, yielding `keys`."""
        read = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "dir"}
        if self.mixture:
            chosen = {name: weight for name, weight in self.mixture.items() if weight != 0}
            read["mixture"] = chosen or None
        if "text" not in keys:
            read["text_length"] = None
        return DataConfig(seed=seed, keys=keys, **read)


@dataclass(frozen=True)
class CheckpointSection:
    """Save every `every` steps and at the end, and keep the last `keep` checkpoints."""

    every: int = 1000
    keep: int = 3


@dataclass(frozen=True)
class SampleSection:
    """A sample video of one clip every `every` steps (0: never). The other fields also set how the exported pipeline
    samples."""

    every: int = 1000
    sampler: SamplerName = "dpm++"
    num_inference_steps: int = 20
    guidance_scale: float = 3.5


@dataclass(frozen=True)
class EvaluateSection:
    """Figures of videos of held-out clips, every `every` steps and at the end (0: never).

    Attributes:
      metrics: names of the catalogue (`evaluate --metrics list`), with commas between them.
      clips: how many: the first of the test split beside the shards.
      weights: folder of the metrics' networks, as of `evaluate --weights`.
      num_inference_steps, guidance_scale: None: those of `sample`, whose sampler is used.
      seed: of the noise, which depends on it and the clip only.
    """

    every: int = 0
    metrics: str = "av_align,flicker,motion"
    clips: int = 8
    weights: str | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    seed: int = 0

    def __post_init__(self):
        check_whole("config.evaluate.every", self.every, least=0, most=_MOST)
        check_whole("config.evaluate.clips", self.clips, most=_MOST)
        if self.num_inference_steps is not None:
            check_whole("config.evaluate.num_inference_steps", self.num_inference_steps, most=_MOST)
        if self.guidance_scale is not None:
            check_guidance(self.guidance_scale)
        check_seed(self.seed, "config.evaluate.seed")


@dataclass(frozen=True)
class TrainConfig:
    """Config of a training run.

    Attributes:
      init_from: what a new run starts from: a training directory or a pipeline folder
        (`mtv_jax.training.init`). None or "": random weights.
      pipeline: of the task `cim`, a Maestro pipeline folder: a copy of it with the trained network is exported.
      ablation: one of `ABLATIONS`, or None; `train_config` changes model and optimiser accordingly.
      seed: of new parameters, of the order of the data, and of all random draws in a step.
      stream: which of the seed's streams of data order and random draws to use. Runs that start from one another
        need different streams; otherwise noise, timesteps and dropout of the previous run would repeat. 0 is the
        stream of runs saved before this field existed.
    """

    task: str
    num_steps: int
    model: ModelSection
    loss: DenoiserLossConfig | VAELossConfig | CIMLossConfig
    data: DataSection
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)
    checkpoint: CheckpointSection = field(default_factory=CheckpointSection)
    sample: SampleSection = field(default_factory=SampleSection)
    evaluate: EvaluateSection = field(default_factory=EvaluateSection)
    accumulate: int = 1
    seed: int = 0
    stream: int = 0
    compilation_cache: str = "auto"
    init_from: str | None = None
    pipeline: str | None = None
    ablation: str | None = None

    def __post_init__(self):
        if self.ablation not in (None, *ABLATIONS):
            raise UserError(f"config.ablation {self.ablation!r}: must be one of {', '.join(ABLATIONS)}")
        if self.ablation is not None and self.model.name != "mtv":
            raise UserError(
                f"config.ablation {self.ablation!r}: is of the network 'mtv', not {self.model.name!r}"
            )
        if self.accumulate < 1:
            raise UserError(f"config.accumulate {self.accumulate}: must be at least 1 (parts of a batch)")
        if self.sample.num_inference_steps < 1:
            raise UserError("config.sample.num_inference_steps: must be at least 1")
        if self.num_steps < 1:
            raise UserError(f"config.num_steps {self.num_steps}: must be at least 1")
        if self.checkpoint.every < 1 or self.checkpoint.keep < 1:
            raise UserError("config.checkpoint.every and config.checkpoint.keep: must be at least 1")
        if self.sample.every < 0:
            raise UserError(f"config.sample.every {self.sample.every}: must be 0 (never) or more")
        check_seed(self.seed, "config.seed")
        check_whole("config.stream", self.stream, least=0, most=_MOST)  # folded into the key as 32 bits

    @property
    def data_seed(self) -> int:
        """The seed of the data order, derived from `seed` and `stream`."""
        if not self.stream and self.seed < 2**32:
            return self.seed
        # 31 bits: Grain takes 32, and the subsets of a mixture add their index to it.
        return int(np.random.SeedSequence((self.seed, self.stream)).generate_state(1)[0] >> 1)


def load_train_config(spec: str, flags: Mapping[str, str] | None = None) -> ConfigDict:
    """The locked config of `spec` with dotted keys replaced, as `mtv_jax.io.config.load_config`.

    `model.overrides.X` is field X of the network's config (`controlnet.rope_queries`); only fields that
    are given are stored. Raises UserError for an unknown key or field, and for a value of another type.
    """
    flags = dict(flags or {})
    of_network = {key: flags.pop(key) for key in list(flags) if key.startswith(f"{_NETWORK}.")}
    config = load_config(spec, flags)
    if not of_network:
        return config
    whole = with_network_fields(config)
    for key, text in of_network.items():
        override(whole, key, text)
        _copy_value(whole, config, key)
    return config


def with_network_fields(config: ConfigDict) -> ConfigDict:
    """A copy whose `model.overrides` has every field of the network's config, with its resolved value."""
    model: Any = config.model
    network = asdict(make_config(model.name, model.variant, model.overrides.to_dict()))
    whole: Any = ConfigDict(config.to_dict(preserve_field_references=True))
    whole.model.overrides = ConfigDict(network)
    return whole.lock()


def _copy_value(source: Any, target: Any, key: str) -> None:
    """Copies the value of the dotted `key` from `source` to `target`, creating missing sections."""
    *parents, name = key.split(".")
    with target.unlocked():
        for parent in parents:
            source = source[parent]
            if parent not in target:
                target[parent] = ConfigDict()
            target = target[parent]
        target[name] = source[name]


def tree(task: str) -> ConfigDict:
    """The tree of `TrainConfig` for a task, `denoiser`, `vae` or `cim`: every field with its default.

    A config file starts from it and overrides fields. Fields without a default (`num_steps`, `model.name`,
    `model.variant`, `data.dir`, `data.batch_size`) are None. `train_config` is the inverse.
    """
    values = to_tree(TrainConfig, {"loss": TASKS[task]})
    values.task = task
    return values


def train_config(values: Mapping[str, Any]) -> TrainConfig:
    """The config of a tree as nested dicts (`tree(task).to_dict()`), with its `ablation` applied.

    Raises UserError naming the key for one that is unknown, missing or out of range.
    """
    check_finite(values)
    task = values.get("task")
    if task not in TASKS:
        raise UserError(f"config.task {task!r}: must be one of {', '.join(TASKS)}")
    return _ablated(from_dict(TrainConfig, values, "config", {"loss": TASKS[task]}))


def saved_train_config(values: Mapping[str, Any]) -> TrainConfig:
    """The config that a run saved, possibly with an earlier version. Raises UserError as `train_config`."""
    plain = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    # The content of the shards is saved to identify the run; it is not a setting.
    plain.get("data", {}).pop("shards", None)
    for key in _RETIRED:
        section, _, name = key.partition(".")
        plain.get(section, {}).pop(name, None)
    return train_config(plain)


def _ablated(config: TrainConfig) -> TrainConfig:
    """The config with its `ablation` applied."""
    if config.ablation is None:
        return config
    if config.ablation == "frozen_backbone":
        own = controlnet_parameters(config.model.name)
        return replace(config, optimizer=replace(config.optimizer, trainable=own))
    overrides = dict(config.model.overrides)
    field_off = {config.ablation.removeprefix("no_"): False}
    overrides["controlnet"] = {**overrides.get("controlnet", {}), **field_off}
    return replace(config, model=replace(config.model, overrides=overrides))


def differences(saved: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Keys whose value differs between a resumed run and its checkpoint, as `key (was x, is y)`.

    Keys of `MAY_CHANGE` are excluded. A missing key has its default, so that a checkpoint that predates a key can be
    resumed.
    """
    # A config that can no longer be parsed is compared as saved.
    with contextlib.suppress(UserError):
        saved, now = _complete(saved), _complete(now)
    yield from _differences(saved, now, "")


def _complete(values: Mapping[str, Any]) -> dict[str, Any]:
    """A run's identity with its defaults filled in. Raises UserError as `train_config`."""
    config = saved_train_config(values)
    whole = to_plain(asdict(config))
    section = config.model
    with contextlib.suppress(UserError):  # a network that is not in the registry
        whole["model"]["overrides"] = to_plain(
            asdict(make_config(section.name, section.variant, section.overrides))
        )
    return whole | {"data": whole["data"] | {"shards": values.get("data", {}).get("shards")}}


def _differences(saved: Mapping[str, Any], now: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key in sorted(saved.keys() | now.keys()):
        path, was, now_is = prefix + key, saved.get(key), now.get(key)
        if path in MAY_CHANGE:
            continue
        if isinstance(was, Mapping) and isinstance(now_is, Mapping):
            yield from _differences(was, now_is, f"{path}.")
        elif was != now_is:
            yield f"{path} (was {was!r}, is {now_is!r})"
