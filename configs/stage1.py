"""Stage 1 of MTV, basic face: talking heads.

    python -m mtv_jax.train --config configs/stage1.py --config.data.dir=shards
    python -m mtv_jax.train --config configs/stage1.py:tiny

It starts from a pipeline folder, `runs/backbone`: that of CogVideoX-5b-I2V as it is downloaded (the controlnet
is then new), or that of a released MTV after `python -m mtv_jax.convert`. The tiny one starts from the folder that
`configs/tiny/backbone.py` makes.
The recipe is in `configs/stages.py`.
The tiny one's loss falls from .41 to .18 (means of a tenth of its steps).
"""

from ml_collections import ConfigDict

from configs import stages


def get_config(arg: str = "") -> ConfigDict:
    return stages.get_stage(1, arg)
