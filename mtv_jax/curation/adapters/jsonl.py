"""Any program as a model: it reads questions and writes answers, one JSON object a line.

The program is started once in each worker. For each clip it gets `{"clip": PATH, ...}` on stdin, with all that is
known, and answers with evidence on stdout: `{"status": "ok", ...}`, where the status may be left out. `{}` asks for its
card: `{"name", "version", "licence", "weights", "fidelity"}`. So a model of another Python, or of a licence that must
not be linked, serves a role.
"""

import json
import shlex
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.curation.ledger import OK
from mtv_jax.curation.people.faces import SAMPLED_FPS
from mtv_jax.curation.roles import Evidence, ModelCard
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError


class _Program:
    """A program that answers."""

    def __init__(self, command: str):
        self.command = command
        self._process: subprocess.Popen[str] | None = None

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer. Raises UserError if it ends, or answers with something else."""
        process = self._started()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            self._process = None
            raise RuntimeError(f"{self.command}: ended with status {process.wait()} instead of an answer")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise UserError(f"{self.command}: answered {line[:80]!r}; a JSON object is needed")
        return answer

    def card(self) -> ModelCard:
        try:
            return ModelCard(**self.ask({}))
        except TypeError as error:
            raise UserError(f"{self.command}: its card is incomplete ({error})") from error

    def _started(self) -> "subprocess.Popen[str]":
        if self._process is None:
            try:
                self._process = subprocess.Popen(
                    shlex.split(self.command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            except OSError as error:
                raise UserError(f"{self.command}: cannot be started ({error.strerror})") from error
        return self._process


class JsonlCaptioner:
    """A program as Captioner; it is asked `{"clip": PATH, "about": {...}}` and answers `{"prompt": ...}`."""

    def __init__(self, command: str):
        self._program = _Program(command)

    def card(self) -> ModelCard:
        """What the program says it is."""
        return self._program.card()

    def caption(self, clip: Path, about: Mapping[str, Any]) -> Evidence:
        """What it answers."""
        return {"status": OK, **self._program.ask({"clip": str(clip), "about": dict(about)})}


class JsonlQuality:
    """A program as AudioQuality; it is asked `{"mix": PATH, "tracks": {name: PATH}}`, and answers with scores."""

    def __init__(self, command: str):
        self._program = _Program(command)

    def card(self) -> ModelCard:
        """What the program says it is."""
        return self._program.card()

    def rate(self, samples: np.ndarray, sample_rate: int, tracks: Mapping[str, np.ndarray]) -> Evidence:
        """What it answers."""
        with tempfile.TemporaryDirectory() as folder:
            paths = {}
            for name, sound in {"mix": samples, **tracks}.items():
                paths[name] = str(Path(folder) / f"{name}.wav")
                write_audio(paths[name], sound, sample_rate)
            mix = paths.pop("mix")
            return {"status": OK, **self._program.ask({"mix": mix, "tracks": paths})}


class JsonlPersons:
    """A program as PersonDetector, such as one that runs YOLO.

    It is asked `{"clip": PATH, "fps": 5.0}` and answers `{"people": [[{"box": [x0, y0, x1, y1], "score": 0.9}, ...],
    ...]}`: a list for each frame of the clip at that rate, with those seen in it, boxes in shares of the picture's
    width and height. Faces also have `"landmarks"`, five [x, y] in shares: eyes, nose, corners of the mouth, from left
    to right; without them nobody's mouth can be compared with a voice.
    """

    def __init__(self, command: str):
        self._program = _Program(command)

    def card(self) -> ModelCard:
        """What the program says it is."""
        return self._program.card()

    def find(self, clip: Path) -> Evidence:
        """What it answers."""
        answer = {"status": OK, **self._program.ask({"clip": str(clip), "fps": SAMPLED_FPS})}
        if answer["status"] == OK and not isinstance(answer.get("people"), list):
            raise UserError(f"{self._program.command}: answered without a list `people`, with {sorted(answer)}")
        return answer


class JsonlSpeaker:
    """A program as ActiveSpeaker, such as one that runs TalkNet or LR-ASD.

    It is asked `{"clip": PATH, "speech": PATH, "fps": 5.0, "tracks": [{"frames": [0, 1, ...], "boxes": [[x0, y0, x1,
    y1], ...]}, ...]}` (frames at that rate, boxes in shares of the picture) and answers `{"scores": [[0.9, ...], ...]}`,
    for each track one of 0 to 1 for each of its frames.
    """

    def __init__(self, command: str):
        self._program = _Program(command)

    def card(self) -> ModelCard:
        """What the program says it is."""
        return self._program.card()

    def score(
        self,
        clip: Path,
        speech: Path,
        persons: Mapping[str, Any],
        mouths: Mapping[str, Any],
        turns: Sequence[Sequence[Any]],
    ) -> Evidence:
        """What it answers."""
        tracks = [
            {"frames": track["frames"], "boxes": [face["box"] for face in track["faces"]]}
            for track in persons["tracks"]
        ]
        question = {"clip": str(clip), "speech": str(speech), "fps": SAMPLED_FPS, "tracks": tracks}
        answer = {"status": OK, **self._program.ask(question)}
        lengths = [len(track["frames"]) for track in tracks]
        if answer["status"] == OK and [len(row) for row in answer.get("scores", ())] != lengths:
            raise UserError(f"{self._program.command}: its `scores` are not one for each frame of each track")
        return answer
