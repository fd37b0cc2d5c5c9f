"""How long may a video of one call be and still keep in step with its sound? Lips and events by length.

    python benchmarks/lengths.py --out benchmarks/results/tiny/lengths.json

For each length it renders theatre clips that no training has seen, all with speech and strikes, samples a video for
the sound of each with the preset, and measures it as `evaluate --scene` does. `max_num_frames` of the preset
(`mtv_jax.weights.model_index.SamplingDefaults`) is the longest that keeps in step. About ten minutes.
"""

import argparse
import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import numpy as np

from mtv_jax import Pipeline
from mtv_jax.evaluation.report.schema import Figure
from mtv_jax.evaluation.scene import Scene
from mtv_jax.evaluation.scene_suite import scene_figures
from mtv_jax.evaluation.theatre.readers import Readers, fit_readers
from mtv_jax.io.audio import write_audio
from mtv_jax.io.files import write_json
from mtv_jax.names import TRACK_RATE, TRACKS
from mtv_jax.text.theatre_language import theatre_prompt
from mtv_jax.theatre import EVALUATION_SEEDS, TheatreClip, TheatreConfig, plan_clip, render_clip
from mtv_jax.theatre.sounds import Performance, loudness
from mtv_jax.theatre.stage import Mood

SHOWN = {"lips.correlation": "lips", "events.f1": "events"}


def clips(config: TheatreConfig, count: int) -> Iterator[TheatreClip]:
    """The first clips in which somebody speaks and something is struck."""
    plans = (plan_clip(EVALUATION_SEEDS, index, config) for index in itertools.count())
    fit = (plan for plan in plans if plan.speaker is not None and plan.prop and plan.prop.onsets)
    for plan in itertools.islice(fit, count):
        yield render_clip(EVALUATION_SEEDS, plan.index, config)


def read(pipe: Pipeline, readers: Readers, clip: TheatreClip) -> list[Figure]:
    """What is read from the video that the pipeline makes of a clip's words and sounds."""
    config, mood = clip.plan.config, clip.truth.to_json()["mood"]
    with TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.wav" for name in TRACKS}
        for name, file in files.items():
            write_audio(file, clip.tracks[name], TRACK_RATE)
        prompt = theatre_prompt(clip.words)
        video = pipe(prompt, tracks=files, num_frames=config.num_frames, fps=config.fps)
    envelope = loudness(clip.tracks["speech"], config.num_frames, config.fps)
    performance = Performance(clip.tracks, {"speech": envelope}, Mood(**mood) if mood else None)
    return scene_figures(Scene(clip.plan, prompt, performance), readers, np.asarray(video.frames))


def _mean(values: Iterable[float | None]) -> float:
    return round(mean(value for value in values if value is not None), 3)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="tiny", help="preset or pipeline folder")
    parser.add_argument(
        "--lengths", type=int, nargs="+", default=[9, 25, 49, 121, 241, 361, 481], help="frames"
    )
    parser.add_argument("--clips", type=int, default=8, help="of each length")
    parser.add_argument("--out", type=Path, help="JSON to write too")
    args = parser.parse_args(argv)
    pipe, readers, rows = Pipeline.from_pretrained(args.preset), fit_readers(), []
    for length in args.lengths:
        config = TheatreConfig(num_frames=length, fps=pipe.defaults.clip.fps)
        figures = [figure for clip in clips(config, args.clips) for figure in read(pipe, readers, clip)]
        row = {"num_frames": length}
        for identifier, short in SHOWN.items():
            found = [figure for figure in figures if figure.id == identifier]
            row[short] = _mean(figure.value for figure in found)
            row[f"{short}_theatre"] = _mean(figure.baselines["theatre"] for figure in found)
        rows.append(row)
        print(json.dumps(row), flush=True)
    if args.out is not None:
        write_json(args.out, {"preset": args.preset, "clips": args.clips, "rows": rows})


if __name__ == "__main__":
    main()
