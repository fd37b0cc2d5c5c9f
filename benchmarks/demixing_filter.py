"""Does the disagreement of two separators distinguish clips that are separated well from those that are not?

    MTV_JAX_MEDIA=FOLDER python benchmarks/demixing_filter.py

Speech is mixed with music, effects or both, 10 dB above it to 10 dB below, and separated by two separators. Each clip
of 2 s of the mixes is bad if the SI-SDR of either voice is below 0 dB, and good if both are above 5 dB; the others are
left out. Printed: the area under the ROC curve of the score `speech`, the shares of bad and of good clips that the
config's threshold drops, how often the rest is compared and with what, and quantiles of `others` among good clips.
"""

import argparse
import itertools
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filters import auc
from separation_metrics import si_sdr

from mtv_jax.audio.separation.base import silent_levels
from mtv_jax.audio.separation.sections import separate
from mtv_jax.audio.separation.separators import DEFAULT_SEPARATOR, find_separator
from mtv_jax.curation.config import CurateConfig
from mtv_jax.curation.filters.demixing import RATE, compare_separations
from mtv_jax.io.audio import fit_length, read_audio, resample
from mtv_jax.io.levels import rms_dbfs
from mtv_jax.io.progress import progress

MIX_RATE = 44_100
SECONDS, CLIP = 12, round(2.04 * RATE)
BACKGROUNDS = ("none", "music", "effects", "both")
RATIOS = (10.0, 0.0, -10.0)
BAD, GOOD = 0.0, 5.0
"""SI-SDR, dB."""


@dataclass(frozen=True)
class Judged:
    """Evidence of a clip, and the lower SI-SDR of the two voices, dB."""

    evidence: Mapping[str, Any]
    si_sdr: float


def sounds(media: Path) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Voices and pieces of music, `SECONDS` long, and effects, one after another."""

    def read(paths: list[Path]) -> list[np.ndarray]:
        return [read_audio(path, MIX_RATE) for path in sorted(paths)]

    length = SECONDS * MIX_RATE
    prompts = np.concatenate(read(list((media / "speech" / "prompts").glob("*"))))
    (talk,) = read([media / "speech" / "two_speakers_30s.wav"])
    voices = [talk[length // 2 :], talk[length * 3 // 2 :], prompts, prompts[length:]]
    music = [sound[length:] for sound in read(list((media / "music").glob("*")))]
    strikes = [fit_length(sound, MIX_RATE * 6 // 10) for sound in read(list((media / "effects").glob("*")))]
    effects = np.concatenate([sound / max(np.abs(sound).max(), 1e-6) for sound in strikes])
    return [fit_length(v, length) for v in voices], [fit_length(m, length) for m in music], effects


def mixes(media: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A mix and the voice in it."""
    voices, music, effects = sounds(media)
    for number, (voice, background, ratio) in enumerate(itertools.product(voices, BACKGROUNDS, RATIOS)):
        rest = np.zeros_like(voice)
        if background in ("music", "both"):
            rest += _at(music[number % len(music)], rms_dbfs(voice) - ratio)
        if background in ("effects", "both"):
            rolled = np.roll(effects, number * MIX_RATE)
            rest += _at(fit_length(rolled, len(voice)), rms_dbfs(voice) - ratio)
        if background != "none" or ratio == RATIOS[0]:
            mix = voice + rest
            gain = np.float32(0.5 / max(np.abs(mix).max(), 0.5))
            yield gain * mix, gain * voice


def _at(sound: np.ndarray, level: float) -> np.ndarray:
    return sound * np.float32(10 ** ((level - rms_dbfs(sound)) / 20))


def judged(mix: np.ndarray, voice: np.ndarray, first: str, second: str) -> Iterator[Judged]:
    """The clips of a mix with a voice in them."""
    separators = [find_separator(name) for name in (first, second)]
    found = []
    for separator in separators:
        tracks = separate(mix, MIX_RATE, separator).tracks
        found.append({name: resample(track, MIX_RATE, RATE) for name, track in tracks.items()})
    true = resample(voice, MIX_RATE, RATE)
    for start in range(0, len(true) - CLIP + 1, CLIP):
        part = slice(start, start + CLIP)
        if rms_dbfs(true[part]) > -45:
            a, b = ({name: track[part] for name, track in tracks.items()} for tracks in found)
            quality = min(si_sdr(clip["speech"], true[part]) for clip in (a, b))
            level = rms_dbfs(np.sum(list(a.values()), axis=0))
            silent = silent_levels(separators[0], level)
            yield Judged(compare_separations(a, b, silent), quality)


def figures(clips: list[Judged], threshold: float) -> dict[str, Any]:
    """What is printed."""
    good = [clip.evidence for clip in clips if clip.si_sdr > GOOD]
    bad = [clip.evidence for clip in clips if clip.si_sdr < BAD]
    cases = [(e["speech"], flawed) for group, flawed in ((good, False), (bad, True)) for e in group]
    others = [e["others"] for e in good if e["others"] is not None]
    return {
        "clips": len(clips),
        "good": len(good),
        "bad": len(bad),
        "auc": auc(cases, "maximum") if good and bad else None,
        "dropped_of_bad": float(np.mean([e["speech"] > threshold for e in bad])) if bad else None,
        "dropped_of_good": float(np.mean([e["speech"] > threshold for e in good])) if good else None,
        "compared": Counter(str(clip.evidence["compared"]) for clip in clips),
        "others_of_good": {str(q): float(np.percentile(others, q)) for q in (10, 50, 90)} if others else None,
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--first", default=DEFAULT_SEPARATOR, help="separator of three tracks")
    parser.add_argument("--second", default="spleeter", help="separator of two")
    parser.add_argument("--mixes", type=int, default=40, help="at most, of 12 s")
    args = parser.parse_args(argv)
    every = list(mixes(Path(os.environ["MTV_JAX_MEDIA"])))
    chosen = [every[i] for i in np.linspace(0, len(every) - 1, min(args.mixes, len(every))).astype(int)]
    clips = [
        clip
        for mix, voice in progress(chosen, "separating")
        for clip in judged(mix, voice, args.first, args.second)
    ]
    print(json.dumps(figures(clips, CurateConfig().demixing.max_speech), indent=1))


if __name__ == "__main__":
    main()
