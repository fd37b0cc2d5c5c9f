"""Initial parameters of a new run (`config.init_from`): another run's checkpoint, or a pipeline folder.

`find_start` and `check_start` detect all errors from shapes, before any array is read.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from mtv_jax.io.errors import UserError
from mtv_jax.models.cim_unet2d import CIMUNet2DConfig
from mtv_jax.models.denoisers import backbone_of
from mtv_jax.models.registry import spec_of
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.pipelines.presets import CHECKPOINTS, PRESETS, pipeline_folder
from mtv_jax.sharding.distributed import gather
from mtv_jax.sharding.rules import tree_shardings
from mtv_jax.text.pretrained import TextEncoder
from mtv_jax.training.checkpoint import Checkpoints, read_params
from mtv_jax.training.state import merge
from mtv_jax.typing import Params
from mtv_jax.weights.composite import join_params, split_params
from mtv_jax.weights.json_config import CONFIG_FILE
from mtv_jax.weights.model_index import TextOptions, text_options
from mtv_jax.weights.pretrained import build_model, load_model
from mtv_jax.weights.rules import flat_paths

_NEEDED = "a CIM is trained with unet/ (of pictures), imagebind/, text_encoder/ and tokenizer/"


@dataclass(frozen=True)
class Start:
    """Parameters to start from.

    Attributes:
      origin: where they are, for messages.
      shapes: their shapes, under the paths of the network that is trained.
      load: reads them, float32, onto a mesh by the rules of `mtv_jax.sharding`.
      absent: paths that may be missing because they are initialised at random: the parameters of a network with a
        controlnet that are not the backbone's, if only a backbone is given; those of a network that extends the given
        one (`NetworkSpec.extends`) which the given one does not have.
    """

    origin: str
    shapes: Params
    load: Callable[[Mesh], Params]
    absent: frozenset[str] = frozenset()


def initial_params_of(
    init_from: str | None, model: nn.Module, workdir: Path
) -> Callable[[Mesh], Params] | None:
    """A function that reads the initial parameters of a run in `workdir` onto a mesh; they are checked here.

    None for random initialisation, or if the run has a checkpoint to resume from. Raises UserError as `find_start` and
    `check_start` do.
    """
    if not init_from or _has_checkpoint(workdir):
        return None
    start = find_start(init_from, model)
    check_start(start, parameter_shapes(model))
    return start.load


def find_start(init_from: str, model: nn.Module) -> Start:
    """The parameters of `init_from` for `model`.

    A training directory stands for its newest checkpoint and must be finished; `<directory>/checkpoints/<step>` stands
    for that checkpoint. The moving average is used where there is one. Raises UserError if there are no parameters.
    """
    path = Path(init_from)
    if path.parent.name == CHECKPOINTS and path.name.isdecimal():
        return _checkpoint(path.parent.parent, int(path.name))
    if (path / CHECKPOINTS).is_dir():
        return _checkpoint(path, None)
    if init_from not in PRESETS and not path.is_dir():
        raise UserError(
            f"config.init_from {init_from}: no such training directory or pipeline folder; "
            "train the previous stage, or give --config.init_from=DIR"
        )
    return _folder(pipeline_folder(init_from), model)


def check_start(start: Start, shapes: Params) -> None:
    """Raises UserError, naming parameters, unless `start` fits a network whose parameters have `shapes`."""
    there, wanted = flat_paths(start.shapes), flat_paths(shapes)
    wrong = [
        f"{path} has the shape {there[path].shape}, this run needs {leaf.shape}"
        for path, leaf in wanted.items()
        if path in there and there[path].shape != leaf.shape
    ]
    for path in wanted:
        if path not in there and path not in start.absent:
            wrong.append(f"{path} is not there")
    wrong += [f"{path} is not of this run's network" for path in there if path not in wanted]
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(f"config.init_from {start.origin}: another network's: {'; '.join(wrong[:3])}{more}")


def _has_checkpoint(workdir: Path) -> bool:
    here = any(path.name.isdecimal() for path in (workdir / CHECKPOINTS).glob("*"))
    return gather(here)[0]


def _checkpoint(workdir: Path, step: int | None) -> Start:
    """A run's checkpoint; with `step` None the newest one, of a finished run."""
    with Checkpoints(workdir, read_only=True) as checkpoints:
        steps = checkpoints.steps()
        chosen = max(steps, default=None) if step is None else step
        if chosen not in steps:
            what = "no checkpoint" if step is None else f"no checkpoint of step {step}"
            raise UserError(f"config.init_from {workdir}: {what} in it")
        num_steps = checkpoints.run(chosen)["config"].get("num_steps", 0)
        if step is None and chosen < num_steps:
            raise UserError(
                f"config.init_from {workdir}: stopped at step {chosen} of {num_steps}; let it finish, or start from "
                f"what it has by --config.init_from={workdir / CHECKPOINTS / str(chosen)}"
            )
        saved = checkpoints.shapes("params", chosen)
    shapes = merge(saved["params"], saved["frozen"])
    return Start(f"{workdir} (step {chosen})", shapes, partial(_load_checkpoint, workdir, chosen))


