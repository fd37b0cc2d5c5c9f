"""From the sounds of sources to the tokens of every frame.

Sound at 16 kHz -> S = ceil(L / 2) clips of two seconds -> ImageBind's spectrograms and raw tokens -> the Condition
Injection Module (CIM): N_Q tokens a clip -> frames.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import jax
import numpy as np

from mtv_jax.io.audio import fit_length
from mtv_jax.models.imagebind import log_mels
from mtv_jax.models.imagebind.preprocessing import CLIP_SECONDS
from mtv_jax.names import TRACK_RATE
from mtv_jax.typing import Array, Float, Int, Params
from mtv_jax.weights.maestro_defaults import ClipSampler

CLIP = CLIP_SECONDS * TRACK_RATE
"""Samples of a clip."""
_BATCH = 8
"""Clips that are encoded at once; fewer are filled up, so that one program serves any number."""


def num_clips(seconds: float | Fraction) -> int:
    """S: the clips of a video, of which the last may go beyond its end."""
    return max(math.ceil(Fraction(seconds) / CLIP_SECONDS), 1)


def cut_clips(
    sound: Float[np.ndarray, "s"], seconds: float | Fraction, sampler: ClipSampler
) -> list[Float[np.ndarray, "_"]]:
    """The S clips of the first `seconds` of a sound at 16 kHz, each without its mean.

    `sampler` says where they start: `tiled`, every two seconds, the end padded with silence; or as ImageBind's loader
    has them, S clips from the first sample to the last, which overlap: `even`, or `early` as its first version, whose
    clips start i (L - 2) / S seconds in.
    """
    count, length = num_clips(seconds), round(seconds * TRACK_RATE)
    sound = fit_length(sound, max(length, CLIP))
    last = Fraction(len(sound) - CLIP, TRACK_RATE)
    if sampler == "tiled":
        starts = [Fraction(CLIP_SECONDS * i) for i in range(count)]
    else:
        parts = count if sampler == "early" else max(count - 1, 1)
        starts = [last * i / parts for i in range(count)]
    clips = [fit_length(sound[int(start * TRACK_RATE) :][:CLIP], CLIP) for start in starts]
    return [clip - clip.mean(dtype=np.float64).astype(np.float32) for clip in clips]


def key_frames(num_frames: int, clips: int) -> Int[np.ndarray, "s"]:
    """The frame of each clip's picture in training: min(s n, F - 1) for clip s, with n = ceil(F / (S - 1)).

    The first and the last clip have the first and the last frame; a single clip has the first (Maestro, section 3.1).
    """
    step = -(-num_frames // max(clips - 1, 1))
    return np.minimum(np.arange(clips) * step, num_frames - 1)


def clip_of_frames(num_frames: int, clips: int, frames_per_clip: int | None) -> Int[np.ndarray, "f"]:
    """The clip whose tokens each frame has: floor(f S / N_F), or a clip for so many frames (released code: 8)."""
    frames = np.arange(num_frames)
    if frames_per_clip is None:
        return frames * clips // num_frames
    return np.minimum(frames // frames_per_clip, clips - 1)


def source_tokens(
    encoder: Any, encoder_params: Params, injector: Any, injector_params: Params, clips: Sequence[np.ndarray]
) -> Float[np.ndarray, "s q d"]:
    """The tokens of clips, a batch at a time: `encoder` is ImageBind's network for sounds, `injector` the CIM."""
    made = []
    for start in range(0, len(clips), _BATCH):
        mel = log_mels(clips[start : start + _BATCH])
        tokens = _tokens(encoder, injector, encoder_params, injector_params, fit_length(mel, _BATCH))
        made.append(np.asarray(tokens, np.float32)[: len(mel)])
    return np.concatenate(made)


def _inject(
    encoder: Any, injector: Any, encoder_params: Params, injector_params: Params, mel: Float[Array, "b m t"]
) -> Float[Array, "b q d"]:
    heard = encoder.apply(encoder_params, mel).tokens
    return injector.apply(injector_params, heard)


_tokens = jax.jit(_inject, static_argnums=(0, 1))
