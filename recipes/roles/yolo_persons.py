"""A PersonDetector by YOLO, which is under the AGPL: it runs as a program of its own, in its own environment.

    pip install ultralytics
    --config.person_detector='jsonl:python recipes/roles/yolo_persons.py models/yolo11x.pt'

It sees whole persons, from any side, and no landmarks: people are counted, but no mouth is compared with a voice.
"""

import argparse
import importlib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lines import serve, sha256

PERSON = 0
"""Class of COCO."""


def sampled(clip: str, fps: float) -> Iterator[Any]:
    """The frames (blue, green, red) of a clip of a constant rate that are displayed at 0, 1 / fps, 2 / fps, ..."""
    import cv2

    film = cv2.VideoCapture(clip)
    rate, number, wanted = film.get(cv2.CAP_PROP_FPS), 0, 0
    while True:
        read, frame = film.read()
        if not read:
            return
        while number == int(wanted * rate / fps + 1e-6):
            yield frame
            wanted += 1
        number += 1


def main() -> None:
    """Serves."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("weights", type=Path)
    parser.add_argument("--confidence", type=float, default=0.5, help="of a person that counts")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    model = importlib.import_module("ultralytics").YOLO(str(args.weights))

    def people(frame: Any) -> list[dict[str, Any]]:
        options = {"classes": [PERSON], "conf": args.confidence, "device": args.device, "verbose": False}
        boxes = model(frame, **options)[0].boxes
        return [
            {"box": box, "score": score}
            for box, score in zip(boxes.xyxyn.tolist(), boxes.conf.tolist(), strict=True)
        ]

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        return {"people": [people(frame) for frame in sampled(question["clip"], question["fps"])]}

    card = {
        "name": f"YOLO {args.weights.stem}",
        "version": version("ultralytics"),
        "licence": "AGPL-3.0",
        "weights": sha256(args.weights),
        "fidelity": "real",
    }
    serve(card, answer)


if __name__ == "__main__":
    main()
