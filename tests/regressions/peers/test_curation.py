"""Curation of films: reports from users of similar software. docs/peers.md has the whole list."""

import pytest
from curation.films import FRAMES, run, write_film

from mtv_jax.curation.steps import last
from mtv_jax.data.shards import open_shards


def test_a_stopped_run_goes_on_in_the_middle_of_a_film(tmp_path, monkeypatch):
    """NeMo Curator before #2063: a run that was stopped began its source again."""
    (tmp_path / "films").mkdir()
    write_film(tmp_path / "films" / "a.mp4", 24)
    original, encoded = last.resize_crop, []

    def stop_at_third(frames, *size):
        if len(encoded) == 2 and not resumed:
            raise KeyboardInterrupt
        encoded.append(frames[0].copy())
        return original(frames, *size)

    resumed = False
    monkeypatch.setattr(last, "resize_crop", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "films", tmp_path / "out", *FRAMES)
    resumed = True
    run(tmp_path / "films", tmp_path / "out", *FRAMES)
    # Clips that were made before the stop are not made again.
    assert len(encoded) == len(open_shards(tmp_path / "out")) > 3
