"""Each benchmark runs at toy size and prints JSON of the shape that its readers know."""

import importlib
import importlib.util
import json
from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
import pytest
import soundfile

from mtv_jax.io.audio import write_audio
from mtv_jax.io.levels import rms_dbfs
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.names import TRACKS
from mtv_jax.pipelines.presets import pipeline_folder
from tests.separators import HALVES, FunctionSeparator

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
NEEDS_TORCH = {"torch_side"}
PARTS = {"sides", "jax_side", "torch_side", "separation_metrics", "separation_mixes", "theatre_people"}
"""Modules of other scripts."""
TINY = pipeline_folder("tiny")


@pytest.fixture(autouse=True)
def scripts_import_each_other(monkeypatch):
    """As where one of them is run: `python benchmarks/SCRIPT.py` puts its folder on the path."""
    monkeypatch.syspath_prepend(BENCHMARKS)


def script(name):
    return importlib.import_module(f"benchmarks.{name}")


def printed(capsys):
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", sorted(path.stem for path in BENCHMARKS.glob("*.py")))
def test_each_script_is_imported_without_running_and_without_a_front_door(name):
    text = (BENCHMARKS / f"{name}.py").read_text()
    for door in ("train", "sample", "evaluate", "curate", "demix"):
        assert f"mtv_jax.{door} import" not in text
    if name in NEEDS_TORCH and importlib.util.find_spec("diffusers") is None:
        pytest.skip("needs torch and diffusers (the extra `parity`)")
    module = script(name)
    assert callable(getattr(module, "main", None)) or name in PARTS


def test_voice_over(capsys, monkeypatch, tmp_path):
    (tmp_path / "speech").mkdir()
    noise = np.random.default_rng(0).standard_normal(3 * 16_000).astype(np.float32)
    soundfile.write(tmp_path / "speech" / "voice.wav", 0.1 * noise, 16_000)
    monkeypatch.setenv("MTV_JAX_MEDIA", str(tmp_path))
    script("voice_over").main(["--theatre=3", "--size=64", "--seconds=2"])
    found = printed(capsys)
    assert (found["films"], found["cases"]["real"]) == ([], 0)
    assert found["cases"]["theatre"] >= 4
    assert found["strict"]["all"]["dropped"] >= found["paper"]["all"]["dropped"]


def test_shots(capsys, monkeypatch, tmp_path):
    pytest.importorskip("scenedetect", reason="needs the extra `curate`")
    shots, films = script("shots"), importlib.import_module("mtv_jax.curation.films")
    toy = films.FilmConfig(height=32, width=48, shots=2, transitions=(1, 0, 0), flash=0)
    shots.main(["--films=1", "--loop-minutes=0.3", f"--out={tmp_path / 'shots.json'}"], toy)
    found = printed(capsys)
    assert found == json.loads((tmp_path / "shots.json").read_text())
    assert found["generated"]["films"] == found["generated"]["cuts"] == 1
    assert found["generated"]["f1"] in (0, 1)
    assert found["generated"]["film_seconds"] > 2
    (looped,) = found["looped"]
    assert looped["film_seconds"] >= 18
    assert looped["peak_bytes"] > 0


@pytest.mark.slow
def test_curation_memory(tmp_path, capsys):
    memory, out = script("curation_memory"), tmp_path / "memory.json"
    argv = ["--settings=frames", "--size=32x16", f"--out={out}"]
    options = ["--", "--num-frames=5", "--stride=50", "--height=16", "--width=16"]
    memory.main(["--minutes=0.1", *argv, *options])
    (found,) = printed(capsys)
    assert (found["setting"], found["minutes"]) == ("frames", 0.1)
    assert found["clips"] == len(found["encode_peak_mb"]) > 2
    assert min(found["command_peak_mb"], found["stages"]["clips"]["peak_mb"], *found["encode_peak_mb"]) > 20
    memory.main(["--minutes=0.1,0.05", *argv, *options])
    again = printed(capsys)
    assert [row["minutes"] for row in again] == [0.1, 0.05]
    assert again[0] == found  # not measured again
    assert out.with_suffix(".svg").read_text().count("<polyline") == 2


