"""Sizes and options of the MST-ControlNet."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MSTControlNetConfig:
    """Architecture of `MSTControlNet` and `AudioInjection` (MTV section 4, its released code).

    `audio_layers` and `audio_channels` are those of the audio features of one video frame (12 x 768
    for wav2vec2-base; sub-frames x mel bins for log-mel); `window` is how many frames around a frame
    the projection sees.
    """

    audio_layers: int
    audio_channels: int
    window: int = 5
    projection_width: int = 512
    context_tokens: int = 32
    width: int = 768
    interaction_blocks: int = 4
    interaction_heads: int = 48
    mlp_multiplier: int = 4
    norm_eps: float = 1e-5
    num_speakers: int = 1

    @classmethod
    def tiny(cls) -> "MSTControlNetConfig":
        """For log-mel features and `DiTConfig.tiny`."""
        return cls(
            audio_layers=4,
            audio_channels=64,
            projection_width=128,
            context_tokens=4,
            width=96,
            interaction_blocks=2,
            interaction_heads=6,
        )

    @classmethod
    def mtv_5b(cls) -> "MSTControlNetConfig":
        """The released model: wav2vec2-base features, 32 tokens an interval."""
        return cls(audio_layers=12, audio_channels=768)
