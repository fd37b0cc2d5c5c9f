"""Sizes and options of the MST-ControlNet."""

from dataclasses import dataclass, replace
from typing import Literal

from mtv_jax.io.errors import UserError
from mtv_jax.models.limits import check_network
from mtv_jax.names import TRACKS, control_tracks

TemporalConv = Literal["all", "music"]
MAX_SPEAKERS = 8


@dataclass(frozen=True)
class MSTControlNetConfig:
    """Architecture of `MSTControlNet` and `AudioInjection` (MTV section 4).

    Where the paper and the released code differ, a field selects one; the defaults are the code's. `paper`
    follows the paper in `temporal_conv`, `separate_feed_forward`, `borrow_qk_norm` and `rope_queries`,
    but not in `injection_residual`: with a literal Eq. 2 the audio replaces the hidden states of the video,
    including its noise, and a pretrained backbone is destroyed (`benchmarks/README.md` has figures). The
    prediction target and the loss (Eq. 1: epsilon) are set by a run's `loss`. In two points there
    is no field: interaction blocks are modulated per sample (the code takes the batch's first sample for
    all, the same wherever all have one timestep), and by the time embedding alone (the paper's "inferred
    semantic features" are not further described). `separate_extraction` and `separate_injection` are the
    paper's ablations (Table 2, `W/o SE` and `W/o SI`): where it leaves their construction open, it is ours.

    On the command line of a training each field is `--config.model.overrides.controlnet.FIELD=VALUE`.

    Attributes:
      audio_layers, audio_channels: shape of the audio features of one video frame (12 x 768 for wav2vec2-base;
        sub-frames x mel bins for log-mel).
      window: number of frames around a frame that the projection reads.
      temporal_compression_ratio: frames of an interval, that is of a latent frame: the autoencoder's, a power of 2.
      temporal_conv: tracks that a convolution reduces from frames to intervals: `all`, or only `music`
        (paper: "holistic context encoder"); speech and effects are then averaged over the frames of an
        interval.
      separate_feed_forward: in the interaction blocks each kind of track has its own feed-forward and its own
        norm before it (paper: tracks go through AdaLN, gate and FFN independently); if false they are
        shared.
      injection_residual: cross-attention is added to the hidden states; if false (paper Eq. 2) it
        replaces them.
      borrow_qk_norm: the cross-attention normalises queries and keys by the norms of the layer's
        self-attention; if false there are none.
      rope_queries: the cross-attention's queries are rotated, by their position in the frame.
      separate_extraction: only speech and effects interact, interval by interval; if false, music goes
        through the interaction blocks too, with a separate norm and modulation.
      separate_injection: a cross-attention for each of speech and effects, and music, pooled over the clip,
        scales and shifts; if false, the tokens of all tracks of an interval are the context of one
        cross-attention.
      zero_init_injection: (ours) new output projections of the injection are zero, as its scales and shifts
        are anyway, so that the initial output of a backbone is bitwise that without a controlnet. The
        code draws them from N(0, .02 / sqrt(2 layers)).
    """

    audio_layers: int
    audio_channels: int
    window: int = 5
    temporal_compression_ratio: int = 4
    projection_width: int = 512
    context_tokens: int = 32
    width: int = 768
    interaction_blocks: int = 4
    interaction_heads: int = 48
    mlp_multiplier: int = 4
    norm_eps: float = 1e-5
    num_speakers: int = 1
    temporal_conv: TemporalConv = "all"
    separate_feed_forward: bool = False
    injection_residual: bool = True
    borrow_qk_norm: bool = True
    rope_queries: bool = True
    separate_extraction: bool = True
    separate_injection: bool = True
    zero_init_injection: bool = False

    def __post_init__(self):
        check_network(self)
        if self.width % self.interaction_heads:
            raise UserError(
                f"interaction_heads {self.interaction_heads}: must divide the width of the blocks, {self.width}"
            )
        ratio = self.temporal_compression_ratio
        if ratio & (ratio - 1):
            raise UserError(f"temporal_compression_ratio {ratio}: must be a power of 2")
        if not 1 <= self.num_speakers <= MAX_SPEAKERS:
            raise UserError(f"num_speakers {self.num_speakers}: must be from 1 to {MAX_SPEAKERS}")
        if self.zero_init_injection and not self.injection_residual:
            raise UserError(
                "zero_init_injection without injection_residual: the video would start as zeros; set one of them"
            )

    @property
    def tracks(self) -> tuple[str, ...]:
        """Names of the audio tracks: those of the speakers first."""
        return control_tracks(self.num_speakers)

    @property
    def speakers(self) -> tuple[str, ...]:
        """Names of the speech tracks."""
        return self.tracks[: self.num_speakers]

    @property
    def interacting(self) -> tuple[str, ...]:
        """Kinds of track that go through the interaction blocks (two speakers are of one kind)."""
        return TRACKS[:2] if self.separate_extraction else TRACKS

    def sound_frames(self, intervals: int) -> int:
        """Audio frames for a number of intervals, the first of which is one frame."""
        return 1 + self.temporal_compression_ratio * (intervals - 1)

    def as_paper(self) -> "MSTControlNetConfig":
        """These sizes, built as in the paper (except for the residual: see above)."""
        return replace(
            self,
            temporal_conv="music",
            separate_feed_forward=True,
            borrow_qk_norm=False,
            rope_queries=False,
        )

    @classmethod
    def tiny(cls) -> "MSTControlNetConfig":
        """For log-mel features and `DiTConfig.tiny`."""
        return cls(
            audio_layers=4,
            audio_channels=64,
            temporal_compression_ratio=1,
            projection_width=128,
            context_tokens=4,
            width=96,
            interaction_blocks=2,
            interaction_heads=6,
        )

    @classmethod
    def released(cls) -> "MSTControlNetConfig":
        """Config of the released checkpoints: wav2vec2-base features, 32 tokens per interval."""
        return cls(audio_layers=12, audio_channels=768)

    @classmethod
    def paper(cls) -> "MSTControlNetConfig":
        """The sizes of `released`, built as in the paper."""
        return cls.released().as_paper()
