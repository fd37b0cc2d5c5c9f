"""A film's pictures are decoded once, and its sound once, whatever is made of them."""

from collections import Counter

import pytest
from curation.films import PLAIN, ledger, run, separate_twice, write_film

from mtv_jax.curation.steps import sound
from mtv_jax.io import film as films
from mtv_jax.io import sound as sounds
from mtv_jax.io.errors import UserError

FRAMES, SECONDS = 72, 6


@pytest.fixture
def decoded(monkeypatch):
    """What was decoded of each file: `(path, kind)` -> frames of pictures, samples of sound."""
    counts = Counter()

    def counted(module, kind, length):
        decode = module._decode

        def frames(path, *rest):
            for frame in decode(path, *rest):
                counts[str(path), kind] += length(frame)
                yield frame

        monkeypatch.setattr(module, "_decode", frames)

    counted(films, "frames", lambda frame: 1)
    counted(sounds, "samples", lambda frame: frame.samples)
    return counts


@pytest.fixture
def command(tmp_path, pipeline_folder, monkeypatch):
    """A curation of one film with sound and two separators: the film, and the arguments of `run`."""
    (tmp_path / "films").mkdir()
    film = write_film(tmp_path / "films" / "a.mp4", FRAMES)
    second = separate_twice(monkeypatch, lambda samples: samples / 2)
    options = [*PLAIN, "--workers", "0", "--encoders", str(pipeline_folder), *second]
    return film, [tmp_path / "films", tmp_path / "out", *options, "--stride", "20"]


def leftovers(out):
    return [path.name for path in (out / "work").rglob(".*")]


def test_pictures_and_sound_of_a_film_are_decoded_once(command, decoded):
    pytest.importorskip("scenedetect", reason="needs the extra `curate`")
    film, arguments = command
    run(*arguments, "--config.shots.detector=pyscenedetect")
    stages = {row["stage"] for row in ledger(arguments[1]) if row["status"] == "ok"}
    assert {"clips", "separation", "second_separation", "encode"} <= stages
    assert (
        FRAMES <= decoded[str(film), "frames"] <= FRAMES + 12
    )  # the probe reads eight, and for the time of the sound one
    length = SECONDS * 48_000
    assert length <= decoded[str(film), "samples"] <= length + 4096
    assert not leftovers(arguments[1])


def test_sound_that_a_killed_run_has_decoded_is_used_and_then_removed(command, decoded, monkeypatch):
    film, arguments = command
    separated = sound.separated_spans

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(sound, "separated_spans", killed)
    with pytest.raises(KeyboardInterrupt):
        run(*arguments)
    assert ".sound" in leftovers(arguments[1])
    monkeypatch.setattr(sound, "separated_spans", separated)
    run(*arguments)
    assert decoded[str(film), "samples"] <= SECONDS * 48_000 + 4096
    assert decoded[str(film), "frames"] <= FRAMES + 12
    assert not leftovers(arguments[1])


def test_sound_is_removed_when_a_separator_fails(command, monkeypatch):
    _, arguments = command

    def fails(*args):
        raise UserError("no separation")

    monkeypatch.setattr(sound, "separated_spans", fails)
    assert run(*arguments) == 1
    assert not leftovers(arguments[1])


def test_a_film_without_clips_is_not_separated(command, decoded):
    film, arguments = command
    assert run(*arguments, "--skip-frames", str(FRAMES)) == 1
    assert not decoded[str(film), "samples"]
