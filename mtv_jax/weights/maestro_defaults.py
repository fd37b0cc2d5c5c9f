"""How a Maestro folder makes videos: the entry `maestro` of `_defaults` in its `model_index.json`."""

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from mtv_jax.diffusion.mosaic.options import Layout, MosaicOptions, values_from_json
from mtv_jax.io.checks import check_whole
from mtv_jax.io.errors import UserError
from mtv_jax.names import MAESTRO_PRESETS, MaestroPreset

ClipSampler = Literal["tiled", "even", "early"]
_MOST = 2**20


@dataclass(frozen=True)
class MaestroDefaults:
    """What the paper and the authors' code do differently, and what may be changed of either.

    Attributes:
      preset: whose Attention Mosaic it is: that of the `paper`, or of the code that was `released`.
      locating_steps: N_D: Object Locating takes the first so many of the sampler's default number of steps, and
        Mosaic Denoising the others; 0 is none.
      clip_sampler: where the clips of a sound start (`mtv_jax.pipelines.maestro.features.cut_clips`).
      frames_per_clip: frames that have the tokens of one clip; None: as many as its share of the video.
      mosaic: fields of `MosaicOptions` and their values, where they are not those of the preset.

    Raises UserError for values that there are not.
    """

    preset: MaestroPreset = "paper"
    locating_steps: int = 6
    clip_sampler: ClipSampler = "tiled"
    frames_per_clip: int | None = None
    mosaic: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self):
        for name, known in (("preset", MAESTRO_PRESETS), ("clip_sampler", get_args(ClipSampler))):
            if (value := getattr(self, name)) not in known:
                raise UserError(f"maestro {name} {value!r}: must be one of {', '.join(known)}")
        check_whole("locating_steps", self.locating_steps, least=0, most=_MOST)
        if self.frames_per_clip is not None:
            check_whole("frames_per_clip", self.frames_per_clip, most=_MOST)
        known = [field.name for field in fields(MosaicOptions)]
        if unknown := [name for name, _ in self.mosaic if name not in known]:
            raise UserError(f"maestro mosaic {', '.join(unknown)}: known are {', '.join(known)}")
        self.options("LR")

    @classmethod
    def of_preset(cls, preset: MaestroPreset) -> "MaestroDefaults":
        """The defaults of a preset."""
        if preset == "released":
            return cls("released", clip_sampler="even", frames_per_clip=8)
        return cls(preset)

    def options(self, layout: Layout) -> MosaicOptions:
        """How boxes act; the released code has boxes of its own for a `layout`, which the paper does not need."""
        base = MosaicOptions.released(layout) if self.preset == "released" else MosaicOptions.paper()
        return replace(base, **values_from_json(dict(self.mosaic)))

    def to_json(self) -> dict[str, Any]:
        """As stored in `model_index.json`."""
        return asdict(self) | {"mosaic": dict(self.mosaic)}

    @classmethod
    def from_json(cls, values: Any) -> "MaestroDefaults":
        """The inverse of `to_json`; what is missing is that of the preset. Raises UserError, naming the field."""
        names = {field.name for field in fields(cls)}
        if not isinstance(values, dict) or not isinstance(values.get("mosaic", {}), dict):
            raise UserError("maestro: must be an object, and mosaic in it too")
        if unknown := sorted(set(values) - names):
            raise UserError(
                f"maestro: unknown keys {', '.join(unknown)}; known are {', '.join(sorted(names))}"
            )
        base = cls.of_preset(values.get("preset", "paper"))
        return replace(base, **values | {"mosaic": tuple(values.get("mosaic", {}).items())})
