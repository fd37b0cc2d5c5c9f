"""Writes stages/*.txt: what the configs of the stages do to every parameter.

`parameters-<name>.txt` has a line for each parameter: its shape, whether it trains, is decayed, its factor on the
learning rate, and how it is sharded on a mesh of 16 devices. Those of the stages are the same, so there is one for
each size, and one for each ablation at full size. The values of the configs are in configs/values.json.

`python tests/goldens/make_stages.py` writes the files. Only shapes are computed, so it needs no memory.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from jax.sharding import AbstractMesh

from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.sharding.mesh import AXES
from mtv_jax.sharding.rules import map_paths, match_rules, partition_spec
from mtv_jax.training import optim
from mtv_jax.training.configs import ABLATIONS, TrainConfig, load_train_config, train_config

FOLDER = Path(__file__).with_name("stages")
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
MESH = AbstractMesh((1, 8, 2, 1), AXES)
TABLES = {"full": ("stage3", None), "tiny": ("stage3-tiny", None)} | {
    name: ("stage3", name) for name in ABLATIONS
}
"""Name of a table of parameters -> the stage and the ablation that it is of."""


def resolve(stage: str, ablation: str | None = None, **overrides: str) -> TrainConfig:
    """The config of `stage3` or `stage3-tiny`, as the train command reads it."""
    name, _, argument = stage.partition("-")
    given = {"data.dir": "shards", **overrides} | ({"ablation": ablation} if ablation else {})
    return train_config(load_train_config(f"{CONFIGS / name}.py:{argument}", given).to_dict())


def network_config(config: TrainConfig) -> Any:
    """The config of a run's network."""
    return make_config(config.model.name, config.model.variant, config.model.overrides)


def parameters_text(name: str) -> str:
    """The table of parameters of one of `TABLES`, after its sums."""
    config = resolve(*TABLES[name])
    shapes = parameter_shapes(make_model(config.model.name, network_config(config)))
    trains = optim.is_trainable(config.optimizer)
    sums = {True: 0, False: 0}
    map_paths(lambda path, leaf: sums.update({trains(path): sums[trains(path)] + leaf.size}), shapes)
    lines = [f"# {sum(sums.values()):,} parameters: {sums[True]:,} train, {sums[False]:,} are frozen"]
    return "\n".join([*lines, *_rows(config.optimizer, shapes)]) + "\n"


def _rows(optimizer: optim.OptimizerConfig, shapes: Any) -> Iterator[str]:
    decayed = _flat(optim.decay_mask(optimizer, shapes))
    trains = optim.is_trainable(optimizer)
    for path, leaf in sorted(_flat(shapes).items()):
        rule = "frozen"
        if trains(path):
            factor = match_rules(path, optimizer.lr_factors, 1.0)
            rule = f"trains x{factor:g}{' decayed' if decayed[path] else ''}"
        spec = ", ".join(str(axis or "-") for axis in partition_spec(path, leaf.shape, MESH))
        shape = " x ".join(map(str, leaf.shape))
        yield f"{path:<62}{shape:<22}{rule:<20}{spec}".rstrip()


def _flat(tree: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    map_paths(found.__setitem__, tree)
    return found


FILES: dict[str, Callable[[], str]] = {
    f"parameters-{name}.txt": partial(parameters_text, name) for name in TABLES
}
"""What makes each file."""


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for file, make in FILES.items():
        (FOLDER / file).write_text(make())
