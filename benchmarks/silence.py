"""Does a mouth stay shut while nothing is said? The widest opening by what is heard instead of speech.

    python benchmarks/silence.py --out benchmarks/results/tiny/silence.json

Theatre clips that no training has seen, with a prompt that says that somebody is speaking, are sampled with other sound
for their speech, and the speaker's mouth is read. Where speech ends in the middle, `frames_late` is how late the mouth
shuts in the worst clip. A few minutes.
"""

import argparse
import itertools
import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from mtv_jax import Pipeline
from mtv_jax.audio.tracks import make_tracks
from mtv_jax.evaluation.theatre.readers import Readers, fitting_clips, readers_of
from mtv_jax.io.audio import Recording
from mtv_jax.io.files import write_json
from mtv_jax.names import TRACK_RATE, TRACKS
from mtv_jax.pipelines.options import VideoOptions
from mtv_jax.pipelines.run import check_follows_sound, row_request, sample
from mtv_jax.text.theatre_language import theatre_prompt
from mtv_jax.theatre import EVALUATION_SEEDS, TheatreClip, TheatreConfig, plan_clip, render_clip

OPEN = 0.1
"""Opening from which on a mouth is open (`lips.without_speech`)."""
FAINT_DBFS = -60.0

Waves = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Speech, effects and music."""


def faint(wave: np.ndarray) -> np.ndarray:
    """At -60 dBFS (RMS); silence stays silent."""
    level = np.sqrt(np.mean(np.square(wave, dtype=np.float64)))
    return (wave * (10 ** (FAINT_DBFS / 20) / max(level, 1e-9))).astype(np.float32)


def white(like: np.ndarray) -> np.ndarray:
    return faint(np.random.default_rng(0).standard_normal(len(like)))


def pink(like: np.ndarray) -> np.ndarray:
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(len(like)))
    return faint(np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), len(like)))


def hum(like: np.ndarray) -> np.ndarray:
    phase = 2 * np.pi * 100 * np.arange(len(like)) / TRACK_RATE
    return faint(np.sin(phase) + 0.5 * np.sin(2 * phase))


def first_half(wave: np.ndarray, config: TheatreConfig) -> np.ndarray:
    """Silent from the middle frame on."""
    end = round(end_frame(config) / config.fps * TRACK_RATE)
    return np.where(np.arange(len(wave)) < end, wave, 0).astype(np.float32)


def end_frame(config: TheatreConfig) -> int:
    """The first frame without speech in the cases that end."""
    return config.num_frames // 2


CASES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, TheatreConfig], Waves]] = {
    "own speech": lambda s, e, m, c: (s, e, m),
    "nothing": lambda s, e, m, c: (0 * s, 0 * e, 0 * m),
    "music": lambda s, e, m, c: (0 * s, 0 * e, m),
    "loud effects and music": lambda s, e, m, c: (0 * s, e / max(np.abs(e).max(), 1e-9), m),
    "white noise as speech": lambda s, e, m, c: (white(s), 0 * e, 0 * m),
    "pink noise as speech": lambda s, e, m, c: (pink(s), 0 * e, 0 * m),
    "hum as speech": lambda s, e, m, c: (hum(s), 0 * e, 0 * m),
    "music as speech": lambda s, e, m, c: (faint(m), 0 * e, m),
    "effects as speech": lambda s, e, m, c: (faint(e), e, 0 * m),
    "speech ends": lambda s, e, m, c: (first_half(s, c), 0 * e, 0 * m),
    "speech ends, effects and music": lambda s, e, m, c: (first_half(s, c), e, m),
    "speech ends, noise and music": lambda s, e, m, c: (first_half(s, c) + pink(s), 0 * e, m),
}
"""What is heard; noise, and other tracks in that of speech, are at -60 dBFS."""


def clips(config: TheatreConfig, count: int) -> list[TheatreClip]:
    """The first clips in which somebody speaks and that have effects and music."""
    plans = (plan_clip(EVALUATION_SEEDS, index, config) for index in itertools.count())
    fit = (
        plan for plan in plans if plan.speaker is not None and plan.prop and plan.prop.onsets and plan.mood
    )
    return [render_clip(EVALUATION_SEEDS, plan.index, config) for plan in itertools.islice(fit, count)]


def openings(
    pipe: Pipeline, readers: Readers, acted: list[TheatreClip], steps: int | None
) -> Iterator[tuple[str, np.ndarray]]:
    """The name of each case, and the openings [F] of the speaker's mouth in its video."""
    size, pairs = pipe.defaults.clip, [(name, clip) for name in CASES for clip in acted]

    def requests():
        for name, clip in pairs:
            speech, effects, music = (clip.tracks[track] for track in TRACKS)
            waves = CASES[name](speech, effects, music, clip.plan.config)
            sounds = {track: _recording(track, wave) for track, wave in zip(TRACKS, waves, strict=True)}
            tracks = make_tracks(sounds, TRACKS, duration=size.duration, normalize_loudness=True)
            yield row_request(theatre_prompt(clip.words), tracks, 0, clip.plan.index)

    config = VideoOptions(num_inference_steps=steps).config(pipe.defaults.sampling, TRACKS)
    videos = sample(pipe, requests(), size, config, batch_size=min(len(acted), 12))
    for (name, clip), frames in zip(pairs, videos, strict=True):
        assert clip.plan.speaker is not None
        yield name, readers.openings(frames, clip.plan)[clip.plan.speaker]


def _recording(track: str, wave: np.ndarray) -> Recording:
    return Recording(Path(track), wave[:, None], ["FC"], TRACK_RATE, len(wave) / TRACK_RATE)


def row_of(name: str, seen: list[np.ndarray], config: TheatreConfig) -> dict[str, object]:
    """Figures of a case over its clips."""
    widest = [float(opening.max()) for opening in seen]
    row = {"heard": name, "widest": round(max(widest), 3), "open": sum(value >= OPEN for value in widest)}
    if name.startswith("speech ends"):
        last = [int(np.flatnonzero(opening >= OPEN).max(initial=-1)) for opening in seen]
        row["frames_late"] = max(max(last) + 1 - end_frame(config), 0)
    return row


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="tiny", help="preset or pipeline folder")
    parser.add_argument("--clips", type=int, default=48, help="of each case")
    parser.add_argument("--steps", type=int, help="of the sampler (default: the preset's)")
    parser.add_argument("--out", type=Path, help="JSON to write too")
    args = parser.parse_args(argv)
    pipe = Pipeline.from_pretrained(args.preset)
    check_follows_sound(pipe)
    size = pipe.defaults.clip
    config = TheatreConfig(size.height, size.width, size.num_frames, Fraction(size.fps))
    acted, seen = clips(config, args.clips), {name: [] for name in CASES}
    for name, opening in openings(pipe, readers_of(fitting_clips(60)), acted, args.steps):
        seen[name].append(opening)
    rows = [row_of(name, found, config) for name, found in seen.items()]
    for row in rows:
        print(json.dumps(row), flush=True)
    if args.out is not None:
        write_json(args.out, {"preset": args.preset, "clips": args.clips, "rows": rows})


if __name__ == "__main__":
    main()
