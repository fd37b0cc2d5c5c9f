"""How near to a sound's place between left and right does the layout `stereo` of Maestro put its box?

    python benchmarks/stereo_layout.py [--mixes 200]

Mixes of two or three recorded sounds of one level, each put at a random place by a panner of constant power. Each
source is heard as a separator leaves it: with the others at none of their level, or at -20, -10 or -6 dB, from where
these are. Prints JSON: of each number of sources and
each leak, the mean and the 95th percentile of the error of a source's position, that of its box's centre (which cannot
be nearer to a side than half its width, nor overlap another box) over the width of the frame, and the share of mixes
whose boxes are in the order of the sounds.
"""

import argparse
import importlib.resources
import json
from pathlib import Path

import numpy as np

from mtv_jax.io.audio import read_audio
from mtv_jax.pipelines.maestro.layout import position, stereo_boxes

RATE = 16_000
SECONDS = 2.0
LEAKS = (None, -20.0, -10.0, -6.0)
APART = 0.15
"""Places nearer to each other than this share of the width have no order."""


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mixes", type=int, default=200, help="of each kind (default: %(default)s)")
    args = parser.parse_args(argv)
    sounds = recordings()
    result = {
        f"{count} sources, leak {'none' if leak is None else f'{leak:g} dB'}": measure(
            sounds, count, leak, args.mixes
        )
        for count in (2, 3)
        for leak in LEAKS
    }
    print(json.dumps(result, indent=2))


def recordings() -> list[np.ndarray]:
    """The package's recorded sounds, of a level of 1, repeated to two seconds."""
    folder = Path(str(importlib.resources.files("mtv_jax.assets"))) / "sounds" / "held_out"
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".flac", ".wav", ".ogg", ".mp3"))
    length = round(SECONDS * RATE)
    sounds = [np.resize(read_audio(file, RATE), length) for file in files]
    return [sound / np.sqrt(np.mean(np.square(sound))) for sound in sounds if np.any(sound)]


def panned(sound: np.ndarray, place: float) -> np.ndarray:
    """[s 2] of a panner of constant power."""
    return np.stack([np.cos(place * np.pi / 2) * sound, np.sin(place * np.pi / 2) * sound], -1)


def measure(sounds: list[np.ndarray], count: int, leak: float | None, mixes: int) -> dict[str, float]:
    rng, gain = np.random.default_rng(0), 0.0 if leak is None else 10 ** (leak / 20)
    errors, centres, ordered = [], [], []
    for _ in range(mixes):
        chosen = rng.choice(len(sounds), count, replace=False)
        places = rng.uniform(0, 1, count)
        alone = np.stack([panned(sounds[i], place) for i, place in zip(chosen, places, strict=True)])
        heard = [sound + gain * (alone.sum(0) - sound) for sound in alone]
        found = [position(sound) for sound in heard]
        middles = np.array([(box[0] + box[2]) / 2 for box in stereo_boxes(found)])
        errors += list(np.abs(np.array(found) - places))
        centres += list(np.abs(middles - places))
        if np.diff(np.sort(places)).min() > APART:
            ordered.append(bool(np.all(np.argsort(middles) == np.argsort(places))))
    return {
        "position_error": float(np.mean(errors)),
        "position_error_95": float(np.percentile(errors, 95)),
        "box_error": float(np.mean(centres)),
        "box_error_95": float(np.percentile(centres, 95)),
        "in_order": float(np.mean(ordered)),
    }


if __name__ == "__main__":
    main()
