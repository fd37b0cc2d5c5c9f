"""Clips show the frames of their span, sound like it to the sample, and do not depend on what else is cut."""

from fractions import Fraction

import numpy as np
import pytest
import soundfile
from media_files import quarter_names, quarters, rgb_frame, set_display_matrix, write_film

from mtv_jax.curation import clips
from mtv_jax.curation.clips import clip_size, cut_clips
from mtv_jax.curation.shots import Span
from mtv_jax.curation.stages import CLIP, MIX
from mtv_jax.io.errors import Unreadable
from mtv_jax.io.video import read_video

STEP = 6
"""Levels of grey from a frame to the next; the grey of a frame is its number."""


def film(path, count=40, *, height=32, width=48, **options):
    frames = [
        rgb_frame(np.full((height, width, 3), STEP * (index % 41), np.uint8), "yuv420p")
        for index in range(count)
    ]
    codec = options.pop("codec", "libx264")
    if codec == "libx264":
        options["options"] = {"crf": "4", **options.get("options", {})}
    return write_film(path, frames, codec, **{"rate": 24, **options})


def span(first, count, *, fps=24, base=Fraction(1, 24)):
    start = Fraction(first, fps)
    stamps = [round(t / base) for t in (start, start + Fraction(count, fps))]
    return Span(start, count, Fraction(fps), stamps[0], stamps[1], base)


def cut(path, spans, folder, **options):
    folders = [folder / str(number) for number in range(len(spans))]
    return folders, list(cut_clips(path, spans, folders, **{"sound": False, **options}))


def numbers(video):
    """The numbers of the frames that a clip shows."""
    frames, fps = read_video(video)
    return [round(float(frame.mean()) / STEP) for frame in frames], fps


def ramp(seconds, channels=1, rate=8000):
    """int16 [s, channels]: each sample has its number as value."""
    return np.repeat(np.arange(round(seconds * rate), dtype=np.int16)[:, None], channels, axis=1)


def samples(path):
    """The numbers of the samples of a FLAC file of a ramp, [s, channels]."""
    return np.round(soundfile.read(path, always_2d=True)[0] * 2**15).astype(int)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mp4", {"options": {"bf": "3", "g": "12"}}),
        ("b.mkv", {"codec": "ffv1", "first_pts": 6}),
        ("c.mp4", {"options": {"g": "250"}}),
    ],
)
def test_clips_show_the_frames_of_their_spans(tmp_path, name, options):
    path = film(tmp_path / name, **options)
    folders, found = cut(path, [span(3, 9), span(12, 9), span(30, 10)], tmp_path)
    assert [numbers(folder / CLIP) for folder in folders] == [
        (list(range(3, 12)), 24),
        (list(range(12, 21)), 24),
        (list(range(30, 40)), 24),
    ]
    assert found[0] == {
        "start": "1/8", "end": "1/2", "fps": "24", "num_frames": 9, "height": 32, "width": 48
    }  # fmt: skip


def test_overlapping_clips_are_the_same_bytes_as_alone(tmp_path):
    path = film(tmp_path / "a.mp4", sound=None)
    spans = [span(2, 9), span(4, 9), span(11, 9), span(11, 5)]
    together, _ = cut(path, spans, tmp_path / "together")
    assert [numbers(folder / CLIP)[0][0] for folder in together] == [2, 4, 11, 11]
    for number in (1, 2, 3):
        (alone,), _ = cut(path, [spans[number]], tmp_path / f"alone{number}")
        assert (alone / CLIP).read_bytes() == (together[number] / CLIP).read_bytes()


def test_a_variable_rate_becomes_constant_by_its_times(tmp_path):
    """Frame 2 is shown for three times as long."""
    stamps = [0, 100, 200, 500, 600, 700, 800]
    path = film(tmp_path / "v.mp4", 7, rate=1000, stamps=stamps)
    (folder,), _ = cut(path, [span(1, 6, fps=10, base=Fraction(1, 1000))], tmp_path)
    assert numbers(folder / CLIP) == ([1, 2, 2, 2, 3, 4], 10)


