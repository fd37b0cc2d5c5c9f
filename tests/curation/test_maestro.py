"""Maestro's curation from a published layout to shards: verdicts by medians, narration, splits, report, account."""

import json
from fractions import Fraction

import numpy as np
import pytest
from curation.films import ledger, run, separate_into_halves
from separators import CARD

from mtv_jax import curate
from mtv_jax.curation import roles
from mtv_jax.curation.heard import heard
from mtv_jax.curation.pipeline import make_stages
from mtv_jax.curation.release import release_problems
from mtv_jax.curation.roles import Embeddings
from mtv_jax.curation.session import Session
from mtv_jax.curation.settings import Layout
from mtv_jax.curation.verdicts import Verdicts
from mtv_jax.data.shards import open_shards
from mtv_jax.io.audio import read_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.levels import rms_dbfs
from mtv_jax.io.video import write_video
from mtv_jax.theatre import TheatreConfig, render_clip

SCORES = ("keyframe_audio", "keyframe_text", "audio_text")
RULES = ["--config.filters.min_motion=0", "--config.duplicates.on=False", "--config.agreement.label_clips=2"]
SMALL = ["--num-frames", "5", "--fps", "12", "--height", "32", "--width", "32", "--workers", "0", *RULES]
KNOWN = ["--config", "configs/maestro/curate.py:imagebind=known"]


def direction(angle):
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


class ByLevel:
    """Pictures point where their grey level says, sounds where their level does, labels where their letter does."""

    def card(self):
        return CARD

    def embed(self, keyframes, sounds, label):
        heard = np.array([np.abs(sound).max() for sound in sounds])
        grey = direction(keyframes.mean(axis=(1, 2, 3)) / 100)
        return Embeddings(grey, direction(3 * heard), direction((ord(label[0]) - ord("c")) * 0.7))


def write_clips(folder, label, shades):
    for i, shade in enumerate(shades):
        video = np.full((6, 32, 32, 3), shade, np.uint8)
        tone = 0.1 * (1 + (5 * i) % 7) * np.sin(2 * np.pi * 300 * np.arange(8000) / 16000)
        (folder / label).mkdir(parents=True, exist_ok=True)
        write_video(
            folder / label / f"{label} {i}-0_10.mp4",
            video,
            12,
            audio=tone.astype(np.float32),
            sample_rate=16000,
        )


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("landscape")
    write_clips(folder, "dog_barking", [40, 70, 100, 130, 200])
    write_clips(folder, "cat_meowing", [30, 90, 120, 150])
    curate.main(["sources", "--layout", "landscape", "--videos", str(folder), "--test", "3"])
    return folder / "sources.jsonl"


