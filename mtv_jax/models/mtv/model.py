"""The MTV denoiser."""

from dataclasses import replace
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.io.errors import UserError
from mtv_jax.models.dit.model import DiT
from mtv_jax.models.mst_controlnet.model import AudioInjection, MSTControlNet, frame_windows
from mtv_jax.models.mtv.config import MTVConfig
from mtv_jax.typing import Array, Float


class MTV(nn.Module):
    """Denoiser: noised latents, timesteps, text and tracks to a raw prediction (v or epsilon).

    Parameters: `transformer/...` (the backbone, with the controlnet's part of each layer under
    `transformer/blocks/injection`) and `controlnet/...`.
    """

    config: MTVConfig
    dtype: Any = jnp.float32
    scan_layers: bool = True
    remat: str = "none"

    def setup(self) -> None:
        """Names the parts."""
        cfg = self.config
        make_injection = partial(
            AudioInjection, cfg.controlnet, cfg.dit.num_attention_heads, cfg.dit.num_layers
        )
        self.transformer = DiT(cfg.dit, make_injection, self.dtype, self.scan_layers, self.remat)
        self.controlnet = MSTControlNet(cfg.controlnet, self.scan_layers)

    @property
    def tracks(self) -> tuple[str, ...]:
        """Names of the audio tracks."""
        return self.config.controlnet.tracks

    def __call__(
        self, latents: Float[Array, "b f h w c"], timesteps: Float[Array, "b"], conditions: Conditions
    ) -> Float[Array, "b f h w o"]:
        """Raw prediction in float32.

        The features of the tracks have F = 1 + r(f - 1) frames, where r is the controlnet's
        `temporal_compression_ratio`. In a part of a longer video, each frame comes with those around it,
        [b F W L c]. Raises UserError for unexpected tracks, and for another F.
        """
        size = self.config.controlnet.window
        windowed = {
            name: x if x.ndim == 5 else frame_windows(x, size) for name, x in conditions.tracks.items()
        }
        return self.denoise_windowed(latents, timesteps, replace(conditions, tracks=windowed))

    def denoise_windowed(
        self, latents: Float[Array, "b f h w c"], timesteps: Float[Array, "b"], conditions: Conditions
    ) -> Float[Array, "b f h w o"]:
        """As `__call__`, for features [b F W L c] that are already windowed."""
        conditions.check_tracks(self.tracks)
        wanted = self.config.controlnet.sound_frames(latents.shape[1])
        for frames in {x.shape[1] for x in conditions.tracks.values()} - {wanted}:
            raise UserError(
                f"sound of {frames} frames for {latents.shape[1]} latent frames: this model takes {wanted}"
            )
        control = self.controlnet(conditions.tracks, self.transformer.embed_time(timesteps))
        return self.transformer.denoise(latents, timesteps, conditions, control)
