"""Written videos have exactly the rate, the frames and the sound that were asked for, at any frame rate."""

from fractions import Fraction

import av
import numpy as np
import pytest

from mtv_jax.io.audio import read_audio
from mtv_jax.io.streams import fraction
from mtv_jax.io.video import write_video
from mtv_jax.names import VIDEO_SOUND_RATE

RATES = [Fraction(rate) for rate in (8, 12, 16, 24, 25, 30, 48, 50, 60)]
RATES += [Fraction(rate * 1000, 1001) for rate in (24, 30, 60)] + [Fraction(768, 25)]


@pytest.mark.parametrize("fps", RATES, ids=str)
def test_a_written_video_is_exact(tmp_path, fps):
    """To the sample and to the tick of the clock, as they are read back."""
    count = round(fps) + 1
    length = round(count / fps * VIDEO_SOUND_RATE)
    sound = np.random.default_rng(0).normal(0, 0.1, (length, 2)).astype(np.float32)
    frames = np.zeros((count, 16, 16, 3), np.uint8)
    path = tmp_path / "a.mp4"
    # Half of the sound: the rest of the video is silent.
    write_video(
        path, frames, fps, audio=sound[: length // 2], sample_rate=VIDEO_SOUND_RATE, preset="ultrafast"
    )
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert fraction(stream.average_rate) == fps
        times = [frame.pts * fraction(frame.time_base) for frame in container.decode(stream)]
    assert times == [i / fps for i in range(count)]
    heard = read_audio(path, None, mono=False)
    # FFmpeg 8.0 (PyAV 17) decodes the last packet whole, beyond the length that the file states.
    packet = 1024 if av.library_versions["libavcodec"][0] < 63 else 1
    assert heard.shape == (-(-length // packet) * packet, 2)
    assert np.abs(heard[: length // 2 - 2048]).max() > 0.1
    assert np.abs(heard[length // 2 + 2048 :]).max(initial=0) < 1e-3
