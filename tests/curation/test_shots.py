"""Shots of videos on exact times, and windows that never cross a cut."""

import itertools
import json
from fractions import Fraction

import numpy as np
import pytest
from curation.detectors import Known
from media_files import rgb_frame, write_film

from mtv_jax.curation.shots import Change, ChangeDetector, Shot, ShotsConfig, Span, WindowConfig, fits, window
from mtv_jax.curation.stream import find_shots
from mtv_jax.io.errors import Unreadable, UserError

FPS = Fraction(24)


def film(path, count, *, height=16, width=24, **options):
    frames = [
        rgb_frame(np.full((height, width, 3), 9 * index, np.uint8), "yuv420p") for index in range(count)
    ]
    return write_film(path, frames, options.pop("codec", "libx264"), **options)


def shot(start, end, begins="cut", ends="cut", *, rate=24, transition=False, first_pts=0):
    """A shot of frames [start, end) at a rate."""
    return Shot(first_pts + start, first_pts + end, Fraction(1, rate), first_pts, begins, ends, transition)


def windows(shot, config, rate):
    """All spans of a shot."""
    spans = (window(shot, number, config, rate) for number in itertools.count())
    return list(itertools.takewhile(lambda span: fits(span, shot, config), spans))


def frames_of(span, fps=FPS):
    """First frame of a span, and its end."""
    return (span.start * fps, span.end * fps)


def test_shots_cover_the_video(tmp_path):
    found = find_shots(film(tmp_path / "a.mp4", 10, rate=25), Known(Change(7), Change(4)))
    assert [(x.start * 25, x.end * 25, x.begins, x.ends) for x in found] == [
        (0, 4, "film", "cut"),
        (4, 7, "cut", "cut"),
        (7, 10, "cut", "film"),
    ]
    assert all(x.time_base * (x.end_pts - x.start_pts) == x.end - x.start for x in found)
    assert [Shot.from_json(json.loads(json.dumps(x.to_json()))) for x in found] == found


def test_cuts_of_a_variable_rate_are_on_the_frames_times(tmp_path):
    """PySceneDetect#479: frame numbers at the average rate were off by seconds."""
    stamps = [0, 40, 80, 500, 540, 1500, 1533, 1566]
    path = film(tmp_path / "v.mp4", 8, rate=1000, stamps=stamps)
    found = find_shots(path, Known(Change(3), Change(6)))
    assert [x.start for x in found] == [0, Fraction(500, 1000), Fraction(1533, 1000)]
    assert found[2].start_pts * found[2].time_base == Fraction(1533, 1000)


def test_time_stamps_that_do_not_start_at_0(tmp_path):
    path = film(tmp_path / "p.mkv", 6, codec="ffv1", rate=25, first_pts=50)
    found = find_shots(path, Known(Change(4)))
    assert [(x.start_pts, x.end_pts) for x in found] == [(2000, 2160), (2160, 2240)]
    assert [(x.start, x.end) for x in found] == [(0, Fraction(4, 25)), (Fraction(4, 25), Fraction(6, 25))]


def test_the_black_of_a_fade_is_a_shot_of_its_own(tmp_path):
    path = film(tmp_path / "f.mp4", 12, rate=25)
    found = find_shots(path, Known(Change(4, "fade", until=6), Change(10, "fade", until=12)))
    assert [(x.start * 25, x.begins, x.ends, x.transition) for x in found] == [
        (0, "film", "fade", False),
        (4, "fade", "fade", True),
        (6, "fade", "fade", False),
        (10, "fade", "film", True),
    ]


def test_transitions_that_overlap_are_one_and_have_no_cuts_inside(tmp_path):
    path = film(tmp_path / "o.mp4", 20, rate=25)
    changes = (Change(3, "dissolve", until=9), Change(8, "fade", until=12), Change(5), Change(16))
    found = find_shots(path, Known(*changes))
    assert [(x.start * 25, x.begins, x.ends, x.transition) for x in found] == [
        (0, "film", "fade", False),
        (3, "fade", "fade", True),
        (12, "fade", "cut", False),
        (16, "cut", "film", False),
    ]


def test_a_cut_to_black_and_from_black_is_a_cut(tmp_path):
    path = film(tmp_path / "k.mp4", 12, rate=25)
    found = find_shots(path, Known(Change(4), Change(4, "fade", until=8), Change(8)))
    assert [(x.start * 25, x.begins, x.transition) for x in found] == [
        (0, "film", False),
        (4, "cut", True),
        (8, "cut", False),
    ]


