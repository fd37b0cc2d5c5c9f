"""Maestro from files to a video, with the smallest networks and random weights."""

import dataclasses
import math

import jax
import numpy as np
import pytest
from front_doors import exit_code, forbid_networks
from maestro_folders import PARTS, write_maestro, write_mix

from mtv_jax import Pipeline, sample
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import probe, read_video
from mtv_jax.pipelines.maestro.pipeline import MaestroPipeline
from mtv_jax.pipelines.places import Place, Scene
from mtv_jax.pipelines.run import GenerateConfig, Request, check_follows_sound, row_request
from mtv_jax.pipelines.run import sample as make_frames
from mtv_jax.planning import health, memory
from mtv_jax.weights.tensor_files import read_tensors

QUIET = {"progress": False}
BOXES = ("@0,.2,.5,.8", "@.5,.2,1,.8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_maestro(tmp_path_factory.mktemp("maestro") / "small")


@pytest.fixture(scope="module")
def pipe(folder):
    return Pipeline.from_pretrained(folder)


@pytest.fixture(scope="module")
def mix(tmp_path_factory):
    return write_mix(tmp_path_factory.mktemp("sounds") / "mix.wav")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of each of two sources."""
    made = {}
    for name, hertz in (("dog", 300), ("cat", 1700)):
        t = np.arange(2 * 16000) / 16000
        made[name] = tmp_path_factory.mktemp("sources") / f"{name}.wav"
        write_audio(made[name], (0.3 * np.sin(2 * np.pi * hertz * t)).astype(np.float32), 16000)
    return made


@pytest.fixture(scope="module")
def sources(files):
    return [f"{name}={file}{box}" for (name, file), box in zip(files.items(), BOXES, strict=True)]


@pytest.fixture(scope="module")
def video(pipe, sources):
    return pipe(sources=sources, **QUIET)


def differ(one, other) -> float:
    return float(np.abs(one.frames.astype(int) - other.frames).mean())


def test_a_video_of_a_mix_has_its_sound_and_the_boxes_of_its_sources(pipe, mix):
    video = pipe(audio=mix, sources=["dog", "cat"], force=True, **QUIET)
    assert video.frames.shape == (4, 16, 32, 3)
    assert video.audio.shape == (2 * video.sample_rate, 2)
    np.testing.assert_allclose(video.boxes["cat"], [[0.5, 0.3, 1, 0.7]] * 4)
    np.testing.assert_array_equal(
        video.frames, pipe(audio=mix, sources=["dog", "cat"], force=True, **QUIET).frames
    )
    prompted = pipe("a dog in the snow", audio=mix, sources=["dog", "cat"], force=True, **QUIET)
    assert differ(video, prompted) > 0.1


def test_the_order_of_sources_does_not_matter_but_their_boxes_do(pipe, sources, video):
    assert differ(video, pipe(sources=sources[::-1], **QUIET)) < 0.1
    swapped = [
        source.replace(mine, other) for source, mine, other in zip(sources, BOXES, BOXES[::-1], strict=True)
    ]
    assert differ(video, pipe(sources=swapped, **QUIET)) > 0.5


def test_object_locating_takes_as_many_steps_as_asked_for(pipe, sources, video, monkeypatch):
    timesteps = pipe.schedule.sampling_levels(4).timesteps
    until = []

    def encode(self, requests, clip, wrapped=MaestroPipeline.encode):
        until.append(requests[0].scene.locate_until)
        return wrapped(self, requests, clip)

    monkeypatch.setattr(MaestroPipeline, "encode", encode)
    videos = [pipe(sources=sources, locating_steps=count, **QUIET) for count in (0, 2, 4)]
    assert [int((timesteps >= t).sum()) for t in until] == [0, 2, 4]
    assert differ(video, videos[1]) == 0, "the folder says 2 of 4"
    assert min(differ(videos[0], videos[1]), differ(videos[1], videos[2])) > 0.1
    with pytest.raises(UserError, match="locating_steps 5: must be from 0 to the number of steps, 4"):
        pipe(sources=sources, locating_steps=5, **QUIET)


def test_a_row_of_a_batch_is_encoded_as_the_same_request_alone(pipe, files):
    sounds = {
        name: np.random.default_rng(i).normal(0, 0.1, 32000).astype(np.float32)
        for i, name in enumerate(pipe.tracks)
    }
    key = jax.random.key(0)
    place = Place(((0, (0, 0, 0.5, 1)), (2, (0.5, 0, 1, 1))))
    one = Request("", {"music": sounds["music"]}, key, key, scene=Scene({"music": place}, 500.0))
    check_follows_sound(pipe)
    three = row_request("x", sounds, seed=0, row=1)
    both = pipe.encode([one, three], pipe.defaults.clip).conditions
    alone = pipe.encode([one], pipe.defaults.clip).conditions
    first = both.boxes.names[0]
    np.testing.assert_allclose(both.tracks[first][:1], alone.tracks[first], atol=1e-5)
    np.testing.assert_array_equal(both.boxes.boxes[0, 0], alone.boxes.boxes[0, 0])
    np.testing.assert_allclose(both.boxes.boxes[0, 0, :, 0], [0, 0.125, 0.25, 0.375])
    assert both.boxes.active.tolist() == [[True, False, False], [True] * 3]
    assert both.boxes.locate_until.tolist() == [500.0, pipe.schedule.sampling_levels(4).timesteps[1]]
    assert both.fps.tolist() == [2.0, 2.0]


def test_stereo_places_sources_where_they_are_heard(pipe, tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.1, (32000, 1)).astype(np.float32)
    named = {"dog": noise * np.float32([0.1, 1]), "cat": noise[::-1] * np.float32([1, 0.1])}
    given = []
    for name, samples in named.items():
        write_audio(tmp_path / f"{name}.wav", samples, 16000)
        given.append(f"{name}={tmp_path / name}.wav")
    boxes = pipe(sources=given, layout="stereo", **QUIET).boxes
    assert boxes["cat"][0, 2] <= boxes["dog"][0, 0]


def test_the_released_code_has_boxes_of_its_own(pipe, files, sources):
    plain = [f"{name}={file}" for name, file in files.items()]
    with pytest.raises(UserError, match="mosaic released: has boxes of its own for two sources"):
        pipe(sources=sources, mosaic="released", **QUIET)
    with pytest.raises(UserError, match="mosaic released: has boxes of its own for two sources"):
        pipe(sources=plain[:1], mosaic="released", **QUIET)
    with pytest.raises(UserError, match="mosaic released: has boxes of its own for two sources"):
        pipe(sources=plain, mosaic="released", layout="grid", **QUIET)


@pytest.mark.slow
def test_released_and_longer_videos_run(pipe, files):
    plain = [f"{name}={file}" for name, file in files.items()]
    paper, released = (pipe(sources=plain, mosaic=mosaic, **QUIET) for mosaic in ("paper", "released"))
    assert differ(paper, released) > 0.1
    for count in (32, 48):
        video = pipe(sources=plain, num_frames=count, fps=8, num_inference_steps=1, **QUIET)
        assert len(video.frames) == len(video.boxes["dog"]) == count


@pytest.mark.slow
def test_a_row_of_a_batch_is_the_same_video_alone(pipe, files):
    rng = np.random.default_rng(0)
    requests = [
        Request(
            "", {name: rng.normal(0, 0.1, 32000).astype(np.float32) for name in names}, *jax.random.split(key)
        )
        for names, key in zip(("ab", "abc"), jax.random.split(jax.random.key(0)), strict=True)
    ]
    config = GenerateConfig(dataclasses.replace(GenerateConfig().sampler, name="ddim", num_steps=2))
    together = [*make_frames(pipe, requests, pipe.defaults.clip, config, batch_size=2)]
    alone = [next(make_frames(pipe, [request], pipe.defaults.clip, config)) for request in requests]
    for one, other in zip(together, alone, strict=True):
        assert np.abs(one.astype(int) - other).mean() < 0.1


def test_the_command_writes_the_video_and_a_copy_with_boxes(
    folder, pipe, sources, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("mtv_jax.pipelines.base.Pipeline.from_pretrained", lambda path, dtype: pipe)
    given = [argument for source in sources for argument in ("--source", source)]
    out = tmp_path / "out.mp4"
    assert exit_code(sample.main, "--checkpoint", folder, *given, "--draw-boxes", "--out", out) == 0
    assert "4 frames of 32 x 16, 2.00 s, with sound" in capsys.readouterr().out
    plain, drawn = (read_video(path)[0].astype(int) for path in (out, tmp_path / "out_boxes.mp4"))
    assert plain.shape == drawn.shape
    assert np.abs(plain - drawn).mean() > 1
    assert probe(out).num_frames in (None, 4)


def test_the_folder_describes_itself(folder, capsys):
    assert exit_code(sample.main, "--checkpoint", folder, "--describe") == 0
    shown = capsys.readouterr().out
    assert "32 x 16 pixels, as it was trained (multiples of 2 run" in shown
    assert "up to 3, each named" in shown
    assert "its separator knows" in shown
    assert "ddim, 4 steps, guidance 12" in shown
    assert "up to 12 tokens" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--audio", "mix", "--source", "dog@0,0,1.2,1"], "outside the frame"),
        (["--audio", "mix", "--source", "dog@.5,0,.5,1"], "empty"),
        (["--audio", "mix", *(f"--source={name}" for name in "abcd")], "4 sources of 3 tokens"),
        (["--audio", "mix", "--source", "dog", "--source", "dog"], "given twice"),
        (["--audio", "mono", "--source", "dog", "--layout", "stereo"], "is mono"),
        (["--audio", "missing.wav", "--source", "dog"], "missing.wav: no such file"),
        (["--source", "dog=missing.wav"], "missing.wav: no such file"),
        (["--audio", "mix"], "sources: there are none"),
        (["--audio", "mix", "--source", "dog", "--source-separator", "."], "has no separator by words"),
        (["--audio", "mix", "--source", "dog", "--mosaic", "released"], "two sources"),
        (
            ["--speech", "mix"],
            "--speech: FOLDER is a MaestroPipeline, which does not take it; it takes --source,",
        ),
        (["--audio", "mix", "--source", "dog", "--width", "33"], "width 33: must be divisible by 2"),
        (["--list-sources"], "--list-sources: of what"),
        (["--list-sources", "dog", "--audio", "mix"], "--list-sources dog: fewer than two different words"),
        (["--audio", "mix", "--source", "dog", "--locating-steps", "5"], "locating_steps 5: must be from 0"),
        (
            ["--audio", "mix", "--source", "dog", "--negative-prompt", "x", "--guidance", "1"],
            "negative_prompt: has no effect",
        ),
    ],
)
def test_errors_are_one_line_before_networks_are_loaded(
    folder, mix, tmp_path, arguments, message, monkeypatch, capsys
):
    forbid_networks(monkeypatch)
    named = {"mix": str(mix), "mono": str(tmp_path / "mono.wav")}
    write_audio(tmp_path / "mono.wav", np.full(16000, 0.1, np.float32), 16000)
    given = [named.get(argument, argument) for argument in arguments]
    argv = ("--checkpoint", folder, *given, "--out", tmp_path / "out.mp4")
    assert exit_code(sample.main, *argv) == 2
    said = capsys.readouterr().err
    assert message.replace("FOLDER", str(folder)) in said
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--source", "dog"],
            "--source: tiny is a MTVPipeline, which does not take it; it takes --negative-prompt,",
        ),
        (["--layout", "td"], "--layout: tiny is a MTVPipeline"),
        (["--draw-boxes"], "--draw-boxes: tiny is a MTVPipeline, whose sources have no boxes"),
    ],
)
def test_another_system_refuses_sources(tmp_path, arguments, message, monkeypatch, capsys):
    forbid_networks(monkeypatch)
    argv = ("--preset", "tiny", "--prompt", "a bell", *arguments, "--out", tmp_path / "x.mp4")
    assert exit_code(sample.main, *argv) == 2
    assert message in capsys.readouterr().err


def test_a_call_of_another_system_and_a_request_without_sources_are_refused(pipe):
    with pytest.raises(UserError, match="speech: MaestroPipeline does not take it; it takes sources, audio"):
        pipe(sources=["dog"], speech="speech.wav", **QUIET)
    key = jax.random.key(0)
    with pytest.raises(UserError, match="a request without tracks"):
        pipe.encode([Request("a dog", {}, key, key)], pipe.defaults.clip)


def test_the_doctor_knows_its_parts(folder):
    found = {finding.name: finding.state for finding in health._parts(str(folder))}
    assert set(found.values()) == {"ok"}
    assert {"denoiser", "condition injection", "separator, by words"} <= set(found)


@pytest.mark.parametrize("part", ["unet", "imagebind", "cim"])
def test_a_network_of_another_kind_is_named(folder, files, tmp_path, part):
    for other in folder.iterdir():
        (tmp_path / other.name).symlink_to(folder / ("vae" if other.name == part else other.name))
    with pytest.raises(UserError, match=f"{part}: a network KLVAE, must be"):
        MaestroPipeline.preflight(tmp_path, {"sources": [f"dog={files['dog']}"]})


def test_the_memory_of_all_its_networks_is_known(folder, monkeypatch):
    """Also where sizes alone do not decide, as on any device that is not far larger than needed."""
    monkeypatch.setattr(memory, "_denoise_activations", lambda *arguments: 0)
    need = memory.sample_need(memory.Sample.of(folder, {}), advise=False)
    files = [read_tensors(folder / part).values() for part in PARTS]
    assert need.device["weights"] == 4 * sum(math.prod(x.shape) for part in files for x in part)
    assert need.device["activations (estimated)"] > 0


def test_a_source_that_is_not_in_the_mix_is_an_error(pipe, mix):
    with pytest.raises(
        UserError, match=r"is not in .*mix\.wav: what is separated of it is \d+ dB below the mix"
    ):
        pipe(audio=mix, sources=["dog", "cat"], source_separator=Silent(), **QUIET)


class Silent:
    """A separator that finds nothing of the second word."""

    def card(self):
        raise NotImplementedError

    def separate(self, samples, sample_rate, words):
        return {words[0]: samples, words[1]: 1e-3 * samples}