def test_shots_are_compared_with_the_truth():
    shots, kind = script("shots"), importlib.import_module("mtv_jax.curation.shots").Shot

    def shot(start, end, begins, transition=False):
        return kind(start, end, Fraction(1, 24), 0, begins, "cut", transition)

    found = [
        shot(0, 11, "film"),
        shot(11, 40, "cut"),
        shot(40, 50, "dissolve", True),
        shot(50, 61, "dissolve"),
        shot(61, 80, "cut"),
        shot(80, 90, "fade", True),
        shot(90, 99, "cut"),
    ]
    truth = {"cuts": [10, 70], "fades": [["dissolve", 38, 45], ["black", 20, 25]], "flashes": [[60, 62]]}
    row = shots.compare(found, Fraction(24), truth, 95)
    assert {key: row[key] for key in ("hits", "misses", "false_cuts", "false_fades")} == {
        "hits": 1,
        "misses": 1,
        "false_cuts": 2,
        "false_fades": 1,
    }
    assert row["flashes_taken_for_cuts"] == 1
    assert row["fades"] == {"dissolve": (1, 1), "black": (0, 1)}
    assert shots.total([row])["f1"] == pytest.approx(2 / (2 + 2 + 1))
    assert shots.matches([9, 10], [10]) == 1
    assert shots.matches([12], [10]) == 0


def test_loader(capsys, monkeypatch):
    loader = script("loader")
    monkeypatch.setattr(loader, "SHAPES", {"latents_mean": (2, 4, 4, 3), "latents_logvar": (2, 4, 4, 3)})
    loader.main(["--rows=1", "--step-seconds=0", "--steps=2", "--records=4", "--workers=0"])
    found = printed(capsys)
    assert found["record_bytes"]["arrays"] == 2 * 2 * 2 * 4 * 4 * 3
    assert found["peak_bytes"]["after"] >= found["peak_bytes"]["before"] > 0
    assert found["records_per_second_at_full_speed"] > 0


@pytest.mark.slow
def test_vae_memory(capsys):
    script("vae_memory").main(["--variant=tiny", "--latents=2x4x4", "--tile=16x16"])
    found = printed(capsys)
    assert found["tile"] == [16, 16]
    assert found["video"][0] == 1
    assert found["video"][-1] == 3
    assert found["peak_bytes"] >= found["peak_bytes_before"] > 0


def test_compile_time_takes_the_median_of_each_depth(capsys, monkeypatch):
    benchmark = script("compile_time")
    times = iter([1.0, 2.0, 3.0, 4.0, 2.0, 9.0])
    monkeypatch.setattr(benchmark, "compile_seconds", lambda layers: next(times))
    benchmark.main(["--layers=1,2"])
    found = printed(capsys)
    assert found["seconds"] == {"1": 2.0, "2": 4.0}
    assert found["ratio"] == 2.0


@pytest.mark.slow
def test_compile_time_compiles():
    assert script("compile_time").compile_seconds(1) > 0


def test_a_gpu_part_that_fails_is_in_the_report_and_in_the_exit_code(tmp_path, monkeypatch):
    gpu = script("gpu")
    parts = {"device": {"kind": "toy"}, "step": {"error": "out of memory"}}
    monkeypatch.setattr(gpu, "_run_part", lambda name, limit: dict(parts[name]))
    out = tmp_path / "gpu.json"
    with pytest.raises(SystemExit) as caught:
        gpu.main(["--only=device,step", f"--out={out}"])
    assert caught.value.code == 1
    found = json.loads(out.read_text())
    assert found["device"]["kind"] == "toy"
    assert found["step"]["error"] == "out of memory"
    assert found["step"]["wall_seconds"] >= 0
    with pytest.raises(SystemExit) as caught:
        gpu.main(["--only=device"])
    assert caught.value.code == 0


def test_gpu_does_not_take_parts_that_there_are_not(capsys):
    with pytest.raises(SystemExit) as caught:
        script("gpu").main(["--only=toast"])
    assert caught.value.code == 2
    assert "toast" in capsys.readouterr().err


def test_our_side_runs_a_folder_of_weights():
    sides, ours = script("sides"), script("jax_side")
    case = sides.Case("t5", "float32", str(TINY / "text_encoder"), {"vocabulary": 40, "length": 6})
    seconds, run, output = ours.prepare(case)
    run()
    assert seconds > 0
    assert output().shape[:2] == (1, 6)


def test_our_side_gives_the_denoiser_what_the_case_holds():
    sides, ours = script("sides"), script("jax_side")
    model = make_model("dit", make_config("dit", "tiny", {"num_layers": 1}))
    sizes = {"frames": 1, "height": 8, "width": 8, "channels": 8, "text_length": 4, "text_dim": 64}
    inputs = sides.Case("dit", "float32", "weights", sizes).inputs()
    output = jax.eval_shape(ours.forward("dit", model), parameter_shapes(model), *inputs)
    assert output.shape == (1, 1, 8, 8, 8)


