"""How well does each filter of curation distinguish planted flaws from clean clips?

    MTV_JAX_MEDIA=FOLDER python benchmarks/filters.py

Clips are 2 s of the theatre, of the bundled film and, with the folder, of real films and recordings; each gets every
flaw once. For each score: the area under the ROC curve (1: every flawed clip is beyond every clean one), precision and
recall of `CurateConfig`'s threshold, and the threshold that is best on the clips of other seeds, with its precision and
recall. For duplicates the pairs of clips are what is classified.

The separators of the demixing section are drawn: known tracks with 12 to 30 dB of leakage between them, against ones
with 0 to 6 dB, or with speech and rest exchanged.
"""

import argparse
import itertools
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mtv_jax.assets
from mtv_jax.audio.tracks import mixed
from mtv_jax.curation.config import CurateConfig
from mtv_jax.curation.decide import rules
from mtv_jax.curation.filters.bars import black_bars
from mtv_jax.curation.filters.demixing import RATE, compare_separations
from mtv_jax.curation.filters.duplicates import picture_distance, sound_distance
from mtv_jax.curation.filters.fingerprints import HASH_RATE, picture_hashes, sound_hashes
from mtv_jax.curation.filters.motion import MOTION_FPS, mean_motion
from mtv_jax.curation.filters.sound import clipping_share
from mtv_jax.io.audio import read_audio, resample
from mtv_jax.io.levels import SILENT_DBFS, rms_dbfs
from mtv_jax.io.progress import progress
from mtv_jax.io.video import iter_frames, read_video, write_video
from mtv_jax.names import TRACK_RATE, TRACKS
from mtv_jax.theatre import EVALUATION_SEEDS, TheatreConfig, render_clip

SECONDS = 2.0
CHOOSING, MEASURING = EVALUATION_SEEDS + 11, EVALUATION_SEEDS + 12


@dataclass(frozen=True)
class Clip:
    """Frames uint8 [F H W 3] at `fps`, the mix [s] at 16 kHz, and the true tracks of the theatre."""

    frames: np.ndarray
    fps: float
    mix: np.ndarray
    tracks: dict[str, np.ndarray]

    @property
    def sparse(self) -> np.ndarray:
        """Frames at the rate that the filters read."""
        step = max(round(self.fps / MOTION_FPS), 1)
        return self.frames[::step]


def theatre(seed: int, count: int) -> list[Clip]:
    found = []
    for index in range(count):
        clip = render_clip(seed, index, TheatreConfig())
        tracks = {name: clip.tracks[name].astype(np.float32) for name in TRACKS}
        found.append(Clip(clip.frames, float(clip.plan.config.fps), mixed(tracks.values()), tracks))
    return found


def films(paths: Sequence[Path], seed: int, count: int) -> list[Clip]:
    """Windows of films, those of `CHOOSING` and `MEASURING` apart."""
    found = []
    for path in paths:
        length = len(read_audio(path, TRACK_RATE)) / TRACK_RATE
        starts = np.arange(0, length - SECONDS, SECONDS)[seed % 2 :: 2]
        for start in np.random.default_rng(seed).permutation(starts)[:count]:
            frames, fps = read_video(path, fps=8, start=float(start), num_frames=round(8 * SECONDS))
            mix = read_audio(path, TRACK_RATE, start=float(start), duration=SECONDS)
            found.append(Clip(frames, fps, mix, {}))
    return found


Case = tuple[float, bool]
"""A score, and whether the clip has the flaw."""


def motion(clips: Sequence[Clip], draw: np.random.Generator) -> Iterator[Case]:
    """Flaw: a photograph, with the noise of a codec."""
    for clip in clips:
        yield mean_motion(clip.sparse), False
        still = np.repeat(clip.sparse[:1], len(clip.sparse), axis=0)
        noise = draw.normal(0, draw.uniform(0, 3), still.shape)
        yield mean_motion(np.clip(still + noise, 0, 255).astype(np.uint8)), True


