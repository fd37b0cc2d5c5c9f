"""How often is it said wrongly who speaks, and how many speakers there are?

    MTV_JAX_MEDIA=FOLDER python benchmarks/diarisation.py

A recording of two people with labelled turns, and mixes of recorded voices (two people, a studio voice, a man talking
to the camera) with known turns, pauses and overlaps, of one to four speakers, at the bandwidth of a telephone, so that
recordings are not told apart by theirs. Printed: diarisation error rates with a collar of 0.25 s and without, their
parts, and the number of speakers. `--voices FOLDER` takes other voices: a folder of recordings for each.
"""

import argparse
import dataclasses
import functools
import json
import operator
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mtv_jax.assets
from mtv_jax.audio.turns import Turn, read_rttm
from mtv_jax.curation.roles import Diarizer, find_model
from mtv_jax.evaluation.diarisation import DiarisationErrors, diarisation_errors
from mtv_jax.io.audio import fit_length, read_audio, resample
from mtv_jax.io.levels import rms_dbfs
from mtv_jax.io.progress import progress

RATE = 16_000
LEVEL = -26.0
"""RMS dBFS of a turn, give or take 3 dB."""
FRAME, PAUSE = 160, 30
"""Samples of a frame, in which the level is taken, and frames of the longest pause within a turn."""
SPEAKERS = (1, 1, 2, 2, 2, 3, 3, 3, 4, 4)
COLLARS = (0.25, 0.0)


@dataclass(frozen=True)
class Labelled:
    """A sound, mono float32 at `RATE`, and who speaks when."""

    name: str
    sound: np.ndarray
    turns: Sequence[Turn]


def shared_voices(media: Path) -> dict[str, np.ndarray]:
    """What each of four people says."""
    sounds = Path(mtv_jax.assets.__file__).parent / "sounds"
    voices = {
        name: _joined([sounds / part / "speech" / f"{name}.flac" for part in ("training", "held_out")])
        for name in "ab"
    }
    voices["studio"] = _joined(sorted((media / "speech" / "prompts").glob("*.wav")))
    return voices | {"man": _joined(sorted(media.glob("talking_man*")))}


def other_voices(folder: Path) -> dict[str, np.ndarray]:
    """The same of the voices in the folders in a folder."""
    folders = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    return {path.name: _joined(sorted(path.glob("*.*"))) for path in folders}


def _joined(paths: Sequence[Path]) -> np.ndarray:
    return np.concatenate([read_audio(path, RATE) for path in paths])


def conversation(voices: Mapping[str, np.ndarray], speakers: int, seconds: float, seed: int) -> Labelled:
    """Turns of random people; each begins after a pause, or, one in four, before the end of the last one.

    Everyone speaks once before anyone speaks again. Nothing is said twice: it ends before the time is up if all has
    been said.
    """
    rng = np.random.default_rng(seed)
    names = [str(name) for name in rng.permutation(sorted(voices))[:speakers]]
    left = {name: _pieces(voices[name], rng) for name in names}
    sound, turns, end, last = np.zeros(round(seconds * RATE), np.float32), [], 0.0, ""
    while others := [name for name in left if name != last] or list(left):
        name = names.pop(0) if names else str(rng.choice(others))
        piece = next(left[name], None)
        if piece is None:
            del left[name]
            continue
        overlaps = last not in ("", name) and rng.random() < 0.25
        start = end - rng.uniform(0.2, 0.8) if overlaps else end + rng.uniform(0.1, 0.8)
        at = round(start * RATE)
        if at + len(piece) > len(sound):
            break
        sound[at : at + len(piece)] += piece
        turns += [Turn(start + first, start + until, name) for first, until in _loud(piece)]
        end, last = max(end, start + len(piece) / RATE), name
    noise = rng.standard_normal(len(sound)).astype(np.float32)
    sound += noise * np.float32(10 ** ((LEVEL - 40) / 20))
    return Labelled(f"conversation {seed} of {speakers}", sound, sorted(turns))


