"""Cuts the theatre's real sounds (`mtv_jax/assets/sounds`) from the files that they come from.

    python recipes/cut_recordings.py SPEECH EFFECTS [--out mtv_jax/assets/sounds]

SPEECH is `sample.wav` of pyannote.audio 4.0.7 (two speakers in turns, 30 s, 16 kHz); EFFECTS is a folder of the flac
files of Debian's sonic-pi-samples. Speech is cut at the turns of the file's labels, so that only one voice is heard
at a time, and the turns of a voice are joined by short pauses; strikes begin at their onset. Same input, same bytes.
"""

import argparse
from pathlib import Path

import numpy as np
import soundfile

from mtv_jax.io.audio import read_audio
from mtv_jax.names import TRACK_RATE

TURNS = {
    "training/speech/a": ((8.32, 9.92), (10.57, 14.49), (18.59, 21.49)),
    "training/speech/b": ((14.70, 17.92),),
    "held_out/speech/a": ((28.50, 30.00),),
    "held_out/speech/b": ((21.78, 27.85),),
}
"""Seconds of SPEECH in which only speaker90 (a) or speaker91 (b) talks."""
STRIKES = {
    "training": {
        "drum": ("drum_bass_hard", "drum_heavy_kick", "drum_snare_hard", "drum_tom_lo_hard"),
        "bell": ("elec_bell", "elec_chime", "perc_bell"),
        "door": ("perc_door", "perc_impact1"),
        "ball": ("elec_ping", "elec_pop"),
    },
    "held_out": {
        "drum": ("drum_tom_hi_hard",),
        "bell": ("drum_cowbell",),
        "door": ("elec_wood",),
        "ball": ("elec_bong",),
    },
}
PAUSE = 0.25
"""Seconds behind each turn."""
LONGEST = 1.2
"""Seconds of a strike, as of the longest synthetic one; a longer one fades out over the last `FADE`."""
FADE = 0.1
ONSET = 0.1
"""Of a strike's peak: where it begins."""
EDGE = 0.005
"""Seconds over which a turn fades in and out, so that its ends do not click."""


def joined(turns: tuple[tuple[float, float], ...], speech: np.ndarray) -> np.ndarray:
    """Turns (start and end in seconds) one after the other, each with a pause behind it: [s]."""
    pause = np.zeros(round(PAUSE * TRACK_RATE))
    pieces = [faded(speech[slice(*(round(t * TRACK_RATE) for t in turn))], EDGE, EDGE) for turn in turns]
    return np.concatenate([part for piece in pieces for part in (piece, pause)])


def strike(wave: np.ndarray) -> np.ndarray:
    """From its onset, at most `LONGEST`, with a peak just below full scale: [s]."""
    start = int(np.argmax(np.abs(wave) > ONSET * np.abs(wave).max()))
    wave, length = wave[start:], round(LONGEST * TRACK_RATE)
    if len(wave) > length:
        wave = faded(wave[:length], 0.0, FADE)
    return wave * (0.95 / np.abs(wave).max())


def faded(wave: np.ndarray, first: float, last: float) -> np.ndarray:
    """With straight ramps over the `first` and the `last` seconds."""
    times = (np.arange(len(wave)) + 0.5) / TRACK_RATE
    rise = np.minimum(times / first, 1) if first else 1.0
    return wave * rise * np.minimum(times[::-1] / last, 1)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("speech", type=Path)
    parser.add_argument("effects", type=Path)
    parser.add_argument("--out", type=Path, default=Path("mtv_jax/assets/sounds"))
    args = parser.parse_args(argv)
    speech = read_audio(args.speech, TRACK_RATE)
    waves = {name: joined(turns, speech) for name, turns in TURNS.items()}
    for half, props in STRIKES.items():
        for prop, files in props.items():
            for file in files:
                wave = read_audio(args.effects / f"{file}.flac", TRACK_RATE)
                waves[f"{half}/{prop}/{file}"] = strike(wave)
    for name, wave in waves.items():
        path = args.out / f"{name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wave, TRACK_RATE, subtype="PCM_16")
        print(f"{path}: {len(wave) / TRACK_RATE:.2f} s")


if __name__ == "__main__":
    main()
