"""Does `evaluate` need more memory for more videos?

    python benchmarks/evaluate_memory.py [--videos 10 100 1000]

Measures so many videos (copies of one that differ in an unused box of the file, so that each is decoded and measured)
with tiny random networks, each number in a process of its own, and prints JSON: the peak of the process, and seconds a
video. Linux only.
"""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

METRICS = "temp_c,ia,av_align,flicker,motion,warping"
_CHILD = """
import sys
from pathlib import Path
from mtv_jax import evaluate

code = evaluate.main(sys.argv[1:])
print(1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]))
sys.exit(code)
"""


def measured(folder: Path, videos: int) -> dict[str, float]:
    """The peak in bytes of evaluating so many videos, and seconds a video by metric."""
    import numpy as np

    from mtv_jax.evaluation.report.schema import read_report
    from mtv_jax.io.video import write_video

    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (48, 64, 3)).astype(np.uint8)
    frames = np.stack([np.roll(noise, 2 * frame, axis=1) for frame in range(9)])
    sound = 0.1 * rng.normal(size=18_000).astype(np.float32)
    write_video(folder / "video.mp4", frames, 8, audio=sound, sample_rate=16_000)
    whole = (folder / "video.mp4").read_bytes()
    for number in range(videos):
        (folder / f"{number}.mp4").write_bytes(whole + _unused_box(number))
    lines = [{"video": f"{n}.mp4", "prompt": f"video {n}"} for n in range(videos)]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    flags = ["--manifest", folder / "manifest.jsonl", "--metrics", METRICS, "--allow-random-weights"]
    command = [sys.executable, "-c", _CHILD, *map(str, flags), "--out", str(folder / f"out{videos}")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = read_report(folder / f"out{videos}" / "results.json")
    costs = [
        v["seconds_per_video"] for v in report.provenance.values() if isinstance(v, dict) and "network" in v
    ]
    return {
        "videos": videos,
        "peak": int(done.stdout.splitlines()[-1]),
        "seconds_per_video": round(sum(costs), 3),
    }


def _unused_box(number: int) -> bytes:
    """A box of an MP4 file that readers skip."""
    return struct.pack(">I4sQ", 16, b"free", number)


def main(argv: list[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--videos", type=int, nargs="+", default=[10, 100, 1000], help="numbers of videos")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps([measured(Path(folder), videos) for videos in args.videos], indent=1))


if __name__ == "__main__":
    main()
