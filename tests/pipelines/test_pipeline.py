"""The pipeline: from files to a video with sound, the same for the same seed."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest
from pipeline_folders import MEL, SMALL, conditions_of, make_small, write_pipeline

from mtv_jax import Pipeline
from mtv_jax import sample as command
from mtv_jax.data.transforms import to_uint8
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.io.audio import read_audio, write_audio
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import write_json
from mtv_jax.io.pictures import write_image
from mtv_jax.io.video import probe
from mtv_jax.models.vae3d import Tiling, tiled_decode
from mtv_jax.names import TRACKS
from mtv_jax.pipelines.keyframes import keyframe_latents
from mtv_jax.pipelines.options import VideoOptions
from mtv_jax.pipelines.run import decode_latents
from mtv_jax.weights.model_index import PipelineDefaults

STEPS = {"num_inference_steps": 2, "progress": False}


@pytest.fixture(scope="module")
def pipe(pipeline_folder):
    return Pipeline.from_pretrained(pipeline_folder)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A second of a voice-like tone, of clicks and of a chord, at three rates."""
    folder = tmp_path_factory.mktemp("sounds")
    for name, rate, hertz in (("speech", 16000, 150), ("effects", 22050, 3000), ("music", 48000, 440)):
        t = np.arange(rate) / rate
        write_audio(folder / f"{name}.wav", (0.3 * np.sin(2 * np.pi * hertz * t)).astype(np.float32), rate)
    return {name: folder / f"{name}.wav" for name in ("speech", "effects", "music")}


def test_video_has_the_requested_size_and_its_sound(pipe, sounds):
    video = pipe("a rabbit", **sounds, **STEPS)
    assert video.frames.shape == (5, 32, 32, 3)
    assert video.frames.dtype == np.uint8
    assert video.audio.shape == (round(5 / 12 * video.sample_rate), 2)
    assert np.abs(video.audio).max() > 0.1


def test_seed_decides_the_video(pipe, sounds):
    first, again, other = (pipe("a rabbit", **sounds, **STEPS, seed=seed).frames for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first.astype(int) - other).max() > 0


def test_a_folder_tells_how_it_is_sampled(pipe, sounds):
    reported = {"sampler": "ddim", "num_inference_steps": 2, "guidance_scale": 1.0}
    sampling = dataclasses.replace(pipe.defaults.sampling, **reported)
    tuned = dataclasses.replace(pipe, defaults=dataclasses.replace(pipe.defaults, sampling=sampling))
    by_default = tuned("a rabbit", **sounds, progress=False).frames
    np.testing.assert_array_equal(by_default, pipe("a rabbit", **sounds, **reported, progress=False).frames)
    otherwise = tuned("a rabbit", **sounds, guidance_scale=3.5, progress=False).frames
    assert np.abs(by_default.astype(int) - otherwise).max() > 0
    assert PipelineDefaults.from_json(tuned.defaults.to_json()) == tuned.defaults


def test_a_folder_s_eta_is_for_ddim_alone(pipe):
    sampling = dataclasses.replace(pipe.defaults.sampling, sampler="ddim", eta=1.0)
    defaults = dataclasses.replace(pipe.defaults, sampling=sampling)
    assert PipelineDefaults.from_json(defaults.to_json()) == defaults
    plain = VideoOptions(sampler="dpm++", num_inference_steps=7).config(sampling, ())
    assert VideoOptions(num_inference_steps=7).config(sampling, ()).sampler == SamplerConfig(
        "ddim", 7, eta=1.0
    )
    assert plain.sampler == SamplerConfig("dpm++", 7)


@pytest.mark.parametrize("track", ["speech", "effects", "music"])
def test_each_track_changes_its_own_condition_alone(pipe, sounds, track):
    conditions = conditions_of(pipe, sounds)
    silent = conditions_of(pipe, {k: v for k, v in sounds.items() if k != track})
    assert np.abs(np.asarray(conditions.tracks[track]) - np.asarray(silent.tracks[track])).max() > 0.1
    np.testing.assert_array_equal(conditions.text, silent.text)
    for name in set(TRACKS) - {track}:
        np.testing.assert_array_equal(conditions.tracks[name], silent.tracks[name])


@pytest.mark.parametrize("rate", [16000, 44100])
def test_a_sound_in_a_file_is_heard_in_its_own_frame(pipe, tmp_path, rate):
    fps, frame = float(pipe.defaults.clip.fps), 3
    wave = np.zeros(rate, np.float32)
    begin, end = (round((frame + part) / fps * rate) for part in (0.2, 0.8))
    wave[begin:end] = np.random.default_rng(0).normal(0, 0.2, end - begin)
    files = {track: tmp_path / f"{track}.wav" for track in TRACKS}
    for file in files.values():
        write_audio(file, wave, rate)
    conditions = conditions_of(pipe, files)
    for track in TRACKS:
        levels = np.asarray(conditions.tracks[track])[0].mean((1, 2))
        assert int(np.argmax(levels)) == frame
        assert levels[frame] - np.delete(levels, frame).max() > 0.1


