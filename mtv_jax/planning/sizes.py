"""The size of a clip for which something is planned."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LatentSize:
    """Latent frames, rows and columns of a clip."""

    latent_frames: int
    latent_height: int
    latent_width: int
