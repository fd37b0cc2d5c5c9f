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
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.audio.turns import Turn
from mtv_jax.curation.ledger import OK
from mtv_jax.curation.roles import Evidence, ModelCard
from mtv_jax.curation.speakers import turn_scores
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError


class Program:
    """A program that answers each JSON line on its standard input with one on its standard output."""

    def __init__(self, command: str):
        self._command = command
        self._process: subprocess.Popen[str] | None = None

    def ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """Its answer. Raises RuntimeError if it ends, UserError if it answers with something else."""
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
            raise RuntimeError(f"{self._command}: ended with status {process.wait()} instead of an answer")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise UserError(f"{self._command}: answered {line[:80]!r}; a JSON object is needed")
        return answer

    def card(self) -> ModelCard:
        """The card that the program answers to an empty question. Raises UserError if it gives none."""
        try:
            return ModelCard(**self.ask({}))
        except RuntimeError as error:  # it was only started: another try would end in the same way
            raise UserError(f"{error}; start it by itself to see why") from error
        except TypeError as error:
            raise UserError(f"{self._command}: its card is incomplete ({error})") from error

    def _started(self) -> "subprocess.Popen[str]":
        if self._process is None:
            try:
                self._process = subprocess.Popen(
                    shlex.split(self._command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            except OSError as error:
                raise UserError(f"{self._command}: cannot be started ({error.strerror})") from error
            weakref.finalize(self, _end, self._process)
        return self._process


def _end(process: "subprocess.Popen[str]") -> None:
    """Ends a program, which has nothing more to read."""
    process.kill()
    process.communicate()


class JsonlCaptioner:
    """A program as Captioner; it answers `{"prompt": ...}`.

    It is asked `{"clip": PATH, "about": {...}, "evidence": {...}}`: what is known of the film, and what the stages
    found.
    """

    def __init__(self, command: str):
        self._program = Program(command)

    def card(self) -> ModelCard:
        """What the program says it is."""
        return self._program.card()

    def caption(
        self, clip: Path, about: Mapping[str, Any], evidence: Mapping[str, Mapping[str, Any]]
    ) -> Evidence:
        """What it answers."""
        question = {"clip": str(clip), "about": dict(about), "evidence": dict(evidence)}
        return {"status": OK, **self._program.ask(question)}


class JsonlQuality:
    """A program as AudioQuality; it is asked `{"mix": PATH, "tracks": {name: PATH}}`, and answers with scores."""

    def __init__(self, command: str):
        self._program = Program(command)

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


class JsonlDiarizer:
    """A program as Diarizer; it is asked `{"speech": PATH}` and answers `{"turns": [[start, end, speaker], ...]}`.

    Starts and ends are seconds; turns may overlap and be in any order.
    """

    def __init__(self, command: str):
        self._command = command
        self._program = Program(command)

    def card(self) -> ModelCard:
        """What the program says it is."""
        return self._program.card()

    def diarize(self, samples: np.ndarray, sample_rate: int) -> Evidence:
        """What it answers, and how many speakers and seconds of speech that makes."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "speech.wav"
            write_audio(path, samples, sample_rate)
            answer = self._program.ask({"speech": str(path)})
        if answer.get("status", OK) != OK:
            return answer
        try:
            turns = [Turn(float(start), float(end), str(who)) for start, end, who in answer["turns"]]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{self._command}: its turns must be a list of [start, end, speaker] ({error!r})"
            ) from error
        return turn_scores(turns)