def test_an_encoder_that_needs_the_full_audio_gets_whole_files(pipe, sounds):
    heard = []

    class Encoder:
        name, num_layers, num_channels, needs_full_audio = "double", 2, 8, True

        def __call__(self, waveform, num_frames, fps):
            heard.append(len(waveform))
            return np.zeros((num_frames, 2, 8), np.float32)

    whole = dataclasses.replace(pipe, audio_encoder=Encoder())
    conditions_of(whole, {"speech": sounds["speech"]})
    assert heard == [16000] * 3  # the file's second, not the video's five twelfths of one
    heard.clear()
    conditions_of(whole, {})
    assert heard == [round(16000 * 5 / 12)] * 3


def test_features_must_be_those_the_controlnet_takes(pipeline_folder, tmp_path):
    shutil.copytree(pipeline_folder, tmp_path / "copy")
    write_json(tmp_path / "copy" / "audio_encoder" / "config.json", MEL | {"bins": 9})
    with pytest.raises(
        UserError, match=r"audio_encoder/ gives 2 x 9 numbers a frame, controlnet/ takes 2 x 8"
    ):
        Pipeline.from_pretrained(tmp_path / "copy")


def test_tracks_may_pull_with_scales_of_their_own(pipe, sounds):
    names = ("text", *TRACKS)

    def groups(scale):
        return VideoOptions(guidance_scale=scale).config(pipe.defaults.sampling, TRACKS).groups(TRACKS)

    assert groups(2.0) == groups(dict.fromkeys(names, 2.0)) == ([list(names)], [2.0])
    assert groups({"speech": 9.0}) == ([["text"], ["speech"], ["effects", "music"]], [1.0, 9.0, 1.0])
    joint = pipe("a rabbit", **sounds, **STEPS).frames
    speech = pipe("a rabbit", **sounds, **STEPS, guidance_scale={"speech": 9.0}).frames
    assert np.abs(joint.astype(int) - speech).max() > 0


def test_first_keyframe_is_kept(pipe, tmp_path):
    picture = np.zeros((40, 40, 3), np.uint8)
    picture[:, 20:] = 255
    write_image(tmp_path / "first.png", picture)
    keyed = [
        pipe("a rabbit", keyframes={0: tmp_path / "first.png"}, **STEPS, seed=seed).frames.astype(int)
        for seed in (0, 1)
    ]
    # The first latent frame is the picture's own, so another seed changes the first frame only by what the
    # decoder's norms, which see several frames, let through.
    moved = np.abs(keyed[0] - keyed[1]).mean(axis=(1, 2, 3))
    assert moved[0] < 0.5 * moved[1:].mean()


def test_keyframes_are_written_into_the_latents(pipe):
    picture, clip = np.full((32, 32, 3), 200, np.uint8), pipe.defaults.clip
    found = keyframe_latents({0: picture, 3: picture}, pipe.vae, pipe.vae_params, clip)
    assert list(found) == [0, 1]
    assert np.abs(np.asarray(found[1])).max() > 0
    with pytest.raises(UserError, match="keyframe 4: another keyframe is within the same 4 frames"):
        keyframe_latents({3: picture, 4: picture}, pipe.vae, pipe.vae_params, clip)


@pytest.mark.parametrize(("ratio", "kernel"), [(1, 1), (2, 3)])
def test_keyframes_go_where_the_autoencoder_has_them(ratio, kernel):
    sizes = SMALL["vae3d"] | {"temporal_compression_ratio": ratio, "temporal_kernel_size": kernel}
    vae, params = make_small("vae3d", overrides=sizes)
    clip = ClipSize(5, height=32, width=32)
    light, dark = np.full((32, 32, 3), 200, np.uint8), np.full((32, 32, 3), 20, np.uint8)
    found = keyframe_latents({0: light, 1: dark, 4: light}, vae, params, clip)
    assert list(found) == ([0, 1, 4] if ratio == 1 else [0, 1, 2])
    first, second, last = found.values()
    assert np.abs(first - second).max() > 1e-3
    if ratio == 1:
        # A picture is the same wherever it stands, and as if it were all there is.
        np.testing.assert_allclose(first, last, atol=1e-5)
        alone, _ = vae.apply(params, dark[None, None] / 127.5 - 1, method="encode")
        np.testing.assert_allclose(second, vae.normalise(alone)[0, 0], atol=1e-5)
        return
    with pytest.raises(UserError, match="keyframe 2: another keyframe is within the same 2 frames"):
        keyframe_latents({1: light, 2: dark}, vae, params, clip)


