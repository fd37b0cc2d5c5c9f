"""Normalisation of latents for a denoiser."""

from dataclasses import dataclass

from mtv_jax.typing import Array, Float


@dataclass(frozen=True)
class LatentScale:
    """One scalar for all channels (CogVideoX).

    Attributes:
      factor: one over the standard deviation of the autoencoder's latents.
      inverted_image: an image in separate channels is divided by the factor where latents are multiplied
        (CogVideoX 1.5; `invert_scale_latents` of its autoencoder).
    """

    factor: float
    inverted_image: bool = False

    def normalise(self, latents: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
        """Normalises latents of the autoencoder for a denoiser."""
        return self.factor * latents

    def denormalise(self, latents: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
        """The inverse of `normalise`."""
        return latents / self.factor

    def as_image(self, normalised: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
        """Rescales normalised latents for the image channels of a denoiser."""
        return self.factor**-2 * normalised if self.inverted_image else normalised
