"""A pipeline for two speakers: each has a track of its own."""

import numpy as np
import pytest
from pipeline_folders import conditions_of, write_pipeline

from mtv_jax import Pipeline
from mtv_jax import sample as command
from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import probe
from mtv_jax.names import control_tracks
from mtv_jax.pipelines.run import Encoded, GenerateConfig, make_denoise

STEPS = {"num_inference_steps": 2, "progress": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_pipeline(tmp_path_factory.mktemp("two") / "speakers", num_speakers=2)


@pytest.fixture(scope="module")
def pipe(folder):
    return Pipeline.from_pretrained(folder)


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    folder, t = tmp_path_factory.mktemp("voices"), np.arange(16000) / 16000
    for name, hertz in (("speech", 150), ("speech2", 220)):
        write_audio(folder / f"{name}.wav", (0.3 * np.sin(2 * np.pi * hertz * t)).astype(np.float32), 16000)
    return {name: folder / f"{name}.wav" for name in ("speech", "speech2")}


def test_second_speaker_is_heard_and_seen(pipe, voices):
    both = pipe("two people talk", tracks=voices, **STEPS)
    alone = pipe("two people talk", speech=voices["speech"], **STEPS)
    assert np.abs(both.frames.astype(int) - alone.frames).max() > 0
    assert np.abs(both.audio - alone.audio).max() > 0.1  # and is in the sound of the video


def test_a_speaker_who_is_not_given_is_silent(pipe, voices):
    silent, both = conditions_of(pipe, {"speech": voices["speech"]}), conditions_of(pipe, voices)
    assert list(both.tracks) == ["speech", "speech2", "effects", "music"]
    np.testing.assert_array_equal(silent.tracks["speech2"], silent.tracks["music"])
    np.testing.assert_array_equal(silent.tracks["speech"], both.tracks["speech"])
    assert np.abs(both.tracks["speech2"] - silent.tracks["speech2"]).max() > 0.1


def test_without_guidance_all_tracks_are_zero_and_the_speakers_stay():
    seen = {}

    class Spy:
        tracks = ("speech", "speech2", "effects", "music")

        def apply(self, params, x, t, conditions):
            seen.update(conditions.tracks, text=conditions.text)
            return x

    given = Conditions(np.ones((1, 5, 6)), {name: np.ones((1, 3, 2, 4)) for name in Spy.tracks})
    config = GenerateConfig(SamplerConfig(num_steps=2), track_scales=(("speech", 2.0),))
    denoise = make_denoise(Spy(), {}, Encoded(given), config)
    denoise(np.zeros((1, 2, 4, 4, 4), np.float32), np.array([999.0], np.float32))
    # Branches: nothing, then text, then both speakers (who share a scale), then the rest.
    steps = {
        name: [int(x) for x in np.asarray(value).mean(axis=(1, *range(2, value.ndim)))]
        for name, value in seen.items()
    }
    assert steps == {
        "text": [0, 1, 1, 1],
        "speech": [0, 0, 1, 1],
        "speech2": [0, 0, 1, 1],
        "effects": [0, 0, 0, 1],
        "music": [0, 0, 0, 1],
    }


def test_of_four_speakers_each_may_have_a_scale_of_its_own():
    config = GenerateConfig(
        track_scales=(("text", 6.0), ("speech", 4.0), ("speech3", 2.0)), guidance_scale=1.0
    )
    groups, scales = config.groups(control_tracks(4))
    assert groups == [["text"], ["speech", "speech2"], ["speech3"], ["speech4"], ["effects", "music"]]
    assert scales == [6.0, 4.0, 2.0, 4.0, 1.0]


def test_a_second_speaker_for_a_model_of_one_is_an_error(pipeline_folder, voices):
    one = Pipeline.from_pretrained(pipeline_folder)
    with pytest.raises(UserError, match=r"speech2\.wav: this model has one speaker"):
        one("two people talk", tracks=voices, **STEPS)
    with pytest.raises(UserError, match="guidance_scale of speech2"):
        one("two people talk", guidance_scale={"speech2": 2.0}, **STEPS)


def test_command_takes_both_voices(folder, voices, tmp_path, capsys):
    argv = [
        "--preset",
        folder,
        "--prompt",
        "Person1 and Person2 talk",
        "--out",
        tmp_path / "two.mp4",
        "--steps",
        "2",
    ]
    command.main(
        [
            str(a)
            for a in (
                *argv,
                "--speech",
                f"Person1={voices['speech']}",
                "--speech",
                f"Person2={voices['speech2']}",
            )
        ]
    )
    assert probe(tmp_path / "two.mp4").has_audio
    assert "with sound" in capsys.readouterr().out
