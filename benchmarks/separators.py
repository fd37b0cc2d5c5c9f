"""How well do the separators tell speech, effects and music apart, how fast, and in how much memory?

    python benchmarks/separators.py [--separators dfn3+mask,dfn3+hpss] [--media ../shared/media] [--out FILE]
    python benchmarks/separators.py --speed

Prints JSON, for each separator and kind of mix (recordings at -6, 0 and +6 dB of speech against the rest; clips of the
theatre): SI-SDR of each track and of the mix as that track; how much of each true track is in each (`leakage`); whether
the loudness of speech and the onsets of effects are right at 24 frames a second; onsets where there are no effects;
errors of level; delays; and how often a track counts as silent exactly if the true one is below -45 dBFS: by the
package's rule (`silent_levels`), by -45 dBFS alone, and by the best distance below the mix, chosen on other mixes.
`--speed` separates stereo noise at 44.1 kHz instead, in a process for each
separator.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from separation_metrics import (
    agreement,
    best_leak,
    delay,
    envelope_correlation,
    leakage,
    onset_counts,
    si_sdr,
)
from separation_mixes import LEVELS_DB, Mix, recorded_mixes, theatre_mixes

from mtv_jax.audio.separation.base import Separator, silent_levels
from mtv_jax.audio.separation.sections import separate
from mtv_jax.audio.separation.separators import find_separator, separator_names
from mtv_jax.evaluation.metrics.statistics import f1_score
from mtv_jax.evaluation.report.contact_sheet import onsets
from mtv_jax.io.files import write_json
from mtv_jax.io.levels import SILENT_DBFS, rms_dbfs
from mtv_jax.names import TRACK_RATE, TRACKS

PAUSE = 0.5
"""Seconds between mixes, which are separated as one long sound."""
_CHILD = """
import json, sys, time
from pathlib import Path
import numpy as np
from mtv_jax.audio.separation.sections import separate_sections
from mtv_jax.audio.separation.separators import find_separator

name, seconds = sys.argv[1], float(sys.argv[2])
separator, rate = find_separator(name), 44100
noise = np.random.default_rng(0).normal(0, 0.1, (round(seconds * rate), 2)).astype(np.float32)
separator.separate(noise[:rate], rate)  # loads and compiles
started, processor = time.perf_counter(), time.process_time()
for _ in separate_sections(lambda first, last: noise[first:last], rate, separator):
    pass
wall, processor = time.perf_counter() - started, time.process_time() - processor
peak = 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
found = {"times_real_time": seconds / wall, "times_real_time_of_processor": seconds / processor}
print(json.dumps(found | {"peak_bytes": peak}))
"""


@dataclass(frozen=True)
class Heard:
    """A mix, the tracks that a separator made of it, and the levels below which these count as silent."""

    mix: Mix
    tracks: dict[str, np.ndarray]
    silent_dbfs: dict[str, float]

    def true(self, name: str) -> np.ndarray:
        """The track as it was mixed."""
        return self.mix.tracks[name]

    def has(self, name: str) -> bool:
        """Whether it was mixed in."""
        return bool(np.any(self.true(name)))

    def is_silent(self, name: str) -> bool:
        """Whether the true track counts as silent."""
        return rms_dbfs(self.true(name)) < SILENT_DBFS

    def is_taken_for_silent(self, name: str) -> bool:
        """Whether the track that was made does, by the package's rule."""
        return rms_dbfs(self.tracks[name]) < self.silent_dbfs[name]

    @property
    def is_mixed(self) -> bool:
        """Whether there is more than one track in it."""
        return sum(self.has(name) for name in TRACKS) > 1


