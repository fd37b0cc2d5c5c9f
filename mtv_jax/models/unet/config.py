"""Sizes of a UNet of latent diffusion."""

from dataclasses import dataclass

from mtv_jax.io.checks import check_whole
from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Architecture of `UNet`. Levels are ordered from the latents' resolution down; each has half of the last one's.

    Attributes:
      in_channels: of the latents.
      out_channels: of the prediction.
      block_out_channels: width of each level.
      attention_levels: whether the layers of each level have transformers. The middle has one in any case.
      layers_per_block: residual blocks of a level on the way down; there is one more on the way up.
      attention_head_dim: width of a head, at all levels.
      transformer_layers: blocks of each spatial transformer.
      text_embed_dim: width of the text embeddings.
      norm_num_groups: of the group norms.
      norm_eps: of the residual blocks' and the last group norm.
      sample_frames: of the training clips, in latents, as `sample_height` and `sample_width`.
    """

    in_channels: int = 4
    out_channels: int = 4
    block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280)
    attention_levels: tuple[bool, ...] = (True, True, True, False)
    layers_per_block: int = 2
    attention_head_dim: int = 64
    transformer_layers: int = 1
    text_embed_dim: int = 1024
    norm_num_groups: int = 32
    norm_eps: float = 1e-5
    sample_frames: int = 1
    sample_height: int = 64
    sample_width: int = 64

    # Of all UNets (`mtv_jax.models.denoisers`); CLIP pads texts to this length.
    max_text_seq_length = 77
    frames_per_token = 1
    text_length_is_fixed = True
    temporal = False

    def __post_init__(self):
        check_network(self)
        check_whole("levels", self.num_levels, most=8)
        levels = self.attention_levels
        if not isinstance(levels, tuple) or [type(level) for level in levels] != [bool] * self.num_levels:
            raise UserError(f"attention_levels {levels!r}: must be {self.num_levels} of true and false")
        for width in self.block_out_channels:
            for name in ("norm_num_groups", "attention_head_dim"):
                if width % getattr(self, name):
                    raise UserError(
                        f"block_out_channels {width}: must be divisible by {name} ({getattr(self, name)})"
                    )

    @property
    def num_levels(self) -> int:
        """Resolutions."""
        return len(self.block_out_channels)

    @property
    def patch_size(self) -> int:
        """The number that must divide the latents' height and width, so that each level halves them evenly."""
        return 2 ** (self.num_levels - 1)

    @property
    def num_layers(self) -> int:
        """Residual blocks, with what follows each of them."""
        return self.num_levels * (2 * self.layers_per_block + 1) + 2

    @property
    def num_attention_heads(self) -> int:
        """Heads at the latents' resolution, where attention is over most tokens."""
        return self.block_out_channels[0] // self.attention_head_dim

    @property
    def width(self) -> int:
        """Numbers that the hidden states have, at the latents' resolution, for `patch_size` x `patch_size` cells."""
        return self.block_out_channels[0] * self.patch_size**2

    def num_tokens(self, frames: int, height: int, width: int) -> int:
        """Cells at the latents' resolution, over which each frame attends by itself, and text tokens."""
        return frames * height * width + self.max_text_seq_length
