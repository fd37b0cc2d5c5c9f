"""How latents are normalised for a denoiser: the one place."""

from dataclasses import dataclass

from mtv_jax.typing import Array, Float


@dataclass(frozen=True)
class LatentScale:
    """One scalar for all channels (CogVideoX).

    Attributes:
      factor: one over the standard deviation of the autoencoder's latents.
      inverted_image: an image in channels of its own is divided by the factor where latents are multiplied
        (CogVideoX 1.5; `invert_scale_latents` of its autoencoder).
    """

    factor: float
    inverted_image: bool = False

    def normalise(self, latents: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
        """Latents of the autoencoder as a denoiser sees them."""
        return self.factor * latents

    def denormalise(self, latents: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
        """The inverse of `normalise`."""
        return latents / self.factor

    def as_image(self, normalised: Float[Array, "b f h w c"]) -> Float[Array, "b f h w c"]:
        """Normalised latents as a denoiser takes them in the channels of an image."""
        return self.factor**-2 * normalised if self.inverted_image else normalised
