"""Clips show the frames of their span, sound like it to the sample, and are cut while the film is decoded once."""

from fractions import Fraction

import numpy as np
import pytest
import soundfile
from curation.detectors import Known
from media_files import quarter_names, quarters, rgb_frame, set_display_matrix, write_film

from mtv_jax.curation import clips
from mtv_jax.curation import soundtrack as soundtracks
from mtv_jax.curation.clips import clip_size, cut_clips
from mtv_jax.curation.shots import Change, WindowConfig, fits, window
from mtv_jax.curation.soundtrack import soundtrack
from mtv_jax.curation.stages import CLIP, MIX
from mtv_jax.curation.stream import find_shots
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


def cut(path, folder, length, *changes, sound=False, short_side=720, delay=0, says_lasting=True, **config):
    """The folders of the clips of so many frames, by their first frame, and what is said of them."""
    config = WindowConfig(**{"num_frames": length, "stride": length, "margin": 0, "fade_margin": 0, **config})

    def place(span):
        return folder / f"{round(span.start * span.fps):03d}"

    detector = Known(*changes, delay=delay, says_lasting=says_lasting)
    found = cut_clips(
        path,
        detector,
        config,
        place,
        short_side=short_side,
        sound=(lambda: soundtrack(path, folder)) if sound else None,
    )
    return [place(span) for span, _ in found.clips], [about for _, about in found.clips]


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
    folders, found = cut(path, tmp_path, 9, Change(25), Change(27, "fade", 31), skip=3)
    assert [numbers(folder / CLIP) for folder in folders] == [
        (list(range(3, 12)), 24),
        (list(range(12, 21)), 24),
        (list(range(31, 40)), 24),
    ]
    assert found[0] == {
        "start": "1/8", "end": "1/2", "fps": "24", "num_frames": 9, "height": 32, "width": 48
    }  # fmt: skip


def test_overlapping_clips_are_the_same_bytes_as_alone(tmp_path):
    path = film(tmp_path / "a.mp4", sound=None)
    together, _ = cut(path, tmp_path / "together", 9, stride=4)
    assert [numbers(folder / CLIP)[0][0] for folder in together] == list(range(0, 32, 4))
    for number in (1, 2, 7):
        alone, _ = cut(path, tmp_path / f"alone{number}", 9, stride=40, skip=4 * number)
        assert [(x / CLIP).read_bytes() for x in alone] == [(together[number] / CLIP).read_bytes()]


def test_a_variable_rate_becomes_constant_by_its_times(tmp_path):
    """Frame 2 is shown for three times as long."""
    stamps = [0, 100, 200, 500, 600, 700, 800]
    path = film(tmp_path / "v.mp4", 7, rate=1000, stamps=stamps)
    (folder,), _ = cut(path, tmp_path, 6, fps=Fraction(10), skip=1)
    assert numbers(folder / CLIP) == ([1, 2, 2, 2, 3, 4], 10)


def test_the_sound_is_exact_to_the_sample(tmp_path):
    path = film(tmp_path / "a.mov", sound=(ramp(40 / 24, 2), 8000, 0))
    folders, found = cut(path, tmp_path, 9, sound=True, stride=14, skip=3)
    for first, folder, about in zip((3, 17, 31), folders, found, strict=True):
        heard = round(first / 24 * 8000) + np.arange(3000)[:, None]
        np.testing.assert_array_equal(samples(folder / MIX), np.repeat(heard, 2, 1))
        assert (about["sample_rate"], about["channels"], about["samples"]) == (8000, 2, 3000)
        assert about["missing_sound"] == 0


def test_sound_that_starts_late_and_ends_early(tmp_path):
    """The clip is as long as its picture; what is missing is silent, and said."""
    path = film(tmp_path / "a.mov", sound=(1 + ramp(0.5), 8000, 4000))  # from .5 to 1 s
    folders, found = cut(path, tmp_path, 12, sound=True, stride=11, skip=6)
    assert [about["missing_sound"] for about in found] == [0.25, pytest.approx(5 / 24, abs=1e-4), 0.5]
    heard = samples(folders[0] / MIX)[:, 0]
    np.testing.assert_array_equal(heard, [0] * 2000 + list(range(1, 2001)))
    assert not samples(folders[2] / MIX).any()
    assert len(samples(folders[2] / MIX)) == 4000


def test_a_gap_in_the_sound_is_silent_and_missing(tmp_path):
    with soundfile.SoundFile(tmp_path / "s.wav", "w", 100, 1, "FLOAT") as file:
        pieces = [(-2, np.full((4, 1), 0.5)), (5, np.full((5, 1), 0.25)), (8, np.full((4, 1), 1.0))]
        length, gaps = soundtracks._write(iter(pieces), file)
    assert (length, gaps) == (12, [(2, 5)])
    sound = soundtracks.Soundtrack(tmp_path / "s.wav", 100, ("FC",), length, tuple(gaps))
    heard, missing = sound.clip(1, 14)
    assert heard[:, 0].tolist() == [0.5] + [0] * 3 + [0.25] * 5 + [1] * 2 + [0] * 2
    assert missing == 3 + 2


