"""SyncSynth and the theatre's readers on video files: what they take from a manifest, and what they cannot measure."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mtv_jax.evaluation.metrics.base import Measured
from mtv_jax.evaluation.metrics.syncsynth import SYNCSYNTH
from mtv_jax.evaluation.metrics.theatre import THEATRE
from mtv_jax.evaluation.theatre import readers as theatre_readers
from mtv_jax.evaluation.videos.catalogue import METRICS
from mtv_jax.evaluation.videos.clip import Clip
from mtv_jax.evaluation.videos.instruments import theatre as instruments
from mtv_jax.evaluation.videos.manifest import Item
from mtv_jax.evaluation.videos.metric import Weights
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import write_video
from mtv_jax.text.theatre_language import theatre_prompt
from mtv_jax.theatre import EVALUATION_SEEDS, TheatreConfig, render_clip

STAGE = TheatreConfig(num_frames=13, actors=(0, 1, 0), speech=1, prop=1, effects=1)


@pytest.fixture(scope="module")
def item(tmp_path_factory):
    """A clip with speech and strikes, as a line of a manifest."""
    folder = tmp_path_factory.mktemp("clip")
    clip = render_clip(EVALUATION_SEEDS + 9, 0, STAGE)
    write_video(folder / "0.mp4", clip.frames, 12, crf=10, audio=clip.tracks["speech"], sample_rate=16_000)
    for name in ("speech", "effects"):
        write_audio(folder / f"{name}.flac", clip.tracks[name], 16_000)
    tracks = {name: folder / f"{name}.flac" for name in ("speech", "effects")}
    return Item("0", folder / "0.mp4", theatre_prompt(clip.words), tracks=tracks)


@pytest.fixture(scope="module")
def measures():
    with pytest.MonkeyPatch.context() as patch:
        fitted = theatre_readers.readers_of(theatre_readers.fitting_clips(25))
        patch.setattr(theatre_readers, "fit_readers", lambda *_: fitted)
        patch.setattr(instruments, "other_speech", lambda *_: [np.zeros(STAGE.num_frames * 1334, np.float32)])
        found = {name: METRICS[name].open(Weights()) for name in ("syncsynth", "theatre")}
        yield {name: lambda item, tool=tool: tool.measure(Clip(item)) for name, tool in found.items()}


def test_speech_is_the_manifests_or_else_the_videos_sound(item, measures):
    own = measures["syncsynth"](item)
    assert own["score"] > 0.3
    heard = measures["syncsynth"](replace(item, tracks={}))
    assert heard["score"] == pytest.approx(own["score"], abs=0.1)
    swapped = measures["syncsynth"](replace(item, tracks={"speech": item.tracks["effects"]}))
    assert swapped["score"] < own["score"] - 0.2


def test_lips_strikes_and_looks_are_those_of_the_tracks_and_the_prompt(item, measures):
    own = measures["theatre"](item)
    assert own["lips"] > 0.9
    assert own["lips_lag"] == 0
    assert own["events"] == 1
    assert own["seen"] == own["heard"] > 0
    assert own["looks"] == 1
    swapped = replace(item, tracks={"speech": item.tracks["effects"], "effects": item.tracks["speech"]})
    assert measures["theatre"](swapped)["lips"] < own["lips"] - 0.3


def test_a_track_that_is_not_there_is_named(item, measures):
    with pytest.raises(UserError, match="^0: has no track 'effects'; give the file in the manifest$"):
        measures["theatre"](replace(item, tracks={"speech": item.tracks["speech"]}))


@pytest.mark.parametrize("name", ["syncsynth", "theatre"])
def test_another_prompt_is_no_clip_of_the_theatre(name, item, measures):
    with pytest.raises(UserError, match="^0: no clip of the theatre; prompt 'A man speaks.': not as"):
        measures[name](replace(item, prompt="A man speaks."))


def test_nobody_speaks(item, measures):
    silent = theatre_prompt(render_clip(EVALUATION_SEEDS + 9, 0, replace(STAGE, speech=0)).words)
    with pytest.raises(UserError, match="^0: nobody speaks in its prompt$"):
        measures["syncsynth"](replace(item, prompt=silent))
    assert "lips" not in measures["theatre"](replace(item, prompt=silent))


def test_other_rates_and_few_frames(item, measures, tmp_path):
    for frames, fps, name, message in (
        (9, Fraction(24), "syncsynth", "24 fps: SyncSynth works at 12 fps only"),
        (2, Fraction(12), "syncsynth", "2 frames: SyncSynth needs at least"),
        (7, Fraction(12), "theatre", "0: 7 frames; the theatre is read from 8 or more"),
    ):
        file = tmp_path / f"{frames}.mp4"
        write_video(file, np.zeros((frames, 64, 64, 3), np.uint8), fps)
        with pytest.raises(UserError, match=message):
            measures[name](replace(item, video=file))


def test_figures_pool_the_strikes_and_share_a_lag():
    def row(number, by_lag, pairs, seen, heard):
        values = {"lips": by_lag[1], "lips_by_lag": by_lag, "lips_lag": number, "looks": 1.0}
        return Measured(str(number), number, values | {"pairs": pairs, "seen": seen, "heard": heard})

    rows = [
        row(0, [0.1, 0.5, 0.9], 1, 1, 1),
        row(1, [0.2, 0.6, 0.4], 1, 3, 2),
        row(2, [0.0, 0.1, 0.2], 0, 5, 0),
    ]
    found = {figure.id: figure for figure in THEATRE.compute({r.key: r for r in rows})}
    assert found["lips.correlation"].value == pytest.approx(0.5)
    assert found["lips.correlation"].note == "lips 1 frames late"
    assert found["lips.exact_lag"].value == pytest.approx(1 / 3)
    assert found["events.f1"].value == pytest.approx(4 / 7)  # a clip without strikes does not count
    assert found["events.f1"].n == 2


def test_the_share_of_videos_that_chance_does_not_explain():
    rows = [Measured(str(n), n, {"score": n / 10, "p": p}) for n, p in enumerate((0.005, 0.01, 0.5))]
    found = {figure.id: figure.value for figure in SYNCSYNTH.compute({r.key: r for r in rows})}
    assert found == {"sync.confidence": pytest.approx(0.1), "sync.significant": pytest.approx(1 / 3)}
