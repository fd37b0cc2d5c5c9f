"""Frames are chosen evenly and kept small; colours are read where hair and clothes are."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from mtv_jax.curation.captions.colours import brightness, colour_of, hair_and_clothes
from mtv_jax.curation.captions.frames import even_frames
from mtv_jax.curation.captions.music import RATE, is_lively
from mtv_jax.io.video import write_video
from mtv_jax.theatre.plan import HAIRS, SHIRTS


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Twelve frames, each brighter than the one before."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    grey = np.arange(20, 240, 18, dtype=np.uint8)[:12]
    write_video(path, np.broadcast_to(grey[:, None, None, None], (12, 32, 64, 3)).copy(), 12)
    return path


@pytest.mark.parametrize(("count", "shown"), [(1, [6]), (3, [2, 6, 10]), (12, range(12)), (40, range(12))])
def test_frames_are_the_middles_of_equal_parts(clip, count, shown):
    frames = even_frames(clip, count, 64)
    assert [round((np.asarray(frame).mean() - 20) / 18) for frame in frames] == list(shown)


@pytest.mark.parametrize(("longest", "size"), [(32, (32, 16)), (640, (64, 32))])
def test_frames_are_made_smaller_only(clip, longest, size):
    assert even_frames(clip, 1, longest)[0].size == size


FACE = (0.4, 0.3, 0.6, 0.6)


def portrait(hair, shirt):
    image = Image.new("RGB", (100, 100), (120, 170, 120))
    draw = ImageDraw.Draw(image)
    draw.ellipse((36, 20, 64, 60), fill=hair)
    draw.ellipse((40, 30, 60, 60), fill=(219, 168, 118))
    draw.rectangle((32, 66, 68, 100), fill=shirt)
    return image


@pytest.mark.parametrize("hair", HAIRS)
def test_the_colour_of_hair(hair):
    assert hair_and_clothes([portrait(HAIRS[hair], (0, 0, 0))], FACE)[0] == hair


@pytest.mark.parametrize("shirt", SHIRTS)
def test_the_colour_of_clothes(shirt):
    assert hair_and_clothes([portrait((0, 0, 0), SHIRTS[shirt])] * 2, FACE)[1] == shirt


def test_what_is_outside_of_the_picture_has_no_colour():
    assert hair_and_clothes([portrait((0, 0, 0), (0, 0, 0))], (0.2, 0.0, 0.8, 0.9)) == (None, None)
    assert colour_of([portrait((0, 0, 0), (0, 0, 0))], (0.0, 0.0, 1.0, 1.0)) == "green"


def test_light_is_the_mean_of_the_frames():
    black, white = Image.new("RGB", (4, 4)), Image.new("RGB", (8, 8), (255, 255, 255))
    assert brightness([black, white]) == pytest.approx(0.5)


def test_music_is_lively_by_its_onsets():
    time = np.arange(2 * RATE) / RATE
    strokes = {rate: np.exp(-30 * (time % (1 / rate))) * np.sin(2 * np.pi * 440 * time) for rate in (1, 5)}
    assert is_lively(strokes[5].astype(np.float32))
    assert not is_lively(strokes[1].astype(np.float32))
