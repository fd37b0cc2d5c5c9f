"""The tiny model on all five subsets at once, in place of MTV's five stages.

    python -m mtv_jax.train --config configs/tiny/mixed.py

By default as many steps as the stages have together: does their order do any good? With fewer steps it is what the
ablations are compared on (`benchmarks/ablations.py`). It starts from the backbone that stage 1 starts from.
"""

from ml_collections import ConfigDict

from configs import stages


def get_config(arg: str = "") -> ConfigDict:
    if arg:
        raise ValueError("takes no argument")
    config = stages.get_stage(1, "tiny")
    config.num_steps = sum(stages.TINY_STEPS)
    config.optimizer.schedule = "linear"
    config.data.mixture = ConfigDict(dict.fromkeys(stages.SUBSETS, 1.0))
    return config