def test_a_far_span_is_sought(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", 110, height=16, width=16, options={"g": "12", "bf": "2"})
    spans = [span(2, 5), span(100, 5)]
    decoded, _ = cut(path, spans, tmp_path / "decoded")
    starts = []
    shown = clips.Film.shown
    monkeypatch.setattr(clips.Film, "shown", lambda film, start: starts.append(start) or shown(film, start))
    monkeypatch.setattr(clips, "_SEEK_SECONDS", 1)
    sought, _ = cut(path, spans, tmp_path / "sought")
    assert starts == [spans[0].start, spans[1].start]
    assert [(f / CLIP).read_bytes() for f in sought] == [(f / CLIP).read_bytes() for f in decoded]


def test_the_sound_is_exact_to_the_sample(tmp_path):
    path = film(tmp_path / "a.mov", sound=(ramp(40 / 24, 2), 8000, 0))
    spans = [span(3, 9), span(5, 9), span(30, 10)]
    folders, found = cut(path, spans, tmp_path, sound=True)
    for folder, this, about in zip(folders, spans, found, strict=True):
        first, count = round(this.start * 8000), round(this.num_frames / this.fps * 8000)
        np.testing.assert_array_equal(
            samples(folder / MIX), np.repeat(first + np.arange(count)[:, None], 2, 1)
        )
        assert (about["sample_rate"], about["channels"], about["samples"]) == (8000, 2, count)
        assert about["missing_sound"] == 0
    alone, _ = cut(path, spans[1:2], tmp_path / "alone", sound=True)
    assert (alone[0] / MIX).read_bytes() == (folders[1] / MIX).read_bytes()


def test_sound_that_starts_late_and_ends_early(tmp_path):
    """The clip is as long as its picture; what is missing is silent, and said."""
    path = film(tmp_path / "a.mov", sound=(1 + ramp(0.5), 8000, 4000))  # from .5 to 1 s
    folders, found = cut(path, [span(6, 12), span(18, 12), span(28, 12)], tmp_path, sound=True)
    assert [about["missing_sound"] for about in found] == [0.25, 0.25, 0.5]
    heard = samples(folders[0] / MIX)[:, 0]
    np.testing.assert_array_equal(heard, [0] * 2000 + list(range(1, 2001)))
    assert not samples(folders[2] / MIX).any()
    assert len(samples(folders[2] / MIX)) == 4000


def test_surround_is_mixed_to_stereo(tmp_path):
    sound = np.zeros((8000, 6), np.int16)
    sound[:, 2] = 1000  # the centre
    (folder,), (about,) = cut(
        film(tmp_path / "a.mov", sound=(sound, 8000, 0)), [span(0, 5)], tmp_path, sound=True
    )
    assert about["channels"] == 2
    np.testing.assert_allclose(samples(folder / MIX), 707, atol=1)


def test_large_pictures_are_scaled_down(tmp_path):
    path = film(tmp_path / "a.mp4", 2, height=2160, width=3840, options={"preset": "ultrafast"})
    (folder,), (about,) = cut(path, [span(0, 2)], tmp_path, short_side=120)
    assert (about["height"], about["width"]) == (120, 214)
    assert read_video(folder / CLIP)[0].shape == (2, 120, 214, 3)


@pytest.mark.parametrize(
    ("shown", "size"),
    [
        ((360, 640), (360, 640)),
        ((1080, 1920), (720, 1280)),
        ((1920, 1080), (1280, 720)),
        ((271, 481), (272, 480)),
    ],
)
def test_sizes_are_even_and_never_larger_than_shown(shown, size):
    assert clip_size(shown, 720) == size


def test_pictures_are_upright_in_square_pixels(tmp_path):
    frames = [rgb_frame(quarters(), "yuv444p") for _ in range(3)]
    path = write_film(
        tmp_path / "m.mp4", frames, "libx264", rate=24, aspect=Fraction(2), options={"crf": "2"}
    )
    set_display_matrix(path, 0, 1, 1, 0)  # transposed: mirrored and turned
    (folder,), (about,) = cut(path, [span(0, 2)], tmp_path)
    assert (about["height"], about["width"]) == (96, 32)
    assert quarter_names(read_video(folder / CLIP)[0][0]) == "RBGW"


def test_a_video_that_ends_within_a_span_leaves_the_clips_before(tmp_path):
    path = film(tmp_path / "a.mp4", 20)
    made = cut_clips(path, [span(0, 9), span(15, 9)], [tmp_path / "0", tmp_path / "1"], sound=False)
    next(made)
    with pytest.raises(Unreadable) as caught:
        next(made)
    assert caught.value.reason == "truncated"
    assert (tmp_path / "0" / CLIP).exists()
    assert not list((tmp_path / "1").glob("*"))


def test_clips_of_footage_are_not_marked_as_generated(tmp_path):
    (folder,), _ = cut(film(tmp_path / "a.mp4", 5), [span(0, 4)], tmp_path)
    data = (folder / CLIP).read_bytes()
    assert b"Cut from a video by mtv_jax" in data
    assert b"Generated" not in data


def test_a_video_is_decoded_once_for_all_clips(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", 40)
    opened, shown = [], []
    open_film, show = clips.open_film, clips.Film.shown
    monkeypatch.setattr(clips, "open_film", lambda path: opened.append(path) or open_film(path))
    monkeypatch.setattr(clips.Film, "shown", lambda film, start: shown.append(start) or show(film, start))
    cut(path, [span(3 * k, 5) for k in range(11)], tmp_path)
    assert len(opened) == len(shown) == 1
