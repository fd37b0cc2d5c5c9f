"""Story files: the arguments of a call, and errors that name the key."""

import json
from fractions import Fraction

import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.io.schema import check_schema
from mtv_jax.pipelines.timeline.story import read_story, story_schema, with_flags


@pytest.fixture
def story(tmp_path):
    def write(text):
        path = tmp_path / "story.yaml"
        path.write_text(text)
        return path

    return write


def test_a_story_is_the_arguments_of_a_call(story, tmp_path):
    path = story(
        """
        prompt:
          - {at: 0, text: "Person1 waits."}
          - {at: 4.5, text: "Person1 speaks."}
        tracks: {speech:Person1: sounds/a.wav, music: /music/m.flac}
        keyframes: {0: a.png, 2.5s: b.png}
        duration: 20
        fps: 24000/1001
        guidance_scale: {text: 6, speech:Person1: 4}
        seed: 3
        """
    )
    assert read_story(path) == {
        "prompt": [(0, "Person1 waits."), (4.5, "Person1 speaks.")],
        "tracks": {"speech:Person1": tmp_path / "sounds/a.wav", "music": tmp_path.__class__("/music/m.flac")},
        "keyframes": {0: tmp_path / "a.png", "2.5s": tmp_path / "b.png"},
        "duration": 20,
        "fps": Fraction(24000, 1001),
        "guidance_scale": {"text": 6, "speech:Person1": 4},
        "seed": 3,
    }


def test_a_story_may_be_json(story):
    assert read_story(story(json.dumps({"prompt": "a bell", "fps": 29.97}))) == {
        "prompt": "a bell",
        "fps": Fraction(30000, 1001),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("duration: 20", "prompt: is missing"),
        ("prompt: a\nduratoin: 20", "duratoin: is not known; did you mean duration?"),
        ("prompt: a\nxyz: 20", "xyz: is not known; known are prompt, "),
        ("prompt: [{at: 0, txt: a}]", "prompt: entry 1: txt: is not known; did you mean text?"),
        ("prompt: [{at: 0}]", "prompt: entry 1: text: is missing"),
        ("prompt: [{at: soon, text: a}]", "prompt: entry 1: at: 'soon' must be a number"),
        ("prompt: [{at: -1, text: a}]", "prompt: entry 1: at: -1 must be at least 0"),
        ("prompt: [{at: .nan, text: a}]", "prompt: entry 1: at: nan must be a finite number"),
        ("prompt: ' '", "prompt: is blank"),
        ("prompt: []", "prompt: is an empty list"),
        ("prompt: 7", "prompt: 7 must be a text or a list"),
        ("prompt: a\nduration: .inf", "duration: inf must be a finite number"),
        ("prompt: a\nduration: 0", "duration: 0 must be above 0"),
        ("prompt: a\nduration: true", "duration: True must be a number"),
        ("prompt: a\nnum_frames: 4.5", "num_frames: 4.5 must be a whole number or auto"),
        ("prompt: a\nnum_frames: all", "num_frames: 'all' must be a whole number or auto"),
        ("prompt: a\nkeyframe_fit: stretch", "keyframe_fit: 'stretch' must be crop or pad"),
        ("prompt: a\nguidance_scale: {text: 101}", "guidance_scale: text: 101 must be at most 100"),
        ("prompt: a\ntracks: [a.wav]", "tracks: ['a.wav'] must be a mapping"),
        ("prompt: a\ntracks: {music: }", "tracks: music: None must be a text"),
        ("prompt: a\nfps: fast", "fps fast: a frame rate is a number"),
        ("prompt: a\nprompt: b", "is not YAML at line 2: prompt is given twice"),
        ("prompt: [a", "is not YAML at line"),
        ("prompt: !!python/object:os.system x", "is not YAML at line 1: could not determine a constructor"),
        ("- a", "must be a mapping of keys"),
        ("", "must be a mapping of keys"),
        ("{[a]: b}", "is not YAML"),
        ("[" * 5000, "is not YAML"),
    ],
)
def test_an_error_is_one_line_that_names_the_file_and_the_key(story, text, message):
    path = story(text)
    with pytest.raises(UserError) as error:
        read_story(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_flags_take_precedence_over_the_file():
    story = {"tracks": {"speech": "a", "music": "m"}, "duration": 20, "fps": 24, "keyframes": {0: "a"}}
    given = {"tracks": {"music": "n"}, "num_frames": 49, "keyframes": {"1s": "b"}}
    assert with_flags(story, given) == {
        "tracks": {"speech": "a", "music": "n"},
        "num_frames": 49,
        "fps": 24,
        "keyframes": {"1s": "b"},
    }
    assert with_flags(story, {"audio": "mix"}) == {
        "audio": "mix",
        "duration": 20,
        "fps": 24,
        "keyframes": {0: "a"},
    }
    assert with_flags({"audio": "mix"}, {"speech": "a"}) == {"speech": "a"}


def test_the_schema_has_the_arguments_of_a_call():
    from mtv_jax.pipelines.mtv import MTVPipeline

    known, taken = set(story_schema()["properties"]), {"prompt", *MTVPipeline.arguments()}
    assert known <= taken
    # How it is computed, and sounds one by one, are no part of a story.
    assert taken - known <= {"speech", "effects", "music", "vae_tiling", "force", "progress", "work_dir"}


def test_what_a_schema_says_nothing_of_is_any_value():
    check_schema({"a": [1, None]}, {"type": "object", "properties": {}}, "x")
