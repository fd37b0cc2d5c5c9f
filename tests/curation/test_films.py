"""Generated films are what their truth says: cuts, fades, flashes, and tracks that add up to the sound."""

import itertools
import json
from fractions import Fraction

import numpy as np
import pytest

from mtv_jax.curation.films import TRUTH, FilmConfig, Footage, make_film, write_film
from mtv_jax.io.audio import read_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import read_video, write_video

SMALL = FilmConfig(
    height=16,
    width=32,
    fps=Fraction(12),
    shots=5,
    shot_seconds=(2.0, 2.5),
    transition_frames=(2, 4),
    black_frames=(2, 3),
    flash=1.0,
)


def differences(frames):
    """Mean absolute difference of each frame from the one before; the first has none."""
    steps = np.abs(np.diff(frames.astype(int), axis=0)).mean(axis=(1, 2, 3))
    return np.concatenate([[0], steps])


def rendered(film):
    return np.stack(list(film.frames()))


@pytest.fixture(scope="module")
def film():
    """A film with at least one transition of each kind."""
    wanted = {"cut", "dissolve", "black"}
    films = (make_film(seed, SMALL) for seed in range(40))
    return next(film for film in films if wanted <= {shot.transition for shot in film.plan[:-1]})


def test_frames_are_as_many_as_said_and_the_same_each_time(film):
    frames = rendered(film)
    assert frames.shape == (film.truth.num_frames, 16, 32, 3)
    np.testing.assert_array_equal(frames, rendered(make_film(film.seed, SMALL)))


def test_pictures_change_at_cuts_and_within_fades_and_flashes_only(film):
    truth, steps = film.truth, differences(rendered(film))
    for cut in truth.cuts:
        assert steps[cut] > 3 * np.median(steps[cut - 6 : cut])
    known = set(truth.cuts)
    for _, start, end in truth.fades:
        known |= set(range(start, end + 1))
    for start, end in truth.flashes:
        assert steps[start] > 20
        known |= set(range(start, end + 1))
    assert max(step for frame, step in enumerate(steps) if frame not in known) < 12


def test_fades_are_black_in_the_middle_and_dissolves_are_mixed(film):
    frames = rendered(film)
    for kind, start, end in film.truth.fades:
        middle = frames[(start + end) // 2].astype(int)
        if kind == "black":
            assert middle.max() == 0
            assert frames[start + 1].mean() < 0.8 * frames[start - 1].mean()
            assert frames[end - 2].mean() < 0.8 * frames[end].mean()
        else:
            mean = (frames[start - 1].astype(int) + frames[end]) / 2
            assert (
                np.abs(middle - mean).mean()
                < 0.35 * np.abs(frames[start - 1].astype(int) - frames[end]).mean()
            )


def test_the_sound_is_the_sum_of_the_tracks(film, tmp_path):
    truth = write_film(film, tmp_path / "f.mp4", tmp_path / "truth")
    written = json.loads((tmp_path / "truth" / TRUTH).read_text())
    assert written == json.loads(json.dumps(truth.to_json()))
    mix = read_audio(tmp_path / "f.mp4", 16000)
    tracks = [
        read_audio(tmp_path / "truth" / f"{name}.flac", 16000) for name in ("speech", "effects", "music")
    ]
    assert {len(track) for track in tracks} == {round(truth.num_frames / 12 * 16000)}
    assert np.corrcoef(sum(tracks), mix[: len(tracks[0])])[0, 1] > 0.95
    assert len(read_video(tmp_path / "f.mp4")[0]) == truth.num_frames


def test_footage_is_shown_but_not_twice_in_a_row(tmp_path):
    path = tmp_path / "blue.mp4"
    write_video(path, np.full((60, 16, 32, 3), (0, 0, 255), np.uint8), 12)
    whole = Footage.whole(path)
    assert whole.end == 5
    shown = make_film(3, SMALL, footage=[whole]).truth.shots
    names = [name for _, _, name in shown]
    assert "blue.mp4" in names
    assert ("blue.mp4", "blue.mp4") not in itertools.pairwise(names)
    with pytest.raises(UserError, match="footage shorter than a shot"):
        make_film(3, SMALL, footage=[Footage(path, 0, 1)])


def test_shots_too_short_for_their_transitions_are_refused():
    with pytest.raises(UserError, match="too short for transitions"):
        FilmConfig(shot_seconds=(1.0, 2.0))
