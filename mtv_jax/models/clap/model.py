"""CLAP: sounds and texts to features of one space."""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.models.clap.audio import HTSAT
from mtv_jax.models.clap.config import ClapConfig
from mtv_jax.models.clap.text import Projection, RobertaTransformer
from mtv_jax.models.clip.model import unit_length
from mtv_jax.typing import Array, Bool, Float, Int


class Clap(nn.Module):
    """Features of sounds and of texts, to be compared by their cosine."""

    config: ClapConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True

    def setup(self):
        """Creates the submodules; called by Flax."""
        text, width = self.config.text, self.config.text.projection_dim
        self.text = RobertaTransformer(text, self.dtype, self.scan_layers)
        self.text_projection = Projection(width, self.dtype)
        self.audio = HTSAT(self.config.audio, self.dtype)
        self.audio_projection = Projection(width, self.dtype)
        scale = nn.initializers.constant(math.log(1 / 0.07))
        self.logit_scale_a = self.param("logit_scale_a", scale, ())
        self.logit_scale_t = self.param("logit_scale_t", scale, ())

    def __call__(
        self, mel: Float[Array, "b v t m"], tokens: Int[Array, "n l"], longer: Bool[Array, "b"] | None = None
    ) -> tuple[Float[Array, "b n"], Float[Array, "n b"]]:
        """The cosine of every sound and text, times the learned scale of sounds, and of texts."""
        sounds = unit_length(self.audio_features(mel, longer))
        cosines = sounds @ unit_length(self.text_features(tokens)).T
        return jnp.exp(self.logit_scale_a) * cosines, jnp.exp(self.logit_scale_t) * cosines.T

    def text_features(self, tokens: Int[Array, "b l"]) -> Float[Array, "b p"]:
        """As those of `ClapText`."""
        return self.text_projection(self.text(tokens))

    def audio_features(
        self, mel: Float[Array, "b v t m"], longer: Bool[Array, "b"] | None = None
    ) -> Float[Array, "b p"]:
        """Features of sounds, float32, not of unit length; `mel` and `longer` are those of `clap_features`.

        There is one view of a sound, with `enable_fusion` four: the whole and three crops, which are heard only if
        the sound is `longer` than a spectrogram. None: no sound is.
        """
        if longer is None:
            longer = jnp.zeros(len(mel), bool)
        return self.audio_projection(self.audio(mel, longer))
