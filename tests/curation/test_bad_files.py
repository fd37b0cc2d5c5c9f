"""Every kind of bad file in a folder: each is named with its reason, and the other clips are as without it."""

import os
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from curation.films import PLAIN, ledger, run, separate_into_halves
from media_files import rgb_frame, set_display_matrix, with_fields, write_film, write_sound

from mtv_jax import curate
from mtv_jax.data.shards import open_shards
from mtv_jax.io.video import write_video

RATE = 8000


def tone(seconds):
    return np.round(8000 * np.sin(np.arange(round(seconds * RATE))))[:, None].astype(np.int16)


def pictures(count, height=32, width=48, pix_fmt="yuv420p"):
    frames = np.full((count, height, width, 3), 90, np.uint8)
    for index in range(count):
        frames[index, 8:16, 3 * index : 3 * index + 8] = 250
    return [rgb_frame(frame, pix_fmt) for frame in frames]


def film(path, count=7, *, codec="libx264", seconds=None, shown=None, **options):
    """At 12 frames a second, with sound unless `seconds` is 0; no two are the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seconds = count / 12 if seconds is None else seconds
    sound = (tone(seconds), RATE, 0) if seconds else None
    return write_film(path, shown or pictures(count), codec, **{"rate": 12, "sound": sound, **options})


def turned(path, *matrix):
    set_display_matrix(film(path), *matrix)


def usable(folder):
    """Films that only look odd, by name: size of their clips."""
    film(folder / "plain.mov")
    film(folder / "longer sound.mov", seconds=2)
    film(folder / "variable rate.mov", 7, rate=1000, stamps=[0, 80, 160, 320, 400, 600, 680], seconds=0.68)
    film(folder / "4k.mkv", 6, shown=pictures(6, 2160, 3840), options={"preset": "ultrafast"})
    film(folder / "interlaced.mkv", shown=with_fields(pictures(7), True), options={"flags": "+ildct+ilme"})
    hdr = pictures(7, pix_fmt="yuv420p10le")
    film(folder / "hdr.mkv", codec="ffv1", shown=hdr, tags=(9, 1, 16, 9))
    turned(folder / "rotated.mov", 0, 1, -1, 0)
    turned(folder / "mirrored.mov", -1, 0, 0, 1)
    film(folder / "stretched.mov", aspect=Fraction(2))
    film(folder / "a 'b\"\nKäse 映画 🎬.mov", 8)
    film(folder / "season 1" / "below.mov", 9)
    return {
        "plain.mov": (32, 48),
        "longer sound.mov": (32, 48),
        "variable rate.mov": (32, 48),
        "4k.mkv": (720, 1280),
        "interlaced.mkv": (32, 48),
        "hdr.mkv": (32, 48),
        "rotated.mov": (48, 32),
        "mirrored.mov": (32, 48),
        "stretched.mov": (32, 96),
        "a 'b\"\nKäse 映画 🎬.mov": (32, 48),
        "season 1/below.mov": (32, 48),
    }


def change_of_size(path):
    """Two pictures, of which the second is wider, muxed as one stream."""
    with av.open(str(path), "w", format="mpegts") as out:
        sound: Any = out.add_stream("mp2", rate=16000)
        sound.layout = "mono"
        stream, first = None, 0
        for width in (48, 64):
            part = write_film(path.with_name("part.m2v"), pictures(7, 32, width), "mpeg2video", rate=25)
            with av.open(str(part)) as film:
                stream = stream or out.add_stream_from_template(film.streams.video[0])
                for packet in film.demux(video=0):
                    if packet.size:
                        packet.pts = packet.dts = first = first + 1
                        packet.time_base, packet.stream = Fraction(1, 25), stream
                        out.mux(packet)
            part.unlink()
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8960), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 16000, 0, Fraction(1, 16000)
        out.mux(sound.encode(frame))
        out.mux(sound.encode(None))


def unusable(folder):
    """Files that cannot be used, by name: what is said of each."""
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("not a film\n" * 100)
    whole = folder / "whole.mov"
    film(whole, 25)
    (folder / "no index.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    whole.unlink()
    noise = np.random.default_rng(0).integers(0, 255, (40, 32, 48, 3), np.uint8)
    write_video(whole, noise, 10, audio=np.zeros(64000, np.float32), sample_rate=16000)
    (folder / "truncated.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    whole.unlink()
    film(folder / "no sound.mp4", seconds=0)
    write_sound(folder / "no picture.mp4", [(np.zeros(8000), 0)], "aac")
    film(folder / "much longer sound.mov", seconds=4)
    film(folder / "one frame.mov", 1)
    film(folder / "short.mov", 4)
    change_of_size(folder / "change of size.ts")
    return {
        "empty.mp4": "empty",
        "text.mp4": "not a video",
        "no index.mp4": "truncated",
        "truncated.mp4": "truncated",
        "no sound.mp4": "no sound track",
        "no picture.mp4": "no video stream in it",
        "much longer sound.mov": "longer than the picture",
        "one frame.mov": "a single frame",
        "short.mov": "no shot is as long as a clip",
        "change of size.ts": "changes",
    }


def no_films(folder):
    """Entries that are no files of films, by name: what is said of each."""
    (folder / "._plain.mov").write_bytes(b"\0\5\x16\7")
    (folder / "notes.txt").write_text("x")
    (folder / "subtitles.srt").write_text("x")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (folder / "gone.mp4").symlink_to("nowhere.mp4")
    (folder / "around").symlink_to(folder)
    (folder / "closed").mkdir()
    return {
        "._plain.mov": "hidden",
        "notes.txt": "not a video by its suffix",
        "subtitles.srt": "not a video by its suffix",
        "pipe.mp4": "a pipe",
        "loop.mp4": "cannot be read",
        "gone.mp4": "a broken link",
        "around": "a link to a folder that contains it",
        "closed": "a folder that cannot be read",
    }


def refuse_closed(patch):
    """These tests may run as root, who may read everything."""
    scandir = os.scandir

    def refuse(folder="."):
        if str(folder).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    patch.setattr(os, "scandir", refuse)


@pytest.mark.slow
def test_bad_files_are_named_and_harm_no_others(tmp_path, pipeline_folder, monkeypatch, capsys):
    separate_into_halves(monkeypatch)
    refuse_closed(monkeypatch)
    films = tmp_path / "films"
    films.mkdir()
    sizes = usable(films)
    options = [*PLAIN, "--workers", "0", "--encoders", str(pipeline_folder), "--config.captioner=detectors"]
    assert not run(films, tmp_path / "good", *options)
    reasons, ignored = unusable(films), no_films(films)
    capsys.readouterr()
    assert not run(films, tmp_path / "all", *options)
    told = capsys.readouterr().err
    for part in ("", "media", "test", "test/media"):
        shards = [open_shards(tmp_path / name / part).manifest["shards"] for name in ("good", "all")]
        assert shards[0] == shards[1]
    left_out = open_shards(tmp_path / "all").manifest["info"]["left_out"]
    assert set(left_out) == set(reasons)
    assert not {name: left_out[name] for name, reason in reasons.items() if reason not in left_out[name]}
    assert not [name for name in reasons if f"  {name}: " not in told]
    assert not [name for name, reason in ignored.items() if f"ignored: {name} ({reason}" not in told]
    packed = [open_shards(tmp_path / "all" / part) for part in ("", "test")]
    records = [shards.read(index) for shards in packed for index in range(len(shards))]
    assert {record.source.name: shape_of(tmp_path / "all", record) for record in records} == sizes
    assert curate.main(["verify", str(tmp_path / "all")]) in (0, None)


def shape_of(out, record):
    (row,) = [row for row in ledger(out) if row["item"] == record.id and row["stage"] == "clips"]
    return row["evidence"]["height"], row["evidence"]["width"]