def test_surround_is_mixed_to_stereo(tmp_path):
    sound = np.zeros((8000, 6), np.int16)
    sound[:, 2] = 1000  # the centre
    path = film(tmp_path / "a.mov", 5, sound=(sound, 8000, 0))
    (folder,), (about,) = cut(path, tmp_path, 5, sound=True)
    assert about["channels"] == 2
    np.testing.assert_allclose(samples(folder / MIX), 707, atol=1)


def test_large_pictures_are_scaled_down(tmp_path):
    path = film(tmp_path / "a.mp4", 2, height=2160, width=3840, options={"preset": "ultrafast"})
    (folder,), (about,) = cut(path, tmp_path, 2, short_side=120)
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
    (folder,), (about,) = cut(path, tmp_path, 2, stride=3)
    assert (about["height"], about["width"]) == (96, 32)
    assert quarter_names(read_video(folder / CLIP)[0][0]) == "RBGW"


def test_a_picture_that_changes_its_shape_leaves_the_clips_before(tmp_path):
    parts = [film(tmp_path / f"{x}.m2v", 20, codec="mpeg2video", height=x, width=80 - x) for x in (32, 48)]
    path = tmp_path / "a.m2v"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(Unreadable) as caught:
        cut(path, tmp_path, 9)
    assert caught.value.reason == "resolution_change"
    assert sorted(x.relative_to(tmp_path).as_posix() for x in tmp_path.glob("*/*")) == [
        f"000/{CLIP}",
        f"009/{CLIP}",
    ]


def test_clips_of_footage_are_not_marked_as_generated(tmp_path):
    (folder,), _ = cut(film(tmp_path / "a.mp4", 5), tmp_path, 4)
    data = (folder / CLIP).read_bytes()
    assert b"Cut from a video by mtv_jax" in data
    assert b"Generated" not in data


CHANGES = (Change(7), Change(20, "dissolve", 29), Change(24), Change(33), Change(36, "fade", 38))


@pytest.mark.parametrize("delay", [0, 5, 100])
@pytest.mark.parametrize("says_lasting", [True, False])
@pytest.mark.parametrize("stride", [2, 5, 9])
def test_clips_are_those_of_the_shots_whenever_these_become_known(tmp_path, delay, says_lasting, stride):
    path = film(tmp_path / "a.mp4", 60)
    config = {"stride": stride, "margin": 1, "fade_margin": 2}
    folders, _ = cut(path, tmp_path, 5, *CHANGES, delay=delay, says_lasting=says_lasting, **config)
    wanted, known = [], WindowConfig(num_frames=5, **config)
    for shot in find_shots(path, Known(*CHANGES)):
        spans = (window(shot, number, known, Fraction(24)) for number in range(30))
        wanted += [round(span.start * 24) for span in spans if fits(span, shot, known)]
    assert [int(folder.name) for folder in folders] == wanted
    assert [numbers(folder / CLIP)[0] for folder in folders] == [
        [y % 41 for y in range(x, x + 5)] for x in wanted
    ]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [x.name for x in folders]


def held(monkeypatch):
    """The numbers of frames that were kept."""
    read, kept = clips._Reel._read, []

    def counted(reel):
        found = read(reel)
        kept.append(len(reel._held))
        return found

    monkeypatch.setattr(clips._Reel, "_read", counted)
    return kept


@pytest.mark.parametrize("length", [5, 70])
def test_no_more_frames_are_kept_than_the_detector_is_behind(tmp_path, monkeypatch, length):
    path, kept = film(tmp_path / "a.mp4", 150), held(monkeypatch)
    folders, _ = cut(path, tmp_path, length, delay=10)
    assert len(folders) == 150 // length
    assert max(kept) <= 13


def test_frames_of_a_long_fade_are_not_kept(tmp_path, monkeypatch):
    path, kept = film(tmp_path / "a.mp4", 150), held(monkeypatch)
    folders, _ = cut(path, tmp_path, 5, Change(10, "fade", 140), delay=3)
    assert [int(folder.name) for folder in folders] == [0, 5, 140, 145]
    assert max(kept) <= 6


def test_large_frames_are_kept_as_small_pictures(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", 12, height=64, width=96)
    kept, whole = clips._Reel._kept, []
    monkeypatch.setattr(clips._Reel, "_kept", lambda *args: whole.append(kept(*args)) or whole[-1])
    cut(path, tmp_path / "small", 5, short_side=16, delay=4)
    cut(path, tmp_path / "large", 5, short_side=64, delay=100)
    assert {frame.pixels is None for frame in whole[:12]} == {False}
    assert whole[-1].pixels is None


def test_a_video_is_decoded_once_for_all_clips(tmp_path, monkeypatch):
    path = film(tmp_path / "a.mp4", 40)
    opened, shown = [], []
    open_film, show = clips.open_film, clips.Film.shown
    monkeypatch.setattr(clips, "open_film", lambda path: opened.append(path) or open_film(path))
    monkeypatch.setattr(clips.Film, "shown", lambda *args: shown.append(args) or show(*args))
    cut(path, tmp_path, 5, Change(11), stride=3)
    assert len(opened) == len(shown) == 1
