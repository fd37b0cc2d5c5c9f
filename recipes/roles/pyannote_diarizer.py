"""A Diarizer by pyannote, of which community-1 is gated: accept its terms, and download its folder.

pip install pyannote.audio==4.0.7
--config.diarizer='jsonl:python recipes/roles/pyannote_diarizer.py models/community-1'
"""

import argparse
import importlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lines import serve, sha256


def main() -> None:
    """Serves."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of the pipeline, with config.yaml")
    parser.add_argument("--device", default="cpu", help="of torch")
    parser.add_argument("--licence", default="CC-BY-4.0", help="of the weights")
    args = parser.parse_args()
    torch = importlib.import_module("torch")
    pipeline = importlib.import_module("pyannote.audio").Pipeline.from_pretrained(args.folder)
    pipeline.to(torch.device(args.device))

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        found = pipeline(question["speech"])
        found = getattr(found, "speaker_diarization", found)  # of versions before 4, the result itself
        return {"turns": [[turn.start, turn.end, who] for turn, _, who in found.itertracks(yield_label=True)]}

    card = {
        "name": f"pyannote {args.folder.name}",
        "version": version("pyannote.audio"),
        "licence": args.licence,
        "weights": sha256(args.folder),
        "fidelity": "real",
    }
    serve(card, answer)


if __name__ == "__main__":
    main()
