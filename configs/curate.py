"""Models and thresholds of curation, with MTV's filter by two separators, which is off without this file.

    make spleeter  # the weights of the second separator
    python -m mtv_jax.curate run --config configs/curate.py --videos films --out shards --encoders backbone
    python -m mtv_jax.curate decide shards --config.filters.min_dbfs=-50

`configs/curate.py:plain` judges nothing and cuts at no shot: every window of every film is a clip. The reason for each
value is in `mtv_jax/curation/config.py` and, for shots, in `mtv_jax/curation/shots.py`, which have the defaults.
"""

from ml_collections import ConfigDict

from mtv_jax.curation.config import CurateConfig
from mtv_jax.io.config import parse_arg
from mtv_jax.io.trees import to_tree


def get_config(arg: str = "") -> ConfigDict:
    given = parse_arg(arg, plain=False)
    if given.plain:
        return to_tree(CurateConfig.plain())
    config = to_tree(CurateConfig())
    config.demixing.separator = "spleeter"
    return config
