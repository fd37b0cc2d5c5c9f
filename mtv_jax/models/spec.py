"""What the library has to know about a network, declared once, in the network's own folder (`spec.py`).

`mtv_jax.models.registry` collects the declarations. Loading, saving, conversion, planning, training and export read
them and ask nothing else, so that a new network is one `NetworkSpec` and one weight table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import flax.linen as nn

TaskName = Literal["denoiser", "vae"]


def _call(model: Any, *inputs: Any) -> Any:
    return model(*inputs)


def _no_tracks(config: Any, latent_frames: int) -> dict[str, tuple[int, ...]]:
    return {}


@dataclass(frozen=True)
class Backbone:
    """What a denoiser exports for a controlnet to be built on it.

    Attributes:
      injection: path, among its parameters, of what a controlnet adds to each of its layers.
      stage_parameters: regular expressions of its own parameters that train together with a controlnet.
    """

    injection: str
    stage_parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Composite:
    """How a network is put together from a backbone and a part of its own (a controlnet).

    In a pipeline folder the two are stored apart: the backbone as if it were alone, and beside it what the network
    adds, which is every parameter that is not the backbone's.

    Attributes:
      backbone: the network that it is built on, which exports an injection point.
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
        """Regular expressions of what a training stage updates: the own part, and what the backbone exports."""
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
      weights: module with its weight table: `RULES`, `config_from_json`, `config_to_json`, and where needed
        `ALIASES` and `IGNORED` (`mtv_jax.weights.rules`). It is imported when a checkpoint is read or written.
      class_names: what the `config.json` of this network calls its class: diffusers' `_class_name`, transformers'
        `architectures`, or ours.
      folder: of a pipeline folder, the part that holds it.
      example_inputs: config -> shapes of small inputs that every network of that config accepts. Not needed of a
        denoiser, whose inputs follow from its config (`mtv_jax.models.denoisers`).
      file_stem: of its weight files.
      make_parameters: `(module, *inputs)`, called to initialise it; needed where the network's own call does not
        use all of its parameters.
      groups: groups of parameters whose members are counted apart (`parameter_counts`).
      remat: names of the rematerialisation policies that its `remat` attribute accepts; none if it has no such
        attribute.
      task: the training task that trains it, if any.
      audio_encoder: of a network of sound, the function `(module, params, preprocessor options, where they are from)`
        that makes it an `AudioEncoder`, as `module:function`; imported when it is loaded.
      tracks: `(config, latent_frames) -> name -> shape` of the features of each audio track that a denoiser takes,
        without the batch axis.
      backbone: what it exports to controlnets, if it can carry one.
      composite: its parts, if it is stored in two.
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
    tracks: Callable[[Any, int], Mapping[str, tuple[int, ...]]] = field(default=_no_tracks)
    backbone: Backbone | None = None
    composite: Composite | None = None

    def folder_in(self, pipeline: Path) -> Path:
        """Where `write_model` puts this network in a pipeline folder: a composite fills several parts of it."""
        return pipeline if self.composite else pipeline / self.folder

    def backbone_config(self, config: Any) -> Any:
        """Of a config of this network, the part that describes the backbone: all of it unless it is composite."""
        return getattr(config, self.composite.backbone_field) if self.composite else config
