"""Models that curation uses, by role: what a model of a role is asked and what it answers.

A model answers with evidence: a dict of JSON values with `status` (`ok`, `not_applicable`, `unavailable`) and its
scores or, unless `ok`, a `reason`. It never judges; `mtv_jax.curation.decide` does.
"""

import importlib
import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from mtv_jax.audio.separation.base import ModelCard as ModelCard
from mtv_jax.curation.ledger import OK
from mtv_jax.io.errors import UserError
from mtv_jax.typing import Float, UInt8

Evidence = dict[str, Any]
"""JSON: `status`, and scores or a `reason`."""

ACTIVE = 0.5
"""The score from which on somebody speaks (`ActiveSpeaker`)."""

NOT_APPLICABLE, UNAVAILABLE = "not_applicable", "unavailable"


class NotInstalledError(UserError):
    """A model whose package is not installed: a curation goes on without it where its stage is optional."""


class UnusableModelError(UserError):
    """A model that would fail on every clip, such as a server that does not accept the key: the run stops."""


def scores(**values: Any) -> Evidence:
    """The evidence of a question that could be answered."""
    return {"status": OK, **values}


def not_applicable(reason: str) -> Evidence:
    """The question makes no sense for this clip (speech quality of a clip without speech)."""
    return {"status": NOT_APPLICABLE, "reason": reason}


def unavailable(reason: str) -> Evidence:
    """The question makes sense, but there is no answer (no caption beside the video)."""
    return {"status": UNAVAILABLE, "reason": reason}


@runtime_checkable
class AudioQuality(Protocol):
    """Rates how good a clip sounds."""

    def card(self) -> ModelCard:
        """What it is."""
        ...

    def rate(self, samples: np.ndarray, sample_rate: int, tracks: Mapping[str, np.ndarray]) -> Evidence:
        """Scores of a clip by name, higher is better; `not_applicable` if it cannot rate such a sound.

        Args:
          samples: the mix, mono float32 [s].
          sample_rate: Hz, of all sounds.
          tracks: the separated tracks, [s] each (whether there is speech is theirs to say).
        """
        ...


@runtime_checkable
class Diarizer(Protocol):
    """Says who speaks when."""

    def card(self) -> ModelCard:
        """What it is. Raises UserError if its packages or weights are missing, and says how to get them."""
        ...

    def diarize(self, samples: np.ndarray, sample_rate: int) -> Evidence:
        """`scores(turns=[[start, end, speaker], ...], speakers=number, speech=seconds)` of a sound.

        Starts and ends are seconds, speakers are named by strings; turns are in order, and may overlap.

        Args:
          samples: speech, mono float32 [s].
          sample_rate: Hz.
        """
        ...


@runtime_checkable
class Captioner(Protocol):
    """Describes a clip."""

    def card(self) -> ModelCard:
        """What it is."""
        ...

    def caption(
        self, clip: Path, about: Mapping[str, Any], evidence: Mapping[str, Mapping[str, Any]]
    ) -> Evidence:
        """`scores(prompt=...)`, or `unavailable`.

        Args:
          clip: the mp4; the tracks of its sound are beside it.
          about: what is known of the film.
          evidence: of the clip, by stage.
        """
        ...


@runtime_checkable
class PersonDetector(Protocol):
    """Finds people."""

    def card(self) -> ModelCard:
        """What it is. Raises UserError if its packages or weights are missing, and says how to get them."""
        ...

    def find(self, clip: Path) -> Evidence:
        """`scores(people=...)`, of a clip (mp4): a list for each of its frames at `SAMPLED_FPS`, with those seen in it.

        Each is `{"box": [x0, y0, x1, y1], "score": 0 to 1, "landmarks": five [x, y] or None}`, in shares of the
        picture's width and height (`mtv_jax.faces.tracks`). Who has no landmarks is seen, but nobody can say
        whether he speaks.
        """
        ...


@runtime_checkable
class ActiveSpeaker(Protocol):
    """Says who of the people in a clip speaks."""

    def card(self) -> ModelCard:
        """What it is."""
        ...

    def score(
        self,
        clip: Path,
        speech: Path,
        persons: Mapping[str, Any],
        mouths: Mapping[str, Any],
        turns: Sequence[Sequence[Any]],
    ) -> Evidence:
        """`scores(scores=...)`: of each track, at each of its frames, from 0 to 1; from `ACTIVE` on, the person speaks.

        Args:
          clip: mp4.
          speech: the separated track of voices.
          persons: the evidence of the stage `persons`, with the tracks.
          mouths: that of `mouths`.
          turns: of the stage `speakers`: start and end in seconds, and name.
        """
        ...