@pytest.fixture(scope="module")
def curated(sources, pipeline_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("curated") / "out"
    with pytest.MonkeyPatch.context() as patch:
        separate_into_halves(patch)
        patch.setattr(roles, "_made", {("embedder", "imagebind:known", "None"): ByLevel()})
        options = [*KNOWN, *SMALL, "--config.agreement.told_apart=0", "--config.agreement.keyframe_text=0.3"]
        assert run(sources, out, *options, "--encoders", str(pipeline_folder)) == 0
        yield out


def evidence(out):
    """Clip -> its evidence of agreement."""
    return {row["item"]: row["evidence"] for row in ledger(out) if row["stage"] == "agreement"}


def expected(found, **shares):
    """The clips above the cut-offs."""
    shares = {name: shares.get(name, 0.5) for name in SCORES}
    cuts = {name: np.quantile([e[name] for e in found.values()], s) for name, s in shares.items() if s}
    return {clip for clip, e in found.items() if all(e[name] > cut for name, cut in cuts.items())}


def kept(out):
    return {clip["clip"] for clip in Session.open(Layout(out)).verdicts().kept}


def test_the_clips_above_the_medians_are_kept_and_every_second_is_accounted_for(curated, capsys):
    found = evidence(curated)
    assert len(found) == 9
    assert kept(curated) == expected(found, keyframe_text=0.3)
    assert 1 < len(kept(curated)) < 5
    curate.main(["verify", str(curated)])
    assert "every one of 4.50 s of the films is accounted for" in capsys.readouterr().out
    verdicts = Session.open(Layout(curated)).verdicts()
    reasons = {reason for clip in verdicts.clips for reason in clip["failures"]}
    assert reasons == {f"low {name}" for name in SCORES}


def test_records_have_their_label_and_scores_and_no_recording_is_on_both_sides(curated, sources):
    train, test = open_shards(curated), open_shards(curated / "test")
    records = [shards.read(i) for shards in (train, test) for i in range(len(shards))]
    assert {record.id for record in records} == kept(curated)
    for record in records:
        assert record.prompt == record.facts["label"] in ("dog barking", "cat meowing")
        assert set(record.facts["agreement"]) == {*SCORES, "label", "dbfs"}
    splits = {}
    for line in map(json.loads, sources.read_text().splitlines()):
        splits.setdefault(line["split"], set()).add(line["recording"])
    assert splits["train"].isdisjoint(splits["test"])
    for shards, split in ((train, "train"), (test, "test")):
        names = {shards.read(i).source.name.split("/")[1].partition("-")[0] for i in range(len(shards))}
        assert names <= splits[split]


def test_the_report_shows_the_three_distributions_with_their_cut_offs(curated):
    curate.main(["report", str(curated)])
    numbers = json.loads((curated / "report.json").read_text())
    shown = {score["name"]: score for score in numbers["scores"] if score["cuts"]}
    found = evidence(curated)
    for name, share in zip(SCORES, (0.5, 0.3, 0.5), strict=True):
        (cut,) = shown[f"agreement.{name}"]["cuts"]
        assert (cut["name"], cut["bound"]) == (f"low {name}", "above")
        assert cut["threshold"] == pytest.approx(np.quantile([e[name] for e in found.values()], share))
        score = shown[f"agreement.{name}"]
        assert sum(score["kept"]) == len(kept(curated))
        assert sum(score["dropped"]) == 9 - len(kept(curated))
    assert "label.told_apart" in shown
    page = (curated / "report.html").read_text()
    assert all(f"<h3>agreement.{name}<small>, “low {name}”: above " in page for name in SCORES)


def test_another_share_is_decided_without_a_model(curated, tmp_path, capsys):
    options = [*KNOWN, *RULES, "--config.agreement.told_apart=0", "--config.agreement.keyframe_text=0.3"]
    before = kept(curated)
    try:
        tenth = [f"--config.agreement.{name}=0.1" for name in SCORES]
        curate.main(["decide", str(curated), *options, *tenth])
        assert kept(curated) == expected(evidence(curated), **dict.fromkeys(SCORES, 0.1)) > before
        curate.main(["decide", str(curated), *options, "--config.agreement.told_apart=1"])
        assert "dropped: indistinguishable label" in capsys.readouterr().out
        with pytest.raises(UserError, match="these values change what is measured"):
            curate.main(["decide", str(curated), *options, "--config.size.num_frames=9"])
    finally:
        curate.main(["decide", str(curated), *options])
    assert kept(curated) == before


def test_a_narrator_is_taken_out_before_the_sound_is_heard(
    sources, pipeline_folder, tmp_path, monkeypatch, curated
):
    """The separator of the test finds speech in half of the mix."""
    separate_into_halves(monkeypatch)
    monkeypatch.setattr(roles, "_made", {("embedder", "imagebind:known", "None"): ByLevel()})
    options = ["--config", "configs/maestro/curate.py:imagebind=known,narrator", *SMALL]
    options += [f"--config.agreement.{name}=0" for name in (*SCORES, "told_apart")]
    assert run(sources, tmp_path / "out", *options, "--encoders", str(pipeline_folder)) == 0
    clip = next(path for path in (tmp_path / "out/work/films").glob("*/*/*") if path.is_dir())
    mix, speech = (read_audio(clip / f"{name}.flac", 16000) for name in ("mix", "speech"))
    np.testing.assert_allclose(heard(clip, without_speech=True), mix - speech, atol=1e-4)
    quieter, loud = evidence(tmp_path / "out"), evidence(curated)
    assert quieter[clip.name]["dbfs"] == pytest.approx(rms_dbfs(mix) - 6.02, abs=0.05)
    assert all(quieter[name]["dbfs"] == pytest.approx(loud[name]["dbfs"] - 6.02, abs=0.05) for name in loud)
    assert all(quieter[name]["audio_text"] != loud[name]["audio_text"] for name in loud)


def test_another_embedder_hears_rejected_clips_again_whose_tracks_are_gone(
    sources, pipeline_folder, tmp_path, monkeypatch
):
    separate_into_halves(monkeypatch)
    monkeypatch.setattr(
        roles, "_made", {("embedder", f"imagebind:{name}", "None"): ByLevel() for name in "ab"}
    )
    shares = [f"--config.agreement.{name}=0.3" for name in SCORES]
    options = [
        *SMALL,
        *shares,
        "--config.agreement.told_apart=0",
        "--encoders",
        str(pipeline_folder),
        "--overwrite",
    ]
    out, found = tmp_path / "out", []
    for name in "aab":
        config = ["--config", f"configs/maestro/curate.py:imagebind={name},narrator"]
        assert run(sources, out, *config, *options) == 0
        found.append((len(ledger(out)), kept(out)))
        assert not [row for row in ledger(out) if row["status"] == "error"]
    assert 0 < len(found[0][1]) < 9
    assert found[0] == found[1]  # nothing was left to do
    assert found[2][0] > found[1][0]
    assert found[2][1] == found[1][1]


def test_the_config_says_how_long_and_large_clips_are_where_no_flag_does(sources, capsys):
    options = [
        "--config",
        "configs/maestro/curate.py:imagebind=random",
        "--videos",
        str(sources),
        "--out",
        "out",
    ]
    curate.main(["plan", *options])
    assert "clips of 81 frames" in capsys.readouterr().out
    curate.main(["plan", *options, "--num-frames", "5"])
    assert "clips of 5 frames" in capsys.readouterr().out


def test_evidence_of_random_weights_is_not_released():
    from mtv_jax.curation.config import load_curate_config
    from mtv_jax.curation.settings import Settings
    from mtv_jax.io.clip_size import ClipSize

    config = load_curate_config("configs/maestro/curate.py:imagebind=random", {})
    stages = make_stages(Settings("films", ClipSize(5, height=32, width=32), 5, "dfn3+mask", config=config))
    (stage,) = [stage for stage in stages if stage.name == "agreement"]
    problems = release_problems({"agreement": stage.cards()}, Verdicts([], []))
    assert problems == ["embedder is by ImageBind with random weights, a stub"]


def test_theatre_clips_go_all_the_way_with_random_weights_and_are_stamped(
    pipeline_folder, tmp_path, monkeypatch, capsys
):
    separate_into_halves(monkeypatch)
    for index in range(4):
        config = TheatreConfig(num_frames=6, height=64, width=64, fps=Fraction(12))
        clip = render_clip(7, index, config)
        place = tmp_path / "films" / ("even_numbers", "odd_numbers")[index % 2] / f"clip {index}_1.mp4"
        place.parent.mkdir(parents=True, exist_ok=True)
        sound = sum(clip.tracks.values()) + np.float32(0.01)
        write_video(place, clip.frames, 12, audio=sound, sample_rate=16000)
    curate.main(["sources", "--layout", "landscape", "--videos", str(tmp_path / "films"), "--test", "1"])
    out = tmp_path / "out"
    options = [
        "--config",
        "configs/maestro/curate.py:imagebind=random",
        *SMALL,
        "--encoders",
        str(pipeline_folder),
    ]
    options += ["--config.agreement.told_apart=0", "--config.agreement.audio_text=0"]
    options += ["--config.agreement.keyframe_text=0.1", "--config.agreement.keyframe_audio=0.1"]
    assert run(tmp_path / "films" / "sources.jsonl", out, *options) == 0
    found = evidence(out)
    assert len(found) == 4
    assert all(-1 <= scores[name] <= 1 for scores in found.values() for name in SCORES)
    assert kept(out) == expected(found, keyframe_audio=0.1, keyframe_text=0.1, audio_text=0)
    curate.main(["verify", str(out)])
    assert "every one of 2.00 s of the films is accounted for" in capsys.readouterr().out
    with pytest.raises(UserError, match="embedder is by ImageBind with random weights, a stub"):
        curate.main(["pack", str(out), "--release"])
    curate.main(["report", str(out)])
    stamp = "not to be released: embedder is by ImageBind with random weights, a stub"
    assert stamp in (out / "report.html").read_text()
    assert open_shards(out).manifest["info"]["models"]["agreement"]["embedder"]["fidelity"] == "stub"
