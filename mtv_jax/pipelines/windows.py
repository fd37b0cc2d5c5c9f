"""Long videos: what a window of one needs of the conditions of the whole, and how it continues what is before it.

Latent frames and frames are numbered through the whole video. A window that continues another begins with a `prefix` of
clean latent frames, which training knows as keyframes. The sound is encoded once, and each window is given the features
of its own frames, those around them included, so that nothing depends on where windows begin. A window's first latent
frame is treated as the autoencoder's own first one is: it has the sound of one frame, the last that it stands for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from mtv_jax.diffusion.samplers import Clean
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.pipelines.timeline.windows import Window
from mtv_jax.typing import Array, Bool, Float, Key

Latents = Float[Array, "b f h w c"]
Prefix = Float[Array, "b p h w c"]
"""The first latent frames of a window that continues another."""
MakeWindow = Callable[[int, Prefix | None], Latents]
"""The latent frames of a window, prefix included, from its number and its prefix (None: it begins the video)."""


def continued(make: MakeWindow, windows: Sequence[Window]) -> Iterator[Latents]:
    """The latent frames that each window adds, where the last ones of a window are the prefix of the next."""
    latents = None
    for number, window in enumerate(windows):
        prefix = None if latents is None or not window.prefix else latents[:, -window.prefix :]
        latents = make(number, prefix)
        yield latents[:, window.prefix :]


def window_keys(keys: Key[Array, "b"], number: int) -> Key[Array, "b"]:
    """The keys of a window's noise; those of the first are those of a video of one window."""
    if not number:
        return keys
    return jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)


def window_clip(clip: ClipSize, window: Window, ratio: int) -> ClipSize:
    """The size of a window as a video of its own."""
    return clip.replace(num_frames=1 + ratio * (len(window) - 1))


def window_frames(window: Window, ratio: int) -> range:
    """The frames of the video whose sound a window is given, as many as a video of its length has."""
    return range(window.start * ratio, (window.stop - 1) * ratio + 1)


def frames_around(
    features: Mapping[str, Float[np.ndarray, "b F L c"]], frames: range, size: int
) -> dict[str, Float[np.ndarray, "b f W L c"]]:
    """Features of `frames` of a whole video, each with the `size` frames around it, clamped at the video's ends."""
    offsets = np.arange(size) - size // 2
    places = np.array(frames)[:, None] + offsets
    return {name: np.asarray(x)[:, np.clip(places, 0, np.shape(x)[1] - 1)] for name, x in features.items()}


def clean_latents(
    window: Window, prefix: Prefix | None, keyframes: Clean | None
) -> tuple[Float[Array, "b n h w c"], Bool[Array, "b n"]] | tuple[None, None]:
    """The clean latent frames of a window [b n h w c] and their mask [b n]: its prefix, and keyframes behind that.

    `keyframes` are those of the whole video. None, None: there are none.
    """
    if prefix is None and keyframes is None:
        return None, None
    if keyframes is None:
        assert prefix is not None
        batch, _, *cells = prefix.shape
        values = np.zeros((batch, len(window), *cells), np.float32)
        mask = np.zeros(values.shape[:2], bool)
    else:
        values, mask = (np.array(part[:, window.start : window.stop]) for part in keyframes)
    if prefix is not None:
        values[:, : window.prefix], mask[:, : window.prefix] = np.asarray(prefix), True
    return jnp.asarray(values), jnp.asarray(mask)
