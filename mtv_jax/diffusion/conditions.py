"""The conditions of a denoiser: one pytree for all backbones and systems."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp

from mtv_jax.diffusion.mosaic.mosaic import Mosaic
from mtv_jax.io.errors import UserError
from mtv_jax.typing import Array

TEXT = "text"


@dataclass(frozen=True)
class Conditions:
    """The third argument of every denoiser, `model.apply(params, latents, timesteps, conditions)`.

    A pytree; its leaves may also be tracers, shapes or shardings, so their types are not checked here.

    Attributes:
      text: embeddings, Float[b l d].
      tracks: track name -> features of each frame, Float[b F L c]. Which tracks a denoiser takes is its `tracks`.
      clean_mask: Bool[b f], true on the latent frames that are clean keyframes; None: there are none.
      image: Float[b f h w c], in channels behind those of the latents (CogVideoX image to video); None: there is none.
      boxes: where the sources are drawn that the tracks are the tokens of (Maestro); None: there are no boxes.
      fps: Float[b], frames a second, for denoisers that are conditioned on it (VideoCrafter).
    """

    text: Any
    tracks: Mapping[str, Any] = field(default_factory=dict)
    clean_mask: Any = None
    image: Any = None
    boxes: Mosaic | None = None
    fps: Any = None

    @property
    def names(self) -> tuple[str, ...]:
        """ "text" and the names of the tracks, in the order of the mapping."""
        return (TEXT, *self.tracks)

    def check_tracks(self, taken: Sequence[str]) -> None:
        """Raises UserError unless the tracks are exactly those that a denoiser takes."""
        if set(self.tracks) != set(taken):
            what = f"exactly {', '.join(taken)}" if taken else "none"
            raise UserError(f"audio tracks {', '.join(self.tracks) or 'none'}: this model takes {what}")

    def for_guidance(self, groups: Sequence[Sequence[str]], *, no_text: Array | None = None) -> "Conditions":
        """The conditions `[branches b ...]` of the branches that `guided` combines.

        Branch 0 has no text and no tracks, and branch i the first i groups of them ("text" and names of tracks).
        In place of a track that a branch does not have are zeros, as training puts them for a dropped one (MTV); in
        place of the text `no_text` [b l d], or zeros without; the sources of such tracks are not active in `boxes`, so
        that a UNet puts nothing in place of the text there. All else is given to all branches.

        Raises UserError unless each condition is in exactly one group.
        """
        given = {TEXT: self.text, **self.tracks}
        named = [name for group in groups for name in group]
        if sorted(named) != sorted(given):
            raise UserError(f"guidance groups {named}: must name each of {sorted(given)} once")
        absent = {name: jnp.zeros_like(value) for name, value in given.items()}
        if no_text is not None:
            absent[TEXT] = no_text
        first = {name: number for number, group in enumerate(groups, 1) for name in group}
        branches = range(len(groups) + 1)
        stacked = {
            name: jnp.concatenate([value if i >= first[name] else absent[name] for i in branches])
            for name, value in given.items()
        }

        def repeated(value: Any) -> Any:
            return None if value is None else jnp.concatenate([value] * len(branches))

        boxes = self.boxes
        if boxes is not None:
            boxes = boxes.for_branches([[i >= first[name] for name in boxes.names] for i in branches])
        return replace(
            self,
            text=stacked.pop(TEXT),
            tracks=stacked,
            clean_mask=repeated(self.clean_mask),
            image=repeated(self.image),
            boxes=boxes,
            fps=repeated(self.fps),
        )


jax.tree_util.register_dataclass(Conditions)
