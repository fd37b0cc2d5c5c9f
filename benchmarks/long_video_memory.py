"""Does the memory of sampling grow with the length of a video?

    python benchmarks/long_video_memory.py --out benchmarks/results/tiny/long_video_memory.json

Each row is a process of its own, which samples one step a window at 256 x 256 and writes the video with sound. With
`streamed`, frames are written as they are made (`work_dir`); otherwise all of them are made first. `peak_mb` is its
peak resident memory (Linux).
"""

import argparse
import json
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.io.files import write_json

WINDOW_FRAMES = 25


def make(preset: str, seconds: float, streamed: bool, size: int, folder: Path) -> int:
    """Samples and writes a video of so many seconds; returns the peak memory in bytes."""
    from mtv_jax import Pipeline
    from mtv_jax.diffusion.samplers import SamplerConfig
    from mtv_jax.io.audio import read_recording, write_audio
    from mtv_jax.names import VIDEO_SOUND_RATE
    from mtv_jax.pipelines.options import VideoOptions
    from mtv_jax.pipelines.run import GenerateConfig, row_request
    from mtv_jax.pipelines.timeline.grid import Grid, total_frames
    from mtv_jax.pipelines.timeline.plan import StoryOptions, plan_timeline

    pipe: Any = Pipeline.from_pretrained(preset)
    fps = pipe.defaults.clip.fps
    clip = pipe.defaults.clip.replace(num_frames=total_frames(seconds, fps), height=size, width=size)
    noise = np.random.default_rng(0).normal(0, 0.1, round(seconds * VIDEO_SOUND_RATE)).astype(np.float32)
    write_audio(folder / "speech.wav", noise, VIDEO_SOUND_RATE)
    sounds = {"speech": read_recording(folder / "speech.wav")}
    request = row_request("A stage.", pipe.tracks_of(sounds, clip), 0, 0)
    grid = Grid(clip.num_frames, fps, pipe.vae.config.temporal_compression_ratio)
    options = StoryOptions(window_frames=WINDOW_FRAMES)
    timeline = plan_timeline(grid, request.prompt, longest=None, options=options)
    how = VideoOptions(work_dir=folder / "work" if streamed else None, progress=False)
    config = GenerateConfig(SamplerConfig("ddim", 1), guidance_scale=1.0)
    pipe.make(request, sounds, clip, config, how, timeline).save(folder / "out.mp4")
    return 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


def measured(args: argparse.Namespace, seconds: float, streamed: bool) -> dict[str, float | bool]:
    """The row of a length."""
    command = [sys.executable, __file__, "--child", f"--preset={args.preset}", f"--seconds={seconds}"]
    command += [f"--size={args.size}", *(["--streamed"] if streamed else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row = {
        "seconds": seconds,
        "streamed": streamed,
        "peak_mb": round(int(done.stdout.splitlines()[-1]) / 1e6),
    }
    print(json.dumps(row), flush=True)
    return row


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="tiny", help="preset or pipeline folder")
    parser.add_argument("--seconds", type=Fraction, nargs="+", default=[10, 120], help="lengths")
    parser.add_argument("--size", type=int, default=256, help="height and width in pixels")
    parser.add_argument("--streamed", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="JSON to write too")
    args = parser.parse_args(argv)
    if args.child:
        with tempfile.TemporaryDirectory() as folder:
            print(make(args.preset, float(args.seconds[0]), args.streamed, args.size, Path(folder)))
        return
    rows = [
        measured(args, float(seconds), streamed) for streamed in (True, False) for seconds in args.seconds
    ]
    if args.out is not None:
        write_json(args.out, {"preset": args.preset, "size": args.size, "rows": rows})


if __name__ == "__main__":
    main()
