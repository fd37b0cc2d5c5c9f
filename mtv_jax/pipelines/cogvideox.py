"""CogVideoX of diffusers: text to video, and image to video. They take no sound."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.pipelines.run import Encoded, Request
from mtv_jax.pipelines.track_pipeline import TrackPipeline


@dataclass(frozen=True)
class CogVideoXPipeline(TrackPipeline):
    """Text to video; keyframes, which diffusers' pipeline does not take, are clean latents."""

    def encode(self, requests: Sequence[Request], clip: ClipSize) -> Encoded:
        """Text, and keyframes as clean latents."""
        text, no_text = self.encode_prompts(requests)
        keyframes, mask = self.encode_keyframes(requests, clip)
        return Encoded(Conditions(text, clean_mask=mask), keyframes, no_text)


@dataclass(frozen=True)
class CogVideoXImageToVideoPipeline(TrackPipeline):
    """Image to video: the first frame is given, in channels behind those of the latents."""

    needs_picture: ClassVar[bool] = True

    def encode(self, requests: Sequence[Request], clip: ClipSize) -> Encoded:
        """Text and the first frame. Raises UserError for keyframes at any other frame, or none."""
        for request in requests:
            if set(request.keyframes) != {0}:
                frames = sorted(request.keyframes) or "no frame"
                raise UserError(f"keyframes at {frames}: an image-to-video model takes one, at frame 0")
        text, no_text = self.encode_prompts(requests)
        first, _ = self.encode_keyframes(requests, clip)
        assert first is not None  # each request has one
        image = self.vae.latent_scale.as_image(first)
        return Encoded(Conditions(text, image=image), no_text=no_text)
