"""What a video file holds, and which files cannot be used, by reason."""

import json
import pickle
from fractions import Fraction

import numpy as np
import pytest
from media_files import rgb_frame, set_display_matrix, with_fields, write_film, write_sound

from mtv_jax.curation.probe import Probe, ProbeConfig, probe, unfit
from mtv_jax.io.errors import Unreadable
from mtv_jax.io.files import sha256
from mtv_jax.io.video import write_video


def film(path, frames=10, height=32, width=48, *, pix_fmt="yuv420p", codec="libx264", **options):
    pictures = [
        rgb_frame(np.full((height, width, 3), 10 * index, np.uint8), pix_fmt) for index in range(frames)
    ]
    return write_film(path, pictures, codec, **options)


def tone(seconds, rate=8000):
    return np.round(8000 * np.sin(np.arange(round(seconds * rate))))[:, None].astype(np.int16)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """25 frames with a second of sound, its index at the end."""
    path = tmp_path_factory.mktemp("probe") / "whole.mov"
    return film(path, 25, sound=(tone(1.0), 8000, 0))


def test_a_plain_video(whole):
    found = probe(whole)
    picture = found.picture
    assert found.sha256 == sha256(whole)
    assert found.size == whole.stat().st_size
    assert (picture.codec, picture.pixel_format, picture.width, picture.height) == (
        "h264",
        "yuv420p",
        48,
        32,
    )
    assert (picture.rate, picture.packets, picture.seconds) == (25, 25, 1)
    assert picture.shortest == picture.longest == Fraction(1, 25)
    assert not any((picture.variable_rate, picture.interlaced, picture.mirrored))
    assert (picture.rotation, picture.transfer, picture.sample_aspect) == (0, "sdr", 1)
    assert found.sound is not None
    assert (found.sound.codec, found.sound.sample_rate, found.sound.channels) == ("pcm_s16le", 8000, 1)
    assert (found.sound.start, found.sound.end, found.sound_excess) == (0, 1, 0)
    assert Probe.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert unfit(found, ProbeConfig()) is None


def test_a_file_is_not_hashed_again(whole):
    assert probe(whole, digest="12ab").sha256 == "12ab"


def test_json_without_sound(tmp_path):
    found = probe(film(tmp_path / "a.mp4", first_pts=3))
    assert found.sound is None
    assert found.sound_excess is None
    assert Probe.from_json(json.loads(json.dumps(found.to_json()))) == found


def empty(path, whole):
    path.write_bytes(b"")


def text(path, whole):
    path.write_text("not a film\n" * 100)


def truncated(path, whole):
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])


def truncated_after_its_index(path, whole):
    write_video(path, np.random.default_rng(0).integers(0, 255, (40, 32, 48, 3), np.uint8), 10)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def only_sound(path, whole):
    write_sound(path, [(np.zeros(8000), 0)], "aac")


def one_frame(path, whole):
    film(path, 1)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (empty, "empty"),
        (text, "not_a_video"),
        (truncated, "truncated"),
        (truncated_after_its_index, "truncated"),
        (only_sound, "no_picture"),
        (one_frame, "one_frame"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, whole, make, reason):
    path = tmp_path / "a 'b\"\n映.mp4"
    make(path, whole)
    with pytest.raises(Unreadable) as caught:
        probe(path)
    assert caught.value.reason == reason
    assert str(caught.value).startswith(str(path))


def test_an_error_crosses_processes():
    error = pickle.loads(pickle.dumps(Unreadable("truncated", "a.mp4: ends early")))
    assert isinstance(error, Unreadable)
    assert (error.reason, str(error)) == ("truncated", "a.mp4: ends early")


def test_a_silent_video_is_rejected_if_sound_is_needed(tmp_path):
    found = probe(film(tmp_path / "a.mp4"))
    error = unfit(found, ProbeConfig())
    assert error is not None
    assert error.reason == "no_sound"
    assert unfit(found, ProbeConfig(needs_sound=False)) is None


@pytest.mark.parametrize(("seconds", "excess"), [(4.0, 3), (0.2, Fraction(-4, 5))])
def test_sound_that_is_not_as_long_as_the_picture(tmp_path, seconds, excess):
    found = probe(film(tmp_path / "a.mov", 25, sound=(tone(seconds), 8000, 0)))
    assert found.sound_excess == excess
    error = unfit(found, ProbeConfig(max_length_difference=0.5))
    assert error is not None
    assert error.reason == "lengths_differ"
    assert unfit(found, ProbeConfig(max_length_difference=3.5)) is None


def test_sound_that_starts_late(tmp_path):
    found = probe(film(tmp_path / "a.mov", 25, sound=(tone(0.5), 8000, 4000)))
    assert found.sound is not None
    assert (found.sound.start, found.sound.end) == (Fraction(1, 2), 1)


def test_a_variable_rate_is_told_from_rounded_time_stamps(tmp_path):
    steady = probe(film(tmp_path / "a.mkv", 12, rate=24)).picture
    assert steady.shortest < steady.longest  # Matroska has milliseconds
    assert not steady.variable_rate
    stamps = [0, 40, 80, 160, 200, 300]
    varied = probe(film(tmp_path / "b.mp4", 6, rate=1000, stamps=stamps)).picture
    assert varied.variable_rate
    assert (varied.shortest, varied.longest) == (Fraction(1, 25), Fraction(1, 10))


def test_time_stamps_that_do_not_start_at_0(tmp_path):
    picture = probe(film(tmp_path / "a.mkv", codec="ffv1", first_pts=50)).picture
    assert (picture.start_pts, picture.end_pts, picture.time_base) == (2000, 2400, Fraction(1, 1000))
    assert picture.seconds == Fraction(2, 5)


def test_interlaced_frames_are_found_by_their_flag(tmp_path):
    frames = [rgb_frame(np.full((32, 48, 3), 20 * index, np.uint8), "yuv420p") for index in range(6)]
    path = write_film(tmp_path / "i.mkv", with_fields(frames, True), options={"flags": "+ildct+ilme"})
    assert probe(path).picture.interlaced


@pytest.mark.parametrize(("number", "name"), [(16, "pq"), (18, "hlg"), (1, "sdr")])
def test_high_dynamic_range(tmp_path, number, name):
    path = film(tmp_path / "h.mkv", codec="ffv1", pix_fmt="yuv420p10le", tags=(9, 1, number, 9))
    assert probe(path).picture.transfer == name


def test_turned_mirrored_and_stretched_pictures(tmp_path):
    path = film(tmp_path / "r.mp4", aspect=Fraction(3, 2))
    set_display_matrix(path, 0, 1, -1, 0)
    picture = probe(path).picture
    assert (picture.width, picture.height, picture.sample_aspect) == (48, 32, Fraction(3, 2))
    assert (picture.shown_width, picture.shown_height) == (32, 72)
    assert abs(picture.rotation) == 90
    assert not picture.mirrored
    set_display_matrix(path, -1, 0, 0, 1)
    assert probe(path).picture.mirrored
