"""Whether the picture, the sound and the label of a clip belong together (Maestro's curation).

Three cosines of embeddings, each the mean over the segments of two seconds that the Condition Injection Module hears:
of a segment's key frame and its sound, of the key frame and the label, of the sound and the label. How segments are
joined is ours; the paper does not say. A clip is judged by where its cosines are among those of the whole data set
(`mtv_jax.curation.population`), since those of different modalities have different levels.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mtv_jax.curation.filters.fingerprints import to_text
from mtv_jax.curation.roles import Embedder, Evidence, scores
from mtv_jax.io.levels import rms_dbfs
from mtv_jax.io.video import iter_frames
from mtv_jax.pipelines.maestro.features import cut_clips, key_frames, num_clips
from mtv_jax.typing import Float, UInt8


def agreement_scores(
    clip: Path,
    sound: Float[np.ndarray, "s"],
    seconds: float,
    frames: int,
    label: str | None,
    embedder: Embedder,
) -> Evidence:
    """`keyframe_audio`, `keyframe_text`, `audio_text`, `label`, `dbfs` of the sound, and `vectors`: the embeddings of
    sound and label.

    Without a label there is only the cosine of key frames and sound.

    Args:
      clip: video file.
      sound: at 16 kHz (`mtv_jax.curation.heard`).
      seconds, frames: their length.
      label: such as "dog barking".
      embedder: the network.
    """
    segments = cut_clips(sound, seconds, "tiled")
    indices = key_frames(frames, num_clips(seconds)).tolist()
    found = embedder.embed(pick_frames(iter_frames(clip), indices), segments, label)
    mean = found.sounds.mean(axis=0)
    evidence = {"keyframe_audio": float((found.keyframes * found.sounds).sum(axis=1).mean())}
    vectors = {"sound": to_text(_bits(mean))}
    if found.label is not None:
        evidence["keyframe_text"] = float((found.keyframes @ found.label).mean())
        evidence["audio_text"] = float(mean @ found.label)
        vectors["label"] = to_text(_bits(found.label))
    return scores(**evidence, dbfs=round(rms_dbfs(sound), 3), label=label, vectors=vectors)


def pick_frames(
    frames: Iterable[UInt8[np.ndarray, "H W 3"]], indices: Sequence[int]
) -> UInt8[np.ndarray, "s H W 3"]:
    """The frames of these indices, which may repeat, in the order of `indices`; one pass in little memory."""
    wanted = set(indices)
    found = {number: frame for number, frame in enumerate(frames) if number in wanted}
    return np.stack([found[number] for number in indices])


def _bits(vector: Float[np.ndarray, "e"]) -> np.ndarray:
    """A vector in float16, as whole numbers."""
    return vector.astype(np.float16).view(np.uint16)
