"""The tiny model on all five subsets at once, in place of MTV's five stages.

    python -m mtv_jax.train --config configs/tiny/mixed.py --config.num_steps=300
    python -m mtv_jax.train --config configs/tiny/mixed.py:early
    python -m mtv_jax.train --config configs/tiny/mixed.py:late

The first is what the ablations are compared on (`benchmarks/ablations.py`). The other two are one training, to see what
the order of the stages is good for: `early` has the steps, the rate and the mean `motion_weight` of stages 1 to 4,
`late` those of stage 5, and both see as much of each subset as the stages do. It starts where stage 1 starts.
"""

from ml_collections import ConfigDict

from configs import stages
from mtv_jax.io.config import parse_arg
from mtv_jax.names import SUBSETS


def get_config(arg: str = "") -> ConfigDict:
    part = parse_arg(arg, early=False, late=False)
    if part.early and part.late:
        raise ValueError("'early' and 'late' are two trainings; give one")
    config = stages.get_stage(5 if part.late else 1, "tiny")
    config.data.mixture = ConfigDict(dict.fromkeys(SUBSETS, 1.0))
    if not arg:
        config.optimizer.schedule = "linear"
        return config
    steps = stages.TINY_STEPS
    config.data.mixture = ConfigDict(dict(zip(SUBSETS, map(float, steps), strict=True)))
    if part.early:
        config.num_steps = sum(steps[:-1])
        config.loss.motion_weight = (
            steps[0] * stages.TINY_MOTION_WEIGHT + sum(steps[1:-1])
        ) / config.num_steps
    else:
        config.init_from = "runs/tiny/mixed-early"
    return config
