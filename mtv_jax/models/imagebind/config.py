"""Sizes of ImageBind's networks for pictures, texts and sounds."""

from dataclasses import dataclass

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network


@dataclass(frozen=True, kw_only=True)
class TrunkConfig:
    """Sizes of a transformer; its feed-forward is four times as wide as a token."""

    width: int
    num_layers: int
    num_heads: int

    def __post_init__(self):
        check_network(self)
        if self.width % self.num_heads:
            raise UserError(f"width {self.width}: must be divisible by {self.num_heads} heads")


@dataclass(frozen=True, kw_only=True)
class ImageBindAudioConfig:
    """Architecture of ImageBind's network for sounds.

    Attributes:
      audio: the transformer.
      embedding_size: of the shared space.
      num_mel_bins, target_length: of a clip's log-mel spectrogram.
      audio_kernel_size, audio_stride: of its patches, which overlap.
    """

    audio: TrunkConfig
    embedding_size: int = 1024
    num_mel_bins: int = 128
    target_length: int = 204
    audio_kernel_size: int = 16
    audio_stride: int = 10

    def __post_init__(self):
        check_network(self)
        if min(self.num_mel_bins, self.target_length) < self.audio_kernel_size:
            raise UserError(
                f"num_mel_bins {self.num_mel_bins}, target_length {self.target_length}: must be at least "
                f"audio_kernel_size {self.audio_kernel_size}"
            )

    @property
    def audio_tokens(self) -> int:
        """Patches of a spectrogram, mel bands before time, and the class token."""
        rows, columns = (
            (size - self.audio_kernel_size) // self.audio_stride + 1
            for size in (self.num_mel_bins, self.target_length)
        )
        return 1 + rows * columns

    @classmethod
    def tiny(cls) -> "ImageBindAudioConfig":
        """Two layers; spectrograms are of the released size."""
        return cls(audio=TrunkConfig(width=8, num_layers=2, num_heads=2), embedding_size=8)

    @classmethod
    def patches(cls) -> "ImageBindAudioConfig":
        """The patches of the spectrogram, side by side, as 128 numbers each (`recipes/make_patches.py`)."""
        return cls(audio=TrunkConfig(width=128, num_layers=1, num_heads=2), embedding_size=8, audio_stride=16)

    @classmethod
    def huge(cls) -> "ImageBindAudioConfig":
        """That of the released `imagebind_huge`."""
        return cls(audio=TrunkConfig(width=768, num_layers=12, num_heads=12))


@dataclass(frozen=True, kw_only=True)
class ImageBindConfig(ImageBindAudioConfig):
    """Architecture of `ImageBind` (facebookresearch/ImageBind `ImageBindModel`, without depth, thermal and IMU).

    Attributes:
      vision, text: the transformers for pictures and texts; that for sounds is in the base class.
      image_size: sides of a picture, pixels.
      kernel_size: frames, rows and columns of a patch of a video. The number of frames is that of a clip.
      vocab_size, context_length: of the texts' tokens.
    """

    vision: TrunkConfig
    text: TrunkConfig
    image_size: int = 224
    kernel_size: tuple[int, ...] = (2, 14, 14)
    vocab_size: int = 49408
    context_length: int = 77

    def __post_init__(self):
        super().__post_init__()
        if len(self.kernel_size) != 3:
            raise UserError(f"kernel_size {list(self.kernel_size)}: must be three numbers")
        if self.image_size < max(self.kernel_size[1:]):
            raise UserError(f"image_size {self.image_size}: must be at least that of a patch")

    @property
    def frames(self) -> int:
        """Frames of a clip."""
        return self.kernel_size[0]

    @property
    def vision_tokens(self) -> int:
        """Patches of a clip, and the class token."""
        return 1 + (self.image_size // self.kernel_size[1]) * (self.image_size // self.kernel_size[2])

    @classmethod
    def tiny(cls) -> "ImageBindConfig":
        """Two layers each, and pictures of 8 pixels; spectrograms are of the released size."""
        return cls(
            vision=TrunkConfig(width=16, num_layers=2, num_heads=2),
            text=TrunkConfig(width=12, num_layers=2, num_heads=2),
            audio=TrunkConfig(width=8, num_layers=2, num_heads=2),
            embedding_size=8,
            image_size=8,
            kernel_size=(2, 4, 4),
            vocab_size=64,
            context_length=12,
        )

    @classmethod
    def huge(cls) -> "ImageBindConfig":
        """The released `imagebind_huge`."""
        return cls(
            vision=TrunkConfig(width=1280, num_layers=32, num_heads=16),
            text=TrunkConfig(width=1024, num_layers=24, num_heads=16),
            audio=TrunkConfig(width=768, num_layers=12, num_heads=12),
        )
