"""What SyncSynth's picture tower is given of a theatre clip: the lower half of a head, grey and small."""

import numpy as np
from jaxtyping import Float

from mtv_jax.evaluation.theatre.crops import crop
from mtv_jax.models.syncsynth import SIDE
from mtv_jax.theatre.plan import Place

_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def face_pictures(frames: np.ndarray, place: Place) -> Float[np.ndarray, "F h w"]:
    """A head from its eyes to below its chin: [F H W 3] in 0..255 to float32 [F, SIDE, SIDE]."""
    y = place.y + 0.4 * place.half_height
    reach = (0.9 * place.half_width, 0.75 * place.half_height)
    box = (place.x - reach[0], y - reach[1], place.x + reach[0], y + reach[1])
    return crop(frames, box, (SIDE, SIDE)) @ _GREY
