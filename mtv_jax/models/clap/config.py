"""Sizes of CLAP, by the names of transformers."""

from dataclasses import dataclass

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network


@dataclass(frozen=True, kw_only=True)
class ClapTextConfig:
    """RoBERTa and its projection (transformers `ClapTextModelWithProjection`). The defaults are RoBERTa-base.

    Attributes:
      max_position_embeddings: rows of the table of positions, which are counted from `pad_token_id + 1`.
      layer_norm_eps: of all layer norms; transformers' CLAP has 1e-12, RoBERTa and LAION's code 1e-5.
      projection_dim: width of the features, of sounds too.
    """

    vocab_size: int = 50265
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 514
    type_vocab_size: int = 1
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 1
    projection_dim: int = 512

    def __post_init__(self):
        check_network(self)
        if self.hidden_size % self.num_attention_heads:
            raise UserError(
                f"hidden_size {self.hidden_size}: must be divisible by {self.num_attention_heads} heads"
            )
        if self.max_text_tokens < 1:
            raise UserError(
                f"max_position_embeddings {self.max_position_embeddings}: must exceed pad_token_id "
                f"{self.pad_token_id} + 1"
            )

    @property
    def max_text_tokens(self) -> int:
        """Most tokens of a text, with those of its start and its end."""
        return self.max_position_embeddings - self.pad_token_id - 1

    @classmethod
    def tiny(cls) -> "ClapTextConfig":
        """Two layers of width 24."""
        return cls(
            vocab_size=40,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=40,
            max_position_embeddings=18,
            projection_dim=16,
        )

    @classmethod
    def roberta_base(cls) -> "ClapTextConfig":
        """The text half of LAION's checkpoints."""
        return cls()


@dataclass(frozen=True, kw_only=True)
class ClapAudioConfig:
    """HTSAT, a Swin transformer over a square picture of a mel spectrogram (Chen et al., 2022). The defaults are those
    of laion/clap-htsat-unfused.

    Attributes:
      spec_size: sides of the picture. Its rows are `freq_ratio` parts of the time above each other, each of
        `num_mel_bins` rows; so the longest spectrogram has `spec_size * freq_ratio` frames.
      patch_size: sides of a patch; patches do not overlap.
      patch_embeds_hidden_size: width of the first stage, which doubles from stage to stage.
      depths: layers of each stage.
      window_size: sides of the windows within which patches attend to each other.
      layer_norm_eps: of the norms within a layer; of the others it is 1e-5.
      enable_fusion: whether long sounds are heard in four views, joined in the patch embedding: the whole, shortened,
        and three crops (`laion/clap-htsat-fused`).
      aff_block_r: width of the patches over that inside the fusion.
    """

    spec_size: int = 256
    num_mel_bins: int = 64
    patch_size: int = 4
    patch_embeds_hidden_size: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_attention_heads: tuple[int, ...] = (4, 8, 16, 32)
    window_size: int = 8
    mlp_ratio: float = 4.0
    layer_norm_eps: float = 1e-5
    enable_fusion: bool = False
    aff_block_r: int = 4

    def __post_init__(self):
        check_network(self)
        if not self.depths or len(self.depths) != len(self.num_attention_heads):
            raise UserError(f"depths {self.depths}: must be as many as num_attention_heads, and at least one")
        for width, heads in zip(self.widths, self.num_attention_heads, strict=True):
            if width % heads:
                raise UserError(f"stage of width {width}: must be divisible by {heads} heads")
        if self.spec_size % self.num_mel_bins:
            raise UserError(
                f"spec_size {self.spec_size}: must be divisible by num_mel_bins {self.num_mel_bins}"
            )
        smallest = self.patch_size * self.window_size * 2 ** (len(self.depths) - 1)
        if self.spec_size % smallest:
            raise UserError(
                f"spec_size {self.spec_size}: must be divisible by {smallest}, so that every stage has whole windows"
            )
        if self.enable_fusion and self.patch_embeds_hidden_size < self.aff_block_r:
            raise UserError(
                f"aff_block_r {self.aff_block_r}: exceeds {self.patch_embeds_hidden_size} channels"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Width of each stage."""
        return tuple(self.patch_embeds_hidden_size * 2**stage for stage in range(len(self.depths)))

    @property
    def freq_ratio(self) -> int:
        """Parts of the time in a picture."""
        return self.spec_size // self.num_mel_bins

    @property
    def max_frames(self) -> int:
        """Frames of the longest spectrogram; a shorter one is stretched to it."""
        return self.spec_size * self.freq_ratio

    @property
    def views(self) -> int:
        """Spectrograms of a sound."""
        return 4 if self.enable_fusion else 1

    @classmethod
    def tiny(cls) -> "ClapAudioConfig":
        """Two stages, of width 8 and 16, on pictures of 16 x 16."""
        return cls(
            spec_size=16,
            num_mel_bins=8,
            patch_size=2,
            patch_embeds_hidden_size=8,
            depths=(2, 1),
            num_attention_heads=(2, 4),
            window_size=2,
            mlp_ratio=2.0,
        )


@dataclass(frozen=True, kw_only=True)
class ClapConfig:
    """Architecture of `Clap` (transformers `ClapModel`). `text.projection_dim` is the width of all features."""

    text: ClapTextConfig
    audio: ClapAudioConfig

    @classmethod
    def tiny(cls) -> "ClapConfig":
        """The tiny halves."""
        return cls(text=ClapTextConfig.tiny(), audio=ClapAudioConfig.tiny())

    @classmethod
    def htsat_unfused(cls) -> "ClapConfig":
        """laion/clap-htsat-unfused (LAION's HTSAT-tiny)."""
        return cls(text=ClapTextConfig.roberta_base(), audio=ClapAudioConfig())

    @classmethod
    def htsat_fused(cls) -> "ClapConfig":
        """laion/clap-htsat-fused."""
        return cls(text=ClapTextConfig.roberta_base(), audio=ClapAudioConfig(enable_fusion=True))

    @classmethod
    def htsat_base(cls) -> "ClapConfig":
        """LAION's HTSAT-base, such as `music_speech_audioset_epoch_15_esc_89.98.pt`, with which AudioSep works."""
        audio = ClapAudioConfig(patch_embeds_hidden_size=128, depths=(2, 2, 12, 2))
        return cls(text=ClapTextConfig.roberta_base(), audio=audio)
