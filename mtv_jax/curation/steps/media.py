"""Stages of a film: what is in its file, and its shots and clips."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mtv_jax.curation.accounting import covered
from mtv_jax.curation.adapters.pyscenedetect import PySceneDetect
from mtv_jax.curation.adapters.whole import WholeFilm
from mtv_jax.curation.clips import cut_clips
from mtv_jax.curation.probe import ProbeConfig, probe, unfit
from mtv_jax.curation.roles import scores
from mtv_jax.curation.settings import Settings
from mtv_jax.curation.shots import ChangeDetector, Shot, ShotsConfig, Span, WindowConfig
from mtv_jax.curation.soundtrack import soundtrack
from mtv_jax.curation.stages import CLIP, MIX, Item, Outcome, Stage
from mtv_jax.data.records import clip_id
from mtv_jax.io.errors import UserError


@dataclass(frozen=True)
class Probe(Stage):
    """What is in the file of a film, if clips can be made of it."""

    config: ProbeConfig

    name = "probe"
    scope = "film"

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        found = probe(item.film, item.id)
        problem = unfit(found, self.config)
        if problem is not None:
            raise problem
        return Outcome(scores(**found.to_json()))


@dataclass(frozen=True)
class Clips(Stage):
    """The shots of a film, and its clips: windows of shots, re-encoded at a constant rate, with the sound as FLAC."""

    shots: ShotsConfig
    config: WindowConfig
    short_side: int
    sound: bool

    name = "clips"
    scope = "film"
    needs = ("probe",)

    @property
    def files(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """See `Stage`."""
        return (CLIP, MIX) if self.sound else (CLIP,)

    @classmethod
    def of(cls, settings: Settings) -> "Clips":
        """The stage of a curation."""
        size = settings.size
        fps = None if size.native_rate else size.fps
        config = WindowConfig(size.num_frames, fps, settings.stride, skip=settings.skip)
        return cls(settings.config.shots, config, settings.config.short_side, not settings.frames_only)

    def cards(self) -> Mapping[str, Mapping[str, Any]]:
        """See `Stage`."""
        return {"shots": dataclasses.asdict(find_detector(self.shots).card())}

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        cut = cut_clips(
            item.film,
            find_detector(self.shots),
            self.config,
            lambda span: item.folder / span_id(item.id, span),
            short_side=self.short_side,
            sound=functools.cache(lambda: soundtrack(item.film, item.folder)) if self.sound else None,
        )
        found = {span_id(item.id, span): scores(**about, span=span.to_json()) for span, about in cut.clips}
        left = unused(cut.shots, [span for span, _ in cut.clips])
        shots = [shot.to_json() for shot in cut.shots]
        return Outcome(scores(shots=shots, count=len(found), unused=left), found)


def find_detector(config: ShotsConfig) -> ChangeDetector:
    """The detector that a config names. Raises UserError if there is none of that name."""
    if config.detector == "whole":
        return WholeFilm()
    if config.detector == "pyscenedetect":
        return PySceneDetect(config)
    raise UserError(f"config.shots.detector {config.detector!r}: must be pyscenedetect or whole")


def span_id(film: str, span: Span) -> str:
    """The id of a clip."""
    base = span.time_base
    return clip_id(film, span.start_pts, span.end_pts, (base.numerator, base.denominator))


def unused(shots: Sequence[Shot], spans: Sequence[Span]) -> dict[str, str]:
    """Seconds of the shots that no span has, as fractions, by the reason."""
    found: dict[str, Fraction] = {}
    for shot in shots:
        inside = [(span.start, span.end) for span in spans if shot.start <= span.start < shot.end]
        reason = "left over of a shot" if inside else "shot shorter than a clip"
        name = "fade or dissolve" if shot.transition else reason
        found[name] = found.get(name, Fraction(0)) + shot.end - shot.start - covered(inside)
    return {name: str(seconds) for name, seconds in found.items() if seconds}
