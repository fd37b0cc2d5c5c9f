"""Videos of held-out clips, made with the parameters of a training, for `config.evaluate`."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.data.manifests import MANIFEST, MEDIA, TEST
from mtv_jax.data.shards import ShardSet, open_shards
from mtv_jax.io.errors import UserError
from mtv_jax.training.configs import TrainConfig
from mtv_jax.training.samples import Generation, first_clips
from mtv_jax.training.tasks import Task
from mtv_jax.typing import Params, UInt8


@dataclass(frozen=True)
class HeldOut:
    """The first clips of the test split: their encoded conditions, on the host, and their media."""

    generation: Generation
    clips: list[dict[str, np.ndarray]]
    media: ShardSet

    def make(self, params: Params, row: int) -> UInt8[np.ndarray, "F H W 3"]:
        """A video for the clip `row`. Every process takes part. Raises FloatingPointError as `Generation`."""
        return self.generation.frames(params, self.clips[row], row)


def open_held_out(config: TrainConfig, model: Any, task: Task) -> HeldOut:
    """The clips that `config.evaluate` measures.

    Raises UserError for an autoencoder, for a data set without a test split or encoders, and for
    one with too few held-out clips.
    """
    if config.task == "vae":
        raise UserError(
            "config.evaluate.every: measures generated videos, which an autoencoder does not make; set it to 0"
        )
    how, folder = config.evaluate, Path(config.data.dir) / TEST
    for needed in (folder, folder / MEDIA):
        if not (needed / MANIFEST).exists():
            raise UserError(
                f"config.evaluate.every: {config.data.dir} has no held-out clips ({needed} is missing); make a test "
                "split (python -m mtv_jax.curate), or set it to 0"
            )
    shards, media = open_shards(folder), open_shards(folder / MEDIA)
    if how.clips > len(shards):
        raise UserError(
            f"config.evaluate.clips {how.clips}: {folder} has {len(shards)} clips; ask for at most as many"
        )
    _check_same_clips(shards, media, how.clips)
    # Weights of the mixture are of the training's subsets.
    whole = replace(config, data=replace(config.data, mixture=None))
    steps = how.num_inference_steps or config.sample.num_inference_steps
    scale = config.sample.guidance_scale if how.guidance_scale is None else how.guidance_scale
    generation = Generation.of(config, model, how.seed, steps, scale)
    return HeldOut(generation, first_clips(whole, task, shards, how.clips), media)


def _check_same_clips(shards: ShardSet, media: ShardSet, count: int) -> None:
    """Raises UserError unless the first clips are the same."""
    if len(media) < count or any(shards.read(i).id != media.read(i).id for i in range(count)):
        raise UserError(f"{media.directory}: has other clips than {shards.directory}; run `curate pack`")
