import ctypes
import gc
import importlib.resources
import itertools
import json
import struct
import weakref
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from media_files import quarter_names, quarters
from PIL import Image

from mtv_jax.io.errors import UserError
from mtv_jax.io.film import open_film
from mtv_jax.io.pictures import read_image, write_image
from mtv_jax.io.rates import exact_fps
from mtv_jax.io.sound import open_sound
from mtv_jax.io.video import iter_frames, probe, read_video, write_gif, write_video

_M_PERTURB = -6
"""Of glibc's mallopt: memory that is allocated or freed is filled with bytes of this value."""


def grey_frames(levels, height=32, width=48):
    return np.stack([np.full((height, width, 3), level, np.uint8) for level in levels])


def levels_of(frames):
    return frames.astype(float).mean(axis=(1, 2, 3))


def write_stamped(path, stamps_ms, levels, last_ms=100):
    """A file whose frames have the given time stamps (variable frame rate)."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "5", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for stamp, pixels in zip(stamps_ms, grey_frames(levels), strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        for packet in stream.encode(None):
            packet.duration = packet.duration or int(Fraction(last_ms, 1000) / packet.time_base)
            container.mux(packet)


def streams_of(path):
    with av.open(str(path)) as container:
        return {
            s.type: (float(s.start_time * s.time_base), float(s.duration * s.time_base))
            for s in container.streams
        }


def test_what_is_written_is_read_back_frame_by_frame(tmp_path):
    levels = [20, 60, 100, 140, 180, 220, 40]
    write_video(tmp_path / "a.mp4", grey_frames(levels), 24)
    frames, fps = read_video(tmp_path / "a.mp4")
    assert frames.shape == (7, 32, 48, 3)
    assert frames.dtype == np.uint8
    assert fps == 24.0
    np.testing.assert_allclose(levels_of(frames), levels, atol=3)


def test_colours_survive_and_are_tagged_bt709(tmp_path):
    colours = np.array([[200, 30, 40], [30, 180, 60], [50, 60, 210], [240, 230, 20]], np.uint8)
    frames = np.broadcast_to(colours[:, None, None], (4, 32, 48, 3))
    write_video(tmp_path / "c.mp4", frames, 8)
    read, _ = read_video(tmp_path / "c.mp4")
    np.testing.assert_allclose(read.mean(axis=(1, 2)), colours, atol=4)
    with av.open(str(tmp_path / "c.mp4")) as container:
        assert next(container.decode(video=0)).colorspace == 1
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_probe_says_what_the_file_holds(tmp_path):
    sound = np.zeros(16000, np.float32)
    write_video(tmp_path / "p.mp4", grey_frames([0] * 12), 29.97, audio=sound, sample_rate=16000)
    info = probe(tmp_path / "p.mp4")
    assert (info.width, info.height, info.num_frames, info.rotation) == (48, 32, 12, 0)
    assert info.fps == Fraction(30000, 1001)
    assert info.duration == pytest.approx(12 * 1001 / 30000, abs=1e-3)
    assert info.has_audio
    assert info.start_pts == 0
    write_video(tmp_path / "q.mp4", grey_frames([0] * 3), 8)
    assert not probe(tmp_path / "q.mp4").has_audio


def test_a_variable_frame_rate_is_read_by_its_time_stamps(tmp_path):
    write_stamped(tmp_path / "v.mp4", [0, 100, 500, 600], [10, 90, 170, 250], last_ms=200)
    frames, fps = read_video(tmp_path / "v.mp4", fps=10)
    assert fps == 10.0
    shown = [10, 90, 90, 90, 90, 170, 250]
    np.testing.assert_allclose(levels_of(frames)[:7], shown, atol=4)


def test_rounded_time_stamps_do_not_double_frames(tmp_path):
    levels = np.arange(20, 260, 10)
    stamps = [round(i * 1000 / 24) for i in range(24)]  # Matroska keeps whole milliseconds
    write_stamped(tmp_path / "m.mkv", stamps, levels)
    frames, _ = read_video(tmp_path / "m.mkv", fps=24, num_frames=24)
    np.testing.assert_allclose(levels_of(frames), np.minimum(levels, 255), atol=4)


@pytest.mark.parametrize(("fps", "expected"), [(12, 12), (24, 24), (48, 48), (10, 10)])
def test_resampling_keeps_the_length_in_seconds(tmp_path, fps, expected):
    write_video(tmp_path / "r.mp4", grey_frames(np.arange(24) * 10), 24)
    frames, _ = read_video(tmp_path / "r.mp4", fps=fps)
    assert len(frames) == expected
    at = np.minimum((np.arange(expected) / fps * 24 + 1e-6).astype(int), 23)
    np.testing.assert_allclose(levels_of(frames), at * 10, atol=4)


def test_start_and_count_select_a_part(tmp_path):
    path = tmp_path / "s.mp4"
    write_video(path, grey_frames([i % 50 * 5 for i in range(100)]), 10)
    first, _ = read_video(path, start=1.0, num_frames=5)
    np.testing.assert_allclose(levels_of(first), [50, 55, 60, 65, 70], atol=3)
    sought, _ = read_video(path, start=7.3, num_frames=3)
    np.testing.assert_allclose(levels_of(sought), [115, 120, 125], atol=3)
    assert len(list(iter_frames(path, start=9.5))) == 5


def test_frames_are_drawn_one_at_a_time(tmp_path):
    write_video(tmp_path / "l.mp4", (frame for frame in grey_frames([7] * 30)), 10)
    frames: Any = iter_frames(tmp_path / "l.mp4")
    assert len(list(itertools.islice(frames, 2))) == 2
    frames.close()


def test_the_rotation_of_a_phone_is_applied(tmp_path):
    path = tmp_path / "phone.mp4"
    pixels = np.zeros((4, 32, 48, 3), np.uint8)
    pixels[:, :16, :24] = 255  # bright at the upper left as stored
    write_video(path, pixels, 8)
    data = path.read_bytes()
    box = data.index(b"tkhd")
    matrix = box + 4 + 4 + 36
    clockwise = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 32 << 16, 0, 1 << 30)
    path.write_bytes(data[:matrix] + clockwise + data[matrix + 36 :])
    frames, _ = read_video(path)
    assert frames.shape == (4, 48, 32, 3)
    assert (probe(path).width, probe(path).height) == (32, 48)
    quarters = [frames[0, :24, :16], frames[0, :24, 16:], frames[0, 24:, :16], frames[0, 24:, 16:]]
    assert [bool(q.mean() > 128) for q in quarters] == [False, True, False, False]  # now at the upper right


@pytest.mark.parametrize(
    ("fps", "rate", "channels", "seconds"),
    [(24, 16000, None, 0.3), (23.976, 44100, 2, 9.0), (8, 12345, 1, 3.0)],
)
def test_sound_is_as_long_as_the_video(tmp_path, fps, rate, channels, seconds):
    shape = (int(seconds * rate),) if channels is None else (int(seconds * rate), channels)
    sound = np.random.default_rng(0).uniform(-0.1, 0.1, shape).astype(np.float32)
    path = tmp_path / "a.mp4"
    write_video(path, grey_frames([50] * 25), fps, audio=sound, sample_rate=rate)
    streams = streams_of(path)
    assert set(streams) == {"video", "audio"}
    (video_start, video_length), (audio_start, audio_length) = streams["video"], streams["audio"]
    assert video_start == audio_start == 0.0
    assert video_length == pytest.approx(25 / exact_fps(fps), abs=1e-3)
    assert abs(video_length - audio_length) < 0.5 / fps


@pytest.mark.parametrize("event", [0, 9, 31])
def test_a_click_is_heard_when_its_flash_is_seen(tmp_path, event):
    fps, rate, count = 24, 16000, 40
    frames = grey_frames([255 if i == event else 0 for i in range(count)])
    sound = np.zeros(count * rate // fps + 1, np.float32)
    sound[event * rate // fps : event * rate // fps + 40] = 0.9
    path = tmp_path / "click.mp4"
    write_video(path, frames, fps, audio=sound, sample_rate=rate)

    flash = int(levels_of(read_video(path)[0]).argmax())
    assert flash == event
    heard = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            wave = np.abs(frame.to_ndarray()).max(axis=0)
            heard += [(frame.time + i / rate, value) for i, value in enumerate(wave)]
    click = max(heard, key=lambda item: item[1])[0]
    assert abs(click - flash / fps) < 0.25 / fps


def test_the_same_frames_are_the_same_bytes_whatever_was_in_memory(tmp_path):
    """x264's fastest code reads memory that it has not written: curated clips differed in a few of a thousand runs."""
    malloc = ctypes.CDLL(None)
    if not hasattr(malloc, "mallopt"):
        pytest.skip("needs glibc, which can fill memory")
    rng, file = np.random.default_rng(0), tmp_path / "video.mp4"
    for height, width in ((18, 22), (66, 22), (98, 40), (18, 52), (18, 148), (18, 196)):
        frames = rng.integers(0, 256, (12, height, width, 3)).astype(np.uint8)
        written = set()
        try:
            for value in (1, 85, 200, 255):
                malloc.mallopt(_M_PERTURB, value)
                write_video(file, frames, 8, threads=1)
                written.add(file.read_bytes())
        finally:
            malloc.mallopt(_M_PERTURB, 0)
        assert len(written) == 1, f"{width}x{height}"


