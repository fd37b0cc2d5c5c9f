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
Given = Float[Array, "b p h w c"]
"""The latent frames that a window begins with: its anchor, and its prefix."""
MakeWindow = Callable[[int, Given | None], Latents]
"""The latent frames of a window, prefix included, from its number and what it begins with (None: nothing)."""


def continued(make: MakeWindow, windows: Sequence[Window]) -> Iterator[Latents]:
    """The latent frames that each window adds, where the last ones of a window are the prefix of the next."""
    latents, anchor = None, None
    for number, window in enumerate(windows):
        if cuts(windows, number):
            latents = make(number, None)
            anchor = latents[:, window.prefix :]
        else:
            assert latents is not None
            assert anchor is not None
            given = [anchor[:, : len(window.anchor)], latents[:, -window.prefix :]]
            latents = make(number, jnp.concatenate(given, axis=1))
        yield latents[:, window.prefix :]


def cuts(windows: Sequence[Window], number: int) -> bool:
    """Whether a window begins anew: it is the first, or the one before shows other texts."""
    return not number or windows[number].texts != windows[number - 1].texts


def window_keys(keys: Key[Array, "b"], windows: Sequence[Window], number: int) -> Key[Array, "b"]:
    """The keys of a window's noise.

    Windows that begin a text have those of a video of one window, so that the picture is composed alike.
    """
    behind = next(i for i in range(number + 1) if not windows or cuts(windows, number - i))
    if not behind:
        return keys
    return jax.vmap(lambda key: jax.random.fold_in(key, behind))(keys)


def window_clip(clip: ClipSize, window: Window, ratio: int) -> ClipSize:
    """The size of a window as a video of its own."""
    return clip.replace(num_frames=1 + ratio * (len(window.latents) - 1))


def window_frames(window: Window, ratio: int) -> list[int]:
    """The frames of the video whose sound a window is given, as many as a video of its length has.

    These are all that its latent frames stand for, but only the last one of the first.
    """
    first, *rest = window.latents
    return [first * ratio, *(frame for k in rest for frame in range(1 + (k - 1) * ratio, k * ratio + 1))]


def frames_around(
    features: Mapping[str, Float[np.ndarray, "b F L c"]], frames: Sequence[int], size: int
) -> dict[str, Float[np.ndarray, "b f W L c"]]:
    """Features of `frames` of a whole video, each with the `size` frames around it, clamped at the video's ends."""
    offsets = np.arange(size) - size // 2
    places = np.array(frames)[:, None] + offsets
    return {name: np.asarray(x)[:, np.clip(places, 0, np.shape(x)[1] - 1)] for name, x in features.items()}


def clean_latents(
    window: Window, given: Given | None, keyframes: Clean | None
) -> tuple[Float[Array, "b n h w c"], Bool[Array, "b n"]] | tuple[None, None]:
    """The clean latent frames of a window [b n h w c] and their mask [b n]: those given, and keyframes behind them.

    `keyframes` are those of the whole video. None, None: there are none.
    """
    if given is None and keyframes is None:
        return None, None
    places = window.latents
    if keyframes is None:
        assert given is not None
        batch, _, *cells = given.shape
        values = np.zeros((batch, len(places), *cells), np.float32)
        mask = np.zeros(values.shape[:2], bool)
    else:
        values, mask = (np.array(part[:, np.array(places)]) for part in keyframes)
    if given is not None:
        count = given.shape[1]
        values[:, :count], mask[:, :count] = np.asarray(given), True
    return jnp.asarray(values), jnp.asarray(mask)
