"""What ImageBind takes, against the original's loader, torchvision, pytorchvideo and torchaudio."""

import json
from fractions import Fraction

import numpy as np
import pytest
from golden_folders import ORIGINALS, OURS

from mtv_jax.io.errors import UserError
from mtv_jax.models.clip.preprocessing import resize_short_side
from mtv_jax.models.imagebind import audio_clips, image_pixels, video_views
from mtv_jax.models.imagebind import preprocessing as steps

FOLDER = ORIGINALS / "imagebind"
RAW, MEAN_OF_RAW = 3e-2, 1e-3  # the goldens' README, for the logarithm
SHAPES = ("wide", "tall", "square")
needs_golden = pytest.mark.skipif(not FOLDER.is_dir(), reason="MTV_JAX_GOLDENS has no imagebind/")


@pytest.fixture(scope="module")
def arrays():
    with np.load(FOLDER / "io.npz") as file:
        return {key: file[key] for key in file if key.startswith("audio.")}


@pytest.fixture(scope="module")
def values():
    return json.loads((FOLDER / "config.json").read_text())


@pytest.fixture(scope="module")
def pixels():
    with np.load(OURS / "imagebind_pixels.npz") as file:
        return dict(file)


def scale(samples: np.ndarray) -> np.ndarray:
    """16-bit sound in -1 to 1."""
    return samples / np.float32(2**15)


@needs_golden
def test_sound_is_prepared_as_by_the_original(arrays, values):
    sound = scale(arrays["audio.waveform_int16"]).T
    given = sound.copy()
    want = arrays["audio.input_mel_normalized"][0, :, 0]
    found = audio_clips(sound, values["audio"]["sample_rate"])
    np.testing.assert_array_equal(sound, given)
    error = np.abs(found - want) * values["audio"]["std"]
    assert error.max() < RAW
    assert error.mean() < MEAN_OF_RAW
    assert error[1:].max() < 5e-3  # subtracting a clip's mean from a copy is 0.02 off


@needs_golden
def test_a_short_clip_is_padded_after_the_logarithm(arrays):
    short = scale(arrays["audio.short_waveform_int16"])
    found, want = steps.log_mel(short - short.mean()), arrays["audio.short_mel_raw"][0]
    error = np.abs(found - want)
    assert error.max() < RAW
    assert error.mean() < MEAN_OF_RAW
    frames = 1 + (len(short) - 400) // 160
    assert not found[:, frames:].any()


@needs_golden
def test_sound_is_resampled_as_by_torchaudio(arrays, values):
    sound = scale(arrays["audio.resample_in_int16"])[:, None]
    found = steps.resample(sound, values["audio"]["resample_from"], steps.SAMPLE_RATE)
    np.testing.assert_allclose(found.T, arrays["audio.resample_out_16k"], rtol=0, atol=1e-6)


@needs_golden
def test_clips_begin_at_exact_fractions(arrays, values):
    for case in values["clip_timepoints"]:
        found = steps.clip_times(case["duration"], case["clips_per_video"])
        assert [[float(time) for time in clip] for clip in found] == case["clips"]
    rate = values["audio"]["sample_rate"]
    spans = steps.clip_times(arrays["audio.waveform_int16"].shape[1] / rate, 3)
    found = [[int(time * rate) for time in span] for span in spans]
    assert found == values["clip_sample_ranges"] != values["clip_sample_ranges_naive_float"]


def test_sounds_of_any_rate_and_length_are_accepted():
    tone = np.sin(np.arange(30_000) / 9).astype(np.float32)[:, None]
    assert audio_clips(tone, 12_345).shape == (3, 128, 204)
    assert audio_clips(tone[:400], 16_000).shape == (3, 128, 204)
    with pytest.raises(UserError, match="sound of 399 samples at 16000 Hz: needs at least 400"):
        audio_clips(tone[:399], 16_000)
    with pytest.raises(UserError, match="sound of 0 samples"):
        audio_clips(tone[:0], 16_000)


def test_resampling_keeps_a_tone():
    times = np.arange(4800) / 48_000
    found = steps.resample(np.sin(2 * np.pi * 440 * times)[:, None].astype(np.float32), 48_000, 16_000)
    want = np.sin(2 * np.pi * 440 * np.arange(1600) / 16_000)
    np.testing.assert_allclose(found[50:-50, 0], want[50:-50], atol=2e-3)


@pytest.mark.parametrize("shape", SHAPES)
def test_pictures_are_resized_and_cropped_as_by_torchvision(pixels, shape):
    frames, want = pixels[f"{shape}.frames"], pixels[f"{shape}.picture"]
    size = want.shape[1]
    found = steps.centre_crop(resize_short_side(frames, size), size)
    np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("shape", SHAPES)
def test_videos_are_scaled_and_cropped_as_by_pytorchvideo(pixels, shape):
    frames, want = pixels[f"{shape}.frames"], pixels[f"{shape}.views"]
    size = want.shape[2]
    found = np.stack(steps.crops(steps.scale_short_side(frames, size), size))
    np.testing.assert_allclose(found, want, rtol=0, atol=2e-6)


def test_frames_are_chosen_as_by_pytorchvideo(pixels):
    for (count, fps), want in zip(pixels["videos"], pixels["first_and_last"], strict=True):
        found = steps.clip_frames(int(count), float(fps))
        assert [list(pair) for pair in found] == want.tolist(), (count, fps)
    with pytest.raises(UserError, match="video without frames"):
        steps.clip_frames(0, 24.0)


def test_views_are_clips_by_crops_and_normalised():
    """A video in which every frame has its own colour, and the left end is white."""
    frames = np.repeat(np.arange(96, dtype=np.uint8), 8 * 16 * 3).reshape(96, 8, 16, 3)
    frames[:, :, 0] = 255
    views = video_views(frames, 24.0)
    assert views.shape == (15, 2, 224, 224, 3)
    colours = views[..., 112, 200, :] * np.float32(steps.CLIP_STD) + np.float32(steps.CLIP_MEAN)
    pairs = np.repeat(steps.clip_frames(96, 24.0), 3, axis=0)
    np.testing.assert_allclose(colours * 255, np.repeat(pairs[..., None], 3, axis=-1), atol=1e-3)
    white = (views[:, 0, 0, 0, 0] > 1.5).tolist()
    assert white == [True, False, False] * 5
    assert steps.clip_times(4.0, 5)[1] == (Fraction(1, 2), Fraction(5, 2))


def test_pictures_are_normalised_to_the_networks_size():
    found = image_pixels(np.full((1, 10, 20, 3), 255, np.uint8))
    assert found.shape == (1, 1, 224, 224, 3)
    want = (1 - np.array(steps.CLIP_MEAN)) / np.array(steps.CLIP_STD)
    np.testing.assert_allclose(found, np.broadcast_to(want, found.shape), rtol=1e-6)
