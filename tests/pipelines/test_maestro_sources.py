"""Maestro without its networks: what sources are, where they are seen, and which clip a frame hears."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from mtv_jax.audio.recognition import Proposal
from mtv_jax.audio.separation.base import ModelCard
from mtv_jax.io.audio import Recording, write_audio
from mtv_jax.io.captions import draw_boxes
from mtv_jax.io.errors import UserError
from mtv_jax.pipelines.maestro.features import clip_of_frames, cut_clips
from mtv_jax.pipelines.maestro.hearing import check_stereo, separate_mix, text_separator
from mtv_jax.pipelines.maestro.layout import layout_boxes, place_sources, position, stereo_boxes
from mtv_jax.pipelines.maestro.listing import COMMON, list_sources, read_words
from mtv_jax.pipelines.maestro.sources import Source, parse_source, read_sources
from mtv_jax.pipelines.places import Place, parse_place
from mtv_jax.weights.maestro_defaults import MaestroDefaults
from mtv_jax.weights.model_index import PipelineDefaults, maestro_defaults

RATE = 8000


def recording(samples: np.ndarray) -> Recording:
    positions = ["FL", "FR"][: samples.shape[1]]
    return Recording(Path("mix.wav"), samples.astype(np.float32), positions, RATE, len(samples) / RATE)


def panned(place: float, seed: int = 0, seconds: float = 1.0) -> np.ndarray:
    """Noise that a panner of constant power has put between left (0) and right (1)."""
    noise = np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))
    return np.stack([np.cos(place * np.pi / 2) * noise, np.sin(place * np.pi / 2) * noise], -1)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("dog barking", Source("dog barking")),
        ("dog barking@0,.3,.5,.7", Source("dog barking", None, Place.at(0, 0.3, 0.5, 0.7))),
        (" rain @ background ", Source("rain", None, Place())),
        ("cat=a/cat.wav", Source("cat", "a/cat.wav")),
        (
            "cat=cat.wav@0s:0,.3,.5,.7; 2.5s:.5,.3,1,.7",
            Source("cat", "cat.wav", Place(((0, (0, 0.3, 0.5, 0.7)), (2.5, (0.5, 0.3, 1, 0.7))))),
        ),
    ],
)
def test_a_source_is_a_name_with_a_file_and_a_place(text, source):
    assert parse_source(text) == source


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("@0,0,1,1", "source '@0,0,1,1': has no name"),
        ("dog=@0,0,1,1", "has no file behind ="),
        ("dog@0,.3,.5", "place '0,.3,.5': must be left,top,right,bottom"),
        ("dog@left", "place 'left': must be left,top"),
        ("dog@0,.3,1.5,.7", "source 'dog@0,.3,1.5,.7': box 0,0.3,1.5,0.7: outside the frame"),
        ("dog@nan,0,1,1", "outside the frame"),
        ("dog@.5,.3,.5,.7", "box 0.5,0.3,0.5,0.7: empty"),
        ("dog@0:0,0,1,1", "must be left,top,right,bottom"),
        ("dog@2s:0,0,1,1;1s:0,0,1,1", "boxes at the times .2.0, 1.0.: give at least one, at rising times"),
        ("dog@-1s:0,0,1,1", "rising times that are not below 0"),
    ],
)
def test_other_texts_are_refused_by_what_is_wrong(text, message):
    with pytest.raises(UserError, match=message):
        parse_source(text)


@pytest.mark.parametrize(
    ("sources", "mixed", "message"),
    [
        ([], True, "there are none"),
        (["dog", "Dog@0,0,1,1"], True, "'dog': is given twice"),
        (["dog=dog.wav"], True, "'dog': has a file of its own"),
        (["dog"], False, "'dog': is in no file"),
        ("dog", True, "must be a list"),
    ],
)
def test_sources_are_of_a_mix_or_have_files(sources, mixed, message):
    with pytest.raises(UserError, match=message):
        read_sources(sources, mixed=mixed)


def test_a_box_moves_evenly_between_its_times_and_stands_still_outside():
    place = parse_place("0.5s:0,.3,.5,.7;1.5s:.5,.3,1,.7")
    left = place.boxes(9, Fraction(4))[:, 0]
    np.testing.assert_allclose(left, [0, 0, 0, 0.125, 0.25, 0.375, 0.5, 0.5, 0.5])
    np.testing.assert_array_equal(Place().boxes(2, Fraction(8)), [[0, 0, 1, 1]] * 2)


def test_layouts_are_those_of_the_paper_for_two_and_fill_the_frame_for_more():
    assert layout_boxes("auto", 1) == [(0, 0, 1, 1)]
    assert layout_boxes("auto", 2) == layout_boxes("lr", 2) == [(0, 0.3, 0.5, 0.7), (0.5, 0.3, 1, 0.7)]
    assert layout_boxes("td", 2) == [(0, 0, 1, 0.4), (0, 0.4, 1, 1)]
    assert [box[0] for box in layout_boxes("auto", 3)] == [0, 1 / 3, 2 / 3]
    assert [(box[0], box[1]) for box in layout_boxes("auto", 5)] == [
        (0, 0), (1 / 3, 0), (2 / 3, 0), (0, 0.5), (0.5, 0.5),
    ]  # fmt: skip
    for layout in ("td", "grid"):
        assert sum((box[2] - box[0]) * (box[3] - box[1]) for box in layout_boxes(layout, 7)) == pytest.approx(
            1
        )


def test_a_place_of_its_own_keeps_its_slot_and_the_background_takes_none():
    rain, dog = Source("rain", None, Place()), Source("dog", None, Place.at(0, 0, 0.1, 0.1))
    places = place_sources([rain, dog, Source("cat")], "lr")
    assert places["rain"].background
    assert places["dog"] == dog.place
    assert places["cat"] == Place.at(0.5, 0.3, 1, 0.7)


@pytest.mark.parametrize("place", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_a_panned_sound_is_heard_where_it_was_put(place):
    assert position(panned(place)) == pytest.approx(place, abs=1e-6)


def test_what_leaks_from_another_sound_moves_a_box_little():
    """A source at 0.2 with a tenth of the energy of one at 0.8, as a separator leaves it."""
    heard = position(panned(0.2) + 10**-0.5 * panned(0.8, seed=1))
    assert heard == pytest.approx(0.2, abs=0.08)
    assert position(np.zeros((10, 2))) == 0.5


def test_boxes_of_a_stereo_layout_stand_where_sounds_are_and_do_not_overlap():
    left, right = stereo_boxes([0.25, 0.75])
    assert [(box[0] + box[2]) / 2 for box in (left, right)] == pytest.approx([0.25, 0.75])
    assert stereo_boxes([0.75, 0.25]) == [right, left]
    assert stereo_boxes([0.0])[0] == (0, 0.3, 0.5, 0.7)
    for positions in ([0.5] * 4, [1.0, 1.0, 0.9], [0.4, 0.45, 0.0, 1.0, 0.41]):
        boxes = stereo_boxes(positions)
        order = sorted(range(len(boxes)), key=lambda i: (positions[i], i))
        sides = [side for i in order for side in (boxes[i][0], boxes[i][2])]
        assert np.all(np.diff(sides) >= -1e-9)
        assert 0 <= sides[0] <= sides[-1] <= 1
    middle = [sum(box[::2]) / 2 for box in stereo_boxes([0.5, 0.5])]
    assert middle == pytest.approx([0.3, 0.7]), "pushed apart by the same distance"


def test_a_stereo_layout_needs_sides_that_differ():
    check_stereo({"audio": recording(panned(0.2))})
    with pytest.raises(UserError, match=r"mix\.wav: is mono"):
        check_stereo({"audio": recording(panned(0.2)[:, :1])})
    with pytest.raises(UserError, match=r"mix\.wav: has the same sound on all sides"):
        check_stereo({"audio": recording(panned(0.5))})


class Halves:
    """A separator by words that gives each a share of the mix."""

    def __init__(self, **shares: float):
        self.shares = shares

    def card(self) -> ModelCard:
        return ModelCard("halves", "0", "CC0-1.0", "", "real")

    def separate(self, samples, sample_rate, words):
        return {word: np.float32(self.shares[word]) * samples for word in words}


def test_a_source_that_is_not_in_the_mix_is_an_error_that_says_how_little_was_found():
    mix, sources = recording(panned(0.5)), [Source("dog"), Source("cat")]
    heard = separate_mix(mix, sources, Halves(dog=0.8, cat=0.1), 0.5)
    assert [sound.samples.shape for sound in heard.values()] == [(RATE // 2, 1)] * 2
    sides = separate_mix(mix, sources, Halves(dog=0.8, cat=0.1), 0.5, channels=True)
    np.testing.assert_allclose(sides["dog"].samples, 0.8 * mix.samples[: RATE // 2])
    with pytest.raises(UserError, match=r"'cat': is not in mix\.wav: what is separated of it is 40 dB below"):
        separate_mix(mix, sources, Halves(dog=0.8, cat=0.01), 0.5)
    separate_mix(mix, sources, Halves(dog=0.8, cat=0.01), 0.5, force=True)
    with pytest.raises(UserError, match=r"audio mix\.wav: is silent"):
        separate_mix(recording(np.zeros((RATE, 2))), sources, Halves(dog=1, cat=1), 0.5)


def test_folders_without_a_separator_say_what_to_give(tmp_path):
    with pytest.raises(
        UserError, match=r"has no separator by words \(separator/ of AudioSep, or checkpoint\.pt"
    ):
        text_separator(tmp_path)


def starts(clips: list[np.ndarray]) -> list[int]:
    """The first samples of clips of a sound of squares, whose mean was removed: differences of squares tell them."""
    return [round((float(clip[1]) - float(clip[0]) - 1) / 2) for clip in clips]


@pytest.mark.parametrize(
    ("sampler", "seconds", "found"),
    [
        ("tiled", 5, [0, 32000, 64000]),
        ("even", 5, [0, 24000, 48000]),
        ("early", 5, [0, 16000, 32000]),
        ("even", 6, [0, 32000, 64000]),
        ("tiled", 0.5, [0]),
        ("even", 0.5, [0]),
    ],
)
def test_clips_of_two_seconds_start_where_the_sampler_says(sampler, seconds, found):
    squares = np.arange(7 * 16000, dtype=np.float64) ** 2
    clips = cut_clips(squares, seconds, sampler)
    assert [len(clip) for clip in clips] == [32000] * len(found)
    assert starts(clips) == found


def test_the_last_clip_is_padded_with_silence_and_clips_have_no_mean():
    sound = np.ones(48000, np.float32)
    first, last = cut_clips(sound, 3, "tiled")
    np.testing.assert_array_equal(first, 0)
    np.testing.assert_allclose(last[[0, -1]], [0.5, -0.5])


def test_frames_have_the_clip_of_their_time():
    assert clip_of_frames(16, 5, None).tolist() == [f * 5 // 16 for f in range(16)]
    assert clip_of_frames(16, 1, None).tolist() == [0] * 16
    assert clip_of_frames(20, 2, 8).tolist() == [0] * 8 + [1] * 12


def test_boxes_are_drawn_into_a_copy_where_the_source_is():
    frames = np.zeros((2, 64, 96, 3), np.uint8)
    boxes = np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 1]], np.float32)
    drawn = draw_boxes(frames, {"dog": boxes})
    assert not frames.any()
    assert drawn[0, :, :48].any()
    assert not drawn[0, :, 60:].any()
    assert not drawn[1, :, :40].any()


def test_words_are_those_of_the_flag_or_of_a_file(tmp_path):
    assert read_words("") == list(COMMON)
    assert read_words("a dog, rain ,a dog") == ["a dog", "rain"]
    (tmp_path / "words.txt").write_text("a dog\n\nrain\n", encoding="utf-8")
    assert read_words(str(tmp_path / "words.txt")) == ["a dog", "rain"]
    with pytest.raises(UserError, match="fewer than two different words"):
        read_words(",")
    with pytest.raises(UserError, match="has no clap/"):
        list_sources(tmp_path, "mix.wav", "")


def test_words_are_listed_by_how_likely_they_are_heard(tmp_path, monkeypatch):
    (tmp_path / "clap").mkdir()
    write_audio(tmp_path / "mix.wav", panned(0.5).astype(np.float32), RATE)
    heard = []

    def propose(clap, samples, sample_rate, words):
        heard.append((clap, samples.shape, sample_rate, words))
        return [Proposal("rain", 0.31, 0.7, True), Proposal("a dog", 0.02, 0.3, False)]

    monkeypatch.setattr("mtv_jax.pipelines.maestro.listing.load_clap", lambda folder: folder.name)
    monkeypatch.setattr("mtv_jax.pipelines.maestro.listing.propose_sources", propose)
    lines = list_sources(tmp_path, tmp_path / "mix.wav", "a dog,rain")
    assert heard == [("clap", (RATE, 2), RATE, ["a dog", "rain"])]
    assert lines == ["  sound  cosine  share", "* rain    0.310  0.700", "  a dog   0.020  0.300"]
    write_audio(tmp_path / "mix.wav", np.zeros((RATE, 2), np.float32), RATE)
    with pytest.raises(UserError, match=r"mix\.wav: is silent, so that nothing is heard in it"):
        list_sources(tmp_path, tmp_path / "mix.wav", "a dog,rain")


def test_defaults_are_the_presets_where_a_folder_says_nothing():
    paper, released = (MaestroDefaults.of_preset(preset) for preset in ("paper", "released"))
    assert (paper.options("LR").first_slot, released.options("LR").first_slot) == (0, 1)
    fixed = MaestroDefaults.from_json({"mosaic": {"locate_boxes": [[0, 0, 1, 1]]}}).options("LR")
    assert fixed.locate_boxes == ((0, 0, 1, 1),)
    assert released.options("TD").locate_boxes == ((0, 0, 1, 0.4), (0, 0.4, 1, 1))
    changed = MaestroDefaults.from_json({"preset": "released", "mosaic": {"strength": 0.2}})
    assert (changed.frames_per_clip, changed.options("LR").strength) == (8, 0.2)
    for defaults in (paper, released, changed):
        assert MaestroDefaults.from_json(defaults.to_json()) == defaults
    assert PipelineDefaults.from_json(maestro_defaults().to_json()) == maestro_defaults()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"preset": "other"}, "preset 'other': must be one of paper, released"),
        ({"locating_steps": -1}, "locating_steps -1"),
        ({"clip_sampler": "late"}, "clip_sampler 'late'"),
        ({"steps": 6}, "unknown keys steps"),
        ({"mosaic": {"size": 1}}, "mosaic size: known are strength"),
        ({"mosaic": {"gaussian": "both"}}, "gaussian='both'"),
        ({"mosaic": {"strength": "big"}}, "mosaic strength 'big': must be a finite number"),
        ({"mosaic": {"first_slot": 70}}, "mosaic first_slot 70: must be at most 1"),
        ({"mosaic": {"locate_boxes": [0, 0, 1, 1]}}, "mosaic locate_boxes: must be a list of boxes"),
        ({"mosaic": {"locate_boxes": [[0, 0, 2, 1]]}}, "box 0,0,2,1: outside the frame"),
        ([], "must be an object"),
    ],
)
def test_invalid_defaults_are_named(values, message):
    with pytest.raises(UserError, match=message):
        MaestroDefaults.from_json(values)
