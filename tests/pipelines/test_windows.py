"""Long videos: windows continue each other, follow one clock, come as they are made, and go on after a kill."""

import dataclasses
import itertools
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pipeline_folders import SMALL, make_small

from mtv_jax import Pipeline
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.io.errors import UserError
from mtv_jax.models.mst_controlnet.model import frame_windows
from mtv_jax.models.vae3d import (
    Tiling,
    decode_pieces,
    decode_stream,
    tiled_decode,
    tiled_decode_pieces,
)
from mtv_jax.pipelines import run
from mtv_jax.pipelines.approach import approached, reach
from mtv_jax.pipelines.options import VideoOptions
from mtv_jax.pipelines.run import GenerateConfig, Request, film
from mtv_jax.pipelines.timeline.grid import Grid
from mtv_jax.pipelines.timeline.plan import StoryOptions, plan_timeline
from mtv_jax.pipelines.windows import frames_around

RATIO, FRAMES = 4, 31
"""31 frames are 9 latent frames, of which the last stands for one frame of the video and three beyond."""
CONFIG = GenerateConfig(SamplerConfig("ddim", 1), guidance_scale=1.0)
PICTURE = np.random.default_rng(1).integers(0, 255, (32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def pipe(pipeline_folder):
    return Pipeline.from_pretrained(pipeline_folder)


def plan(pipe, prompt="a stage", **options):
    """Windows of 5 latent frames, 2 of them made before: 0 to 5, 3 to 8 and 6 to 9 or the like."""
    clip = pipe.defaults.clip.replace(num_frames=FRAMES)
    options = StoryOptions(window_frames=17, window_overlap=5, **options)
    return plan_timeline(Grid(FRAMES, clip.fps, RATIO), prompt, longest=None, options=options)


def request(seed=0, **values):
    rng = np.random.default_rng(2)
    speech = rng.normal(0, 0.1, round(FRAMES / 12 * 16000)).astype(np.float32)
    key = jax.random.key(seed)
    return Request("a stage", {"speech": speech}, key, jax.random.fold_in(key, 1), **values)


def made(pipe, timeline, asked=None, **options):
    clip = pipe.defaults.clip.replace(num_frames=FRAMES)
    pieces = film(pipe, [asked or request()], clip, CONFIG, timeline=timeline, **options)
    return np.concatenate(list(pieces), axis=1)[0]


class Seen:
    """Each call of `generate`: what it was given, and the latents that it made."""

    def __init__(self, generate, *, stop_at=None):
        self.generate, self.stop_at, self.calls = generate, stop_at, []

    def __call__(self, model, params, encoded, noise, *rest, **options):
        if len(self.calls) == self.stop_at:
            raise KeyboardInterrupt
        latents = self.generate(model, params, encoded, noise, *rest, **options)
        self.calls.append((encoded, np.asarray(noise), np.asarray(latents)))
        return latents


@pytest.fixture
def watch(monkeypatch):
    """Replaces `generate` by one that is seen, and that is interrupted at call `stop_at`."""
    plain = run.generate

    def start(**options):
        seen = Seen(plain, **options)
        monkeypatch.setattr(run, "generate", seen)
        return seen

    return start


def test_windows_share_latents_and_differ_in_noise(pipe, watch):
    timeline, seen = plan(pipe), watch()
    frames = made(pipe, timeline)
    assert frames.shape == (FRAMES, 32, 32, 3)
    assert len(seen.calls) == len(timeline.windows) > 2
    for (_, _, before), (encoded, _, latents), window in zip(
        seen.calls, seen.calls[1:], timeline.windows[1:], strict=False
    ):
        anchor, count = len(window.anchor), len(window.anchor) + window.prefix
        np.testing.assert_array_equal(latents[:, anchor:count], before[:, -window.prefix :])
        np.testing.assert_array_equal(latents[:, :anchor], seen.calls[0][2][:, :anchor])
        assert np.asarray(encoded.conditions.clean_mask).sum() == count
        assert np.abs(latents[:, count:]).max() > 0
    assert any(window.anchor for window in timeline.windows)
    noises = [noise for _, noise, _ in seen.calls]
    assert all(np.abs(a[:, :3] - b[:, :3]).max() > 0.5 for a, b in itertools.combinations(noises, 2))


def test_frames_are_those_of_all_latents_decoded_at_once(pipe, watch):
    timeline, seen = plan(pipe), watch()
    frames = made(pipe, timeline)
    added = [
        latents[:, len(window.anchor) + window.prefix :]
        for (_, _, latents), window in zip(seen.calls, timeline.windows, strict=True)
    ]
    latents = jnp.asarray(np.concatenate(added, axis=1))
    whole = run.decode_latents(pipe.vae, pipe.vae_params, latents)[0]
    np.testing.assert_array_equal(frames, whole[:FRAMES])


def test_one_window_is_a_plain_video(pipe):
    clip = pipe.defaults.clip
    (timeline,) = (plan_timeline(Grid(clip.num_frames, clip.fps, RATIO), "a stage", longest=49),)
    one, plain = (
        np.concatenate(list(film(pipe, [request()], clip, CONFIG, timeline=t)), axis=1)
        for t in (timeline, None)
    )
    np.testing.assert_array_equal(one, plain)


def test_each_frame_hears_what_it_would_in_the_whole_video(pipe, watch):
    timeline, seen = plan(pipe), watch()
    made(pipe, timeline)
    clip = pipe.defaults.clip.replace(num_frames=FRAMES)
    whole = pipe.encode([request()], clip).conditions.tracks["speech"]
    assert np.asarray(whole).any()
    around = np.asarray(frame_windows(jnp.asarray(whole), pipe.denoiser.config.controlnet.window))
    for (encoded, _, _), window in zip(seen.calls, timeline.windows, strict=True):
        heard = np.asarray(encoded.conditions.tracks["speech"])
        # The frames of the window's latent frames behind the first, and the last frame of that.
        first, *rest = window.latents
        frames = [RATIO * first, *(RATIO * k - 3 + i for k in rest for i in range(RATIO))]
        np.testing.assert_array_equal(heard, around[:, frames])


def test_frames_around_are_clamped_at_the_ends_of_the_video_alone():
    features = {"speech": np.arange(10.0, dtype=np.float32).reshape(1, 10, 1, 1)}
    found = frames_around(features, range(4, 7), 5)["speech"][0, :, :, 0, 0]
    np.testing.assert_array_equal(found, [[2, 3, 4, 5, 6], [3, 4, 5, 6, 7], [4, 5, 6, 7, 8]])
    last = frames_around(features, range(9, 10), 5)["speech"][0, 0, :, 0, 0]
    np.testing.assert_array_equal(last, [7, 8, 9, 9, 9])


def test_a_keyframe_is_in_the_window_of_its_frame(pipe, watch):
    timeline, seen = plan(pipe), watch()
    made(pipe, timeline, request(keyframes={17: PICTURE}))
    latent, rows = 5, []  # of frames 17 to 20
    for (encoded, _, latents), window in zip(seen.calls, timeline.windows, strict=True):
        mask = np.asarray(encoded.conditions.clean_mask)[0]
        given = window.latents[: len(window.anchor) + window.prefix]
        assert [window.latents[i] in (*given, latent) for i in range(len(mask))] == mask.tolist()
        if latent in window.new:
            rows.append(latents[0, window.latents.index(latent)])
    (found,) = rows
    clip = pipe.defaults.clip.replace(num_frames=FRAMES)
    values, _ = pipe.encode_keyframes([request(keyframes={17: PICTURE})], clip)
    np.testing.assert_allclose(found, values[0, latent], atol=1e-6)


def test_texts_of_a_window_are_mixed_and_begin_anew(pipe, watch):
    timeline, seen = plan(pipe), watch()
    first, *rest = timeline.windows
    mix = (("a stage", 0.25), ("a dog", 0.75))
    rest[0] = dataclasses.replace(rest[0], texts=mix, anchor=range(0))
    rest[1] = dataclasses.replace(rest[1], texts=(("a dog", 1.0),), anchor=range(0))
    made(pipe, dataclasses.replace(timeline, windows=(first, *rest[:2])))
    stage, both, dog = (np.asarray(encoded.conditions.text) for encoded, _, _ in seen.calls)
    assert np.abs(stage - dog).max() > 1e-3
    np.testing.assert_allclose(both, 0.25 * stage + 0.75 * dog, atol=1e-6)
    # Clean frames of another text would outweigh the text; the composition is that of the same noise.
    assert all(encoded.conditions.clean_mask is None for encoded, _, _ in seen.calls)
    count = min(noise.shape[1] for _, noise, _ in seen.calls)
    for _, noise, _ in seen.calls[1:]:
        np.testing.assert_array_equal(noise[:, :count], seen.calls[0][1][:, :count])


def test_the_released_way_encodes_the_last_frames_again(pipe, watch):
    timeline, seen = plan(pipe, long_video="released"), watch()
    frames = made(pipe, timeline)
    assert frames.shape == (FRAMES, 32, 32, 3)
    window = timeline.windows[1]
    end = RATIO * (window.start + window.prefix - 1) + 1  # frames made so far
    shared = frames[None, end - RATIO * (window.prefix - 1) - 1 : end] / 127.5 - 1
    again = pipe.vae.apply(pipe.vae_params, shared, method="encode")[0]
    prefix = seen.calls[1][2][:, : window.prefix]
    np.testing.assert_allclose(prefix, pipe.vae.normalise(again), atol=1e-4)
    assert np.abs(prefix - seen.calls[0][2][:, -window.prefix :]).max() > 1e-3


def test_a_killed_call_goes_on_at_its_window(pipe, watch, tmp_path):
    timeline, work = plan(pipe), tmp_path / "work"
    seen = watch(stop_at=2)
    with pytest.raises(KeyboardInterrupt):
        made(pipe, timeline, work_dir=work)
    assert len(seen.calls) == 2
    seen = watch()
    resumed = made(pipe, timeline, work_dir=work)
    assert len(seen.calls) == len(timeline.windows) - 2
    np.testing.assert_array_equal(resumed, made(pipe, timeline))
    again = watch()
    made(pipe, timeline, work_dir=work)
    assert not again.calls
    # What is kept belongs to this request alone.
    for changed in (request(seed=1), request(keyframes={0: PICTURE}), request(negative_prompt="a dog")):
        again = watch(stop_at=1)
        with pytest.raises(KeyboardInterrupt):
            made(pipe, timeline, changed, work_dir=work)
        assert len(again.calls) == 1
        assert [file.name for file in work.glob("window*")] == ["window_0000.npy"]


def test_frames_are_made_as_they_are_read(pipe, watch, tmp_path):
    timeline, seen = plan(pipe), watch()
    clip = pipe.defaults.clip.replace(num_frames=FRAMES)
    options = VideoOptions(work_dir=tmp_path / "work", progress=False)
    video = pipe.make(request(), {}, clip, CONFIG, options, timeline)
    assert video.frames.shape == (FRAMES, 32, 32, 3)
    assert not seen.calls
    next(iter(video.frames))
    assert len(seen.calls) == 1
    video.save(tmp_path / "streamed.mp4")
    eager = pipe.make(request(), {}, clip, CONFIG, VideoOptions(progress=False), timeline)
    np.testing.assert_array_equal(video.frames, eager.frames)
    eager.save(tmp_path / "eager.mp4")
    assert (tmp_path / "streamed.mp4").read_bytes() == (tmp_path / "eager.mp4").read_bytes()


def test_a_pipeline_of_one_call_takes_no_windows(pipe, monkeypatch):
    monkeypatch.setattr(type(pipe), "makes_windows", False)
    with pytest.raises(UserError, match="one call: MTVPipeline takes no windows"):
        made(pipe, plan(pipe))


def test_a_keyframe_is_faded_in_and_out_as_far_as_it_stands_out():
    latents = np.zeros((1, 9, 1, 1, 2), np.float32)
    latents[0, :, 0, 0, 1] = [0, 4, 0, 4, 0, 4, 0, 4, 0]  # changes by 4 from frame to frame anyway
    values, mask = np.zeros_like(latents), np.zeros((1, 9), bool)
    values[0, 4], mask[0, 4] = 4.0, True
    latents[0, 4] = 4.0
    found = approached(latents, range(9), 0, (values, mask), 3)
    usual = np.abs(np.diff(latents[0, :, 0, 0, 0])).mean()
    wanted = (4 - usual) * np.array([0, 0.25, 0.5, 0.75, 0, 0.75, 0.5, 0.25, 0])
    np.testing.assert_allclose(found[0, :, 0, 0, 0] - latents[0, :, 0, 0, 0], wanted, atol=1e-6)
    np.testing.assert_array_equal(found[..., 1], latents[..., 1])
    # What was made before stays, and a keyframe behind the window is approached too.
    before = approached(latents, range(9), 4, (values, mask), 3)
    np.testing.assert_array_equal(before[0, :4], latents[0, :4])
    assert np.abs(before[0, 5] - latents[0, 5]).max() > 0
    behind = approached(latents[:, :4], range(4), 0, (values, mask), 3)
    assert np.flatnonzero(behind[0, :, 0, 0, 0]).tolist() == [1, 2, 3]


def test_fades_of_keyframes_end_at_the_next():
    latents = np.zeros((1, 6, 1, 1, 1), np.float32)
    values, mask = np.zeros_like(latents), np.zeros((1, 6), bool)
    mask[0, [0, 2, 4]], values[0, 2] = True, 8.0
    found = approached(latents, range(6), 0, (values, mask), 3)[0, :, 0, 0, 0]
    np.testing.assert_array_equal(found, [0, 4, 0, 4, 0, 0])
    assert reach(Fraction(24), 4) == 3
    assert reach(Fraction(12), 1) == 6


@pytest.mark.parametrize("cuts", [(4, 9), (1, 2, 3), (13,)])
def test_pieces_of_latents_decode_as_the_whole(cuts):
    vae, params = make_small(
        "vae3d", overrides=SMALL["vae3d"] | {"block_out_channels": [4, 4], "temporal_compression_ratio": 2}
    )
    latents = jax.random.normal(jax.random.key(0), (1, 13, 4, 8, vae.config.latent_channels))
    whole = jnp.concatenate(list(decode_stream(vae, params, latents)), axis=1)
    pieces = jnp.split(latents, cuts, axis=1)
    streamed = jnp.concatenate(list(decode_pieces(vae, params, iter(pieces), 13)), axis=1)
    np.testing.assert_array_equal(streamed, whole)
    tiling = Tiling(4, 8)
    tiles = tiled_decode(vae, params, latents, tiling)
    in_tiles = jnp.concatenate(list(tiled_decode_pieces(vae, params, iter(pieces), 13, tiling)), axis=1)
    np.testing.assert_array_equal(in_tiles, tiles)
