"""The MTV denoiser."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.dit.model import DiT
from mtv_jax.models.mst_controlnet.model import AudioInjection, MSTControlNet, frame_windows
from mtv_jax.models.mtv.config import MTVConfig
from mtv_jax.typing import Array, Float


class MTV(nn.Module):
    """Noised latents, timestep, text and three tracks to a raw prediction (v or epsilon).

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

    def __call__(
        self,
        latents: Float[Array, "b f h w c"],
        timesteps: Float[Array, "b"],
        text: Float[Array, "b l t"],
        audio: Mapping[str, Float[Array, "b F L a"]],
        clean_mask: Array | None = None,
    ) -> Float[Array, "b f h w o"]:
        """Raw prediction in float32. `audio` holds per-frame features; F = 1 + r(f - 1), where r is the
        controlnet's `temporal_compression_ratio`."""
        windowed = {name: frame_windows(x, self.config.controlnet.window) for name, x in audio.items()}
        return self.denoise(latents, timesteps, text, windowed, clean_mask)

    def denoise(
        self,
        latents: Float[Array, "b f h w c"],
        timesteps: Float[Array, "b"],
        text: Float[Array, "b l t"],
        windowed: Mapping[str, Float[Array, "b F W L a"]],
        clean_mask: Array | None = None,
    ) -> Float[Array, "b f h w o"]:
        """As `__call__`, for features that are windowed already. Raises UserError for sound of another length."""
        wanted = self.config.controlnet.sound_frames(latents.shape[1])
        for frames in {x.shape[1] for x in windowed.values()} - {wanted}:
            raise UserError(
                f"sound of {frames} frames for {latents.shape[1]} latent frames: this model takes {wanted}"
            )
        control = self.controlnet(windowed, self.transformer.embed_time(timesteps))
        return self.transformer.denoise(latents, timesteps, text, control, clean_mask)