def bars(clips: Sequence[Clip], draw: np.random.Generator) -> Iterator[Case]:
    """Flaw: bars of 8 to 20 % on two sides. Clean: the clip as it is, and at an eighth of its brightness."""
    for clip in clips:
        frames = clip.sparse
        yield black_bars(frames).area, False
        yield black_bars(frames // 8).area, False
        barred = np.swapaxes(frames, 1, 2).copy() if draw.random() < 0.5 else frames.copy()
        width = max(1, round(barred.shape[1] * draw.uniform(0.08, 0.2)))
        barred[:, :width] = barred[:, -width:] = 0
        noise = draw.normal(0, 3, barred.shape)
        yield black_bars(np.clip(barred + noise, 0, 255).astype(np.uint8)).area, True


def silence(clips: Sequence[Clip], draw: np.random.Generator) -> Iterator[Case]:
    """Flaw: noise at -90 to -62 dBFS. Clean: the mix at -45 to -15 dBFS."""
    for clip in clips:
        if not np.any(clip.mix):
            continue
        for low, high, flawed in ((-45, -15, False), (-90, -62, True)):
            sound = draw.standard_normal(len(clip.mix)) if flawed else clip.mix
            level = draw.uniform(low, high)
            yield rms_dbfs(sound * 10 ** ((level - rms_dbfs(sound)) / 20)), flawed


def clipping(clips: Sequence[Clip], draw: np.random.Generator) -> Iterator[Case]:
    """Flaw: 3 to 20 % of the samples beyond full scale. Clean: normalised to a peak of 0 to -3 dBFS."""
    for clip in clips:
        size = np.abs(clip.mix)
        if not size.max(initial=0):
            continue
        yield clipping_share(clip.mix / size.max() * 10 ** (-draw.uniform(0, 3) / 20)), False
        loud = clip.mix / max(np.quantile(size, 1 - draw.uniform(0.03, 0.2)), 1e-6)
        yield clipping_share(np.clip(loud, -1, 1)), True


def separators(clips: Sequence[Clip], draw: np.random.Generator) -> Iterator[tuple[dict[str, Any], bool]]:
    """The evidence of two drawn separators of each clip: both good, one bad, one with its tracks exchanged."""
    for clip in clips:
        if not clip.tracks or not np.any(clip.tracks["speech"]):
            continue
        true = {name: resample(track, TRACK_RATE, RATE) for name, track in clip.tracks.items()}
        rest = true["effects"] + true["music"]
        bounds: dict[str, float] = {name: SILENT_DBFS for name in TRACKS}
        for leakage, flawed in (((12, 30), False), ((0, 6), True), (None, True)):
            leak = 10 ** (-draw.uniform(12, 30) / 20)
            first = true | {"speech": true["speech"] + leak * rest}
            if leakage is None:
                second = {"speech": rest, "rest": true["speech"]}
            else:
                leak = 10 ** (-draw.uniform(*leakage) / 20)
                second = {"speech": true["speech"] + leak * rest, "rest": rest + leak * true["speech"]}
            yield compare_separations(first, second, bounds), flawed


def demixing(clips: Sequence[Clip], draw: np.random.Generator, score: str) -> Iterator[Case]:
    """A score of `separators`, where there is one. Without a rest a leaky separator is not flawed."""
    for evidence, flawed in separators([c for c in clips if c.tracks and _has_rest(c)], draw):
        if evidence[score] is not None:
            yield evidence[score], flawed


def _has_rest(clip: Clip) -> bool:
    return bool(np.any(clip.tracks["effects"]) or np.any(clip.tracks["music"]))


def duplicates(clips: Sequence[Clip], draw: np.random.Generator, score: str) -> Iterator[Case]:
    """Pairs: a clip and its copy at half the size, another quality, level and start; and all pairs of other clips."""
    prints = [_prints(clip.sparse, clip.mix) for clip in clips]
    measure = picture_distance if score == "picture" else sound_distance
    index = 0 if score == "picture" else 1
    for clip, own in zip(clips, prints, strict=True):
        if len(own[index]):
            yield measure(own[index], _copy(clip, draw)[index]), True
    for a, b in itertools.combinations(prints, 2):
        if len(a[index]) and len(b[index]):
            yield measure(a[index], b[index]), False


def _prints(frames: np.ndarray, mix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return picture_hashes(frames), sound_hashes(resample(mix, TRACK_RATE, HASH_RATE))


def _copy(clip: Clip, draw: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    start = int(draw.integers(0, 2))
    frames = clip.frames[start:, ::2, ::2]
    frames = frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "copy.mp4"
        write_video(path, frames, clip.fps, crf=int(draw.integers(24, 36)))
        sparse = np.stack(list(iter_frames(path, fps=MOTION_FPS)))
    mix = clip.mix[round(start / clip.fps * TRACK_RATE) :] * 10 ** (-draw.uniform(0, 20) / 20)
    noise = draw.standard_normal(len(mix)) * 10 ** ((rms_dbfs(mix) - 25) / 20)
    return _prints(sparse, (mix + noise).astype(np.float32))


def auc(cases: Sequence[Case], bound: str) -> float:
    """Probability that a flawed clip scores worse than a clean one; ties count half."""
    scores, flawed = (np.array(column) for column in zip(*cases, strict=True))
    worse = scores if bound == "maximum" else -scores
    flaws, clean = worse[flawed.astype(bool)], np.sort(worse[~flawed.astype(bool)])
    below = np.searchsorted(clean, flaws, "left") + np.searchsorted(clean, flaws, "right")
    return float(below.mean() / 2 / len(clean))


def quality_of(cases: Sequence[Case], bound: str, threshold: float) -> dict[str, float]:
    """Precision and recall of the rule, among as many flawed as clean clips: `cases` may be unbalanced."""
    found = {True: [], False: []}
    for score, flawed in cases:
        found[flawed].append(score < threshold if bound == "minimum" else score > threshold)
    hit, false = (float(np.mean(found[flawed])) for flawed in (True, False))
    return {"recall": hit, "false_alarms": false, "precision": hit / (hit + false) if hit + false else 0.0}


def best_threshold(cases: Sequence[Case], bound: str) -> float:
    """Between the two scores where recall less false alarms is greatest."""
    scores = np.unique([score for score, _ in cases])
    middles = (scores[1:] + scores[:-1]) / 2 if len(scores) > 1 else scores

    def gain(threshold: float) -> float:
        found = quality_of(cases, bound, threshold)
        return found["recall"] - found["false_alarms"]

    return float(max(middles, key=gain))


def measure(cases: dict[int, list[Case]], bound: str, threshold: float) -> dict[str, Any] | None:
    """None if there are no flawed or no clean clips."""
    if any(len({flawed for _, flawed in found}) < 2 for found in cases.values()):
        return None
    measured, chosen = cases[MEASURING], best_threshold(cases[CHOOSING], bound)
    found: dict[str, Any] = {
        "flawed": sum(1 for _, flawed in measured if flawed),
        "clean": sum(1 for _, flawed in measured if not flawed),
        "auc": auc(measured, bound),
        "chosen": {"threshold": chosen} | quality_of(measured, bound, chosen),
        "default": {"threshold": threshold} | quality_of(measured, bound, threshold),
    }
    return _rounded(found)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=40, help="of the theatre, and at most of each film")
    args = parser.parse_args(argv)
    paths = [Path(mtv_jax.assets.__file__).parent / "clips" / "big_buck_bunny.mp4"]
    if media := os.environ.get("MTV_JAX_MEDIA"):
        paths = sorted(path for path in Path(media).glob("*.mp4") if "silent" not in path.name)
    seeds = {
        seed: theatre(seed, args.clips) + films(paths, seed, args.clips) for seed in (CHOOSING, MEASURING)
    }
    config = CurateConfig()
    bounds = {f"{rule.stage}.{rule.score}": (rule.bound, rule.threshold) for rule in rules(config)}
    tests: dict[str, Any] = {
        "motion.flow": motion,
        "bars.share": bars,
        "sound.dbfs": silence,
        "sound.clipped": clipping,
        "demixing.speech": lambda clips, draw: demixing(clips, draw, "speech"),
        "demixing.others": lambda clips, draw: demixing(clips, draw, "others"),
    }
    found = {}
    for name in progress(list(tests), "filters"):
        cases = {s: list(tests[name](clips, np.random.default_rng(s))) for s, clips in seeds.items()}
        found[name] = measure(cases, *bounds[name])
    limits = {"picture": config.duplicates.max_picture_bits, "sound": config.duplicates.max_sound_distance}
    for score, limit in limits.items():
        cases = {s: list(duplicates(clips, np.random.default_rng(s), score)) for s, clips in seeds.items()}
        # A duplicate is near, so here `minimum` is the flaw's side.
        found[f"duplicates.{score}"] = measure(cases, "minimum", limit)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
