"""Declarations of networks, one in the folder of each network (`spec.py`).

`mtv_jax.models.registry` collects the declarations. Loading, saving, conversion, planning, training and export depend
only on them, so that adding a network takes one `NetworkSpec` and one weight table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import flax.linen as nn

TaskName = Literal["denoiser", "vae", "cim"]


def _call(model: Any, *inputs: Any) -> Any:
    return model(*inputs)


def _no_tracks(config: Any, latent_frames: int) -> dict[str, tuple[int, ...]]:
    return {}


@dataclass(frozen=True)
class Backbone:
    """Interface of a denoiser for controlnets.

    Attributes:
      injection: path, in its parameter tree, of the module that a controlnet adds to each of its layers.
      stage_parameters: regular expressions of its own parameters that train together with a controlnet.
    """

    injection: str
    stage_parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Composite:
    """Composition of a network from a backbone and an added part (a controlnet).

    A pipeline folder stores them separately: the backbone as a network without controlnet, and beside it the addition,
    which is every parameter that is not the backbone's.

    Attributes:
      backbone: the underlying network, which exports an injection point.
      backbone_field: field of the network's config that holds the backbone's config.
      own_field: field of the network's config that holds the config of its own part.
      backbone_group: group of the network's parameters that holds the backbone's.
      own_group: group of the network's parameters that holds its own, beside those at the injection point.
    """

    backbone: "NetworkSpec"
    backbone_field: str
    own_field: str
    backbone_group: str
    own_group: str

    @property
    def own_parameters(self) -> tuple[str, ...]:
        """Regular expressions of the network's own parameters."""
        exported = self.backbone.backbone
        assert exported is not None, f"{self.backbone.name} exports no injection point"
        return f"{self.own_group}/.*", f"{self.backbone_group}/{exported.injection}/.*"

    @property
    def stage_parameters(self) -> tuple[str, ...]:
        """Regular expressions of the parameters a stage trains: the own part, and those the backbone exports."""
        exported = self.backbone.backbone
        assert exported is not None, f"{self.backbone.name} exports no injection point"
        theirs = (f"{self.backbone_group}/{pattern}" for pattern in exported.stage_parameters)
        return *self.own_parameters, *theirs


@dataclass(frozen=True)
class NetworkSpec:
    """A network.

    Attributes:
      name: in configs and on the command line.
      module: its class, with the attributes `config` and `dtype`.
      config: class of its config, a frozen dataclass whose classmethods are the named variants.
      weights: module with its weight table: `RULES` (or `rules(config)`, where the names depend on the config),
        `config_from_json`, `config_to_json`, and where needed `ALIASES` and `IGNORED` (`mtv_jax.weights.rules`). It
        is imported when a checkpoint is read or written. Empty for a network of `parts`, as are `class_names` and
        `folder`.
      class_names: names of its class in `config.json`: diffusers' `_class_name`, transformers'
        `architectures`, or ours.
      folder: of a pipeline folder, the part that holds it.
      example_inputs: config -> shapes of small inputs that every network of that config accepts. Not needed for a
        denoiser, whose inputs follow from its config (`mtv_jax.models.denoisers`).
      file_stem: of its weight files.
      make_parameters: `(module, *inputs)`, called to initialise it; needed if its `__call__` does not
        use all parameters.
      groups: groups of parameters whose members are counted apart (`parameter_counts`).
      remat: names of the rematerialisation policies that its `remat` attribute accepts; none if it has no such
        attribute.
      task: the training task that trains it, if any.
      audio_encoder: for an audio network, the function `(module, params, preprocessor options, where they are from)`
        that wraps it as an `AudioEncoder`, given as `module:function`; imported when it is loaded.
      tokenizer: of a text encoder: `clip`, or that of transformers in the `folder` beside it.
      tracks: `(config, latent_frames) -> name -> shape` of the features of each audio track that a denoiser takes,
        without the batch axis.
      backbone: its interface for controlnets, if it supports them.
      autoencoder: of a denoiser, the name of the network whose latents it makes.
      extends: name of a network whose parameters are some of its own, by the same paths: it can be trained from that.
      composite: its composition, if it is a backbone with an added part.
      parts: networks that it is put together from for a training, the denoiser first. Each is stored by itself; its
        folder has the name of the field of the config and of the group of parameters that are its own.
    """

    name: str
    module: type[nn.Module]
    config: type
    weights: str
    class_names: tuple[str, ...]
    folder: str
    example_inputs: Callable[[Any], tuple[Any, ...]] | None = None
    file_stem: str = "model"
    make_parameters: Callable[..., Any] = _call
    groups: tuple[str, ...] = ("blocks",)
    remat: tuple[str, ...] = ()
    task: TaskName | None = None
    audio_encoder: str | None = None
    tokenizer: Literal["folder", "clip"] = "folder"
    tracks: Callable[[Any, int], Mapping[str, tuple[int, ...]]] = field(default=_no_tracks)
    backbone: Backbone | None = None
    autoencoder: str = "vae3d"
    extends: str | None = None
    composite: Composite | None = None
    parts: tuple["NetworkSpec", ...] = ()

    def folder_in(self, pipeline: Path) -> Path:
        """Where `write_model` writes this network in a pipeline folder: a composite fills several parts of it."""
        return pipeline if self.composite else pipeline / self.folder

    def backbone_config(self, config: Any) -> Any:
        """The backbone's part of a config of this network: all of it unless the network is composite or has parts."""
        if self.composite:
            return getattr(config, self.composite.backbone_field)
        return getattr(config, self.parts[0].folder) if self.parts else config