@dataclass(frozen=True)
class Embeddings:
    """Vectors of unit length in one space; parts of a clip that belong together have a large cosine.

    Attributes:
      keyframes: of each key frame.
      sounds: of the sound of each segment.
      label: of the label; None: there is none.
    """

    keyframes: Float[np.ndarray, "s e"]
    sounds: Float[np.ndarray, "s e"]
    label: Float[np.ndarray, "e"] | None


@runtime_checkable
class Embedder(Protocol):
    """Puts pictures, sounds and texts into one space."""

    def card(self) -> ModelCard:
        """What it is; a `stub` if its weights are random. Raises UserError if they are missing."""
        ...

    def embed(
        self, keyframes: UInt8[np.ndarray, "s H W 3"], sounds: Sequence[np.ndarray], label: str | None
    ) -> Embeddings:
        """The embeddings of a clip.

        Args:
          keyframes: a frame of each segment of two seconds.
          sounds: of each segment, mono float32 [2 s] at 16 kHz, without its mean.
          label: such as "dog barking".
        """
        ...


ADAPTERS: Mapping[str, Mapping[str, str]] = {
    "audio_quality": {
        "dnsmos": "mtv_jax.curation.adapters.dnsmos:DNSMOS",
        "audiobox": "mtv_jax.curation.adapters.audiobox:Audiobox",
        "jsonl": "mtv_jax.curation.adapters.jsonl:JsonlQuality",
    },
    "diarizer": {
        "resemblyzer": "mtv_jax.curation.adapters.resemblyzer:Resemblyzer",
        "jsonl": "mtv_jax.curation.adapters.jsonl:JsonlDiarizer",
    },
    "person_detector": {
        "mtcnn": "mtv_jax.curation.adapters.mtcnn:MtcnnFaces",
        "jsonl": "mtv_jax.curation.adapters.jsonl_people:JsonlPersons",
    },
    "active_speaker": {
        "mouth_motion": "mtv_jax.curation.adapters.mouth_motion:MouthMotion",
        "lr_asd": "mtv_jax.curation.adapters.lr_asd:LrAsd",
        "jsonl": "mtv_jax.curation.adapters.jsonl_people:JsonlSpeaker",
    },
    "embedder": {
        "imagebind": "mtv_jax.curation.adapters.imagebind:ImageBindEmbedder",
        "jsonl": "mtv_jax.curation.adapters.jsonl_embedder:JsonlEmbedder",
    },
    "captioner": {
        "detectors": "mtv_jax.curation.adapters.detectors:Detectors",
        "endpoint": "mtv_jax.curation.adapters.endpoint:Endpoint",
        "local": "mtv_jax.curation.adapters.local_model:LocalModel",
        "sidecar": "mtv_jax.curation.adapters.sidecar:Sidecar",
        "jsonl": "mtv_jax.curation.adapters.jsonl:JsonlCaptioner",
    },
}
"""Role -> name -> where its class is. It is imported when used, since each needs packages of its own."""


_made: dict[tuple[str, str, str], Any] = {}


def find_model(role: str, spec: str, config: Any = None) -> Any:
    """The model `NAME` or `NAME:ARGUMENT` (a path of weights, or the command of `jsonl`) of a role, made once.

    `config`, a dataclass, has the options of the role's models, for the classes that take a `config`.

    Raises UserError for an unknown name; the class raises it for missing packages or weights.
    """
    key = (role, spec, repr(config))
    if key not in _made:
        _made[key] = _make_model(role, spec, config)
    return _made[key]


def check_model(role: str, spec: str) -> None:
    """Raises UserError if a role has no model of this name."""
    if spec.partition(":")[0] not in ADAPTERS[role]:
        raise UserError(f"{role} {spec!r}: no such model; use one of {', '.join(ADAPTERS[role])}")


def _make_model(role: str, spec: str, config: Any) -> Any:
    check_model(role, spec)
    name, colon, argument = spec.partition(":")
    module, _, kind = ADAPTERS[role][name].partition(":")
    made = getattr(importlib.import_module(module), kind)
    options = {"config": config} if "config" in inspect.signature(made).parameters else {}
    return made(*([argument] if colon else []), **options)
