"""What ImageBind takes, in numpy: pictures, videos and sounds as the original's `imagebind/data.py` prepares them.

That uses torchvision, pytorchvideo with decord, and torchaudio.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Float, UInt8

from mtv_jax.io.errors import UserError
from mtv_jax.models.beats.config import FbankConfig
from mtv_jax.models.beats.fbank import fbank
from mtv_jax.models.clip.preprocessing import CLIP_MEAN, CLIP_STD, normalise, resize_short_side

SAMPLE_RATE = 16_000
"""Hz, of the sound."""
CLIP_SECONDS = 2
AUDIO_CLIPS = 3
VIDEO_CLIPS = 5
CLIP_FRAMES = 2
"""Of the frames of a clip of video the first and the last are seen."""
SIZE = 224
"""Sides of a picture, pixels."""
MEL_FRAMES = 204
"""Of a clip's spectrogram; two seconds have 198, the others are padding."""
BANK = FbankConfig(window_type="hanning", full_scale=1.0, mean=-4.268, std=9.138)
"""Of 128 mel bands, with the mean and the standard deviation of the training's sounds."""

_FILTER_WIDTH, _ROLLOFF = 6, 0.99
"""torchaudio's defaults: zero crossings on each side, and the cutoff over the lower Nyquist frequency."""
_BLOCK = 64
"""Phases of the resampler computed together; a pair of odd rates has tens of thousands."""

Span = tuple[Fraction, Fraction]
"""Start and end, seconds."""


def clip_times(duration: float, count: int) -> list[Span]:
    """The starts and ends of `count` clips of two seconds, evenly from the beginning to the end.

    pytorchvideo's `ConstantClipsPerVideoSampler`: exact fractions of the rounded `duration - 2`. Sounds and videos
    that are shorter have `count` equal clips.
    """
    last = Fraction(max(duration - CLIP_SECONDS, 0))
    starts = [last / max(count - 1, 1) * i for i in range(count)]
    return [(start, start + CLIP_SECONDS) for start in starts]


