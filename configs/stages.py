"""MTV's five stages: one recipe, each stage on its own subset, starting from the weights of the one before.

    python -m mtv_jax.train --config configs/stage3.py --config.data.dir=shards
    python -m mtv_jax.train --config configs/stage3.py:tiny

Without `:tiny` it is the paper's recipe at its size: 40,000 steps of the 5B model on latents of 49 frames at
480 x 720. With it, the tiny model on the synthetic theatre: `make tiny` runs all five and what comes before them.

A mixture is given by weights, of which those not 0 count. All five subsets in equal parts, for any stage:

    --config.data.mixture.basic_face=1 --config.data.mixture.single_character=1
    --config.data.mixture.multiple_characters=1 --config.data.mixture.sound_event=1
    --config.data.mixture.visual_mood=1

With all of them 0 every clip is read.

Several speakers, each with a track of its own bound to `Person1`, `Person2`, ... of the text by a learned embedding:

    python -m mtv_jax.curate theatre --speakers 4 --out runs/tiny/theatre-speakers=4
    python -m mtv_jax.train --config configs/stage3.py:tiny,speakers=4

for any number up to 8 (the theatre has room for 4); runs and their starting points are apart by number. Each speaker's
track is dropped by a draw of its own.

Conditions are dropped by independent draws: text (.1) and the three tracks at once (.05) as in MTV's code, which drops
no track alone; each track alone (.05) is ours, so that guidance can weigh tracks apart: it leads away from predictions
without one track, and those must have been trained. A track is zero for .0975 of the samples, then.

Each stage has its own random stream (`stream`), so that noise, timesteps, dropout and the order of clips differ.

Where the paper and its code differ the default is the code's. The paper's side, each by itself:

    --config.loss.kind=mse --config.loss.schedule.prediction=epsilon       Eq. 1
    --config.model.overrides.controlnet.temporal_conv=music                a convolution for music only
    --config.model.overrides.controlnet.separate_feed_forward=true         a feed-forward for each track
    --config.model.overrides.controlnet.borrow_qk_norm=false               plain cross-attention,
    --config.model.overrides.controlnet.rope_queries=false                 without rotary positions
    --config.model.overrides.controlnet.injection_residual=false           Eq. 2 to the letter: not to be used

`--config.model.variant=mtv_5b_paper` (`tiny_paper`) has all of the controlnet's but the last. Epsilon goes with `mse`,
since at the last timestep (pure noise) it says nothing about the picture, which `x0_snr` compares; the sampler's first
step then starts from a picture of zeros. `--config.loss.schedule.zero_terminal_snr=false` trains without that timestep.
Any field of the network's config is set in the same way, such as
`--config.model.overrides.controlnet.zero_init_injection=true` (ours: the backbone is as it was at step 0).

An ablation of the paper's Table 2 is `--config.ablation=no_separate_extraction`, `no_separate_injection` or
`frozen_backbone`; it applies to all stages, in separate workdirs.
"""

from ml_collections import ConfigDict

from mtv_jax.diffusion.masks import KeyframeConfig
from mtv_jax.io.config import parse_arg
from mtv_jax.io.trees import to_tree
from mtv_jax.models.registry import stage_parameters
from mtv_jax.names import SUBSETS
from mtv_jax.training.configs import tree

TINY_STEPS = (400, 400, 350, 350, 1200)
"""Of each stage of the tiny model. The last one sees most kinds of clip again."""

TINY_RATE = 1.2e-3
TINY_MOTION_WEIGHT = 3.0
"""Of the backbone and of stage 1, which learn lips; then looks count for more."""

DROP_TRACK = 0.05
"""Chance that a track alone is zero (ours; MTV's code: 0)."""


def get_stage(number: int, arg: str = "") -> ConfigDict:
    """The config of a stage, 1 to 5, at full size or `tiny`, for one or more `speakers`."""
    chosen = parse_arg(arg, tiny=False, speakers=1)
    several = f"-speakers={chosen.speakers}" if chosen.speakers != 1 else ""
    config = tree("denoiser")
    config.stream = number
    config.model.name = "mtv"
    config.loss.drop_speech = config.loss.drop_effects = config.loss.drop_music = DROP_TRACK
    config.loss.keyframes = to_tree(KeyframeConfig)
    config.data.mixture = ConfigDict({name: float(name == SUBSETS[number - 1]) for name in SUBSETS})
    config.optimizer.start_factor = 0.05
    if chosen.tiny:
        config.init_from = (
            f"runs/stage{number - 1}-tiny{several}" if number > 1 else "runs/tiny/backbone/pipeline"
        )
        _make_tiny(config, number)
        config.data.dir += several
    else:
        config.init_from = f"runs/stage{number - 1}{several}" if number > 1 else "runs/backbone"
        _make_full(config)
    if several:
        config.model.overrides = ConfigDict({"controlnet": {"num_speakers": chosen.speakers}})
    return config


def _make_full(config: ConfigDict) -> None:
    """Optimiser, schedule and sizes of the paper and its code; the batch size, which neither says, is ours.

    The optimiser's defaults are the paper's too: a rate of 1e-5 that falls to 0, clipping at .1.
    """
    config.model.variant = "mtv_5b"
    config.model.dtype = "bfloat16"
    config.model.remat = "block"
    config.loss.scaling_factor = 0.7
    config.num_steps = 40_000
    config.data.batch_size = 128
    config.data.text_length = 226
    config.data.num_workers = 8
    config.optimizer.warmup_steps = 400
    config.optimizer.start_steps = 100
    config.optimizer.trainable = stage_parameters("mtv")
    config.mesh.update({"data": 1, "fsdp": -1})
    config.checkpoint.every = 500
    config.sample.every = 2000
    config.sample.num_inference_steps = 50


def _make_tiny(config: ConfigDict, number: int) -> None:
    """The same recipe on two cores: rates, averages and lengths for few steps.

    The network predicts the sample itself: a token holds 128 numbers of a width of 192, and to carry their noise to
    its output too (v) leaves it little room. All parameters train, since the backbone that stage 1 starts from has
    been trained for minutes only. The rate falls in the last stage only. The latents' scale is that of the autoencoder
    beside the shards.
    """
    config.model.variant = "tiny"
    config.loss.motion_weight = TINY_MOTION_WEIGHT if number == 1 else 1.0
    config.loss.schedule.prediction = "sample"
    config.loss.max_weight = 5.0
    config.loss.keyframes.image_head = 0.1
    config.num_steps = TINY_STEPS[number - 1]
    config.data.dir = "runs/tiny/theatre"
    config.data.batch_size = 16
    config.data.text_length = 40
    config.optimizer.learning_rate = TINY_RATE
    config.optimizer.schedule = "linear" if number == len(SUBSETS) else "constant"
    config.optimizer.warmup_steps = 50
    config.optimizer.clip_norm = 1.0
    config.optimizer.ema_decay = 0.99
    config.checkpoint.every = 100
    config.sample.update({"every": 0, "sampler": "ddim", "num_inference_steps": 8, "guidance_scale": 1.0})