@pytest.mark.parity
def test_the_originals_side_runs(tmp_path):
    pytest.importorskip("diffusers")
    sides, theirs = script("sides"), script("torch_side")
    sizes = {"layers": 1, "d_model": 8, "d_ff": 16, "heads": 2, "vocabulary": 32, "length": 4}
    seconds, run, output = theirs.prepare(sides.Case("t5", "float32", str(tmp_path), sizes))
    run()
    assert seconds > 0
    assert output().shape == (1, 4, 8)


def test_vs_diffusers_pairs_ours_with_theirs(tmp_path, capsys, monkeypatch):
    benchmark = script("vs_diffusers")

    class Side:
        def __init__(self, python, name, case):
            self.scale = 1.0 if name == "jax_side.py" else 2.0
            self.preparation = self.scale

        def ask(self, request):
            np.save(request["save"], np.full(3, self.scale))
            return 10 * self.scale

        def run(self):
            return self.scale, 3 * self.scale

        def close(self):
            pass

    monkeypatch.setattr(benchmark, "Side", Side)
    benchmark.main(["--only=t5", "--dtype=float32", "--rounds=2", f"--out={tmp_path / 'out.json'}"])
    (found,) = printed(capsys)["results"]
    assert found["seconds"] == [1.0, 2.0]
    assert found["ratio"] == found["processor_ratio"] == 0.5
    assert found["peak_bytes"] == [10.0, 20.0]
    assert found["largest_difference"] == 0.5
    assert json.loads((tmp_path / "out.json").read_text())["results"] == [found]


def test_cases_have_the_same_inputs_on_both_sides():
    sides = script("sides")
    for network, sizes in sides.SIZES.items():
        small = {key: min(value, 4) for key, value in sizes.items()}
        once, again = (sides.Case(network, "float32", "weights", small).inputs() for _ in range(2))
        assert all(np.array_equal(a, b) for a, b in zip(once, again, strict=True))


class LeakySeparator(FunctionSeparator):
    """Every track is silent 10 dB below the mix."""

    leak_db = dict.fromkeys(TRACKS, 10.0)  # pyright: ignore[reportAssignmentType]


