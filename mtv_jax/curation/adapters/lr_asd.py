"""Who speaks, by LR-ASD: a network that looks at a face and hears the voice. Its checkpoint is given by path."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from mtv_jax.curation.roles import Evidence, ModelCard, scores
from mtv_jax.faces.crops import crop_face, smooth_places
from mtv_jax.faces.tracks import SAMPLED_FPS
from mtv_jax.io.audio import fit_length, read_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_file, sha256
from mtv_jax.io.motion import optical_flow
from mtv_jax.io.video import iter_frames
from mtv_jax.models.lr_asd import LRASD
from mtv_jax.models.lr_asd.model import CEPSTRA, SOUND_FRAMES
from mtv_jax.models.syncnet.preprocessing import mfcc, to_int16
from mtv_jax.typing import Array, Float, Int, Params, UInt8
from mtv_jax.weights.lr_asd import load_lr_asd

RATE, FPS = 16_000, 25
"""Hz of the sound, and frames a second of the pictures."""
_STEP = round(FPS / SAMPLED_FPS)
"""Frames from one sampled frame to the next."""
_SIDE = 112
_LEAST = 7
"""Frames of a track; in shorter ones the running median of a face's place is 0."""
_SAMPLES, _BEYOND = RATE // FPS, 240
"""Samples of a frame of pictures, and those after its end that its last frame of sound reaches."""


class LrAsd:
    """ActiveSpeaker. A score is the mean probability of speech over the frames around a sampled frame.

    It takes moving lips under another voice for speech, so the filter of voice-over needs `lip_sync` besides.

    Args:
      path: a checkpoint of the original, `finetuning_TalkSet.model` or `pretrain_AVA.model`.
    """

    def __init__(self, path: str = ""):
        if not path:
            raise UserError(
                "lr_asd: needs its weights; download weight/finetuning_TalkSet.model of Junhua-Liao/LR-ASD (MIT) and "
                "give config.active_speaker=lr_asd:FILE"
            )
        self._path = existing_file(path)

    def card(self) -> ModelCard:
        """The card."""
        return ModelCard("LR-ASD", "1", "MIT", sha256(self._path), "real")

    def score(
        self,
        clip: Path,
        speech: Path,
        persons: Mapping[str, Any],
        mouths: Mapping[str, Any],
        turns: Sequence[Sequence[Any]],
    ) -> Evidence:
        """See `ActiveSpeaker`."""
        tracks = persons["tracks"]
        if not tracks:
            return scores(scores=[])
        frames = np.stack(list(iter_frames(clip, fps=FPS)))
        sound = read_audio(speech, RATE)
        return scores(scores=[self._scores(track, frames, sound) for track in tracks])

    def _scores(self, track: Mapping[str, Any], frames: np.ndarray, sound: np.ndarray) -> list[float]:
        """Of a track at each of its sampled frames."""
        first, boxes = dense_boxes(track, frames.shape[:3])
        if len(boxes) < _LEAST:
            return [0.0] * len(track["frames"])
        model, params = self._network
        faces = np.zeros((1, len(frames), _SIDE, _SIDE), np.float32)
        faces[0, : len(boxes)] = grey_faces(frames[first : first + len(boxes)], boxes)
        cepstra = np.zeros((1, SOUND_FRAMES * len(frames), CEPSTRA), np.float32)
        cepstra[0, : SOUND_FRAMES * len(boxes)] = sound_of(sound, first, len(boxes))
        speaks = np.asarray(_apply(model, params, faces, cepstra, np.array([len(boxes)], np.int32)))[0]
        half = _STEP // 2
        middles = [frame * _STEP - first for frame in track["frames"]]
        windows = [speaks[max(0, m - half) : min(m + half + 1, len(boxes))] for m in middles]
        return [round(float(w.mean()), 4) if len(w) else 0.0 for w in windows]

    @functools.cached_property
    def _network(self) -> tuple[LRASD, Params]:
        return load_lr_asd(self._path)


def dense_boxes(track: Mapping[str, Any], size: tuple[int, int, int]) -> tuple[int, Float[np.ndarray, "n 4"]]:
    """The first frame of a track, and its boxes in pixels from there on, at `FPS`.

    Between sampled frames they are interpolated; the track begins and ends half a step beyond them.

    Args:
      track: `mtv_jax.faces.tracks.track_to_json`.
      size: number, height and width of the clip's frames.
    """
    count, height, width = size
    known = np.array(track["frames"]) * _STEP
    boxes = np.array([face["box"] for face in track["faces"]]) * (width, height, width, height)
    half = _STEP // 2
    frames = np.arange(max(0, known[0] - half), min(known[-1] + half + 1, count))
    return int(frames[0]), np.stack([np.interp(frames, known, column) for column in boxes.T], axis=1)


def grey_faces(
    frames: UInt8[np.ndarray, "n H W 3"], boxes: Float[np.ndarray, "n 4"]
) -> UInt8[np.ndarray, "n 112 112"]:
    """The faces as the network sees them: the middle of `crop_face`'s 224 x 224 pixels, in grey.

    The original encodes the crops as a video before, which is left out here.
    """
    cv2 = optical_flow()
    margin = _SIDE // 2
    crops = (crop_face(frame, place) for frame, place in zip(frames, smooth_places(boxes), strict=True))
    grey = (cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in crops)
    return np.stack([face[margin : margin + _SIDE, margin : margin + _SIDE] for face in grey])


def sound_of(sound: Float[np.ndarray, "s"], first: int, count: int) -> Float[np.ndarray, "f c"]:
    """MFCC of the sound of `count` frames from `first` on, four for each; silence follows where the sound ends."""
    start = first * _SAMPLES
    part = fit_length(sound[start : start + count * _SAMPLES + _BEYOND], count * _SAMPLES + _BEYOND)
    return mfcc(to_int16(part)).astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def _apply(
    model: LRASD,
    params: Params,
    faces: Float[Array, "b t h w"],
    cepstra: Float[Array, "b s c"],
    frames: Int[Array, "b"],
) -> Any:
    logits: Any = model.apply(params, faces, cepstra, frames)
    return jax.nn.softmax(logits)[..., 1]
