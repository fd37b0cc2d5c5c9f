"""What `curate run` and `curate theatre` share."""

import os
import time
from fractions import Fraction

import pytest

from mtv_jax.curation.making import NATIVE, clip_size, locked, summary, warn_of_left_out
from mtv_jax.io.errors import UserError


def test_what_is_not_given_of_a_clip_is_as_the_pipeline_was_trained():
    tiny = clip_size("tiny")
    assert (tiny.num_frames, tiny.height, tiny.width, tiny.fps) == (25, 64, 64, 12)
    assert not tiny.native_rate
    wider = clip_size("tiny", width=128, fps=Fraction(24))
    assert (wider.num_frames, wider.width, wider.fps, wider.native_rate) == (25, 128, 24, False)
    assert clip_size("tiny", fps=NATIVE).native_rate


def test_a_clip_out_of_bounds_needs_force():
    with pytest.raises(UserError, match="--force"):
        clip_size("tiny", num_frames=400_001)
    assert clip_size("tiny", num_frames=400_001, force=True).num_frames == 400_001


@pytest.mark.parametrize(("fps", "rate"), [([24000, 1001], "23.976 fps"), (None, "the rate of each video")])
def test_a_summary_counts_clips_shards_and_subsets(tmp_path, fps, rate):
    manifest = {"num_records": 7, "num_frames": 25, "fps": fps, "shards": [{}, {}]}
    manifest["subsets"] = [{"subset": "sound_event", "count": 3}]
    lines = [f"{tmp_path}: 7 clips of 25 frames at {rate} in 2 shards", "  sound_event: 3 clips"]
    assert summary(tmp_path, manifest).splitlines() == lines


def test_each_video_that_is_left_out_is_named_with_the_reason(capsys):
    warn_of_left_out({})
    assert capsys.readouterr().err == ""
    warn_of_left_out({"a.mp4": "damaged", "b.mp4": "no sound"})
    lines = ["warning: 2 videos left out:", "  a.mp4: damaged", "  b.mp4: no sound"]
    assert capsys.readouterr().err.splitlines() == lines
    warn_of_left_out({"a.mp4": "damaged"})
    assert capsys.readouterr().err.startswith("warning: 1 video left out:")


def test_what_killed_commands_left_in_work_is_removed_and_what_others_write_now_is_not(tmp_path):
    """`status` and `report` write there without the lock."""
    work = tmp_path / "work"
    work.mkdir()
    for name, age in ((".tmp-old", 7200), (".tmp-now", 0)):
        (work / name).write_bytes(b"half")
        os.utime(work / name, (time.time() - age,) * 2)
    with locked(tmp_path):
        assert [path.name for path in work.iterdir()] == [".tmp-now"]