def test_a_film_that_begins_black(tmp_path):
    path = film(tmp_path / "b.mp4", 6, rate=25)
    found = find_shots(path, Known(Change(0, "fade", until=3)))
    assert [(x.start * 25, x.begins, x.transition) for x in found] == [(0, "film", True), (3, "fade", False)]


def test_detectors_see_small_pictures(tmp_path):
    path = film(tmp_path / "s.mp4", 2, height=64, width=96)
    small = Known(height=16)
    find_shots(path, small)
    assert small.seen == [(16, 24, 3)] * 2
    whole = Known(height=100)
    find_shots(path, whole)
    assert whole.seen == [(64, 96, 3)] * 2
    assert isinstance(whole, ChangeDetector)


def test_a_picture_that_changes_its_shape_is_refused(tmp_path):
    """Found only by decoding."""
    first, second = (
        film(tmp_path / "a.m2v", 4, codec="mpeg2video", height=32, width=48),
        film(tmp_path / "b.m2v", 4, codec="mpeg2video", height=48, width=32),
    )
    path = tmp_path / "c.m2v"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(Unreadable) as caught:
        find_shots(path, Known())
    assert caught.value.reason == "resolution_change"


def test_windows_fill_a_shot_that_fits_exactly():
    config = WindowConfig(num_frames=5, fps=FPS, stride=5, margin=0)
    assert [frames_of(x) for x in windows(shot(10, 20), config, FPS)] == [(10, 15), (15, 20)]
    assert len(windows(shot(10, 24), config, FPS)) == 2
    assert windows(shot(10, 14), config, FPS) == []


def test_windows_keep_away_from_cuts_and_more_from_fades():
    config = WindowConfig(num_frames=5, fps=FPS, stride=3, margin=2, fade_margin=6)
    spans = windows(shot(100, 125, "cut", "fade"), config, FPS)
    assert [frames_of(x) for x in spans] == [(102, 107), (105, 110), (108, 113), (111, 116), (114, 119)]
    assert frames_of(windows(shot(0, 9, "film", "film"), config, FPS)[0]) == (0, 5)
    assert windows(shot(100, 120, transition=True), config, FPS) == []


def test_the_start_of_a_video_can_be_skipped():
    config = WindowConfig(num_frames=5, fps=FPS, stride=5, skip=3)
    assert frames_of(windows(shot(0, 20, "film"), config, FPS)[0]) == (3, 8)
    assert frames_of(windows(shot(10, 20), config, FPS)[0]) == (11, 16)


@pytest.mark.parametrize("fps", [FPS, Fraction(30000, 1001), Fraction(10), None])
def test_no_window_shows_a_frame_of_another_shot(fps):
    """Each time that a window samples lies within its shot, whatever the two rates are."""
    rate = Fraction(25)
    config = WindowConfig(num_frames=7, fps=fps, stride=2, margin=0)
    this = shot(33, 71, rate=25)
    spans = windows(this, config, rate)
    assert len(spans) > 3
    for span in spans:
        times = [span.start + i / span.fps for i in range(span.num_frames)]
        assert this.start <= times[0]
        assert times[-1] + Fraction(2, 1000) < this.end
        assert span.fps == (fps or rate)


def test_rounded_time_stamps_lose_no_window():
    milliseconds = Shot(42, 2083, Fraction(1, 1000), 0, "cut", "cut")  # 49 frames at 24 fps are 2041.7 ms
    assert len(windows(milliseconds, WindowConfig(margin=0), FPS)) == 1


def test_time_stamps_of_a_span_are_those_of_the_file():
    (span,) = windows(shot(0, 50, "film", first_pts=1000), WindowConfig(), FPS)
    assert (span.start_pts, span.end_pts, span.time_base) == (1000, 1049, Fraction(1, 24))
    assert Span.from_json(json.loads(json.dumps(span.to_json()))) == span


def test_numbers_that_make_no_sense_are_refused():
    with pytest.raises(UserError, match="stride 0"):
        WindowConfig(stride=0)
    with pytest.raises(UserError, match="fps 0"):
        WindowConfig(fps=Fraction(0))
    with pytest.raises(UserError, match="flash_frames 3"):
        ShotsConfig(flash_frames=3)
