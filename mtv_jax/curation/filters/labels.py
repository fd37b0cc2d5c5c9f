"""Labels that cannot be told apart by sound.

Maestro drops them and does not say how it finds them. Here two labels are told apart as well as the sounds of their
clips are: by how much nearer a sound is to the one label's text than to the other's, the difference of two cosines. The
area under the ROC curve (AUC) of that difference is the chance that a sound of the first label prefers it more than one
of the second does: 1 if all do, .5 if the sound says nothing. As a difference it does not depend on the level of either
text's cosines.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mtv_jax.typing import Float


@dataclass(frozen=True)
class ToldApart:
    """How well a label is told apart: the least AUC against another label, and that label."""

    auc: float
    nearest: str


def labels_told_apart(
    sounds: Mapping[str, Float[np.ndarray, "_ e"]], texts: Mapping[str, Float[np.ndarray, "e"]]
) -> dict[str, ToldApart]:
    """Of each label, how well its sounds are told from those of the label with which they are confused most.

    Args:
      sounds: label -> embeddings of the sounds of its clips.
      texts: label -> its embedding. All are of unit length, or near it.

    A single label is told apart from none, and is left out.
    """
    names = sorted(sounds)
    cosines = {name: sounds[name] @ np.stack([texts[other] for other in names]).T for name in names}
    least = {name: ToldApart(np.inf, "") for name in names}
    for i, first in enumerate(names):
        for j, second in enumerate(names[:i]):
            auc = area(*(cosines[name][:, i] - cosines[name][:, j] for name in (first, second)))
            for name, other in ((first, second), (second, first)):
                if auc < least[name].auc:
                    least[name] = ToldApart(auc, other)
    return {name: found for name, found in least.items() if found.nearest}


def area(higher: Float[np.ndarray, "n"], lower: Float[np.ndarray, "m"]) -> float:
    """The share of pairs of which the value in `higher` is the larger one; equal values count half (Mann-Whitney)."""
    ordered = np.sort(lower)
    below = np.searchsorted(ordered, higher, "left") + np.searchsorted(ordered, higher, "right")
    return float(below.mean() / (2 * len(lower)))
