"""Writes configs/values.json: every value of every config of the training command and of its network.

`python tests/goldens/make_configs.py` writes the file: an object with a line for each config and argument.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from mtv_jax.io.config import to_plain
from mtv_jax.models.registry import make_config
from mtv_jax.training.configs import load_train_config, train_config

FILE = Path(__file__).with_name("configs") / "values.json"
SAVED = FILE.with_name("saved.json")
"""Configs as the version before generated trees saved them in checkpoints; given, not made."""
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
ARGUMENTS = {
    "stage1": ("", "tiny", "speakers=2"),
    "stage2": ("", "tiny"),
    "stage3": ("", "tiny", "tiny,speakers=4"),
    "stage4": ("", "tiny"),
    "stage5": ("", "tiny"),
    "vae": ("", "tiny"),
    "tiny/backbone": ("",),
    "tiny/denoiser": ("",),
    "tiny/finish": ("",),
    "tiny/mixed": ("", "early", "late"),
    "tiny/vae": ("",),
    "maestro/image": ("", "tiny"),
    "maestro/vae": ("", "mse"),
    "maestro/cim": ("", "tiny", "released", "landscape"),
    "maestro/video": ("", "tiny", "objects", "objects,partial"),
}
"""The arguments that each config takes."""
SPECS = tuple(
    f"{name}.py{argument and ':'}{argument}" for name, all_of in ARGUMENTS.items() for argument in all_of
)


def values(spec: str) -> dict[str, Any]:
    """All values of the config `spec`, a path below `configs/`, and those of its network's own config.

    A folder of shards is given if it names none.
    """
    found: Any = load_train_config(f"{CONFIGS / spec}")
    if not found.data.dir:
        found.data.dir = "shards"
    config = train_config(found.to_dict())
    network = make_config(config.model.name, config.model.variant, config.model.overrides)
    return to_plain(dataclasses.asdict(config) | {"network": dataclasses.asdict(network)})


def to_text(configs: dict[str, dict[str, Any]]) -> str:
    """The file's content."""
    lines = [f" {json.dumps(spec)}: {json.dumps(found)}" for spec, found in configs.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(to_text({spec: values(spec) for spec in SPECS}))