def audio_clips(sound: Float[np.ndarray, "s c"], sample_rate: int) -> Float[np.ndarray, "3 128 204"]:
    """Normalised log-mel spectrograms of three clips of a sound of full scale +-1.

    Only the first channel is heard, after the mean of all channels of a clip was removed. Where clips overlap the
    original removes it from the sound itself, so that the later clip has less of the earlier one's mean; so here.
    Raises UserError for sound that is shorter than a frame of the spectrogram, 25 ms.
    """
    samples = resample(sound, sample_rate, SAMPLE_RATE)
    clips = []
    for start, end in clip_times(len(samples) / SAMPLE_RATE, AUDIO_CLIPS):
        clip = samples[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
        if len(clip) < BANK.window:
            raise UserError(f"sound of {len(clip)} samples at {SAMPLE_RATE} Hz: needs at least {BANK.window}")
        clip -= clip.mean(dtype=np.float64).astype(np.float32)
        # A copy: clips overlap, and as in the original each takes its mean from what the one before left.
        clips.append(clip[:, 0].copy())
    return log_mels(clips)


def log_mels(clips: Sequence[Float[np.ndarray, "_"]]) -> Float[np.ndarray, "n 128 204"]:
    """Normalised log-mel spectrograms of clips of at most two seconds at 16 kHz, of which the mean was removed."""
    return (np.stack([log_mel(clip) for clip in clips]) - np.float32(BANK.mean)) / np.float32(BANK.std)


def log_mel(clip: Float[np.ndarray, "s"]) -> Float[np.ndarray, "128 204"]:
    """Kaldi's log-mel spectrogram of a clip, [mel bands, frames]; missing frames are zeros, not silence."""
    found = fbank(clip, BANK)[:MEL_FRAMES].T
    return np.pad(found, ((0, 0), (0, MEL_FRAMES - found.shape[1])))


def resample(sound: Float[np.ndarray, "s c"], old: int, new: int) -> Float[np.ndarray, "r c"]:
    """A copy of a sound at another rate, float32, by torchaudio's `functional.resample` with its defaults.

    A sinc under a Hann window of 6 zero crossings on each side; the cutoff is 0.99 of the lower Nyquist frequency.
    """
    if old == new:
        return np.array(sound, np.float32)
    common = math.gcd(old, new)
    steps, phases = old // common, new // common
    cutoff = min(steps, phases) * _ROLLOFF
    reach = math.ceil(_FILTER_WIDTH * steps / cutoff)
    padded = np.pad(sound, ((reach, reach + steps), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + steps, axis=0)[::steps]
    blocks = [
        windows @ _kernels(np.arange(first, min(first + _BLOCK, phases)) / phases, steps, cutoff, reach)
        for first in range(0, phases, _BLOCK)
    ]
    out = np.concatenate(blocks, axis=-1)  # [windows, channels, phases]
    length = math.ceil(phases * len(sound) / steps)
    return np.ascontiguousarray(np.moveaxis(out, 2, 1).reshape(-1, sound.shape[1])[:length], np.float32)


def _kernels(
    offsets: Float[np.ndarray, "p"], steps: int, cutoff: float, reach: int
) -> Float[np.ndarray, "k p"]:
    """The filters of the samples at `offsets` (0 to 1) of a step, in units of `steps` samples.

    All in float32, as in the original: the rounding of long times is up to 1e-4 of the result.
    """
    taps = np.arange(-reach, steps + reach, dtype=np.float32)[:, None] / np.float32(steps)
    times = (taps - offsets.astype(np.float32)) * np.float32(cutoff)
    times = np.clip(times, -_FILTER_WIDTH, _FILTER_WIDTH)
    window = np.cos(times * np.float32(np.pi) / _FILTER_WIDTH / 2) ** 2
    return np.sinc(times) * window * np.float32(cutoff / steps)


def image_pixels(
    frames: UInt8[np.ndarray, "F H W 3"], size: int = SIZE
) -> Float[np.ndarray, "F 1 {size} {size} 3"]:
    """Pictures as ImageBind takes them, each a clip of one frame.

    The short side is resized to `size` by PIL's bicubic filter, the centre cut out and normalised.
    """
    return normalise(centre_crop(resize_short_side(frames, size), size), CLIP_MEAN, CLIP_STD)[:, None]


def centre_crop(frames: UInt8[np.ndarray, "F H W 3"], size: int) -> UInt8[np.ndarray, "F S S 3"]:
    """The central square as torchvision cuts it: half a pixel is rounded to even, unlike in CLIP's own crop."""
    top, left = (round((side - size) / 2) for side in frames.shape[1:3])
    return frames[:, top : top + size, left : left + size]


def video_views(
    frames: UInt8[np.ndarray, "F H W 3"], fps: float, size: int = SIZE
) -> Float[np.ndarray, "15 2 {size} {size} 3"]:
    """The views of a video: five clips of two seconds, of each the first and last frame, three squares of each.

    `frames` are those of the file, at its own rate. Raises UserError if there are none.
    """
    pairs = clip_frames(len(frames), fps)
    chosen = sorted({index for pair in pairs for index in pair})
    resized = scale_short_side(frames[chosen], size)
    pixels = (resized - np.array(CLIP_MEAN, np.float32)) / np.array(CLIP_STD, np.float32)
    place = {index: i for i, index in enumerate(chosen)}
    return np.stack(
        [crop for pair in pairs for crop in crops(pixels[[place[index] for index in pair]], size)]
    )


def clip_frames(count: int, fps: float) -> list[tuple[int, int]]:
    """The first and last frame of each of five clips, as pytorchvideo reads them with decord.

    A clip has the frames that begin in it. Raises UserError if there are no frames.
    """
    if count < 1:
        raise UserError("video without frames: cannot be compared")
    pairs = []
    for start, end in clip_times(count / fps, VIDEO_CLIPS):
        first = min(math.ceil(fps * float(start)), count - 1)
        pairs.append((first, max(first, min(math.ceil(fps * float(end)), count) - 1)))
    return pairs


def scale_short_side(frames: UInt8[np.ndarray, "F H W 3"], size: int) -> Float[np.ndarray, "F h w 3"]:
    """Frames in 0 to 1, their short side resized to `size` by pytorchvideo's `ShortSideScale`; the long one is floored.

    torch's bilinear interpolation, whose pixels are aligned at their centres; a smaller picture is not smoothed.
    """
    height, width = frames.shape[1:3]
    tall = width < height
    low, high, share = linear_places(height, math.floor(height / width * size) if tall else size)
    rows = _between(frames[:, low] / np.float32(255), frames[:, high] / np.float32(255), share[:, None, None])
    low, high, share = linear_places(width, size if tall else math.floor(width / height * size))
    return _between(rows[:, :, low], rows[:, :, high], share[:, None])


def crops(pixels: Float[np.ndarray, "F H W 3"], size: int) -> list[Float[np.ndarray, "F S S 3"]]:
    """Three squares along the long side: at its start, its middle and its end (`SpatialCrop` of the original)."""
    height, width = pixels.shape[1:3]
    top, left = math.ceil((height - size) / 2), math.ceil((width - size) / 2)
    if height > width:
        corners = [(0, left), (top, left), (height - size, left)]
    else:
        corners = [(top, 0), (top, left), (top, width - size)]
    return [pixels[:, y : y + size, x : x + size] for y, x in corners]


def linear_places(old: int, new: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """torch's linear interpolation from `old` to `new` places: those before and after each, and the latter's share.

    Places are aligned at their centres; fewer are not smoothed.
    """
    places = np.maximum((np.arange(new, dtype=np.float32) + 0.5) * np.float32(old / new) - 0.5, 0)
    low = np.minimum(places.astype(np.int64), old - 1)
    return low, np.minimum(low + 1, old - 1), (places - low).astype(np.float32)


def _between(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    return low + (high - low) * share
