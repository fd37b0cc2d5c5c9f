"""Sizes of LR-ASD."""

from dataclasses import dataclass

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network

BLOCKS = 3
"""Of each encoder."""


@dataclass(frozen=True)
class LRASDConfig:
    """Sizes. The defaults are those of the released `finetuning_TalkSet.model` and `pretrain_AVA.model`.

    Attributes:
      widths: channels of the blocks of both encoders, even numbers; the last one is the width of an embedding.
    """

    widths: tuple[int, ...] = (32, 64, 128)

    def __post_init__(self):
        check_network(self)
        if len(self.widths) != BLOCKS or any(width % 2 for width in self.widths):
            raise UserError(f"widths {list(self.widths)}: must be {BLOCKS} even widths")

    @classmethod
    def lr_asd(cls) -> "LRASDConfig":
        """The released sizes."""
        return cls()

    @classmethod
    def tiny(cls) -> "LRASDConfig":
        """A small network for tests."""
        return cls(widths=(4, 6, 8))
