"""Plans of videos: every frame once, windows where texts change, keyframes at the latent frames that show them."""

import itertools
import re
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.pipelines.timeline.grid import Grid, total_frames
from mtv_jax.pipelines.timeline.plan import StoryOptions, place_keyframes, plan_timeline
from mtv_jax.pipelines.timeline.windows import Sizes, place_borders, split

RATES = (Fraction(8), Fraction(12), Fraction(24000, 1001), Fraction(24), Fraction(30000, 1001), Fraction(60))
TEXT = (("a", 1.0),)


def plan(prompt, seconds=20.0, fps=24, ratio=4, longest=49, keyframes=None, **options):
    grid = Grid(total_frames(seconds, Fraction(fps)), Fraction(fps), ratio)
    return plan_timeline(grid, prompt, longest=longest, keyframes=keyframes, options=StoryOptions(**options))


def added(windows):
    return [latent for window in windows for latent in window.new]


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("ratio", [1, 4])
def test_latent_frames_stand_for_each_frame_once_and_as_few_as_can_be_are_dropped(fps, ratio):
    for duration in (0.1, 1, 2.04, 2.5, 9.99, 20, 61.7, 600):
        grid = Grid(total_frames(duration, fps), fps, ratio)
        assert grid.num_frames == round(Fraction(str(duration)) * fps)
        shown = [
            frame
            for latent in range(grid.latent_frames)
            for frame in range(grid.first_frame(latent), grid.last_frame(latent) + 1)
        ]
        assert shown == list(range(grid.generated_frames))
        assert 0 <= grid.generated_frames - grid.num_frames < ratio
        assert all(
            grid.first_frame(grid.latent_of(frame)) <= frame <= grid.last_frame(grid.latent_of(frame))
            for frame in range(min(grid.num_frames, 500))
        )


def test_decimal_seconds_are_taken_as_they_are_written():
    assert total_frames(0.7, Fraction(45)) == round(Fraction(63, 2))  # 31.499... as a float
    assert total_frames(np.float32(2.5), Fraction(24)) == 60


@pytest.mark.parametrize("duration", [0, 0.01, -1, float("nan"), float("inf"), "20", True, None])
def test_a_duration_of_no_frame_is_an_error(duration):
    with pytest.raises(UserError, match="duration"):
        total_frames(duration, Fraction(24))


def test_windows_add_each_latent_frame_once_and_have_one_length():
    for start, new, longest, overlap in itertools.product((0, 40), range(1, 130), (7, 13), (1, 2, 6)):
        windows = split(start, start + new, TEXT, Sizes(longest, overlap))
        assert added(windows) == list(range(start, start + new))
        assert len({len(window) for window in windows}) == 1
        assert len(windows[0]) <= longest
        assert windows[0].prefix == (overlap if start else 0)
        assert all(window.prefix in (overlap, overlap + 1) for window in windows[1:])
        # No more windows than are needed.
        room = longest + (len(windows) - 2) * (longest - overlap) if start == 0 else None
        if room is not None and len(windows) > 1:
            assert new > room


def test_windows_of_a_model_that_knows_one_length_have_that_length():
    for start, new, longest, overlap in itertools.product((0, 40), range(1, 130), (7, 13), (1, 2, 6)):
        windows = split(start, start + new, TEXT, Sizes(longest, overlap, full=True))
        assert added(windows) == list(range(start, start + new))
        assert {len(window) for window in windows} == {longest if start or new > longest else new}
        assert all(window.prefix >= overlap for window in windows[bool(start == 0) :])
        assert len(windows) == len(split(start, start + new, TEXT, Sizes(longest, overlap)))


def test_a_prefix_is_the_end_of_the_window_before():
    timeline = plan([(0, "a"), (1.0, "b"), (1.3, "c"), (9.0, "d")], transition=0.2)
    for before, after in itertools.pairwise(timeline.windows):
        assert before.start <= after.start
        assert after.start + after.prefix == before.stop
        assert after.prefix <= len(before)


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("ratio", [1, 4])
def test_a_prompt_begins_at_the_latent_frame_nearest_to_its_time(fps, ratio):
    times = [0, 4.0, 9.1, 15.37]
    prompts = [(time, f"scene {i}") for i, time in enumerate(times)]
    timeline = plan(prompts, fps=fps, ratio=ratio)
    assert added(timeline.windows) == list(range(timeline.latent_frames))
    for time, text in prompts:
        begins = min(w.new.start for w in timeline.windows if w.texts == ((text, 1.0),))
        late = timeline.first_frame(begins) - timeline.frame_at(Fraction(str(time)))
        assert abs(late) <= ratio / 2
    assert {len(window.texts) for window in timeline.windows} == {1}


