"""Sizes of I3D."""

from dataclasses import dataclass, fields

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network

MIXED = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")
"""Names of the blocks of four branches."""


@dataclass(frozen=True)
class I3DConfig:
    """Sizes. The defaults are those of the network trained on Kinetics-400.

    Attributes:
      stem: channels of the first three convolutions.
      mixed_3b, mixed_3c, mixed_4b, mixed_4c, mixed_4d, mixed_4e, mixed_4f, mixed_5b, mixed_5c: channels of the six
        convolutions of a block: of the first branch, two of the second, two of the third, and of the one after
        pooling.
      num_classes: outputs.
    """

    stem: tuple[int, ...] = (64, 64, 192)
    mixed_3b: tuple[int, ...] = (64, 96, 128, 16, 32, 32)
    mixed_3c: tuple[int, ...] = (128, 128, 192, 32, 96, 64)
    mixed_4b: tuple[int, ...] = (192, 96, 208, 16, 48, 64)
    mixed_4c: tuple[int, ...] = (160, 112, 224, 24, 64, 64)
    mixed_4d: tuple[int, ...] = (128, 128, 256, 24, 64, 64)
    mixed_4e: tuple[int, ...] = (112, 144, 288, 32, 64, 64)
    mixed_4f: tuple[int, ...] = (256, 160, 320, 32, 128, 128)
    mixed_5b: tuple[int, ...] = (256, 160, 320, 32, 128, 128)
    mixed_5c: tuple[int, ...] = (384, 192, 384, 48, 128, 128)
    num_classes: int = 400

    def __post_init__(self):
        check_network(self)
        lengths = {"stem": 3} | {f"mixed_{name}": 6 for name in MIXED}
        for name, length in lengths.items():
            if len(getattr(self, name)) != length:
                raise UserError(f"{name} {list(getattr(self, name))}: must be {length} widths")

    def mixed(self, name: str) -> tuple[int, ...]:
        """The channels of a block of `MIXED`."""
        return getattr(self, f"mixed_{name}")

    @classmethod
    def kinetics_400(cls) -> "I3DConfig":
        """The released sizes."""
        return cls()

    @classmethod
    def tiny(cls) -> "I3DConfig":
        """A small network for tests: a sixteenth of the widths."""
        return narrowed(16, num_classes=10)


def narrowed(divisor: int, *, num_classes: int) -> I3DConfig:
    """The released network with its widths divided, rounded down, at least 1."""
    whole = I3DConfig()
    names = [field.name for field in fields(whole) if field.name != "num_classes"]
    widths = {name: tuple(max(1, width // divisor) for width in getattr(whole, name)) for name in names}
    return I3DConfig(**widths, num_classes=num_classes)
