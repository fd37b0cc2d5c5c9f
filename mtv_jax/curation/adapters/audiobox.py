"""Audiobox-aesthetics as audio quality: MTV's own choice. Weights by path, of facebook/audiobox-aesthetics."""

import functools
import hashlib
from collections.abc import Mapping

import jax
import numpy as np

from mtv_jax.curation.roles import Evidence, ModelCard, scores
from mtv_jax.io.audio import resample
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory, sha256
from mtv_jax.models.audiobox import AXES
from mtv_jax.models.audiobox import Audiobox as Network
from mtv_jax.typing import Array, Bool, Float, Params
from mtv_jax.weights.audiobox import load_audiobox

RATE = 16_000
_WINDOW = 10 * RATE


class Audiobox:
    """Ratings 1 to 10 of any sound: enjoyment and usefulness of its content, complexity and quality of production.

    `CE`, `CU`, `PC` and `PQ` of windows of 10 s, whose mean is weighted by their length.
    """

    def __init__(self, folder: str = ""):
        if not folder:
            raise UserError(
                "audiobox: needs its weights; download the folder of facebook/audiobox-aesthetics (CC-BY-4.0) and give "
                "config.quality.model=audiobox:FOLDER"
            )
        self._folder = existing_directory(folder)

    def card(self) -> ModelCard:
        """The card. Raises UserError if there are no weights in the folder."""
        files = sorted(self._folder.glob("*.safetensors"))
        if not files:
            raise UserError(f"{self._folder}: no .safetensors file in it")
        hashes = [sha256(file) for file in files]
        weights = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
        return ModelCard("Audiobox-aesthetics", "1", "CC-BY-4.0", weights, "real")

    def rate(self, samples: np.ndarray, sample_rate: int, tracks: Mapping[str, np.ndarray]) -> Evidence:
        """The ratings of a mix [s]; the tracks are not used."""
        sound = resample(np.asarray(samples, np.float32), sample_rate, RATE)
        model, params = self._network
        windows, lengths = [], []
        for start in range(0, len(sound), _WINDOW):
            window = sound[start : start + _WINDOW]
            lengths.append(len(window))
            padded = np.pad(window, (0, _WINDOW - len(window)))
            real = np.arange(_WINDOW) < len(window)
            windows.append(np.asarray(rate_window(model, params, padded[None], real[None]))[0])
        means = np.average(windows, axis=0, weights=lengths)
        return scores(**{axis: float(mean) for axis, mean in zip(AXES, means, strict=True)})

    @functools.cached_property
    def _network(self) -> tuple[Network, Params]:
        return load_audiobox(self._folder)


@functools.partial(jax.jit, static_argnums=0)
def rate_window(
    model: Network, params: Params, window: Float[Array, "1 s"], real: Bool[Array, "1 s"]
) -> Float[Array, "1 4"]:
    """The ratings, by `AXES`, of a window of sound at `RATE`, `real` where it is no padding."""
    return model.apply(params, window, real)  # pyright: ignore[reportReturnType]