def heard(separator: Separator, mixes: Iterable[Mix]) -> list[Heard]:
    """The tracks of mixes that are separated as one sound, with a pause behind each."""
    listed = list(mixes)
    pause = np.zeros(round(PAUSE * TRACK_RATE), np.float32)
    ends = np.cumsum([len(mix.mix) + len(pause) for mix in listed])
    whole = np.concatenate([part for mix in listed for part in (mix.mix, pause)])
    tracks = separate(whole, TRACK_RATE, separator).tracks
    pieces = {name: np.split(np.asarray(tracks[name]), ends[:-1]) for name in TRACKS}
    found = []
    for index, mix in enumerate(listed):
        made = {name: pieces[name][index][: len(mix.mix)] for name in TRACKS}
        found.append(Heard(mix, made, silent_levels(separator, rms_dbfs(mix.mix))))
    return found


def mean(values: Iterable[float]) -> float | None:
    listed = list(values)
    return round(float(np.mean(listed)), 3) if listed else None


def quality(rows: Sequence[Heard]) -> dict[str, Any]:
    """SI-SDR of each track and of the mix in its place, over mixes of several tracks that have it."""
    found = {}
    for name in TRACKS:
        those = [row for row in rows if row.has(name) and row.is_mixed]
        track = mean(si_sdr(row.tracks[name], row.true(name)) for row in those)
        mix = mean(si_sdr(row.mix.mix, row.true(name)) for row in those)
        found[name] = {"track": track, "mix": mix, "mixes": len(those)}
    return found


def leaks(rows: Sequence[Heard]) -> dict[str, dict[str, float | None]]:
    """By the track that is made, and the true track that is heard in it."""
    tables = {name: [leakage(row.tracks[name], row.mix.tracks) for row in rows] for name in TRACKS}
    return {
        made: {true: mean(table[true] for table in tables[made] if true in table) for true in TRACKS}
        for made in TRACKS
    }


def events(rows: Sequence[Heard]) -> dict[str, Any]:
    """Onsets of the effects against those of the true track; a track that counts as silent has none."""

    def found(row: Heard) -> list[float]:
        return [] if row.is_taken_for_silent("effects") else onsets(row.tracks["effects"])

    struck = [row for row in rows if row.has("effects")]
    silent = [row for row in rows if not row.has("effects")]
    counts = [onset_counts(found(row), onsets(row.true("effects"))) for row in struck]
    pairs, made, true = (int(n) for n in np.sum(counts, axis=0)) if counts else (0, 0, 0)
    minutes = sum(len(row.mix.mix) for row in silent) / TRACK_RATE / 60
    false = sum(len(found(row)) for row in silent)
    return {
        "f1": round(f1_score(pairs, made, true), 3),
        "found": made,
        "true": true,
        "false_per_minute_without_effects": round(false / minutes, 2) if silent else None,
    }


def per_track(rows: Sequence[Heard], figure: Callable[[np.ndarray, np.ndarray], float]) -> dict[str, Any]:
    """The mean of a figure of each track against the true one, where there is one."""
    return {name: mean(figure(r.tracks[name], r.true(name)) for r in rows if r.has(name)) for name in TRACKS}


def silence(rows: Sequence[Heard], separator: Separator, leaks: Mapping[str, float | None]) -> dict[str, Any]:
    """Agreement of rules of silence with the truth, and the errors of the package's; `leaks` are the best ones."""
    found = {}
    for name in TRACKS:
        silent = [row.is_silent(name) for row in rows]
        taken = [row.is_taken_for_silent(name) for row in rows]
        levels = [rms_dbfs(row.tracks[name]) for row in rows]
        found[name] = {
            "leak_db": separator.leak_db[name],
            "agreement": round(agreement(taken, silent), 3),
            "silent": sum(silent),
            "silent_taken_for_sound": sum(s and not t for s, t in zip(silent, taken, strict=True)),
            "sound_taken_for_silent": sum(t and not s for s, t in zip(silent, taken, strict=True)),
            f"agreement_at_{SILENT_DBFS:g}": round(agreement([x < SILENT_DBFS for x in levels], silent), 3),
            "best_leak_db": leaks[name],
            "agreement_at_best": _agreement_at(rows, name, leaks[name]),
        }
    return found