def test_windows_are_no_longer_than_the_model_manages():
    assert max(len(w) for w in plan("a", seconds=60, longest=49).windows) == 13
    assert max(len(w) for w in plan("a", seconds=60, longest=49, window_frames=33).windows) <= 9
    (window,) = plan("a", seconds=60, longest=None).windows
    assert len(window) == 361


def test_the_default_overlap_fits_into_short_windows():
    assert {w.prefix for w in plan("a", longest=5).windows[1:]} == {1}
    assert {w.prefix for w in plan("a", longest=49).windows[1:]} <= {2, 3}
    assert plan("a", seconds=1 / 24, longest=1).is_plain


def test_a_video_that_one_window_has_room_for_is_one_window():
    timeline = plan("a", seconds=49 / 24)
    assert timeline.is_plain
    assert [(w.start, w.stop, w.prefix) for w in timeline.windows] == [(0, 13, 0)]
    assert not plan("a", seconds=50 / 24).is_plain


@pytest.mark.parametrize("transition", [0.1, 0.5, 1.0, 4.0])
@pytest.mark.parametrize("ratio", [1, 4])
def test_a_transition_mixes_both_texts_around_the_time_asked(transition, ratio):
    timeline = plan([(0, "a"), (8.0, "b")], transition=transition, ratio=ratio)
    assert added(timeline.windows) == list(range(timeline.latent_frames))
    weights = [dict(change.texts).get("b", 0) for change in timeline.changes]
    assert weights[0] == 0
    assert weights[-1] == 1
    assert weights == sorted(set(weights))
    assert len(weights) <= 6
    assert all(sum(weight for _, weight in w.texts) == pytest.approx(1) for w in timeline.windows)
    mixed = [latent for w in timeline.windows if len(w.texts) == 2 for latent in w.new]
    middle = (timeline.first_frame(mixed[0]) + timeline.last_frame(mixed[-1]) + 1) / 2
    shortest = 2 * ratio if ratio == 4 else 5
    assert middle == pytest.approx(8 * 24, abs=shortest)
    assert len(mixed) * ratio == pytest.approx(max(transition * 24, shortest), abs=ratio + 1)


def test_borders_that_are_too_near_move_apart_as_little_as_they_can():
    for targets in itertools.combinations_with_replacement(range(1, 14), 3):
        placed = place_borders(targets, total=14, shortest=2)
        gaps = [b - a for a, b in itertools.pairwise([0, *placed, 14])]
        assert min(gaps) >= 2
        best = min(
            max(abs(a - b) for a, b in zip(targets, other, strict=True))
            for other in itertools.combinations(range(2, 13), 3)
            if min(b - a for a, b in itertools.pairwise(other)) >= 2
        )
        assert max(abs(a - b) for a, b in zip(targets, placed, strict=True)) == best


def test_borders_that_fit_stay_where_they_were_asked_for():
    assert place_borders([4, 9, 10, 30], total=40, shortest=2) == [4, 8, 10, 30]


def test_prompts_without_times_are_spread_when_asked():
    timeline = plan(["a", "b", "c", "d"], prompt_spacing="even")
    assert [change.frame for change in timeline.changes] == [0, 120, 240, 360]


