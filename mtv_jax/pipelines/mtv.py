"""MTV: text and separate tracks of sound to video, with clean keyframes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jax.sharding import Mesh

from mtv_jax.audio.features import AudioEncoder, track_features
from mtv_jax.audio.pretrained import load_audio_encoder
from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.models.denoisers import track_shapes
from mtv_jax.names import TRACK_RATE
from mtv_jax.pipelines.run import Encoded, Request
from mtv_jax.pipelines.track_pipeline import TrackPipeline
from mtv_jax.pipelines.windows import frames_around


@dataclass(frozen=True)
class MTVPipeline(TrackPipeline):
    """The pipeline of `MTV`. `audio_encoder` turns tracks into features per frame."""

    audio_encoder: AudioEncoder = field(kw_only=True)

    takes_windows: ClassVar[bool] = True

    @classmethod
    def load_parts(cls, folder: Path, denoiser: Any, *, dtype: Any, mesh: Mesh | None) -> dict[str, Any]:
        """As of the base class."""
        encoder = load_audio_encoder(folder / "audio_encoder", dtype=dtype)
        _check_features(folder, encoder, track_shapes(denoiser, 1))
        return {"audio_encoder": encoder}

    def encode(self, requests: Sequence[Request], clip: ClipSize) -> Encoded:
        """Text, features of the tracks, and keyframes as clean latents."""
        text, no_text = self.encode_prompts(requests)
        keyframes, mask = self.encode_keyframes(requests, clip)
        return Encoded(Conditions(text, self._features(requests, clip), mask), keyframes, no_text)

    @property
    def needs_full_audio(self) -> bool:
        """As its audio encoder."""
        return self.audio_encoder.needs_full_audio

    def window_tracks(self, tracks: Mapping[str, Any], frames: Sequence[int]) -> dict[str, Any]:
        """As of the base class: each frame with those around it in the video, [b F W L c]."""
        return dict(frames_around(tracks, frames, self.denoiser.config.controlnet.window))

    def _features(self, requests: Sequence[Request], clip: ClipSize) -> dict[str, np.ndarray]:
        """[b F L c] of each track, for all frames that the latent frames of a video stand for."""
        frames = 1 + self.vae.config.temporal_compression_ratio * (self._latent_frames(clip) - 1)
        silence = np.zeros(round(frames / clip.fps * TRACK_RATE), np.float32)
        rows = []
        for request in requests:
            heard = {name: request.tracks.get(name, silence) for name in self.tracks}
            rows.append(track_features(self.audio_encoder, heard, frames, clip.fps))
        # NumPy's, since the features of a long video do not have to be on the device.
        return {name: np.stack([row[name] for row in rows]) for name in self.tracks}


def _check_features(folder: Path, encoder: AudioEncoder, tracks: Mapping[str, tuple[int, ...]]) -> None:
    made = encoder.num_layers, encoder.num_channels
    for _, *taken in tracks.values():
        if made != tuple(taken):
            raise UserError(
                f"{folder}: audio_encoder/ gives {made[0]} x {made[1]} numbers a frame, controlnet/ takes "
                f"{taken[0]} x {taken[1]}"
            )
