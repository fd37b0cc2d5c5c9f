"""Are the shots of films found where they are, at what cost?

    python benchmarks/shots.py [--films 50] [--seed 0] [--media FOLDER] [--loop-minutes 10,40] [--out FILE]

Generates films with known cuts (`mtv_jax.curation.films`; footage is the bundled clip and, with `--media`, the shots
of the labelled videos there), finds their shots with the default detector, and compares. With `--media` the labelled
videos themselves are compared too (`shot_labels.json` says how they were labelled). A hard cut is found if one is
reported within a frame of it; a fade (dissolve or through black) if a transition that overlaps it is. Cuts reported
within a fade count neither way. `--loop-minutes` repeats the bundled clip to such lengths and measures the peak memory
of a process that finds its shots. Prints JSON. Thresholds are tuned on seeds from 1000 on, never on the default ones.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av
from sides import peak_memory

from mtv_jax.curation.adapters.pyscenedetect import PySceneDetect
from mtv_jax.curation.films import FilmConfig, Footage, make_film, write_film
from mtv_jax.curation.shots import Shot, ShotsConfig
from mtv_jax.curation.stream import find_shots
from mtv_jax.io.video import probe

LABELS = Path(__file__).with_name("shot_labels.json")
BUNDLED = Path(__file__).parents[1] / "mtv_jax" / "assets" / "clips" / "big_buck_bunny.mp4"
TOLERANCE = 1
"""Frames."""


def compare(shots: list[Shot], fps: Fraction, truth: dict, frames: int) -> dict:
    """Counts for one film, of which the first `frames` are labelled."""
    found = [(round(shot.start * fps), round(shot.end * fps), shot) for shot in shots]
    found = [(first, last, shot) for first, last, shot in found if first < frames]
    fades = [(kind, first - TOLERANCE, last + TOLERANCE) for kind, first, last in truth["fades"]]
    cuts = [first for first, _, shot in found if shot.begins == "cut"]
    cuts = [frame for frame in cuts if not any(a <= frame <= b for _, a, b in fades)]
    gradual = [(first, last) for first, last, shot in found if shot.transition]
    hits = matches(cuts, truth["cuts"])
    flashes = truth.get("flashes", ())
    return {
        "cuts": len(truth["cuts"]),
        "hits": hits,
        "misses": len(truth["cuts"]) - hits,
        "false_cuts": len(cuts) - hits,
        "false_fades": sum(not any(overlap(span, fade[1:]) for fade in fades) for span in gradual),
        "flashes": len(flashes),
        "flashes_taken_for_cuts": sum(
            any(abs(cut - end) <= TOLERANCE for cut in cuts for end in flash) for flash in flashes
        ),
        "fades": {kind: found_fades(gradual, fades, kind) for kind in ("dissolve", "black")},
    }


def found_fades(
    gradual: list[tuple[int, int]], fades: list[tuple[str, int, int]], kind: str
) -> tuple[int, int]:
    """How many fades of a kind overlap a transition that was found, and how many there are."""
    ranges = [fade[1:] for fade in fades if fade[0] == kind]
    return sum(any(overlap(span, fade) for span in gradual) for fade in ranges), len(ranges)


def overlap(span: tuple[int, int], other: tuple[int, int]) -> bool:
    return span[0] < other[1] and other[0] < span[1]


def matches(found: list[int], true: list[int]) -> int:
    """Pairs of a found cut and a true one within the tolerance, each used once."""
    left, count = sorted(found), 0
    for cut in sorted(true):
        near = next((frame for frame in left if abs(frame - cut) <= TOLERANCE), None)
        if near is not None:
            left.remove(near)
            count += 1
    return count


def total(rows: list[dict]) -> dict:
    """Sums of counts, with precision, recall and F1 of hard cuts."""
    keys = ("cuts", "hits", "misses", "false_cuts", "false_fades", "flashes", "flashes_taken_for_cuts")
    result: dict = {key: sum(row[key] for row in rows) for key in keys}
    result["fades_found_of"] = {
        kind: [sum(row["fades"][kind][i] for row in rows) for i in (0, 1)] for kind in ("dissolve", "black")
    }
    hits = result["hits"]
    result["precision"] = hits / max(hits + result["false_cuts"], 1)
    result["recall"] = hits / max(result["cuts"], 1)
    result["f1"] = 2 * hits / max(2 * hits + result["false_cuts"] + result["misses"], 1)
    return result


def timed_shots(path: Path) -> tuple[list[Shot], dict]:
    """The shots of a video, and the seconds of wall-clock and processor time per second of film."""
    started, worked = time.perf_counter(), time.process_time()
    shots = find_shots(path, PySceneDetect())
    film = float(shots[-1].end)
    cost = {"film": film, "wall": time.perf_counter() - started, "processor": time.process_time() - worked}
    return shots, cost


def footage_of(media: Path | None, seconds: float) -> list[Footage]:
    """Parts of real videos without cuts, at least so long: the bundled clip, and shots of the labelled videos."""
    parts = [Footage.whole(BUNDLED)]
    if media is None:
        return parts
    for name, truth in labels().items():
        fps = probe(media / name).fps
        edges = {
            0,
            truth["frames"],
            *truth["cuts"],
            *(frame for _, *ends in truth["fades"] for frame in ends),
        }
        times = [float(edge / fps) for edge in sorted(edges)]
        parts += [Footage(media / name, a, b) for a, b in itertools.pairwise(times) if b - a > seconds]
    return parts


def labels() -> dict:
    return json.loads(LABELS.read_text())["films"]


def generated(args: argparse.Namespace, folder: Path, config: FilmConfig) -> dict:
    """Compares generated films."""
    footage = footage_of(args.media, config.shot_seconds[1])
    rows, costs = [], []
    for seed in range(args.seed, args.seed + args.films):
        video = folder / f"{seed}.mp4"
        truth = write_film(make_film(seed, config, footage=footage), video, folder / str(seed))
        shots, cost = timed_shots(video)
        row = compare(shots, truth.fps, truth.to_json(), truth.num_frames)
        wrong = row["misses"] + row["false_cuts"] + row["false_fades"]
        print(f"film {seed}: {row['hits']} of {row['cuts']} cuts, {wrong} wrong", file=sys.stderr)
        rows.append(row)
        costs.append(cost)
    return {"films": len(rows), **total(rows), **spent(costs)}


def labelled(media: Path) -> dict:
    """Compares the labelled videos."""
    results = {}
    for name, truth in labels().items():
        shots, cost = timed_shots(media / name)
        results[name] = total([compare(shots, probe(media / name).fps, truth, truth["frames"])]) | spent(
            [cost]
        )
    return results


def spent(costs: list[dict]) -> dict:
    film = sum(cost["film"] for cost in costs)
    return {
        "film_seconds": film,
        "wall_seconds_per_film_second": sum(cost["wall"] for cost in costs) / film,
        "processor_seconds_per_film_second": sum(cost["processor"] for cost in costs) / film,
    }


def looped(minutes: float, folder: Path) -> dict:
    """Peak memory of a process that finds the shots of a long video."""
    video = folder / f"{minutes:g}.mp4"
    repeat(BUNDLED, video, 60 * minutes)
    run = [sys.executable, __file__, "--measure", str(video)]
    found = json.loads(subprocess.run(run, check=True, capture_output=True, text=True).stdout)
    video.unlink()
    return {"minutes": minutes, **found}


def repeat(source: Path, target: Path, seconds: float) -> None:
    """Copies the packets of a video again and again, without decoding them."""
    with av.open(str(target), "w") as out:
        stream, shift = None, 0
        while shift == 0 or shift * stream.time_base < seconds:  # type: ignore[union-attr]
            end = 0
            with av.open(str(source)) as container:
                picture = container.streams.video[0]
                if stream is None:
                    stream = out.add_stream_from_template(picture)
                for packet in container.demux(picture):
                    if packet.pts is None or packet.dts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    out.mux(packet)
            shift += end


def main(argv: list[str] | None = None, config: FilmConfig | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=50, help="generated ones (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the first one (default: %(default)s)")
    parser.add_argument("--media", type=Path, help="folder of the labelled videos")
    parser.add_argument("--loop-minutes", type=lambda text: [float(x) for x in text.split(",")], default=[])
    parser.add_argument("--out", type=Path, help="write the JSON there as well")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.measure:
        shots, cost = timed_shots(args.measure)
        print(json.dumps({"shots": len(shots), **spent([cost]), "peak_bytes": peak_memory()}))
        return
    with tempfile.TemporaryDirectory() as name:
        result = {
            "detector": vars(ShotsConfig()),
            "generated": generated(args, Path(name), config or FilmConfig()),
        }
        if args.media:
            result["labelled"] = labelled(args.media)
        result["looped"] = [looped(minutes, Path(name)) for minutes in args.loop_minutes]
    text = json.dumps(result, indent=2)
    if args.out:
        args.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
