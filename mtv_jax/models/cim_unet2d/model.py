"""Sound to the noise of pictures: ImageBind's network for sounds, the Condition Injection Module, and a UNet.

Source: Maestro, section 3.1; kuai-lab/eaai25_complex_A2V `train/train_textencoder.py`.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.mosaic.contexts import Contexts, compose
from mtv_jax.models.cim.model import ConditionInjectionModule
from mtv_jax.models.cim_unet2d.config import CIMUNet2DConfig
from mtv_jax.models.imagebind.model import ImageBindAudio
from mtv_jax.models.unet2d.model import UNet2D
from mtv_jax.typing import Array, Float

MEL = "mel"
"""The track that it takes: the log-mel spectrogram of each segment of two seconds (`models.imagebind.log_mels`)."""


class CIMUNet2D(nn.Module):
    """Noised latents of pictures, timesteps, and the sound of each picture's segment to the prediction of the noise.

    Its parts are stored as networks of their own (`NetworkSpec.parts`). Its own parameter `no_text` [l d] is the
    embedding of an empty text, in which the sound's tokens replace some.
    """

    config: CIMUNet2DConfig
    dtype: Any = jnp.float32
    remat: str = "none"

    def setup(self) -> None:
        """Creates the submodules; called by Flax."""
        cfg = self.config
        self.imagebind = ImageBindAudio(cfg.imagebind, self.dtype)
        self.cim = ConditionInjectionModule(cfg.cim, self.dtype)
        self.unet = UNet2D(cfg.unet, self.dtype, self.remat)
        self.no_text = self.param(
            "no_text", nn.initializers.zeros, (cfg.text_length, cfg.unet.text_embed_dim)
        )

    @property
    def tracks(self) -> tuple[str, ...]:
        """Names of the tracks that it takes."""
        return (MEL,)

    def __call__(
        self, latents: Float[Array, "b f h w c"], timesteps: Float[Array, "b"], conditions: Conditions
    ) -> Float[Array, "b f h w o"]:
        """The signature of a denoiser. The text of `conditions` has no part in it; `no_text` takes its place."""
        times = jnp.broadcast_to(timesteps[:, None], latents.shape[:2])
        return self.denoise(latents, times, self.listen(conditions.tracks[MEL]))

    def listen(self, mel: Float[Array, "b f m t"]) -> Float[Array, "b f l d"]:
        """What each picture attends to: `no_text` with the tokens of its segment; float32."""
        b, f = mel.shape[:2]
        heard = self.imagebind(mel.reshape(b * f, *mel.shape[2:])).tokens
        tokens = self.cim(heard)
        sources = tokens.reshape(b, 1, f, *tokens.shape[1:])
        text = jnp.broadcast_to(self.no_text, (b, *self.no_text.shape))
        return compose(text, sources, jnp.ones((b, 1), bool), first_slot=self.config.first_slot)

    def denoise(
        self,
        latents: Float[Array, "b f h w c"],
        timesteps: Float[Array, "b f"],
        context: Float[Array, "b f l d"],
    ) -> Float[Array, "b f h w o"]:
        """Raw prediction for pictures with timesteps of their own, given what each attends to; float32."""
        b, f = latents.shape[:2]

        def apart(x: Array) -> Array:
            return x.reshape(b * f, 1, *x.shape[2:])

        made = self.unet.denoise(apart(latents), timesteps.reshape(-1), Contexts(apart(context)))
        return made.reshape(b, f, *made.shape[2:])
