"""A Diarizer by ElevenLabs' Scribe, a paid service; it is sent the speech of two minutes of film at a time.

    export ELEVENLABS_API_KEY=...
    --config.diarizer='jsonl:python recipes/roles/scribe_diarizer.py'

Needs nothing but Python. A request that times out, is limited (429) or fails (5xx) is tried again; any other refusal
ends the program, and `curate run --retry-failed` goes on where it was.
"""

import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

from lines import serve


def request_of(args: argparse.Namespace, sound: Path) -> urllib.request.Request:
    """A form with a file."""
    boundary = uuid.uuid4().hex
    fields = {"model_id": args.model, "diarize": "true", "timestamps_granularity": "word"}
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'
        for k, v in fields.items()
    ]
    named = f'Content-Disposition: form-data; name="file"; filename="{sound.name}"'
    parts.append(f"--{boundary}\r\n{named}\r\nContent-Type: audio/wav\r\n\r\n")
    body = "".join(parts).encode() + sound.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    headers = {
        "Content-Type": f"multipart/form-data; boundary={boundary}",
        "xi-api-key": os.environ.get(args.key, ""),
    }
    return urllib.request.Request(args.url, data=body, headers=headers)


def asked(args: argparse.Namespace, sound: Path) -> dict[str, Any]:
    """The service's answer. Ends the program if there is none."""
    problem = ""
    for number in range(args.tries):
        wait = args.backoff * 2**number
        try:
            with urllib.request.urlopen(request_of(args, sound), timeout=args.timeout) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            problem = f"{error.code} {error.reason}"
            if error.code != 429 and error.code < 500:
                sys.exit(f"scribe: {problem}: {error.read()[:200].decode(errors='replace')}")
            given = error.headers.get("Retry-After", "")
            wait = float(given) if given.isdigit() else wait
        except (OSError, ValueError) as error:  # refused, timed out, broken off, or no JSON
            problem = str(error) or type(error).__name__
        if number + 1 < args.tries:
            time.sleep(wait)
    sys.exit(f"scribe: no answer in {args.tries} tries ({problem})")


def turns_of(words: list[dict[str, Any]], pause: float) -> list[list[Any]]:
    """Words of one speaker that follow each other within `pause` seconds make a turn."""
    turns: list[list[Any]] = []
    for word in words:
        if word.get("type") != "word" or word.get("speaker_id") is None:
            continue
        last = turns[-1] if turns else None
        if last and last[2] == word["speaker_id"] and word["start"] - last[1] <= pause:
            last[1] = word["end"]
        else:
            turns.append([word["start"], word["end"], word["speaker_id"]])
    return turns


def main() -> None:
    """Serves."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--url", default="https://api.elevenlabs.io/v1/speech-to-text", help="of the service")
    parser.add_argument("--key", default="ELEVENLABS_API_KEY", help="environment variable with the key")
    parser.add_argument("--model", default="scribe_v1", help="model_id")
    parser.add_argument("--tries", type=int, default=5, help="of a request")
    parser.add_argument("--timeout", type=float, default=300.0, help="seconds for an answer")
    parser.add_argument("--backoff", type=float, default=2.0, help="seconds before the second try")
    parser.add_argument("--pause", type=float, default=0.5, help="seconds within a turn")
    args = parser.parse_args()
    if not os.environ.get(args.key):
        sys.exit(f"scribe: the environment variable {args.key} is not set; it has the key of the service")

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        return {"turns": turns_of(asked(args, Path(question["speech"]))["words"], args.pause)}

    card = {
        "name": "Scribe",
        "version": args.model,
        "licence": "proprietary",
        "weights": None,
        "fidelity": "real",
    }
    serve(card, answer)


if __name__ == "__main__":
    main()