@pytest.fixture
def media(tmp_path):
    """Voices, strikes and music of noise."""
    rng, rate = np.random.default_rng(0), 16000
    mixes = script("separation_mixes")
    hiss = rng.normal(0, 0.1, 4 * rate).astype(np.float32)
    for name in ("a", "b"):
        write_audio(tmp_path / f"speech/prompts/{name}.wav", hiss, rate)
        write_audio(tmp_path / f"music/{name}.wav", hiss[::-1], rate)
    for name in (*mixes._CHOOSING, *mixes._REPORTED):
        write_audio(tmp_path / f"effects/{name}.flac", hiss[: rate // 10], rate)
    return tmp_path


def test_separators(media, capsys, monkeypatch):
    benchmark = script("separators")
    monkeypatch.setattr(benchmark, "find_separator", lambda name, tracks: HALVES)
    benchmark.main(["--separators=halves", f"--media={media}", "--mixes=3", "--clips=1", "--seconds=1"])
    found = printed(capsys)["halves"]
    assert set(found) == {"recorded", "theatre", "silence"}
    recorded = found["recorded"]
    assert recorded["mixes"] == 3 * 3
    for track in ("speech", "effects", "music"):
        quality = recorded["si_sdr_db"][track]
        assert quality["track"] == pytest.approx(
            quality["mix"], abs=0.01
        )  # a half of the mix is as good as the mix
        assert recorded["delay_samples"][track] == 0
        assert recorded["leakage_db"]["speech"][track] == pytest.approx(20 * np.log10(1 / 2), abs=0.3)
        assert recorded["leakage_db"]["music"][track] == pytest.approx(20 * np.log10(1 / 4), abs=0.3)
    assert recorded["onsets"]["true"] > 0
    assert set(recorded["si_sdr_db_by_level"]) == {"-6", "+0", "+6"}
    assert set(found["silence"]) == {"recorded", "theatre", "both"}


def test_silence_is_judged_by_the_rule_of_the_package():
    """Here a track is silent 10 dB below the mix, of -20 dBFS."""
    benchmark, mixes = script("separators"), script("separation_mixes")
    loud = np.full(16000, 0.1, np.float32)
    tracks = {"speech": loud, "effects": 0 * loud, "music": 0 * loud}
    separator = LeakySeparator(
        lambda samples, rate: {**dict.fromkeys(tracks, 0.1 * samples), "speech": samples}
    )
    rows = benchmark.heard(separator, [mixes.Mix(tracks), mixes.Mix({**tracks, "music": 0.1 * loud})])
    found = benchmark.silence(rows, separator, dict.fromkeys(tracks, 25.0))
    assert (found["effects"]["agreement"], found["effects"]["agreement_at_-45"]) == (1, 0)
    assert (found["music"]["agreement"], found["music"]["sound_taken_for_silent"]) == (0.5, 1)
    assert (found["music"]["silent"], found["music"]["silent_taken_for_sound"]) == (1, 0)
    assert found["music"]["agreement_at_best"] == 0.5
    assert benchmark.events(rows)["found"] == 0


def test_mixes_are_at_their_levels(media):
    mixes = list(script("separation_mixes").recorded_mixes(media, 2, 1.0, choosing=False))
    for mix in mixes:
        rest = mix.tracks["effects"] + mix.tracks["music"]
        apart = 20 * np.log10(np.linalg.norm(mix.tracks["speech"]) / np.linalg.norm(rest))
        assert apart == pytest.approx(mix.level, abs=0.7)  # effects and music may correlate
    assert {mix.level for mix in mixes} == {-6, 0, 6}


def test_mixes_of_the_theatre_have_the_level_of_the_others():
    module = script("separation_mixes")
    for mix in module.theatre_mixes(4, choosing=True):
        peak = np.abs(mix.mix).max()
        assert rms_dbfs(mix.mix) == pytest.approx(module.MIX_DBFS, abs=0.01) or peak == pytest.approx(0.99)


@pytest.mark.slow
def test_layouts_from_stereo(capsys):
    script("stereo_layout").main(["--mixes=20"])
    for name, found in printed(capsys).items():
        assert found["in_order"] > 0.9, name
        assert found["position_error"] < (1e-6 if "none" in name else 0.2)


@pytest.mark.slow
def test_separation_by_words(capsys):
    script("by_text").main(["--variant=tiny", "--seconds=6"])
    found = printed(capsys)
    assert found["times_real_time"] > 0
    assert found["peak_bytes"] >= found["peak_bytes_before"] > 0


@pytest.mark.slow
def test_speed_of_separators(capsys):
    script("separators").main(["--speed", "--separators=dfn3+hpss", "--seconds=2"])
    found = printed(capsys)["dfn3+hpss"]
    assert found["times_real_time"] > 0
    assert found["peak_bytes"] > 0


@pytest.mark.slow
def test_load_memory(capsys):
    with pytest.raises(SystemExit) as caught:
        script("load_memory").main(["--variant=tiny", "--gigabytes=0.01"])
    found = printed(capsys)
    assert caught.value.code == 0
    assert found["holds"] is True
    assert found["peak"] > found["before"]
    assert found["largest_tensor_bytes"] < found["checkpoint_bytes"]


@pytest.mark.slow
def test_evaluate_memory(capsys):
    script("evaluate_memory").main(["--videos", "1", "3"])
    found = printed(capsys)
    assert [row["videos"] for row in found] == [1, 3]
    assert all(row["peak"] > 0 and row["seconds_per_video"] > 0 for row in found)


@pytest.mark.slow
def test_tiny(capsys):
    script("tiny").main(["--steps=1", "--batch-size=1", "--clips=1"])
    found = printed(capsys)
    assert found["training"]["step_seconds"] > 0
    assert found["sampling"]["clip_seconds"] > 0
    assert found["theatre"]["frames_per_core_second"] > 0


@pytest.mark.slow
def test_lengths(tmp_path, capsys):
    script("lengths").main(["--lengths", "9", "--clips=1", f"--out={tmp_path / 'lengths.json'}"])
    (row,) = json.loads((tmp_path / "lengths.json").read_text())["rows"]
    assert row == printed(capsys)
    assert row["num_frames"] == 9
    assert {"lips", "lips_theatre", "events", "events_theatre"} < set(row)


@pytest.mark.slow
def test_syncsynth(capsys):
    script("syncsynth").main(["--clips=4"])
    found = printed(capsys)
    assert found["figures"]
    assert all(0 <= share <= 1 for share in found["significant_by_shift"].values())


@pytest.fixture
def untrained(monkeypatch):
    """Instead of a training, the preset `tiny` in its workdir."""

    def train(workdir):
        workdir.mkdir(parents=True)
        (workdir / "pipeline").symlink_to(TINY)

    return train


@pytest.mark.slow
def test_ablations(tmp_path, capsys, monkeypatch, untrained):
    benchmark = script("ablations")
    monkeypatch.setattr(benchmark, "train", lambda variant, seed, workdir, steps: untrained(workdir))
    options = ["--only=full-0", "--clips=4", "--sampling-steps=1", f"--out={tmp_path}"]
    benchmark.main(options)
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert len(rows) == len(benchmark.SHOWN)
    assert all(row["variant"] == "full" for row in rows)
    with pytest.raises(SystemExit) as caught:
        benchmark.main(["--only=full-9"])
    assert caught.value.code == 2


@pytest.mark.slow
def test_injection_residual(tmp_path, monkeypatch, untrained):
    benchmark = script("injection_residual")

    def train(workdir, fields, args):
        untrained(workdir)
        return [3.0, 2.0, 1.0]

    monkeypatch.setattr(benchmark, "train", train)
    monkeypatch.setattr(benchmark, "VARIANTS", {"residual": {}})
    benchmark.main(["--clips=4", "--sampling-steps=1", f"--out={tmp_path}"])
    found = json.loads((tmp_path / "residual.json").read_text())
    assert found["variants"]["residual"]["first loss"] == 3.0
    assert found["variants"]["residual"][f"loss, last {benchmark.ENDS} steps"] == 2.0


def test_filters(capsys, monkeypatch):
    monkeypatch.delenv("MTV_JAX_MEDIA", raising=False)
    script("filters").main(["--clips=1"])
    found = printed(capsys)
    for name in ("bars.share", "sound.dbfs", "sound.clipped", "motion.flow", "duplicates.sound"):
        assert 0.5 < found[name]["auc"] <= 1, name
        assert set(found[name]["default"]) == {"threshold", "recall", "false_alarms", "precision"}
    assert {"demixing.speech", "demixing.others", "duplicates.picture"} < set(found)


def test_demixing_filter():
    """Without its separators: what is made of voices that were judged."""
    module = script("demixing_filter")
    scores = [(0.1, 12.0), (0.3, 8.0), (0.6, 7.0), (0.7, -3.0), (0.8, 3.0)]
    clips = [module.Judged({"speech": s, "others": None, "compared": None}, quality) for s, quality in scores]
    found = module.figures(clips, 0.5)
    assert (found["good"], found["bad"], found["auc"], found["dropped_of_bad"]) == (3, 1, 1.0, 1.0)
    assert found["dropped_of_good"] == pytest.approx(1 / 3)


def test_diarisation(capsys, monkeypatch, tmp_path):
    """With a model that hears one speaker throughout."""
    diarisation = script("diarisation")
    roles, turns = (importlib.import_module(f"mtv_jax.curation.{name}") for name in ("roles", "speakers"))

    class One:
        def card(self):
            return roles.ModelCard("one", "1", "MIT", None, "stub")

        def diarize(self, samples, sample_rate):
            return turns.turn_scores([diarisation.Turn(0, len(samples) / sample_rate, "x")])

    rng = np.random.default_rng(0)
    for name in ("media/speech/two_speakers_30s", "voices/a/1", "voices/b/1"):
        (tmp_path / name).parent.mkdir(parents=True)
        write_audio(tmp_path / f"{name}.wav", rng.normal(0, 0.1, 24_000).astype(np.float32), 16_000)
    (tmp_path / "media/speech/two_speakers_30s.rttm").write_text("SPEAKER x 1 1 2 <NA> <NA> a <NA> <NA>\n")
    monkeypatch.setenv("MTV_JAX_MEDIA", str(tmp_path / "media"))
    monkeypatch.setattr(diarisation, "find_model", lambda role, name: One())
    monkeypatch.setattr(diarisation, "SPEAKERS", (1, 2))
    diarisation.main([f"--voices={tmp_path / 'voices'}", "--seconds=5"])
    found = printed(capsys)
    first, one, two = found["sounds"]
    # 1.5 s of speech within the collars, 0.75 s of other sound before them and 1.75 s after.
    assert first["collar 0.25"]["error_rate"] == pytest.approx(2.5 / 1.5, abs=1e-3)
    assert (one["speakers"], two["speakers"]) == (1, 2)
    assert one["collar 0.0"]["confusion"] == 0 < two["collar 0.0"]["confusion"]
    assert found["conversations"]["collar 0.0"]["false_alarm"] > 0


@pytest.mark.slow  # six processes
def test_curation_scale(capsys):
    script("curation_scale").main(["--clips", "400", "--records", "2"])
    found = printed(capsys)
    assert found["synthetic"]["clips"] == 400
    assert all(cost["seconds"] > 0 and cost["peak_gb"] < 1 for cost in found["commands"].values())
