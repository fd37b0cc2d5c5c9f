"""The last steps of the tiny model, after MTV's five stages: all five subsets at once, at a falling rate.

    python -m mtv_jax.train --config configs/tiny/finish.py

Stage 5 has music in every clip. On 64 clips after it the prop was wrong in 11, of which 8 had no music.
"""

from ml_collections import ConfigDict

from configs import stages
from configs.tiny import mixed
from mtv_jax.io.config import parse_arg
from mtv_jax.names import SUBSETS


def get_config(arg: str = "") -> ConfigDict:
    parse_arg(arg)
    config = mixed.get_config()
    config.init_from = "runs/stage5-tiny"
    config.stream = len(SUBSETS) + 1
    config.num_steps = 1500
    config.loss.motion_weight = 1.0
    config.optimizer.learning_rate = stages.TINY_RATE / 2
    return config