def _pieces(voice: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """A recording from a random place on, in turns of at most 1.5 to 5 s without silence around them."""
    gain = np.float32(10 ** (rng.uniform(-3, 3) / 20))
    voice = np.roll(voice, int(rng.integers(len(voice))))
    while len(voice) >= 1.5 * RATE:
        length = round(rng.uniform(1.5, 5) * RATE)
        piece, voice = voice[:length], voice[length:]
        loud = _loud(piece)
        piece = piece[round(loud[0][0] * RATE) : round(loud[-1][1] * RATE)]
        piece = resample(resample(piece, RATE, 8000), 8000, RATE)
        yield piece * gain * np.float32(10 ** ((LEVEL - rms_dbfs(piece)) / 20))


def _loud(voice: np.ndarray) -> list[tuple[float, float]]:
    """Where a clean recording has speech, in seconds: frames within 30 dB of its level, pauses up to 0.3 s included."""
    frames = np.pad(voice, (0, -len(voice) % FRAME)).reshape(-1, FRAME)
    power = np.mean(np.square(frames, dtype=np.float64), axis=1)
    loud = np.flatnonzero(power > 1e-3 * np.mean(np.square(voice, dtype=np.float64)))
    groups = np.split(loud, np.flatnonzero(np.diff(loud) > PAUSE) + 1)
    return [
        (float(g[0]) * FRAME / RATE, min(float(g[-1]) + 1, len(voice) / FRAME) * FRAME / RATE) for g in groups
    ]


def labelled(media: Path, voices: Mapping[str, np.ndarray], seconds: float, seed: int) -> Iterator[Labelled]:
    """What is measured."""
    talk = media / "speech" / "two_speakers_30s.wav"
    sound = fit_length(read_audio(talk, RATE), round(min(seconds, 30) * RATE))
    turns = [turn for turn in read_rttm(talk.with_suffix(".rttm")) if turn.end <= seconds]
    yield Labelled(talk.stem, sound, turns)
    for number, speakers in enumerate(SPEAKERS):
        yield conversation(voices, min(speakers, len(voices)), seconds, seed + number)


def measured(case: Labelled, diarizer: Diarizer) -> tuple[dict[str, Any], list[DiarisationErrors]]:
    """What is printed of a sound, and its errors for each of `COLLARS`."""
    found = diarizer.diarize(case.sound, RATE)
    turns = [Turn(*turn) for turn in found["turns"]]
    errors = [diarisation_errors(case.turns, turns, collar) for collar in COLLARS]
    people = len({turn.speaker for turn in case.turns})
    about = {"sound": case.name, "speakers": people, "found": found["speakers"]}
    return about | _rates(errors), errors


def _rates(errors: Sequence[DiarisationErrors]) -> dict[str, Any]:
    return {
        f"collar {collar}": {
            "error_rate": round(error.rate, 4),
            **{k: round(v, 2) for k, v in dataclasses.asdict(error).items()},
        }
        for collar, error in zip(COLLARS, errors, strict=True)
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--diarizer", default="resemblyzer", help="a model of the role")
    parser.add_argument(
        "--voices", type=Path, help="a folder of recordings for each voice, in place of the four"
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="of a conversation")
    parser.add_argument("--seed", type=int, default=100, help="of the first conversation")
    args = parser.parse_args(argv)
    media = Path(os.environ["MTV_JAX_MEDIA"])
    voices = other_voices(args.voices) if args.voices else shared_voices(media)
    diarizer = find_model("diarizer", args.diarizer)
    cases = list(labelled(media, voices, args.seconds, args.seed))
    results = [measured(case, diarizer) for case in progress(cases, "diarising")]
    mixes = [errors for _, errors in results[1:]]
    total = [functools.reduce(operator.add, errors) for errors in zip(*mixes, strict=True)]
    report = {"sounds": [about for about, _ in results], "conversations": _rates(total)}
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