def _load_checkpoint(workdir: Path, step: int, mesh: Mesh) -> Params:
    with Checkpoints(workdir, read_only=True) as checkpoints:
        return read_params(checkpoints, step, mesh)


def _folder(folder: Path, model: nn.Module) -> Start:
    """The part of a pipeline folder that is `model`, or what `model` extends; the backbone of one with a controlnet."""
    spec, composite = spec_of(model), spec_of(model).composite
    if spec.parts:
        return _cim_parts(folder, model)
    needed = folder / (composite.backbone.folder if composite else spec.folder)
    if not (needed / CONFIG_FILE).exists():
        raise UserError(
            f"config.init_from {folder}: neither a training directory ({CHECKPOINTS}/) nor a pipeline folder with "
            f"{needed.name}/"
        )
    part = spec.folder_in(folder)
    found = build_model(part)
    if composite is None or spec_of(found).composite is composite:
        there = parameter_shapes(found)
        own = flat_paths(parameter_shapes(model)).keys() - flat_paths(there).keys()
        extends = spec_of(found).name == spec.extends
        return Start(str(part), there, partial(_load, part), frozenset(own if extends else ()))
    shapes = join_params(composite, parameter_shapes(found))
    _, own = split_params(parameter_shapes(model), composite, parameter_shapes(backbone_of(model)))
    return Start(
        str(folder),
        shapes,
        lambda mesh: join_params(composite, _load(folder, mesh)),
        frozenset(flat_paths(own)),
    )


def _cim_parts(folder: Path, model: Any) -> Start:
    """The parts of a `CIMUNet2D` in a folder, each in its own; there need not be a `cim/`."""
    shapes, absent = {}, frozenset[str]()
    parts = {part.folder: part for part in spec_of(model).parts}
    for name, part in parts.items():
        if (folder / name / CONFIG_FILE).exists():
            found = build_model(folder / name)
            if spec_of(found) is not part:
                raise UserError(
                    f"config.init_from {folder / name}: a network {spec_of(found).name!r}, must be {part.name!r}"
                )
            shapes[name] = parameter_shapes(found)["params"]
        elif name == "cim":
            whole = flat_paths(parameter_shapes(model))
            absent = frozenset(path for path in whole if path.startswith(f"{name}/"))
        else:
            raise UserError(f"config.init_from {folder}: no {name}/ in it; {_NEEDED}")
    if not (folder / "text_encoder").is_dir():
        raise UserError(f"config.init_from {folder}: no text_encoder/ in it; {_NEEDED}")
    config = model.config
    shapes["no_text"] = jax.ShapeDtypeStruct((config.text_length, config.unet.text_embed_dim), jnp.float32)

    def load(mesh: Mesh) -> Params:
        read = {name: _load(folder / name, mesh)["params"] for name in shapes if name in parts}
        params = {"params": read | {"no_text": _empty_text(folder, config)}}
        return jax.device_put(params, tree_shardings(params, mesh))

    return Start(str(folder), {"params": shapes}, load, absent)


def _empty_text(folder: Path, config: CIMUNet2DConfig) -> np.ndarray:
    """The embedding [l d] of an empty text, encoded as the folder says if it is a pipeline of ours."""
    options = text_options(folder) or TextOptions(config.text_length)
    encoder = TextEncoder.from_pretrained(folder, replace(options, text_length=config.text_length))
    (text,) = encoder([""])
    if text.shape[1] != config.unet.text_embed_dim:
        raise UserError(
            f"config.init_from {folder}: text_encoder/ gives {text.shape[1]} numbers a token, unet/ takes "
            f"{config.unet.text_embed_dim}"
        )
    return text


def _load(folder: Path, mesh: Mesh) -> Params:
    return load_model(folder, mesh=mesh)[1]
