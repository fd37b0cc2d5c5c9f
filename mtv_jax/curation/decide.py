"""Verdicts from evidence: which clips are kept, why the others are not, and the subsets of the kept ones. Pure."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mtv_jax.curation.config import CurateConfig
from mtv_jax.curation.evidence import ClipEvidence
from mtv_jax.curation.ledger import ERROR, OK
from mtv_jax.curation.population import AGREEMENT, LABEL, NOBODY, Population
from mtv_jax.curation.roles import UNAVAILABLE
from mtv_jax.curation.stages import LAST

_FAILED = " failed"
"""After the name of a stage: it failed too often on a clip."""


@dataclass(frozen=True)
class Rule:
    """A cut-off: clips whose `stage` gave a `score` beyond `threshold` are dropped because of `name`.

    At a `minimum` or `maximum` a clip passes; it has to be `above` the third kind of bound. A clip without this score
    (the stage is off, not applicable, or there was nothing to compare) passes.
    """

    name: str
    stage: str
    score: str
    bound: Literal["minimum", "maximum", "above"]
    threshold: float

    def fails(self, evidence: ClipEvidence) -> bool:
        """Whether a clip is dropped by this rule."""
        value = evidence.get(self.stage, {}).get(self.score)
        if value is None:
            return False
        if self.bound == "above":
            return value <= self.threshold
        return value < self.threshold if self.bound == "minimum" else value > self.threshold


@dataclass(frozen=True)
class Verdict:
    """Whether a clip is kept; all reasons against it, in the order of the stages; its subsets if it is kept."""

    keep: bool
    failures: tuple[str, ...]
    subsets: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {"keep": self.keep, "failures": list(self.failures), "subsets": list(self.subsets)}


def may_pass(failures: Sequence[str]) -> bool:
    """Whether a clip is rejected for nothing but stages that failed, which may succeed another time."""
    return all(failure.endswith(_FAILED) for failure in failures)


def rules(config: CurateConfig, population: Population = NOBODY) -> list[Rule]:
    """The cut-offs of a config, in the order in which they count as a clip's first failure.

    Some are where they are because of the `population`, the whole data set.
    """
    found = _quality_rules(config) + _filter_rules(config) + _agreement_rules(config, population)
    voice = config.voice_over
    found.append(Rule("speech of nobody in view", "speaking", "in_view", "minimum", voice.min_in_view))
    if voice.rule == "strict":
        found.append(Rule("voice-over", "lip_sync", "sync", "minimum", voice.min_sync))
    return found


def _quality_rules(config: CurateConfig) -> list[Rule]:
    found = [
        Rule(f"low {score}", "quality", score, "minimum", least)
        for score, least in config.quality.minimum.items()
    ]
    limits = {"speech": config.demixing.max_speech, "others": config.demixing.max_others}
    found += [
        Rule(f"separators disagree on {track}", "demixing", track, "maximum", limit)
        for track, limit in limits.items()
    ]
    return found


def _filter_rules(config: CurateConfig) -> list[Rule]:
    found, filters = [], config.filters
    if filters.min_motion is not None:
        found.append(Rule("static picture", "motion", "flow", "minimum", filters.min_motion))
    if filters.max_bars is not None:
        found.append(Rule("black bars", "bars", "share", "maximum", filters.max_bars))
    if filters.min_dbfs is not None:
        found.append(Rule("silent", "sound", "dbfs", "minimum", filters.min_dbfs))
    if filters.min_dbfs is not None and config.remove_speech:
        found.append(Rule("silent without speech", "agreement", "dbfs", "minimum", filters.min_dbfs))
    if filters.max_clipped is not None:
        found.append(Rule("clipped", "sound", "clipped", "maximum", filters.max_clipped))
    if filters.max_missing_sound is not None:
        found.append(Rule("without sound", "clips", "missing_sound", "maximum", filters.max_missing_sound))
    return found


def _agreement_rules(config: CurateConfig, population: Population) -> list[Rule]:
    found = [Rule(f"low {score}", AGREEMENT, score, "above", cut) for score, cut in population.cuts.items()]
    least = config.agreement.told_apart
    if config.agreement.embedder and least is not None:
        found.append(Rule("indistinguishable label", LABEL, "told_apart", "minimum", least))
    return found


@dataclass(frozen=True)
class Judge:
    """Makes verdicts by a config; evidence of stages that have not run yet counts for nothing."""

    config: CurateConfig
    population: Population = NOBODY

    @functools.cached_property
    def rules(self) -> Sequence[Rule]:
        """The cut-offs."""
        return rules(self.config, self.population)

    def __call__(self, evidence: ClipEvidence) -> Verdict:
        """The verdict on a clip."""
        evidence = self.population.extend(evidence)
        failures = [f"{stage}{_FAILED}" for stage, found in evidence.items() if found.get("status") == ERROR]
        failures += [rule.name for rule in self.rules if rule.fails(evidence)]
        if evidence.get("duplicates", {}).get("of") is not None:
            failures.append("duplicate")
        if evidence.get("caption", {}).get("status", OK) not in (OK, ERROR):
            failures.append("no caption")
        return Verdict(not failures, tuple(failures), () if failures else subsets(evidence))


def decide(evidence: ClipEvidence, config: CurateConfig, population: Population = NOBODY) -> Verdict:
    """The verdict on one clip, of a data set."""
    return Judge(config, population)(evidence)


def subsets(evidence: ClipEvidence) -> tuple[str, ...]:
    """DEMIX's subsets of a clip (MTV section 3).

    Talking heads are basic faces and nothing else; other clips go by the number of people in them, where that is
    known, and by the tracks that are not silent.
    """
    if evidence.get("source", {}).get("kind") == "talking_head":
        return ("basic_face",)
    found = []
    people = people_count(evidence)
    if people is not None and people > 0:
        found.append("single_character" if people == 1 else "multiple_characters")
    heard = evidence.get("separation", {}).get("heard", ())
    found += [
        name for track, name in (("effects", "sound_event"), ("music", "visual_mood")) if track in heard
    ]
    return tuple(found)


def people_count(evidence: ClipEvidence) -> int | None:
    """How many people are seen: as somebody noted beside the film, else as many as were found; None: not known."""
    noted = evidence.get("people", {}).get("count")
    return evidence.get("persons", {}).get("count") if noted is None else noted


def unjudged(evidence: ClipEvidence) -> dict[str, str]:
    """The stages that would have judged the clip, but whose models are not installed, and how to get those."""
    return {
        stage: found.get("reason", "no reason given")  # another's program may leave it out
        for stage, found in evidence.items()
        if found.get("status") == UNAVAILABLE and stage not in LAST
    }
