"""Whose mouth moves, and when: reports from users of similar software, measured with the preset `tiny`.

Thirty clips of the theatre are sampled once and read by its readers. docs/peers.md has the whole list.
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from mtv_jax.evaluation.metrics.statistics import f1_score
from mtv_jax.evaluation.theatre.readers import fitting_clips, match_events, readers_of
from mtv_jax.evaluation.theatre.run import Run, evaluation_clips
from mtv_jax.names import TRACK_RATE, TRACKS
from mtv_jax.text.theatre_language import theatre_prompt
from mtv_jax.theatre import TheatreClip, TheatreConfig

ROOT = Path(__file__).parents[3]
STAGE = TheatreConfig(actors=(0, 0.5, 0.5), speech=1, prop=1, effects=1, music=1)
CLIPS, SEED = 5, 23
ENDS = 12
"""Frame in which speech ends in the case `ends`."""
SHUT = 0.1
"""Widest opening of a mouth that is shut, as the suite has it (`lips.without_speech`)."""
LONG, WINDOW = 73, 25
"""Frames of a long video, and of one of its windows."""
GENERATE = """
import json, sys
from pathlib import Path
import numpy as np
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.io.audio import Recording
from mtv_jax.names import TRACK_RATE, TRACKS
from mtv_jax.pipelines.base import Pipeline
from mtv_jax.pipelines.run import GenerateConfig, batches, film, row_request
from mtv_jax.pipelines.timeline.grid import Grid
from mtv_jax.pipelines.timeline.plan import StoryOptions, plan_timeline

folder, num_frames, window, batch_size = Path(sys.argv[1]), *map(int, sys.argv[2:])
pipe, sounds = Pipeline.from_pretrained("tiny"), np.load(folder / "sounds.npy")
clip, rows = pipe.defaults.clip.replace(num_frames=num_frames), json.loads((folder / "rows.json").read_text())

def requests():
    for (prompt, row), waves in zip(rows, sounds, strict=True):
        heard = {
            name: Recording(Path(name), wave[:, None], ["FC"], TRACK_RATE, len(wave) / TRACK_RATE)
            for name, wave in zip(TRACKS, waves, strict=True)
        }
        yield row_request(prompt, pipe.tracks_of(heard, clip), 0, row)

config = GenerateConfig(SamplerConfig("ddim", 6), guidance_scale=1.0)
options = StoryOptions(window_frames=window, window_overlap=5)
windows = plan_timeline(Grid(num_frames, clip.fps, 1), "a stage", longest=None, options=options)
assert len(windows.windows) == 1 or num_frames > window
made = [
    np.concatenate(list(film(pipe, batch, clip, config, timeline=windows)), axis=1)[:count]
    for batch, count in batches(requests(), batch_size)
]
np.save(folder / "frames.npy", np.concatenate(made))
"""
"""Its own process: tests compile without optimisation, with which sampling takes three times as long."""

Waves = tuple[np.ndarray, np.ndarray, np.ndarray]


class Shown(NamedTuple):
    """A clip, and what is read of a video of it: openings [actors, F] and frames of events."""

    clip: TheatreClip
    openings: np.ndarray
    events: tuple[int, ...]

    @property
    def speaker(self) -> np.ndarray:
        return self.openings[self.clip.plan.speaker or 0]

    @property
    def others(self) -> np.ndarray:
        return np.delete(self.openings, self.clip.plan.speaker or 0, axis=0)


def faint(wave: np.ndarray) -> np.ndarray:
    """At -60 dBFS (RMS)."""
    return (wave * (1e-3 / np.sqrt(np.mean(np.square(wave, dtype=np.float64))))).astype(np.float32)


def until_the_end(speech: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(speech)) < ENDS * TRACK_RATE / float(STAGE.fps), speech, 0)


CASES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], Waves]] = {
    "own": lambda s, e, m: (s, e, m),
    "speech_alone": lambda s, e, m: (s, 0 * e, 0 * m),
    "silence": lambda s, e, m: (0 * s, 0 * e, 0 * m),
    "faint_music": lambda s, e, m: (faint(m), 0 * e, m),
    "loud_effects": lambda s, e, m: (0 * s, e / np.abs(e).max(), m),
    "ends": lambda s, e, m: (until_the_end(s), e, m),
}
"""Speech, effects and music of each case, of those of a clip. The prompt says that somebody is speaking."""


def made(
    folder: Path, stage: TheatreConfig, cases: dict[str, Any], *, clips: int, batch: int
) -> list[list[Shown]]:
    """What is seen of each case of each clip; the preset makes the videos, `batch` at a time, in windows if long."""
    acted = evaluation_clips(Run(stage, clips=clips, seed=SEED))
    pairs = [(case, clip) for case in cases.values() for clip in acted]
    np.save(folder / "sounds.npy", [case(*(clip.tracks[name] for name in TRACKS)) for case, clip in pairs])
    rows = [(theatre_prompt(clip.words), clip.plan.index) for _, clip in pairs]
    (folder / "rows.json").write_text(json.dumps(rows))
    flags = [flag for flag in os.environ["XLA_FLAGS"].split() if "optimization_level" not in flag]
    argv = [sys.executable, "-c", GENERATE, folder, stage.num_frames, WINDOW, batch]
    environment = os.environ | {"XLA_FLAGS": " ".join(flags)}
    subprocess.run(list(map(str, argv)), cwd=ROOT, env=environment, check=True)
    readers = readers_of(fitting_clips(60))
    seen = [
        Shown(clip, readers.openings(frames, clip.plan), readers.event_frames(frames, clip.plan))
        for (_, clip), frames in zip(pairs, np.load(folder / "frames.npy"), strict=True)
    ]
    return [seen[i : i + clips] for i in range(0, len(seen), clips)]


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> dict[str, list[Shown]]:
    found = made(tmp_path_factory.mktemp("mouths"), STAGE, CASES, clips=CLIPS, batch=15)
    assert sum(len(seen.openings) == 2 for seen in found[0]) >= 2
    return dict(zip(CASES, found, strict=True))


def follows(seen: Shown) -> float:
    """Correlation of the speaker's lips with the loudness of the speech, frame by frame."""
    return float(np.corrcoef(seen.speaker, seen.clip.truth.envelope)[0, 1])


