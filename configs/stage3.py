"""Stage 3 of MTV, multiple characters.

    python -m mtv_jax.train --config configs/stage3.py --config.data.dir=shards
    python -m mtv_jax.train --config configs/stage3.py:tiny

It starts from the averaged weights of `runs/stage2`, which must be finished (the tiny one: `runs/stage2-tiny`).
The recipe is in `configs/stages.py`.
The tiny one's loss falls from .37 to .12 (means of a tenth of its steps).
"""

from ml_collections import ConfigDict

from configs import stages


def get_config(arg: str = "") -> ConfigDict:
    return stages.get_stage(3, arg)
