"""Stage 2 of MTV, single character.

    python -m mtv_jax.train --config configs/stage2.py --config.data.dir=shards
    python -m mtv_jax.train --config configs/stage2.py:tiny

It starts from the averaged weights of `runs/stage1`, which must be finished (the tiny one: `runs/stage1-tiny`).
The recipe is in `configs/stages.py`.
The tiny one's loss falls from .41 to .16 (means of a tenth of its steps).
"""

from ml_collections import ConfigDict

from configs import stages


def get_config(arg: str = "") -> ConfigDict:
    return stages.get_stage(2, arg)
