"""Who speaks when: Silero's voice activity, and the voices in windows of 1.6 s by Resemblyzer's encoder, clustered.

The package is not imported, since it needs torch; its weights are read without.
"""

import functools
import hashlib
import importlib.metadata
import importlib.util
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mtv_jax.audio.turns import Turn
from mtv_jax.curation.adapters.silero import CHUNK, RATE, Silero
from mtv_jax.curation.roles import Evidence, ModelCard, NotInstalledError
from mtv_jax.curation.speakers import Clustering, Windows, assign, find_speakers, runs, turn_scores
from mtv_jax.io.audio import fit_length, resample
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory, existing_file, sha256
from mtv_jax.io.levels import rms_dbfs
from mtv_jax.models.ge2e import GE2E
from mtv_jax.typing import Array, Bool, Float, Params
from mtv_jax.weights.ge2e import load_resemblyzer
from mtv_jax.weights.pretrained import load_model

PACKAGE = "resemblyzer"
INSTALL = f"pip install --no-deps {PACKAGE}==0.1.4"
"""The package requires torch, which only its own code needs."""

SPEECH, QUIET = 0.5, 0.35
"""Probability of speech from which it begins, and below which it ends."""
SHORTEST, PAUSE = 0.1, 0.25
"""Seconds: shorter speech is left out, shorter pauses belong to the speech around them."""
HOP = 20
"""Frames from one window to the next: 0.2 s."""
STEP = 10
"""Frames for which one speaker is chosen: 0.1 s."""
LEAST_SPEECH = 0.6
"""Share of a window with speech, below which it says nothing of a voice."""
LEVEL = -30.0
"""RMS dBFS to which quieter speech is raised, as in Resemblyzer."""
_BATCH = 32


class Resemblyzer:
    """Finds turns. Of voices that overlap, only the clearer one is found.

    Two speakers are distinguished if each speaks for some two seconds (`Clustering.fewest` windows and their length).

    Args:
      path: a folder with the encoder (`save_model`), in place of the installed package.
    """

    def __init__(self, path: str = ""):
        self._path = path
        self._silero = Silero()

    def card(self) -> ModelCard:
        """The card of both models. Raises UserError if one is missing."""
        weights, version = self._weights(), Path(self._path).name if self._path else _version()
        silero = self._silero.card()
        both = hashlib.sha256(f"{silero.weights}{sha256(weights)}".encode()).hexdigest()
        return ModelCard(
            f"{silero.name} and Resemblyzer",
            f"{silero.version}, {version}",
            "MIT AND Apache-2.0",
            both,
            "real",
        )

    def diarize(self, samples: np.ndarray, sample_rate: int) -> Evidence:
        """See `roles.Diarizer`."""
        sound = resample(np.asarray(samples, np.float32), sample_rate, RATE)
        model, params = _load(self._weights())
        speech = speech_frames(self._silero.probabilities(sound), len(sound), model.config.hop)
        speakers = np.zeros(len(speech), np.int64)
        windows = embed(model, params, _raised(sound, speech, model.config.hop), speech)
        if len(windows.starts):
            how = Clustering()
            times = np.arange(0.0, len(speech), STEP) + STEP / 2
            path = assign(windows, find_speakers(windows, how), times, how)
            speakers = np.repeat(path, STEP)[: len(speech)]
        seconds = model.config.hop / RATE
        return turn_scores(
            [
                Turn(start * seconds, end * seconds, f"speaker{number}")
                for number in np.unique(speakers)
                for start, end in runs(speech & (speakers == number))
            ]
        )

    def _weights(self) -> Path:
        """The file of the weights. Raises NotInstalledError without the package, UserError without the file."""
        if self._path:
            return existing_file(existing_directory(self._path) / "model.safetensors")
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise NotInstalledError(
                f"the speaker encoder's weights are in the package {PACKAGE}, which is not installed; {INSTALL}"
            )
        return existing_file(Path(spec.submodule_search_locations[0]) / "pretrained.pt")


def speech_frames(probabilities: Float[np.ndarray, "c"], length: int, hop: int) -> Bool[np.ndarray, "f"]:
    """Which frames of `hop` samples are speech, given its probability in each chunk of a sound of so many samples."""
    chunk = CHUNK / RATE
    speech = np.zeros(len(probabilities), bool)
    for start, end in runs(probabilities >= QUIET):
        speech[start:end] = probabilities[start:end].max() >= SPEECH
    for start, end in runs(~speech):
        inner = start > 0 and end < len(speech)
        speech[start:end] = inner and (end - start) * chunk < PAUSE
    for start, end in runs(speech):
        speech[start:end] = (end - start) * chunk >= SHORTEST
    return speech[np.arange(0, length, hop) // CHUNK]


def embed(
    model: GE2E, params: Params, sound: Float[np.ndarray, "s"], speech: Bool[np.ndarray, "f"]
) -> Windows:
    """The voices in the windows of a sound in which there is enough speech. `speech` is by frame."""
    config = model.config
    mels = mel_spectrogram(fit_length(sound, max(len(sound), config.frames * config.hop)), model)
    starts = np.arange(0, len(mels) - config.frames + 1, HOP)
    spoken = fit_length(speech.astype(np.float32), len(mels))
    share = np.array([spoken[start : start + config.frames].mean() for start in starts])
    starts = starts[share >= LEAST_SPEECH]
    found = np.zeros((len(starts), config.embedding), np.float32)
    for first in range(0, len(starts), _BATCH):
        chosen = starts[first : first + _BATCH]
        batch = np.stack([mels[start : start + config.frames] for start in chosen])
        found[first : first + _BATCH] = _apply(model, params, fit_length(batch, _BATCH))[: len(chosen)]
    return Windows(found, starts, config.frames)


def mel_spectrogram(sound: Float[np.ndarray, "s"], model: GE2E) -> Float[np.ndarray, "t c"]:
    """The network's input: power in mel bands, a frame centred on each `hop` samples."""
    import librosa  # here, since importing it takes a second

    config = model.config
    mels = librosa.feature.melspectrogram(
        y=sound, sr=config.sample_rate, n_fft=config.n_fft, hop_length=config.hop, n_mels=config.mels
    )
    return mels.T.astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def _apply(model: GE2E, params: Params, mels: Float[Array, "b t c"]) -> Any:
    return model.apply(params, mels)


def _raised(sound: Float[np.ndarray, "s"], speech: Bool[np.ndarray, "f"], hop: int) -> Float[np.ndarray, "s"]:
    """The sound with its speech at `LEVEL`, if that is louder than it is."""
    spoken = sound[np.repeat(speech, hop)[: len(sound)]]
    gain = LEVEL - rms_dbfs(spoken) if len(spoken) else 0.0
    return sound * np.float32(10 ** (max(gain, 0.0) / 20))


@functools.lru_cache(maxsize=2)
def _load(weights: Path) -> tuple[GE2E, Params]:
    if weights.suffix == ".pt":
        return load_resemblyzer(weights)
    model, params = load_model(weights.parent)
    if not isinstance(model, GE2E):
        raise UserError(f"{weights.parent}: a {type(model).__name__}, not a speaker encoder")
    return model, params


def _version() -> str:
    try:
        return f"{PACKAGE} {importlib.metadata.version(PACKAGE)}"
    except importlib.metadata.PackageNotFoundError:  # on the path, but not installed
        return f"{PACKAGE}, version not stated"
