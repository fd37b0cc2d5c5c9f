"""Hybrid Transformer Demucs (Rouard et al., arXiv 2211.08553): a sound to its stems, for inference.

The sound passes a U-Net as a spectrogram and another as a waveform, joined by a transformer at the bottom; the stems
are the sum of both results.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.io.errors import UserError
from mtv_jax.models.htdemucs.config import HTDemucsConfig
from mtv_jax.models.htdemucs.layers import DecoderLayer, EncoderLayer, conv, normalised
from mtv_jax.models.htdemucs.spectrum import spectrogram, waveform
from mtv_jax.models.htdemucs.transformer import CrossTransformer
from mtv_jax.typing import Array, Float


class HTDemucs(nn.Module):
    """A sound to its stems. `dtype` is that of the inputs of products and convolutions; all else is float32.

    Names of submodules are those of the checkpoints: `tencoder` and `tdecoder` belong to the waveform.
    """

    config: HTDemucsConfig
    dtype: Any = jnp.float32

    def setup(self):
        """Creates the submodules; called by Flax."""
        cfg, dtype = self.config, self.dtype
        self.encoder = [EncoderLayer(cfg, width, True, dtype) for width in cfg.widths]
        self.tencoder = [EncoderLayer(cfg, width, False, dtype) for width in cfg.widths]
        outputs = len(cfg.sources) * cfg.audio_channels
        self.decoder = self._decoder(2 * outputs, over_frequency=True)
        self.tdecoder = self._decoder(outputs, over_frequency=False)
        shape = (cfg.frequencies(1), cfg.channels)
        self.frequency_embedding = self.param("frequency_embedding", nn.initializers.normal(0.1), shape)
        self.transformer = CrossTransformer(cfg, dtype)
        if cfg.bottom_channels is not None:
            self.channel_upsampler, self.channel_upsampler_t = (_pointwise(cfg.width, dtype) for _ in "xt")
            self.channel_downsampler, self.channel_downsampler_t = (
                _pointwise(cfg.widths[-1], dtype) for _ in "xt"
            )

    def _decoder(self, outputs: int, *, over_frequency: bool) -> list[DecoderLayer]:
        """The layers of a decoder, innermost first."""
        widths = (outputs, *self.config.widths[:-1])
        return [
            DecoderLayer(self.config, widths[i], over_frequency, i == 0, self.dtype)
            for i in reversed(range(len(widths)))
        ]

    def __call__(self, mix: Float[Array, "b s c"]) -> Float[Array, "b S s c"]:
        """The stems of sounds of at most `segment_samples` samples, in the order of `sources`.

        Shorter sounds are padded with zeros at the end, as demucs does (`use_train_segment`). Raises UserError if they
        are longer or have another number of channels.
        """
        cfg, length = self.config, mix.shape[1]
        if length > cfg.segment_samples or mix.shape[2] != cfg.audio_channels:
            raise UserError(
                f"sound of {length} samples and {mix.shape[2]} channels: HTDemucs takes at most {cfg.segment_samples} "
                f"and {cfg.audio_channels}"
            )
        mix = jnp.pad(mix, [(0, 0), (0, cfg.segment_samples - length), (0, 0)])
        x, mean, std = normalised(spectrogram(mix, cfg.nfft))
        xt, mean_t, std_t = normalised(mix)
        x, xt = self._stems(x, xt)
        stems = waveform(x * std + mean, mix.shape[1]) + xt * std_t + mean_t
        stems = stems.reshape(*stems.shape[:2], len(cfg.sources), cfg.audio_channels)
        return stems[:, :length].swapaxes(1, 2)

    def _stems(self, x: Any, xt: Any) -> tuple[Any, Any]:
        """Both U-Nets: spectrogram [b f t c] and waveform [b s c] of the mix to those of all stems."""
        skips, skips_t = [], []
        lengths, lengths_t = [], []
        for i, (encode, encode_t) in enumerate(zip(self.encoder, self.tencoder, strict=True)):
            lengths.append(x.shape[1])
            lengths_t.append(xt.shape[1])
            x, xt = encode(x), encode_t(xt)
            if i == 0:
                weight = self.config.freq_emb * self.config.emb_scale
                x = x + weight * self.frequency_embedding[:, None]
            skips.append(x)
            skips_t.append(xt)
        x, xt = self._transform(x, xt)
        for decode, decode_t in zip(self.decoder, self.tdecoder, strict=True):
            x = decode(x, skips.pop(), lengths.pop())
            xt = decode_t(xt, skips_t.pop(), lengths_t.pop())
        return x, xt

    def _transform(self, x: Any, xt: Any) -> tuple[Any, Any]:
        """The transformer, at its own width."""
        if self.config.bottom_channels is None:
            return self.transformer(x, xt)
        wide = self.channel_upsampler(x.reshape(x.shape[0], -1, x.shape[-1]))
        wide = wide.reshape(*x.shape[:-1], -1)
        wide, xt = self.transformer(wide, self.channel_upsampler_t(xt))
        narrow = self.channel_downsampler(wide.reshape(x.shape[0], -1, wide.shape[-1]))
        return narrow.reshape(x.shape), self.channel_downsampler_t(xt)


def _pointwise(width: int, dtype: Any) -> nn.Conv:
    return conv(width, (1,), dtype, None, padding=[(0, 0)])
