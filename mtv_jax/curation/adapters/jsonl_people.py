"""Any program as PersonDetector or ActiveSpeaker (`mtv_jax.curation.adapters.jsonl`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtv_jax.curation.adapters.jsonl import Program
from mtv_jax.curation.ledger import OK
from mtv_jax.curation.roles import Evidence, ModelCard
from mtv_jax.faces.tracks import SAMPLED_FPS
from mtv_jax.io.errors import UserError


class JsonlPersons:
    """A program as PersonDetector, such as one that runs YOLO.

    It is asked `{"clip": PATH, "fps": 5.0}` and answers `{"people": [[{"box": [x0, y0, x1, y1], "score": 0.9}, ...],
    ...]}`: a list for each frame of the clip at that rate, with those seen in it, boxes in shares of the picture's
    width and height. Faces also have `"landmarks"`, five [x, y] in shares: eyes, nose, corners of the mouth, from left
    to right; without them nobody's mouth can be compared with a voice.
    """

    def __init__(self, command: str):
        self._command, self._program = command, Program(command)

    def card(self) -> ModelCard:
        """What the program says it is."""
        return self._program.card()

    def find(self, clip: Path) -> Evidence:
        """What it answers."""
        answer = {"status": OK, **self._program.ask({"clip": str(clip), "fps": SAMPLED_FPS})}
        if answer["status"] == OK and not isinstance(answer.get("people"), list):
            raise UserError(f"{self._command}: answered without a list `people`, with {sorted(answer)}")
        return answer


class JsonlSpeaker:
    """A program as ActiveSpeaker, such as one that runs TalkNet or LR-ASD.

    It is asked `{"clip": PATH, "speech": PATH, "fps": 5.0, "tracks": [{"frames": [0, 1, ...], "boxes": [[x0, y0, x1,
    y1], ...]}, ...]}` (frames at that rate, boxes in shares of the picture), and answers
    `{"scores": [[0.9, ...], ...]}`, for each track one of 0 to 1 for each of its frames.
    """

    def __init__(self, command: str):
        self._command, self._program = command, Program(command)

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
            raise UserError(f"{self._command}: its `scores` are not one for each frame of each track")
        return answer