def _agreement_at(rows: Sequence[Heard], name: str, leak: float | None) -> float | None:
    if leak is None:
        return None
    taken = [distance > leak for distance in _below(rows, name)]
    return round(agreement(taken, [row.is_silent(name) for row in rows]), 3)


def _below(rows: Sequence[Heard], name: str) -> list[float]:
    """How far a track is below its mix, dB."""
    return [rms_dbfs(row.mix.mix) - rms_dbfs(row.tracks[name]) for row in rows]


def best_leaks(rows: Sequence[Heard]) -> dict[str, float | None]:
    """The best distance below the mix for each track, on mixes for choosing."""
    return {name: best_leak(_below(rows, name), [row.is_silent(name) for row in rows]) for name in TRACKS}


def summary(rows: Sequence[Heard]) -> dict[str, Any]:
    """All figures of mixes of one kind but those of silence."""
    found = {"mixes": len(rows), "si_sdr_db": quality(rows)}
    if rows[0].mix.level is not None:
        by_level = {f"{level:+g}": [row for row in rows if row.mix.level == level] for level in LEVELS_DB}
        found["si_sdr_db_by_level"] = {level: quality(those) for level, those in by_level.items()}
    spoken = [row for row in rows if row.has("speech")]
    return found | {
        "leakage_db": leaks(rows),
        "speech_envelope": mean(envelope_correlation(r.tracks["speech"], r.true("speech")) for r in spoken),
        "onsets": events(rows),
        "level_error_db": per_track(rows, lambda made, true: abs(rms_dbfs(made) - rms_dbfs(true))),
        "delay_samples": per_track(rows, lambda made, true: abs(delay(made, true))),
    }


def measure(name: str, media: Path, count: int, clips: int, seconds: float) -> dict[str, Any]:
    """Figures of one separator on both kinds of mix; of silence, on each kind and on both together."""
    separator = find_separator(name, TRACKS)
    chosen = [
        *heard(separator, recorded_mixes(media, count, seconds, choosing=True)),
        *heard(separator, theatre_mixes(clips, choosing=True)),
    ]
    leaks = best_leaks(chosen)
    recorded = heard(separator, recorded_mixes(media, count, seconds, choosing=False))
    theatre = heard(separator, theatre_mixes(clips, choosing=False))
    kinds = {"recorded": recorded, "theatre": theatre, "both": [*recorded, *theatre]}
    return {
        "recorded": summary(recorded),
        "theatre": summary(theatre),
        "silence": {kind: silence(rows, separator, leaks) for kind, rows in kinds.items()},
    }


def speed(name: str, seconds: float) -> dict[str, Any]:
    """Seconds of sound separated per second, and peak memory, measured in a separate process."""
    command = [sys.executable, "-c", _CHILD, name, str(seconds)]
    found = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return {key: round(value, 1) for key, value in found.items()}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    whole = ",".join(name for name in separator_names() if "+" in name)
    parser.add_argument("--separators", default=whole, help=f"(default {whole}); cdx23:PATH too")
    parser.add_argument(
        "--media", type=Path, default=Path("../shared/media"), help="(default ../shared/media)"
    )
    parser.add_argument("--mixes", type=int, default=16, help="of recordings, at each level (default 16)")
    parser.add_argument("--clips", type=int, default=48, help="of the theatre (default 48)")
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="of a mix; of noise with --speed (default 6)"
    )
    parser.add_argument("--speed", action="store_true", help="measure time and memory instead")
    parser.add_argument("--out", type=Path, help="file for the JSON too")
    args = parser.parse_args(argv)
    names = args.separators.split(",")
    if args.speed:
        report = {name: speed(name, args.seconds) for name in names}
    else:
        report = {name: measure(name, args.media, args.mixes, args.clips, args.seconds) for name in names}
    if args.out:
        write_json(args.out, report)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
