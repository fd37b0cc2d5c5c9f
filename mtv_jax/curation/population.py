"""What verdicts need to know of the whole data set: where a score's cut-off is, and which labels are alike by sound.

A clip is judged by these numbers as by the thresholds of the config, so verdicts stay a pure function: of the evidence
of a clip, the config, and the population.
"""

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from mtv_jax.curation.config import AgreementConfig, CurateConfig
from mtv_jax.curation.evidence import ClipEvidence, Known
from mtv_jax.curation.filters.fingerprints import from_text
from mtv_jax.curation.filters.labels import ToldApart, labels_told_apart
from mtv_jax.curation.roles import scores
from mtv_jax.typing import Float

AGREEMENT, LABEL = "agreement", "label"
"""The stage whose scores are compared with the data set, and the name of what follows for a clip's label."""
_MOST = 200
"""Clips of a label by which it is told apart from others: memory does not grow with their number."""


@dataclass(frozen=True)
class Population:
    """Attributes:
    cuts: score of `AGREEMENT` -> the value that a clip has to be above.
    labels: label -> how well it is told apart by sound, where there are clips enough to say.
    """

    cuts: Mapping[str, float] = field(default_factory=dict)
    labels: Mapping[str, ToldApart] = field(default_factory=dict)

    def extend(self, evidence: ClipEvidence) -> ClipEvidence:
        """The evidence of a clip with what the population says of its label."""
        found = self.labels.get(evidence.get(AGREEMENT, {}).get(LABEL) or "")
        if found is None:
            return evidence
        return {**evidence, LABEL: scores(told_apart=found.auc, nearest=found.nearest)}


NOBODY = Population()
"""Of no clips: it cuts off nothing."""


def population_of(known: Known, config: CurateConfig) -> Population:
    """That of all clips that have the scores, kept or not, so that no other filter moves a cut-off."""
    agreement = config.agreement
    if not agreement.embedder:
        return NOBODY
    values: dict[str, list[float]] = {score: [] for score in agreement.shares}
    for found in known:
        for evidence in found.clips.values():
            for score in values:
                value = evidence.get(AGREEMENT, {}).get(score)
                if value is not None:
                    values[score].append(value)
    cuts = {
        score: float(np.quantile(values[score], share))
        for score, share in agreement.shares.items()
        if values[score]
    }
    labels = {} if agreement.told_apart is None else _told_apart(known.vectors(), agreement)
    return Population(cuts, labels)


def _told_apart(
    vectors: Iterator[tuple[str, str, Mapping[str, str]]], config: AgreementConfig
) -> dict[str, ToldApart]:
    """By the clips with the smallest ids, which are as good as drawn at random, since ids are hashes."""
    clips: dict[str, list[tuple[int, str]]] = {}
    counts: dict[str, int] = {}
    texts: dict[str, np.ndarray] = {}
    for clip, label, found in vectors:
        texts.setdefault(label, _vector(found["label"]))
        counts[label] = counts.get(label, 0) + 1
        heap, item = clips.setdefault(label, []), (-int(clip, 16), found["sound"])
        if len(heap) < _MOST:
            heapq.heappush(heap, item)
        else:
            heapq.heappushpop(heap, item)
    judged = [label for label, count in counts.items() if count >= config.label_clips]
    sounds = {label: np.stack([_vector(sound) for _, sound in clips[label]]) for label in judged}
    return labels_told_apart(sounds, texts)


def _vector(text: str) -> Float[np.ndarray, "e"]:
    return from_text(text, np.uint16).view(np.float16).astype(np.float32)
