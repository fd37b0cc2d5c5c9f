"""MTV: text and separate tracks of sound to video, with clean keyframes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import jax.numpy as jnp
import numpy as np

from mtv_jax.audio.features import AudioEncoder, track_features
from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.names import TRACK_RATE
from mtv_jax.pipelines.run import Encoded, Request
from mtv_jax.pipelines.track_pipeline import TrackPipeline
from mtv_jax.typing import Array


@dataclass(frozen=True)
class MTVPipeline(TrackPipeline):
    """The pipeline of `MTV`. `audio_encoder` turns tracks into features per frame."""

    audio_encoder: AudioEncoder = field(kw_only=True)

    def encode(self, requests: Sequence[Request], clip: ClipSize) -> Encoded:
        """Text, features of the tracks, and keyframes as clean latents."""
        text, no_text = self.encode_prompts(requests)
        keyframes, mask = self.encode_keyframes(requests, clip)
        return Encoded(Conditions(text, self._features(requests, clip), mask), keyframes, no_text)

    @property
    def needs_full_audio(self) -> bool:
        """As its audio encoder."""
        return self.audio_encoder.needs_full_audio

    def _features(self, requests: Sequence[Request], clip: ClipSize) -> dict[str, Array]:
        """[b F L c] of each track."""
        silence = np.zeros(round(clip.duration * TRACK_RATE), np.float32)
        rows = []
        for request in requests:
            heard = {name: request.tracks.get(name, silence) for name in self.tracks}
            rows.append(track_features(self.audio_encoder, heard, clip.num_frames, clip.fps))
        return {name: jnp.asarray(np.stack([row[name] for row in rows])) for name in self.tracks}