def test_the_index_is_in_front_so_that_players_can_start_at_once(tmp_path):
    write_video(tmp_path / "f.mp4", grey_frames([0, 1, 2]), 8)
    data = (tmp_path / "f.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frames": np.zeros((2, 31, 48, 3), np.uint8)}, "even"),
        ({"frames": np.zeros((0, 32, 48, 3), np.uint8)}, "no frames"),
        ({"fps": 0}, "frame rate"),
        ({"audio": np.zeros((10, 3), np.float32), "sample_rate": 16000}, "shape"),
        ({"audio": np.full(10, np.nan, np.float32), "sample_rate": 16000}, "not finite"),
        ({"audio": np.zeros(10, np.float32)}, "sample rate"),
        ({"path": "a.avi"}, "mp4"),
    ],
)
def test_what_cannot_be_written_is_said_and_leaves_no_file(tmp_path, arguments, message):
    given = {"path": "a.mp4", "frames": grey_frames([0, 1]), "fps": 8, **arguments}
    with pytest.raises(UserError, match=message):
        write_video(tmp_path / given.pop("path"), **given)
    assert not list(tmp_path.iterdir())


def test_a_failure_while_writing_keeps_the_former_file(tmp_path):
    path = tmp_path / "keep.mp4"
    write_video(path, grey_frames([9, 9]), 8)
    before = path.read_bytes()

    def failing():
        yield from grey_frames([1, 2])
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_video(path, failing(), 8)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def write_bad(tmp_path, kind):
    path = tmp_path / f"{kind}.mp4"
    if kind == "text":
        path.write_text("not a video")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "sound only":
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=16000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 16000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    elif kind.startswith(("truncated", "cut")):
        noise = np.random.default_rng(0).integers(0, 255, (60, 32, 48, 3), np.uint8)
        write_video(path, noise, 10)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2] if kind == "truncated" else data[: int(kind.split()[1])])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "no such file"),
        ("text", "not a video"),
        ("empty", "empty"),
        ("sound only", "no video stream"),
        ("truncated", "truncated"),
        *[(f"cut {size}", "truncated") for size in (100, 200, 400, 800, 1500)],
    ],
)
def test_a_bad_file_is_named_with_its_reason(tmp_path, kind, message):
    path = write_bad(tmp_path, kind)
    with pytest.raises(UserError, match=message) as error:
        read_video(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_asking_for_more_than_there_is_is_an_error(tmp_path):
    path = tmp_path / "short.mp4"
    write_video(path, grey_frames([0] * 8), 8)
    with pytest.raises(UserError, match=r"9 frames .* holds 8"):
        read_video(path, num_frames=9)
    with pytest.raises(UserError, match=r"ends at 1\.00 s"):
        read_video(path, start=1.5)


def test_rates_of_television_are_exact():
    assert exact_fps(23.976) == Fraction(24000, 1001)
    assert exact_fps(29.97) == Fraction(30000, 1001)
    assert exact_fps(59.94) == Fraction(60000, 1001)
    assert exact_fps(24) == 24
    assert exact_fps(12.5) == Fraction(25, 2)
    assert exact_fps(Fraction(7, 3)) == Fraction(7, 3)
    with pytest.raises(UserError, match="above 0"):
        exact_fps(-1)


def test_gif_has_all_frames_and_the_length(tmp_path):
    write_gif(tmp_path / "a.gif", grey_frames(np.arange(12) * 20), 24)
    with Image.open(tmp_path / "a.gif") as opened:
        image: Any = opened
        assert image.n_frames == 12
        total = 0
        for index in range(image.n_frames):
            image.seek(index)
            total += image.info["duration"]
            assert np.asarray(image.convert("RGB")).mean() == pytest.approx(index * 20, abs=3)
    assert total == 500


def test_images_round_trip_and_bad_ones_are_named(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (8, 6, 3), np.uint8)
    write_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), image)
    (tmp_path / "b.png").write_text("hello")
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:60])
    for name, message in [("b.png", "not a picture"), ("c.png", "damaged"), ("d.png", "no such file")]:
        with pytest.raises(UserError, match=message):
            read_image(tmp_path / name)
    with pytest.raises(UserError, match="picture"):
        write_image(tmp_path / "a.xyz", image)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_pictures_are_turned_in_all_eight_ways(tmp_path, suffix):
    seen = []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[274] = orientation
        Image.fromarray(quarters()).save(tmp_path / f"p.{suffix}", exif=exif)
        seen.append(quarter_names(read_image(tmp_path / f"p.{suffix}")))
    assert seen == ["RGBW", "GRWB", "WBGR", "BWRG", "RBGW", "BRWG", "WGBR", "GWRB"]