def test_lips_follow_the_speech(shown):
    """ComfyUI#15643, ComfyUI-LTXVideo#438: lips moved, but not with the words."""
    assert np.mean([follows(seen) for seen in shown["own"]]) > 0.9


def test_clean_speech_alone_moves_the_lips(shown):
    """Wan2GP#1764: speech without anything beside it gave a still picture."""
    assert np.mean([follows(seen) for seen in shown["speech_alone"]]) > 0.9
    assert min(seen.speaker.max() for seen in shown["speech_alone"]) > 0.4


def test_of_two_mouths_the_speaker_s_alone_moves(shown):
    """ComfyUI-LTXVideo#395: both mouths moved."""
    pairs = [seen for seen in shown["own"] if len(seen.openings) == 2]
    assert min(seen.speaker.max() for seen in pairs) > 0.4
    assert max(seen.others.max() for seen in pairs) < SHUT


def test_bystanders_are_silent_whatever_is_heard(shown):
    """InfiniteTalk#70, #168: people who were not to speak did."""
    others = [seen.others.max() for found in shown.values() for seen in found if len(seen.openings) == 2]
    assert len(others) >= 2 * len(CASES)
    assert max(others) < SHUT


def test_a_mouth_is_shut_in_silence(shown):
    """MuseTalk#32, LatentSync#28, LatentSync#221: mouths moved while nothing was said."""
    assert max(seen.openings.max() for seen in shown["silence"]) < SHUT


def test_traces_of_music_at_60_db_below_full_scale_move_no_lips(shown):
    """music-video-pipeline#90: mouths moved on instrumental parts, even when these were turned down by 60 dB."""
    assert max(seen.openings.max() for seen in shown["faint_music"]) < SHUT


def test_loud_effects_and_music_move_no_lips(shown):
    """Wan2GP#646, Wan2GP#1695: sound effects leaked into lips."""
    assert max(seen.openings.max() for seen in shown["loud_effects"]) < SHUT


def test_effects_are_seen_beside_speech(shown):
    """WhatDreamsCost-ComfyUI#101: speech of one's own killed the effects; both were wanted."""
    pairs = [(seen.events, seen.clip.truth.event_frames) for seen in shown["own"]]
    matched = sum(match_events(found, true) for found, true in pairs)
    assert f1_score(matched, sum(len(f) for f, _ in pairs), sum(len(t) for _, t in pairs)) > 0.8


def test_the_first_frames_speak_too(shown):
    """LongCat-Video#96: in the first part of a video the mouth stayed shut."""
    pairs = [(seen.speaker[:8], seen.clip.truth.envelope[:8]) for seen in shown["own"]]
    spoken = np.concatenate([opening[envelope > 0.5] for opening, envelope in pairs])
    assert len(spoken) >= 8
    assert spoken.mean() > 0.4


@pytest.mark.slow
def test_every_window_of_a_long_video_speaks(tmp_path):
    """LongCat-Video#96: of the parts that make a long video the first had a silent mouth."""
    stage = dataclasses.replace(STAGE, num_frames=LONG)
    (found,) = made(tmp_path, stage, {"own": CASES["own"]}, clips=4, batch=4)
    for begin in range(0, LONG - 1, WINDOW - 1):
        part = slice(begin, begin + WINDOW)
        lips = [np.corrcoef(seen.speaker[part], seen.clip.truth.envelope[part])[0, 1] for seen in found]
        assert np.mean(lips) > 0.9, begin


def test_the_mouth_shuts_within_two_frames_of_the_speech(shown):
    """LatentSync#28: mouths opened before and after the speech, too."""
    for seen in shown["ends"]:
        assert seen.speaker[ENDS + 2 :].max() < SHUT
    assert max(seen.speaker[:ENDS].max() for seen in shown["ends"]) > 0.4
