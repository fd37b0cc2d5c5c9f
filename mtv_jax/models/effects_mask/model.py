"""A convolutional U-Net over frequency that tells how much of each bin of a spectrum belongs to sound effects.

Only frequency is subsampled and nothing recurs, so the mask of a window depends on a fixed number of windows around it
(`reach`), and is the same wherever the sound is cut.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from mtv_jax.models.effects_mask.config import BINS, FINE, STRIDES, EffectsMaskConfig
from mtv_jax.typing import Array, Float


def reach(config: EffectsMaskConfig) -> int:
    """Windows before a window, and as many after it, on which its mask depends."""
    return sum(config.dilations) + 2 * len(STRIDES)


class EffectsMask(nn.Module):
    """Logits of the share of effects in each bin."""

    config: EffectsMaskConfig
    dtype: Any = jnp.float32

    def setup(self):
        """Layers."""
        cfg = self.config

        def dense(features: int) -> nn.Dense:
            return nn.Dense(features, dtype=self.dtype)

        self.down = [
            nn.Conv(width, (3, max(2 * stride - 1, 3)), (1, stride), dtype=self.dtype)
            for width, stride in zip(cfg.widths, STRIDES, strict=True)
        ]
        self.inner = dense(cfg.hidden)
        self.norms = [nn.LayerNorm(dtype=self.dtype) for _ in cfg.dilations]
        self.times = [
            nn.Conv(cfg.hidden, (3,), kernel_dilation=(d,), dtype=self.dtype) for d in cfg.dilations
        ]
        bottom = BINS
        for stride in STRIDES:
            bottom //= stride
        self.outer = dense(bottom * cfg.widths[-1])
        targets = (FINE, *cfg.widths[:-1])
        self.up = [dense(stride * width) for width, stride in zip(targets, STRIDES, strict=True)]
        self.join = [nn.Conv(width, (3, 3), dtype=self.dtype) for width in cfg.widths[:-1]]
        self.mask = nn.Conv(1, (3, 5), dtype=self.dtype)

    def __call__(self, levels: Float[Array, "b T k"]) -> Float[Array, "b T k"]:
        """Logits for the levels of BINS bins in T windows (`preprocess.levels`)."""
        x = levels[..., None].astype(self.dtype)
        seen = [x]
        for conv in self.down:
            x = nn.relu(conv(x))
            seen.append(x)
        x = x + self._over_time(x)
        for number in reversed(range(len(STRIDES))):
            x = nn.relu(self.up[number](x))
            x = x.reshape(*x.shape[:2], x.shape[2] * STRIDES[number], -1)
            if number:
                x = x + nn.relu(self.join[number - 1](x + seen[number]))
        return self.mask(jnp.concatenate([x, seen[0]], axis=-1))[..., 0]

    def _over_time(self, x: Float[Array, "b T k c"]) -> Float[Array, "b T k c"]:
        """Dilated convolutions over all bands of a window at once."""
        y = self.inner(x.reshape(*x.shape[:2], -1))
        for norm, conv in zip(self.norms, self.times, strict=True):
            y = y + nn.relu(conv(norm(y)))
        return self.outer(nn.relu(y)).reshape(x.shape)