def test_the_bundled_clip_is_a_real_one_with_sound_and_credit():
    folder = importlib.resources.files("mtv_jax.assets") / "clips"
    with importlib.resources.as_file(folder / "big_buck_bunny.mp4") as path:
        info = probe(path)
        frames, _ = read_video(path, fps=8)
        streams = streams_of(path)
    assert (info.num_frames, info.fps, info.height, info.width) == (288, 24, 108, 192)
    assert streams["video"] == streams["audio"] == (0.0, 12.0)
    changes = np.abs(np.diff(frames.astype(float), axis=0)).mean(axis=(1, 2, 3))
    assert 0.2 < changes.mean() < changes.max() < 12  # it moves, and there is no cut in it
    facts = json.loads((folder / "big_buck_bunny.json").read_text(encoding="utf-8"))
    assert facts["licence"] == "CC-BY 3.0"
    assert "Blender Foundation" in facts["credit"]
    assert facts["prompt"]


def test_a_film_that_is_not_read_to_its_end_is_freed_at_once(tmp_path):
    # Decoders have threads and pictures of their own, so they must not wait for Python to look for cycles.
    write_video(tmp_path / "a.mp4", grey_frames(range(20)), 24, audio=np.zeros(9000), sample_rate=9000)
    gc.disable()
    try:
        with open_film(tmp_path / "a.mp4") as film:
            next(film.shown())
        with open_sound(tmp_path / "a.mp4") as sound:
            next(sound.pieces())
        freed = [weakref.ref(film), weakref.ref(sound)]
        del film, sound
        assert [ref() for ref in freed] == [None, None]
    finally:
        gc.enable()