def test_a_pipeline_of_single_frames_makes_as_many(tmp_path, sounds):
    singles = Pipeline.from_pretrained(write_pipeline(tmp_path / "singles", ratio=1))
    assert singles.noise(jax.random.split(jax.random.key(0), 2), singles.defaults.clip).shape == (
        2,
        5,
        4,
        4,
        4,
    )
    pictures = {frame: np.full((32, 32, 3), 200, np.uint8) for frame in (0, 3, 4)}
    video = singles("a rabbit", **sounds, keyframes=pictures, **STEPS)
    assert video.frames.shape == (5, 32, 32, 3)
    with pytest.raises(UserError, match="num_frames 0: must be at least 1"):
        singles("a rabbit", num_frames=0, **STEPS)
    with pytest.raises(UserError, match="height 40: must be divisible by 16"):
        singles("a rabbit", num_frames=6, height=40, **STEPS)


def test_frames_are_decoded_a_few_at_a_time_and_in_parts_on_request(pipe):
    latents = jax.random.normal(jax.random.key(0), (1, 3, 4, 8, pipe.vae.config.latent_channels))
    unscaled = pipe.vae.denormalise(latents)
    whole = to_uint8(pipe.vae.apply(pipe.vae_params, unscaled, method="decode"))
    tiling = Tiling.aligned(pipe.vae.config)
    parts = to_uint8(tiled_decode(pipe.vae, pipe.vae_params, unscaled, tiling))
    decoded = decode_latents(pipe.vae, pipe.vae_params, latents)
    np.testing.assert_allclose(decoded.astype(int), np.asarray(whole, int), atol=1)  # a rounding's tie
    np.testing.assert_array_equal(decode_latents(pipe.vae, pipe.vae_params, latents, tiled=True), parts)
    assert parts.shape == decoded.shape == (1, 9, 32, 64, 3)
    assert np.abs(decoded.astype(int) - np.asarray(parts, int)).max() > 1


def test_saved_file_plays_in_step(pipe, sounds, tmp_path):
    video = pipe("a rabbit", **sounds, **STEPS)
    video.save(tmp_path / "out.mp4")
    info = probe(tmp_path / "out.mp4")
    assert float(info.duration) == pytest.approx(5 / 12, abs=1 / 24)
    sound = read_audio(tmp_path / "out.mp4", 16000)
    assert len(sound) / 16000 == pytest.approx(5 / 12, abs=1 / 12)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_frames": 6}, "num_frames 6.*5 and 9"),
        ({"height": 40}, "height 40.*32 and 48"),
        ({"width": 8}, "width 8"),
        ({"sampler": "euler"}, "euler"),
        ({"num_inference_steps": 0}, "num_steps"),
        ({"guidance_scale": {"voice": 2.0}}, "guidance_scale of voice"),
        ({"speech": "missing.wav"}, r"missing\.wav: no such file"),
        ({"keyframes": {9: np.zeros((8, 8, 3), np.uint8)}}, "keyframe 9"),
    ],
)
def test_bad_requests_say_what_is_wrong(pipe, wrong, message):
    with pytest.raises(UserError, match=message):
        pipe("a rabbit", **(STEPS | wrong))


def test_sound_for_a_model_without_is_an_error(pipeline_folder, tmp_path, sounds):
    shutil.copytree(pipeline_folder, tmp_path / "t2v")
    shutil.rmtree(tmp_path / "t2v" / "controlnet")
    silent = Pipeline.from_pretrained(tmp_path / "t2v")
    assert silent("a rabbit", **STEPS).audio is None
    with pytest.raises(UserError, match="no controlnet"):
        silent("a rabbit", speech=sounds["speech"], **STEPS)


@pytest.mark.parametrize("scale", [1, {"text": 1.0, "speech": 1.0}])
def test_a_negative_prompt_without_guidance_is_an_error(pipe, scale):
    with pytest.raises(UserError, match="negative_prompt: has no effect at guidance_scale 1"):
        pipe("a rabbit", negative_prompt="a dog", guidance_scale=scale, **STEPS)


def test_command_writes_the_video(pipeline_folder, sounds, tmp_path, capsys):
    out = tmp_path / "new" / "clip.mp4"
    argv = ["--preset", pipeline_folder, "--prompt", "a rabbit", "--music", sounds["music"], "--out", out]
    command.main([str(a) for a in argv] + ["--steps", "2", "--sampler", "ddim", "--guidance", "1"])
    assert probe(out).num_frames in (None, 5)
    assert "5 frames of 32 x 32" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--out", "clip.avi"], r"must end in \.mp4"),
        (["--out", "clip.mp4", "--keyframe", "first.png"], "WHEN=FILE"),
        (["--out", "clip.mp4", "--num-frames", "7"], "5 and 9"),
    ],
)
def test_command_refuses_bad_options(pipeline_folder, argv, message):
    with pytest.raises(UserError, match=message):
        command.main(["--preset", str(pipeline_folder), "--prompt", "x", *argv])


def test_unknown_folder_names_the_presets():
    with pytest.raises(UserError, match="no such folder.*tiny"):
        Pipeline.from_pretrained("no-such-place")
