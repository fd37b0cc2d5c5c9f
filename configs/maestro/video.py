"""VideoCrafter2's UNet on text: clips of 16 frames of 320 x 512 pixels, 8 frames a second.

    python -m mtv_jax.train --config configs/maestro/video.py --config.data.dir=shards
    python -m mtv_jax.plan --config configs/maestro/video.py --topology v6e:2x4 --sample --sources 2

The data are shards of latents of the picture autoencoder (KL-f8) and text, without sound: Maestro's tracks reach this
network through its text, and are trained by the Condition Injection Module.

    python -m mtv_jax.train --config configs/maestro/video.py:objects

trains a tiny one on clips of sounding objects. It starts from the tiny network of pictures (configs/maestro/image.py),
as VideoCrafter's starts from Stable Diffusion's.

    python -m mtv_jax.train --config configs/maestro/video.py:objects,partial

goes on with prompts that leave things out, as captions of the world's pictures do. In Attention Mosaic a pixel knows of
one source only; a network whose prompts have always named everything then draws one thing and no other.
"""

from ml_collections import ConfigDict

from configs.maestro import image
from mtv_jax.diffusion.noise.vp import ScheduleConfig
from mtv_jax.io.config import parse_arg
from mtv_jax.io.trees import to_tree
from mtv_jax.training.configs import tree


def get_config(arg: str = "") -> ConfigDict:
    given = parse_arg(arg, tiny=False, objects=False, partial=False)
    tiny = given.tiny
    config = tree("denoiser")
    config.num_steps = 10_000
    config.model.name = "videocrafter"
    config.model.variant = "tiny" if tiny else "videocrafter2"
    config.model.dtype = "float32" if tiny else "bfloat16"
    config.model.remat = "none" if tiny else "block"
    config.loss.kind = "mse"
    config.loss.schedule = to_tree(ScheduleConfig.videocrafter2())
    config.loss.drop_tracks = 0.0
    config.data.batch_size = 4 if tiny else 64
    config.optimizer.learning_rate = 1e-4
    config.sample.sampler = "ddim"
    config.sample.num_inference_steps = 50
    config.sample.guidance_scale = 12.0
    if given.objects:
        _of_objects(config, partial=given.partial)
    return config


def _of_objects(config: ConfigDict, *, partial: bool) -> None:
    config.model.update({"variant": "objects", "dtype": "float32", "remat": "none"})
    config.loss.schedule = to_tree(ScheduleConfig)
    image.make_tiny(config)
    config.sample.update({"num_inference_steps": 17, "guidance_scale": 12.0})
    config.num_steps = 800
    config.init_from = "runs/maestro/image-tiny/pipeline"
    config.data.dir = "runs/maestro/clips"
    config.data.batch_size = 4
    if partial:
        config.init_from = "runs/maestro/video-objects/pipeline"
        config.data.dir = "runs/maestro/clips-partial"
        config.optimizer.warmup_steps = 50