@pytest.mark.parametrize(
    ("prompt", "options", "message"),
    [
        ([(0, "a"), (20.0, "b")], {}, "prompt at 20 s: the video has 0 to 20.00 s"),
        ([(-1, "z"), (0, "a")], {}, "prompt at -1 s: the video has"),
        ([(0, "a"), (5, "b"), (4, "c")], {}, "prompt at 4 s: comes after the one at 5 s"),
        ([(0, "a"), (4, "b"), (4, "c")], {}, "prompt at 4 s: two begin there"),
        ([(1, "a"), (4, "b")], {}, "prompt at 1 s: is the first; none holds at 0"),
        ([(0, "a"), (float("nan"), "b")], {}, "prompt at nan: must be a finite number"),
        ([(0, "a"), ("4", "b")], {}, "prompt at 4: must be a finite number"),
        ([(0, "a"), (4, " ")], {}, "prompt: is blank"),
        ([(0, "a"), "b"], {}, "some have a time and some do not"),
        ([(0, "a", 1)], {}, "must be a text, or a pair"),
        ([], {}, "empty list"),
        (["a", "b"], {}, "2 without times"),
        (["a", "b"], {"prompt_spacing": "odd"}, "prompt_spacing 'odd'"),
        ([(0, "a"), (4, "b")], {"prompt_spacing": "even"}, "prompts without times; these have some"),
        ([(0, "a"), (0.3, "b")], {"transition": 1.0}, "around the prompt at 0.3 s it does not fit"),
        ([(0, "a"), (19.8, "b")], {"transition": 1.0}, "around the prompt at 19.8 s it does not fit"),
        ([(0, "a"), (4, "b"), (4.5, "c")], {"transition": 1.0}, "prompts at 4 and 4.5 s are nearer"),
        ("a", {"transition": -1.0}, "transition -1.0: must be at least 0"),
        ("a", {"transition": float("inf")}, "transition inf: must be a finite number"),
        (
            "a",
            {"window_frames": 5, "window_overlap": 5},
            "window_frames 5: must be more than the overlap of windows, 5",
        ),
        ("a", {"window_frames": 1}, "window_frames 1: a window that goes on from another has at least 5"),
        ("a", {"window_frames": 9, "window_overlap": 13}, "must be more than the overlap of windows, 13"),
        ("a", {"window_frames": 50}, "window_frames 50: must be 1 + 4k; the nearest are 49 and 53"),
        ("a", {"window_overlap": 0}, "window_overlap 0: must be a number of frames, at least 1"),
        ("a", {"keyframe_fit": "stretch"}, "keyframe_fit 'stretch': is not known; use crop or pad"),
        ("a", {"long_video": "magic"}, "long_video 'magic': is not known; use latent or released"),
    ],
)
def test_an_error_is_one_line_that_says_what_is_wrong(prompt, options, message):
    with pytest.raises(UserError, match=re.escape(message)) as error:
        plan(prompt, **options)
    assert "\n" not in str(error.value)


def test_prompts_that_are_too_many_or_would_move_too_far_are_errors():
    crowd = [(i / 24, f"p{i}") for i in range(20)]
    with pytest.raises(UserError, match="20 prompts are 20 windows of at least"):
        plan(crowd, seconds=1.0)
    with pytest.raises(UserError, match="more than half a window"):
        plan(crowd, seconds=20.0)


def test_keyframes_are_at_the_latent_frame_that_shows_them():
    timeline = plan(
        "a", keyframes={0: "a.png", "2.5s": "b.png", np.int64(480 - 1): "c.png"}, keyframe_fit="pad"
    )
    assert {k: (f.asked, f.frame, f.picture, f.fit) for k, f in timeline.keyframes.items()} == {
        0: ("0", 0, "a.png", "pad"),
        15: ("2.5s", 60, "b.png", "pad"),
        120: ("479", 479, "c.png", "pad"),
    }
    for latent, keyframe in timeline.keyframes.items():
        assert timeline.first_frame(latent) <= keyframe.frame <= timeline.last_frame(latent)


@pytest.mark.parametrize(
    ("keyframes", "message"),
    [
        (
            {57: "a", "2.5s": "b"},
            "keyframe 2.5s: the one at 57 is in the same frames 57 to 60, which are one latent",
        ),
        ({480: "a"}, "keyframe 480: the video has frames 0 to 479, 0 to 19.96 s"),
        ({"20s": "a"}, "keyframe 20s: the video has frames 0 to 479"),
        ({-1: "a"}, "keyframe -1: the video has frames"),
        ({2.5: "a"}, "keyframe 2.5: must be a frame, such as 48, or a second, such as '2.5s'"),
        ({"nans": "a"}, "keyframe 'nans': must be a frame"),
        ({True: "a"}, "keyframe True: must be a frame"),
    ],
)
def test_keyframes_outside_or_at_one_latent_frame_are_errors(keyframes, message):
    with pytest.raises(UserError, match=re.escape(message)):
        place_keyframes(Grid(480, Fraction(24), 4), keyframes)


def test_a_plan_needs_no_jax():
    code = "import sys, mtv_jax.pipelines.timeline.plan; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
