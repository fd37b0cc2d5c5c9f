"""Maestro's Condition Injection Module (CIM), trained through the UNet of pictures of Stable Diffusion 2.1-base.

    python -m mtv_jax.train --config configs/maestro/cim.py --config.init_from=image --config.data.dir=shards \
      --config.pipeline=maestro
    python -m mtv_jax.plan --config configs/maestro/cim.py --topology v6e:2x4

`image` has the frozen networks: `unet/`, `text_encoder/` and `tokenizer/` of Stable Diffusion 2.1-base, and
`imagebind/`; if it has a `cim/` too, that is trained further. `shards` are clips of one sound each, 10 s of 512 x 512
pixels, encoded by `curate run --encoders maestro`. `maestro` is a Maestro pipeline, whose UNet makes videos: the
trained CIM is exported in a copy of it.

30,000 steps as for VGGSound; `cim.py:landscape` takes 15,000. The batch, the clipping and the figures of SpecAugment
are ours: the paper has none.

`cim.py:released` is as the authors' code: 70,000 steps of AdamW at 1e-5, batches of four, v prediction (their UNet is
that of Stable Diffusion 2.1), no SpecAugment, tokens from the second slot on. The keys and values of the UNet's
cross-attention train too and, as in the code, are not exported. Its pictures between segments are not reproduced.

Ablations of the paper's Tables 1 and 2, each in a workdir of its own:

    --config.loss.lambda_1=0.5
    --config.model.overrides.cim.num_queries=5

`cim.py:tiny` trains it for the sounding objects (configs/maestro/image.py), on clips of one object each.
"""

from ml_collections import ConfigDict

from mtv_jax.diffusion.noise.vp import ScheduleConfig
from mtv_jax.io.config import parse_arg
from mtv_jax.io.trees import to_tree
from mtv_jax.training.configs import tree

CROSS_ATTENTION = "unet/.*/attn2/to_[kv]/kernel"


def get_config(arg: str = "") -> ConfigDict:
    given = parse_arg(arg, tiny=False, released=False, landscape=False)
    config = tree("cim")
    config.model.name = "cim_unet2d"
    config.num_steps = 15_000 if given.landscape else 30_000
    config.data.batch_size = 32
    config.data.num_workers = 8
    config.data.text_length = 77
    config.model.variant = "paper"
    config.model.dtype = "bfloat16"
    config.model.remat = "block"
    config.optimizer.update({"learning_rate": 1e-4, "schedule": "constant", "b2": 0.999, "weight_decay": 0.0})
    config.optimizer.update({"clip_norm": 1.0, "ema_decay": 0.0, "trainable": ("cim/.*",)})
    config.sample.every = 0
    if given.released:
        _make_released(config)
    if given.tiny:
        _make_tiny(config)
    return config


def _make_released(config: ConfigDict) -> None:
    config.num_steps = 70_000
    config.data.batch_size = 4
    config.model.overrides = ConfigDict({"first_slot": 1})
    config.loss.schedule.prediction = "v"
    config.loss.augment.update({"frequency_masks": 0, "time_warp": 0})
    config.optimizer.update({"learning_rate": 1e-5, "weight_decay": 1e-2, "decay": (".*",), "clip_norm": 0.0})
    config.optimizer.trainable = ("cim/.*", CROSS_ATTENTION)


def _make_tiny(config: ConfigDict) -> None:
    """For two cores: float32, small batches, a higher rate, few steps; the schedule of the tiny UNets.

    In so few steps the tokens come nearer to the label's text with more weight on it than the paper's .1
    (docs/maestro_tiny.md).
    """
    config.num_steps = 1200
    config.loss.lambda_1 = 0.5
    config.init_from = "runs/maestro/image-tiny/pipeline"
    config.pipeline = "runs/maestro/video-objects-partial/pipeline"
    config.data.dir = "runs/maestro/sources"
    config.data.batch_size = 8
    config.data.num_workers = 0
    config.model.update({"variant": "objects", "dtype": "float32", "remat": "none"})
    config.loss.schedule = to_tree(ScheduleConfig)
    config.optimizer.learning_rate = 1e-3
    config.checkpoint.every = 200
