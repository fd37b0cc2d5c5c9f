"""How long may a video of one call be and still keep in step with its sound? Lips and events by length.

    python benchmarks/lengths.py --out benchmarks/results/tiny/lengths.json

For each length it renders theatre clips that no training has seen, all with speech and strikes, samples a video for
the sound of each with the preset, and measures it as `evaluate --scene` does. `max_num_frames` of the preset
(`mtv_jax.weights.model_index.SamplingDefaults`) is the longest that keeps in step. About ten minutes.
"""

import argparse
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from mtv_jax import Pipeline
from mtv_jax.evaluation.scene import Reading, Scene, scene_readings
from mtv_jax.evaluation.theatre_readers import Readers, fit_readers
from mtv_jax.io.audio import write_audio
from mtv_jax.io.files import write_json
from mtv_jax.text.template import scene_prompt
from mtv_jax.theatre import EVALUATION_SEEDS, TheatreClip, TheatreConfig, plan_clip, render_clip
from mtv_jax.theatre.sounds import Performance, loudness
from mtv_jax.theatre.stage import Mood
from mtv_jax.typing import TRACK_RATE, TRACKS

SHOWN = {"correlation with loudness": "lips", "F1 within a frame": "events"}


def clips(config: TheatreConfig, count: int) -> Iterator[TheatreClip]:
    """The first clips in which somebody speaks and something is struck."""
    plans = (plan_clip(EVALUATION_SEEDS, index, config) for index in itertools.count())
    fit = (plan for plan in plans if plan.speaker is not None and plan.prop and plan.prop.onsets)
    for plan in itertools.islice(fit, count):
        yield render_clip(EVALUATION_SEEDS, plan.index, config)


def read(pipe: Pipeline, readers: Readers, clip: TheatreClip) -> list[Reading]:
    """What is read from the video that the pipeline makes of a clip's words and sounds."""
    config, told = clip.plan.config, clip.truth.to_json()["mood"]
    with TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.wav" for name in TRACKS}
        for name, file in files.items():
            write_audio(file, clip.tracks[name], TRACK_RATE)
        prompt = scene_prompt(**vars(clip.words))
        video = pipe(prompt, tracks=files, num_frames=config.num_frames, fps=config.fps)
    envelope = loudness(clip.tracks["speech"], config.num_frames, config.fps)
    performance = Performance(clip.tracks, envelope, Mood(**told) if told else None)
    return scene_readings(Scene(clip.plan, prompt, performance), readers, video.frames)


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
        readings = [reading for clip in clips(config, args.clips) for reading in read(pipe, readers, clip)]
        row = {"num_frames": length}
        for name, short in SHOWN.items():
            found = [reading for reading in readings if reading.name == name]
            row[short] = round(mean(reading.value for reading in found), 3)
            row[f"{short}_theatre"] = round(mean(reading.theatre for reading in found), 3)
        rows.append(row)
        print(json.dumps(row), flush=True)
    if args.out is not None:
        write_json(args.out, {"preset": args.preset, "clips": args.clips, "rows": rows})


if __name__ == "__main__":
    main()
