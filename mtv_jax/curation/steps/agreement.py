"""The stage of Maestro's curation: whether picture, sound and label belong together."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mtv_jax.curation.filters.agreement import agreement_scores
from mtv_jax.curation.heard import heard
from mtv_jax.curation.roles import Embedder, find_model
from mtv_jax.curation.stages import CLIP, Item, Outcome, Stage


@dataclass(frozen=True)
class Agreement(Stage):
    """Cosines of the embeddings of key frames, of the sound, perhaps without its speech, and of the label."""

    model: str
    without_speech: bool

    name = "agreement"

    @property
    def needs(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `Stage`."""
        return ("clips", "separation") if self.without_speech else ("clips",)

    @property
    def embedder(self) -> Embedder:
        """The model, loaded once."""
        return find_model("embedder", self.model)

    def cards(self) -> Mapping[str, Mapping[str, Any]]:
        """See `Stage`."""
        return {"embedder": dataclasses.asdict(self.embedder.card())}

    def depends(self, about: Mapping[str, Any]) -> Any:
        """See `Stage`."""
        return about.get("label")

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        cut, label = item.evidence["clips"], item.about.get("label")
        frames, seconds = cut["num_frames"], float(cut["num_frames"] / Fraction(cut["fps"]))
        sound = heard(item.folder, without_speech=self.without_speech)
        return Outcome(agreement_scores(item.folder / CLIP, sound, seconds, frames, label, self.embedder))
