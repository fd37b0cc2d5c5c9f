"""Maestro's curation of VGGSound, Landscape or Animal Kingdom: clips of 10 s in which picture, sound and label agree.

    python -m mtv_jax.curate sources --layout vggsound --videos vggsound/video --table vggsound.csv
    python -m mtv_jax.curate run --config configs/maestro/curate.py:imagebind=models/imagebind \
      --videos vggsound/video/sources.jsonl --out shards --encoders maestro
    python -m mtv_jax.curate report shards

`:narrator` takes speech out of the sound first, for Animal Kingdom. `:imagebind=random` tries the way out with a tiny
network of random weights, whose evidence `pack --release` refuses.

By the paper (Kim et al., EAAI 2025) three cosines of a clip are above their medians, which keeps 40,000 of VGGSound's
200,000 clips, and static pictures (Farneback's flow at 2 frames a second, .1), silence and labels that are hard to tell
apart are dropped. `mtv_jax/curation/config.py` has the reasons for values that are ours.
"""

from dataclasses import replace

from ml_collections import ConfigDict

from mtv_jax.curation.config import AgreementConfig, CurateConfig, DuplicatesConfig, FiltersConfig, SizeConfig
from mtv_jax.io.config import parse_arg
from mtv_jax.io.trees import to_tree

SIDE = 512
"""Pixels: the paper's training pictures."""
MAGNITUDE = 0.1
"""Mean flow in half a second, in pixels. The paper does not say of what size; here, of its training pictures."""


def get_config(arg: str = "") -> ConfigDict:
    given = parse_arg(arg, imagebind="", narrator=False)
    config = replace(
        CurateConfig.plain(),  # the data sets are clips already: no shots, no judges of speech or faces
        # A copy of a test clip in the training split would leak.
        duplicates=DuplicatesConfig(on=True),
        filters=FiltersConfig(
            min_motion=100 * MAGNITUDE / SIDE,  # percent of the width
            max_bars=None,
            min_dbfs=-60.0,  # digital silence is -120; the quietest recordings of nature are above -60
            max_clipped=None,
            max_missing_sound=0.1,  # the sound of a clip is its whole condition
        ),
        agreement=AgreementConfig(embedder=f"imagebind:{given.imagebind}"),
        remove_speech=given.narrator,
        # 10 s exactly: five segments of 2 s. The count has to be 1 + 4k, hence the odd rate; key frames are five.
        size=SizeConfig(num_frames=81, fps=8.1, height=SIDE, width=SIDE),
        short_side=SIDE,
    )
    return to_tree(config)
