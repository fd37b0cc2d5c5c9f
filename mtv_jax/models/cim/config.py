"""Sizes of the Condition Injection Module, by the names of the original's arguments."""

from dataclasses import dataclass

from mtv_jax.models.limits import check_network


@dataclass(frozen=True)
class CIMConfig:
    """Architecture of `ConditionInjectionModule`.

    Attributes:
      dim: width inside.
      depth: layers.
      dim_head, heads: of the attention, whose width may differ from `dim`.
      num_queries: output tokens (the paper's N_Q; its Table 2 has 1, 5, 10, 15 and 20).
      embedding_dim: width of an input token, that of ImageBind's audio trunk.
      output_dim: width of an output token, that of the text encoder.
      ff_mult: width inside the feed-forward over `dim`.
    """

    dim: int = 1024
    depth: int = 6
    dim_head: int = 64
    heads: int = 12
    num_queries: int = 10
    embedding_dim: int = 768
    output_dim: int = 1024
    ff_mult: int = 4

    def __post_init__(self) -> None:
        check_network(self)

    @classmethod
    def tiny(cls) -> "CIMConfig":
        """Two layers of width 16, three queries."""
        return cls(
            dim=16, depth=2, dim_head=4, heads=3, num_queries=3, embedding_dim=12, output_dim=8, ff_mult=2
        )

    @classmethod
    def objects(cls) -> "CIMConfig":
        """Three layers for the sounding objects: `ImageBindAudioConfig.patches` to the tiny presets' text."""
        return cls(
            dim=128,
            depth=3,
            dim_head=32,
            heads=4,
            num_queries=5,
            embedding_dim=128,
            output_dim=64,
            ff_mult=2,
        )

    @classmethod
    def paper(cls) -> "CIMConfig":
        """The released sizes: ten queries, for ImageBind-Huge and the text encoder of Stable Diffusion 2."""
        return cls()
