"""The five stages: configs as golden text, their step at full size without running it, and how one follows another."""

import dataclasses
import functools
import itertools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import make_stages
from pipeline_folders import SIZE, SMALL

from mtv_jax import train as command
from mtv_jax.data.pipeline import make_dataset
from mtv_jax.data.records import ClipRecord, ClipSource, clip_id
from mtv_jax.data.shards import ShardSet, open_shards, write_shards
from mtv_jax.diffusion.conditions import Conditions
from mtv_jax.diffusion.masks import KeyframeConfig
from mtv_jax.io.config import describe, split_overrides, to_plain
from mtv_jax.io.errors import UserError
from mtv_jax.models.registry import controlnet_parameters
from mtv_jax.names import TRACKS
from mtv_jax.planning.flops import num_tokens
from mtv_jax.planning.sizes import LatentSize
from mtv_jax.planning.throughput import throughput_of
from mtv_jax.planning.training_memory import row_bound
from mtv_jax.sharding.mesh import make_mesh
from mtv_jax.sharding.rules import paths
from mtv_jax.training import optim, steps
from mtv_jax.training.build import make_task
from mtv_jax.training.checkpoint import load_trained
from mtv_jax.training.configs import (
    ABLATIONS,
    DataSection,
    TrainConfig,
    differences,
    load_train_config,
    saved_train_config,
    train_config,
    with_network_fields,
)
from mtv_jax.training.job import make_job, set_up
from mtv_jax.training.optim import learning_rate_schedule
from mtv_jax.training.tasks import DenoiserLossConfig, denoiser_task, drop_conditions
from mtv_jax.weights.pretrained import load_model
from mtv_jax.weights.rules import flat_paths

REGENERATE = "if it was meant to change: python tests/goldens/make_stages.py"
SUBSETS = ("basic_face", "single_character", "multiple_characters", "sound_event", "visual_mood")
STAGES = [f"stage{number}" for number in range(1, 6)]
CLIPS = {
    "mtv_5b": {"latents": (13, 60, 90, 16), "text": 4096, "sound": (49, 12, 768)},
    "tiny": {"latents": (25, 8, 8, 8), "text": 64, "sound": (25, 4, 64)},
}
"""Shapes of a clip's arrays: 49 frames at 480 x 720 with wav2vec2 features, and the tiny preset's."""


@pytest.mark.parametrize("file", make_stages.FILES)
def test_what_the_configs_do_to_every_parameter_is_golden(file):
    golden = (make_stages.FOLDER / file).read_text()
    assert make_stages.FILES[file]() == golden, f"{file} is another now; {REGENERATE}"


def test_golden_files_are_those_that_are_made():
    assert {path.name for path in make_stages.FOLDER.iterdir()} == set(make_stages.FILES), REGENERATE


@pytest.mark.parametrize("size", ["", "-tiny"])
def test_stages_differ_in_their_data_and_in_what_they_start_from_only(size):
    first, *others = (make_stages.resolve(f"{stage}{size}") for stage in STAGES)
    for number, config in enumerate(others, 2):
        assert config.init_from == f"runs/stage{number - 1}{size}"
        mixture = config.data.pipeline(("text",), 0).mixture
        assert mixture == {SUBSETS[number - 1]: 1.0}
        assert config.stream == number
        data = dataclasses.replace(config.data, mixture=first.data.mixture)
        same = dataclasses.replace(config, data=data, init_from=first.init_from, stream=first.stream)
        if size == "-tiny":
            same = _without_what_is_tiny(same, first, last=number == len(STAGES))
        assert same == first
    assert first.data.pipeline(("text",), 0).mixture == {"basic_face": 1.0}


def _without_what_is_tiny(config: TrainConfig, first: TrainConfig, last: bool) -> TrainConfig:
    """Stages of the tiny model have lengths of their own, the rate falls in the last only, and the first, which
    learns lips, weighs what moves most."""
    assert config.optimizer.schedule == ("linear" if last else "constant")
    assert _motion_weight(config) < _motion_weight(first)
    optimizer = dataclasses.replace(config.optimizer, schedule=first.optimizer.schedule)
    loss = dataclasses.replace(config.loss, motion_weight=_motion_weight(first))
    return dataclasses.replace(config, num_steps=first.num_steps, optimizer=optimizer, loss=loss)


def _motion_weight(config: TrainConfig) -> float:
    assert isinstance(config.loss, DenoiserLossConfig)
    return config.loss.motion_weight


def test_one_mixed_stage_has_the_steps_rates_and_clips_of_the_five():
    stages = [make_stages.resolve(f"{stage}-tiny") for stage in STAGES]
    parts = [make_stages.resolve(f"tiny/mixed-{part}") for part in ("early", "late")]
    assert [part.num_steps for part in parts] == [sum(s.num_steps for s in stages[:4]), stages[4].num_steps]
    assert [p.optimizer for p in parts] == [stages[0].optimizer, stages[4].optimizer]
    for part in parts:
        mixture = part.data.pipeline(("text",), 0).mixture
        assert mixture == {name: s.num_steps for name, s in zip(SUBSETS, stages, strict=True)}
    weighed = sum(s.num_steps * _motion_weight(s) for s in stages)
    assert sum(p.num_steps * _motion_weight(p) for p in parts) == pytest.approx(weighed)
    assert parts[0].init_from == stages[0].init_from
    assert parts[1].init_from == "runs/tiny/mixed-early"
    assert parts[0].stream != parts[1].stream


def test_the_last_steps_of_the_tiny_model_see_all_subsets():
    config = make_stages.resolve("tiny/finish")
    assert config.stream not in {make_stages.resolve(f"{stage}-tiny").stream for stage in STAGES}
    assert config.init_from == "runs/stage5-tiny"
    assert config.data.pipeline(("text",), 0).mixture == dict.fromkeys(SUBSETS, 1.0)


def test_weights_on_the_command_line_mix_all_subsets():
    weights = {f"data.mixture.{name}": "1" for name in SUBSETS}
    config = make_stages.resolve("stage4", **weights)
    assert config.data.pipeline(("text",), 0).mixture == dict.fromkeys(SUBSETS, 1.0)


def test_conditions_and_keyframes_are_dropped_and_given_as_in_the_reference():
    loss: Any = make_stages.resolve("stage1").loss
    assert loss.keyframes == KeyframeConfig()
    assert sum(loss.keyframes.probabilities()) == pytest.approx(0.25)
    assert (loss.drop_text, loss.drop_tracks, loss.kind) == (0.1, 0.05, "x0_snr")


@pytest.mark.parametrize(
    "config", [f"{s}{size}" for s in STAGES for size in ("", "-tiny")] + ["tiny/mixed", "tiny/finish"]
)
def test_guidance_by_track_leads_away_from_branches_that_are_trained(config):
    loss = make_stages.resolve(config).loss
    alone = {track: getattr(loss, f"drop_{track}") for track in TRACKS}
    assert alone == dict.fromkeys(TRACKS, 0.05)
    ones = jnp.ones((20_000, 1))
    given = drop_conditions(jax.random.key(0), Conditions(ones, dict.fromkeys(TRACKS, ones)), TRACKS, loss)
    dropped = {k: np.asarray(v)[:, 0] == 0 for k, v in {"text": given.text, **given.tracks}.items()}
    assert dropped["text"].mean() == pytest.approx(0.1, abs=0.01)
    for track in TRACKS:
        others = [dropped[name] for name in ("text", *TRACKS) if name != track]
        only = dropped[track] & ~np.logical_or.reduce(others)
        assert only.mean() == pytest.approx(0.05 * 0.95**3 * 0.9, abs=0.01)


class Recorder:
    """A model that keeps what it is given, and has one parameter."""

    tracks = TRACKS

    def __init__(self):
        self.seen = []

    def init(self, *_):
        return {"params": {"kernel": jnp.ones(())}}

    def apply(self, params, latents, timesteps, conditions):
        seen = (latents, timesteps, conditions.text, *conditions.tracks.values())
        self.seen.append([np.asarray(x) for x in seen])
        return params["params"]["kernel"] * jnp.zeros_like(latents)


def draws(config: TrainConfig) -> list[np.ndarray]:
    """Noised latents, timesteps and dropped conditions of the first step, of a batch of zeros and ones."""
    model = Recorder()
    task = denoiser_task(model, config.loss)
    shapes = {"latents_mean": (4, 2, 2, 2, 2), "latents_logvar": (4, 2, 2, 2, 2), "text": (64, 1)}
    batch = {name: jnp.zeros((64, *shape[1:])) for name, shape in shapes.items()}
    batch |= {name: jnp.ones((64, 1)) for name in ("text", *TRACKS)}
    optimizer = dataclasses.replace(config.optimizer, trainable=(".*",))
    state = steps.make_init(task, optimizer, config.num_steps, config.seed, batch)()
    step = steps.make_step(task, optimizer, config.num_steps, config.seed, stream=config.stream)
    step(state, batch)
    noised, timesteps, *given = model.seen[-1]
    return [noised, timesteps, np.stack(given)]


def test_stages_draw_noise_timesteps_and_dropout_of_their_own():
    changes = {"loss.scaling_factor": "1.0"}
    found = [draws(make_stages.resolve(stage, **changes)) for stage in STAGES]
    for one, other in itertools.combinations(found, 2):
        for a, b in zip(one, other, strict=True):
            assert not np.array_equal(a, b)
    again = draws(make_stages.resolve(STAGES[2], **changes))
    for a, b in zip(again, found[2], strict=True):
        np.testing.assert_array_equal(a, b)
    # What a run drew before there were streams, it draws still.
    assert make_stages.resolve(STAGES[0], stream="0").data_seed == 0
    assert train_config({**MINIMAL, "seed": 7}).data_seed == 7


def test_stages_read_their_clips_in_an_order_of_their_own(shards):
    opened = open_shards(shards)

    def order(stage):
        config = make_stages.resolve(stage, **{"data.batch_size": "6", "data.num_workers": "0"})
        data = dataclasses.replace(config.data, mixture={"basic_face": 1}, text_length=24)
        batches = iter(make_dataset(opened, data.pipeline(("latents_mean",), config.data_seed)))
        return np.concatenate([next(batches)["latents_mean"][:, 0, 0, 0, 0] for _ in range(4)]).tolist()

    orders = [order(stage) for stage in STAGES]
    assert len(set(map(tuple, orders))) == len(STAGES)
    assert order(STAGES[1]) == orders[1]


MINIMAL = {
    "task": "denoiser",
    "num_steps": 1,
    "model": {"name": "mtv", "variant": "tiny"},
    "data": {"dir": "shards", "batch_size": 1},
}


def test_a_run_reads_by_the_stream_s_order(shards):
    values = load_train_config("configs/stage1.py:tiny", overrides(f"--config.data.dir={shards}"))
    config = train_config(values.to_dict())
    assert set_up(config).reading.seed == config.data_seed
    assert config.data_seed != config.seed


def test_a_job_is_made_without_reading_a_record(shards, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ShardSet, "source", property(lambda _: pytest.fail("a record is read")))
        values = load_train_config("configs/stage1.py:tiny", overrides(f"--config.data.dir={shards}"))
        setup = set_up(train_config(values.to_dict()))
        job = make_job(setup, values, tmp_path / "run")
        bound, throughput = row_bound(setup.model, setup.shards), throughput_of(setup)
    assert bound > 0
    assert throughput is not None
    assert throughput.tokens == 2 * num_tokens(setup.model, LatentSize(2, 4, 4))
    read = next(iter(job.batches(0)))
    assert {key: (x.shape, x.dtype) for key, x in read.items()} == {
        key: (x.shape, x.dtype) for key, x in job.batch.items()
    }
    assert job.identity["data"]["dir"] == str(shards)


def test_a_config_from_before_streams_trains_and_goes_on_as_it_did():
    values = load_train_config("configs/stage4.py", {"data.dir": "shards", "stream": "0"}).to_dict()
    now = to_plain(values)
    saved = to_plain(values)
    del saved["stream"], saved["loss"]["schedule"]
    saved["sample"]["num"] = 2
    saved["data"]["shards"] = now["data"]["shards"] = "0123"
    assert saved_train_config(saved).stream == 0
    assert list(differences(saved, now)) == []
    assert list(differences(saved, now | {"stream": 4})) == ["stream (was 0, is 4)"]
    aloud = now | {"model": now["model"] | {"overrides": {"controlnet": {"rope_queries": True}}}}
    assert list(differences(saved, aloud)) == []
    aloud["model"]["overrides"]["controlnet"]["rope_queries"] = False
    assert list(differences(saved, aloud)) == ["model.overrides.controlnet.rope_queries (was True, is False)"]
    unreadable = saved | {"gone": 1}
    assert "gone (was 1, is None)" in list(differences(unreadable, now))
    other = now["data"] | {"shards": "4567"}
    assert list(differences(saved, now | {"data": other})) == ["data.shards (was '0123', is '4567')"]


def test_every_field_of_the_network_is_a_flag():
    config: Any = with_network_fields(load_train_config("configs/stage3.py", {"data.dir": "shards"}))
    network = make_stages.network_config(make_stages.resolve("stage3"))
    assert config.model.overrides.to_dict() == dataclasses.asdict(network)
    shown = describe(config)
    assert "--config.model.overrides.controlnet.rope_queries=True" in shown
    assert "--config.model.overrides.dit.num_layers=42" in shown


PAPER = {
    "temporal_conv": "music",
    "separate_feed_forward": True,
    "borrow_qk_norm": False,
    "rope_queries": False,
}


@pytest.mark.parametrize("stage", [f"{s}{size}" for s in STAGES for size in ("", "-tiny")])
def test_each_difference_between_paper_and_code_is_a_flag_of_every_stage(stage):
    plain = make_stages.network_config(make_stages.resolve(stage)).controlnet
    for field, value in {**PAPER, "injection_residual": False, "zero_init_injection": True}.items():
        config = make_stages.resolve(stage, **{f"model.overrides.controlnet.{field}": str(value)})
        assert config.model.overrides == {"controlnet": {field: value}}
        assert make_stages.network_config(config).controlnet == dataclasses.replace(plain, **{field: value})
    variant = "tiny_paper" if stage.endswith("tiny") else "mtv_5b_paper"
    config: Any = make_stages.resolve(
        stage, **{"model.variant": variant, "loss.kind": "mse", "loss.schedule.prediction": "epsilon"}
    )
    assert make_stages.network_config(config).controlnet == dataclasses.replace(plain, **PAPER)
    assert (config.loss.kind, config.loss.schedule.prediction) == ("mse", "epsilon")
    with pytest.raises(UserError, match="use loss.kind 'mse', or loss.schedule.zero_terminal_snr false"):
        make_stages.resolve(stage, **{"loss.schedule.prediction": "epsilon"})


def test_the_rate_starts_low_then_warms_up_then_falls():
    config = make_stages.resolve("stage2")
    rate = learning_rate_schedule(config.optimizer, config.num_steps)
    rates = {step: float(rate(step)) for step in (0, 9, 19, 99, 100, 399, 400, 20_200, 39_999)}
    shares = {step: value / 1e-5 for step, value in rates.items()}
    want = {0: 1 / 400, 9: 10 / 400, 19: 0.05, 99: 0.05, 100: 101 / 400, 399: 1.0, 400: 1.0, 20_200: 0.5}
    want[39_999] = 1 / 39_600
    assert shares == pytest.approx(want, rel=1e-4)


def batch_shapes(config: TrainConfig):
    clip = CLIPS[config.model.variant]
    arrays = {"latents_mean": clip["latents"], "latents_logvar": clip["latents"]}
    arrays |= {"text": (config.data.text_length, clip["text"])}
    arrays |= dict.fromkeys(("speech", "effects", "music"), clip["sound"])
    size = config.data.batch_size
    return {key: jax.ShapeDtypeStruct((size, *shape), jnp.float16) for key, shape in arrays.items()}


@functools.cache
def abstract(stage: str, ablation: str | None):
    """A run's config, its task, its global batch and its first state: shapes, no numbers."""
    config = make_stages.resolve(stage, ablation, **{"loss.scaling_factor": "0.7"})
    _, task = make_task(config)
    batch = batch_shapes(config)
    init = steps.make_init(task, config.optimizer, config.num_steps, config.seed, batch)
    return config, task, batch, jax.eval_shape(init)


@pytest.mark.parametrize("stage", ["stage3", "stage3-tiny"])
def test_the_step_goes_through_at_its_own_size(stage):
    config, task, batch, state = abstract(stage, None)
    step = steps.make_step(task, config.optimizer, config.num_steps, config.seed)
    after, metrics = jax.eval_shape(step, state, batch)
    assert jax.tree.structure(after) == jax.tree.structure(state)
    assert jax.tree.leaves(after) == jax.tree.leaves(state)
    assert {name: x.shape for name, x in metrics.items()} == dict.fromkeys(
        ("loss", "grad_norm", "learning_rate"), ()
    )


@pytest.mark.parametrize("ablation", [None, *ABLATIONS])
def test_frozen_weights_have_no_optimiser_state_and_no_average(ablation):
    config, _, _, state = abstract("stage3", ablation)
    trains = optim.is_trainable(config.optimizer)
    assert all(trains(path) for path in paths(state.params))
    assert not any(trains(path) for path in paths(state.frozen))
    # Two moments and an average of what trains, and a counter or two.
    size = sum(x.size for x in jax.tree.leaves(state.params))
    moments = sum(x.size for x in jax.tree.leaves(state.opt_state))
    assert 2 * size <= moments <= 2 * size + 4
    assert sum(x.size for x in jax.tree.leaves(state.ema)) == size


def is_own(path: str) -> bool:
    """Whether a parameter is the controlnet's, not the backbone's."""
    return any(re.fullmatch(pattern, path) for pattern in controlnet_parameters("mtv"))


def test_the_audio_parts_attention_and_the_norm_after_it_train():
    state = abstract("stage3", None)[-1]
    backbone = {path for path in paths(state.params) if not is_own(path)}
    layers = {f"attn1/to_{x}/{leaf}" for x in ("q", "k", "v", "out") for leaf in ("kernel", "bias")}
    layers |= {"norm2/norm/scale", "norm2/norm/bias"}
    assert backbone == {f"transformer/blocks/{path}" for path in layers}
    assert not any(is_own(path) for path in paths(state.frozen))


def test_a_frozen_backbone_leaves_the_controlnet_to_train():
    state = abstract("stage3", "frozen_backbone")[-1]
    assert all(is_own(path) for path in paths(state.params))
    assert not any(is_own(path) for path in paths(state.frozen))


def test_an_ablation_is_one_switch_and_goes_with_other_overrides():
    values = {
        "task": "denoiser",
        "num_steps": 1,
        "model": {"name": "mtv", "variant": "tiny", "overrides": {"controlnet": {"width": 48}}},
        "data": {"dir": "shards", "batch_size": 1},
        "ablation": "no_separate_injection",
    }
    config = make_stages.network_config(train_config(values)).controlnet
    assert (config.width, config.separate_injection, config.separate_extraction) == (48, False, True)
    with pytest.raises(UserError, match=r"config\.ablation 'no_sound': must be one of no_separate_extr"):
        train_config(values | {"ablation": "no_sound"})
    with pytest.raises(UserError, match="is of the network 'mtv', not 'dit'"):
        train_config(values | {"model": {"name": "dit", "variant": "tiny"}})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--config.init_from=nowhere",), "config.init_from nowhere: no such training directory or pipeline"),
        (("--config.init_from=configs",), "config.init_from configs: neither a training directory"),
        (("--config.ablation=no_sound",), "config.ablation 'no_sound': must be one of"),
    ],
)
def test_an_error_is_one_line_before_anything_is_read_or_compiled(arguments, message, tmp_path, shards):
    with pytest.raises(UserError) as caught:
        run("stage1", tmp_path / "run", f"--config.data.dir={shards}", *arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_subset_without_clips_is_one_line(tmp_path, shards):
    with pytest.raises(
        UserError, match="subset 'visual_mood': not in .*; its subsets: basic_face, single_char"
    ):
        run("stage5", tmp_path / "run", f"--config.data.dir={shards}")


SHORT = (
    f"--config.model.overrides={SMALL['mtv']}",
    "--config.loss.scaling_factor=1.0",
    "--config.num_steps=2",
    "--config.data.batch_size=2",
    "--config.data.text_length=24",
    "--config.sample.every=0",
    "--config.init_from=",
    "--config.compilation_cache=",
)
"""Two steps of the smallest network."""


def run(stage, workdir, *arguments):
    return command.main([f"--config=configs/{stage}.py:tiny", f"--workdir={workdir}", *SHORT, *arguments])


def overrides(*arguments):
    return split_overrides([*SHORT, *arguments])[1]


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Six random clips for the smallest networks, in two subsets."""
    folder, rng = tmp_path_factory.mktemp("shards"), np.random.default_rng(0)

    def record(i: int) -> ClipRecord:
        shapes = {"latents_mean": (2, 4, 4, 4), "latents_logvar": (2, 4, 4, 4), "text": (7, 8)}
        shapes |= dict.fromkeys(("speech", "effects", "music"), (5, 2, 8))
        arrays = {name: rng.normal(size=shape).astype(np.float16) for name, shape in shapes.items()}
        source = ClipSource("noise.mp4", "0" * 64, i, i + 1, (1, 12), "CC0")
        name = clip_id(source.sha256, i, i + 1, source.time_base)
        return ClipRecord(name, "noise", (12, 1), SIZE.clip.num_frames, 32, 32, source, arrays)

    records = [record(i) for i in range(6)]
    subsets = {"basic_face": records[:4], "single_character": records[2:]}
    write_shards(folder, records, kind="latents", subsets={k: [r.id for r in v] for k, v in subsets.items()})
    return folder


@pytest.fixture(scope="module")
def backbone(pipeline_folder, tmp_path_factory):
    """A pipeline folder without controlnet, as CogVideoX's are."""
    folder = tmp_path_factory.mktemp("backbone")
    (folder / "transformer").symlink_to(pipeline_folder / "transformer")
    return folder


def test_stages_follow_one_another(shards, backbone, tmp_path, capsys):
    # At tiny size everything trains; here what does at full size.
    trainable = make_stages.resolve("stage1").optimizer.trainable
    arguments = (
        f"--config.data.dir={shards}",
        "--config.optimizer.learning_rate=0.01",
        f"--config.optimizer.trainable={trainable}",
    )
    one = tmp_path / "one"
    assert run("stage1", one, *arguments, f"--config.init_from={backbone}") == 0
    assert f"starts from {backbone}" in capsys.readouterr().err
    weights = flat_paths(load_model(backbone / "transformer")[1])
    trained = flat_paths(load_trained(one)[0])
    for path in ("proj_out/kernel", "blocks/ff/up/kernel", "blocks/norm2/linear/bias"):
        np.testing.assert_array_equal(trained[f"transformer/{path}"], weights[path])
    moved = trained["transformer/blocks/attn1/to_q/kernel"] - weights["blocks/attn1/to_q/kernel"]
    # Two small steps away from the backbone; new weights would be farther.
    assert 0 < np.abs(moved).max() < 0.05
    # A run that is there goes on; what it started from may be gone.
    assert run("stage1", one, *arguments, "--config.init_from=gone") == 0
    assert "nothing to do" in capsys.readouterr().err

    values = load_train_config("configs/stage2.py:tiny", overrides(*arguments, f"--config.init_from={one}"))
    job = make_job(set_up(train_config(values.to_dict())), values, tmp_path / "two")
    given = flat_paths(job.initial_params(make_mesh(job.config.mesh)))
    assert given.keys() == trained.keys()
    for path, leaf in given.items():
        np.testing.assert_array_equal(leaf, trained[path])
    another = (f"--config.init_from={one}", "--config.ablation=no_separate_injection")
    with pytest.raises(
        UserError, match=r"one \(step 2\): another network's: .*attn_shared/to_k/bias is not there"
    ):
        run("stage2", tmp_path / "two", *arguments, *another)


def test_without_any_weight_every_clip_is_read():
    data = DataSection("shards", 8, mixture={"basic_face": 0.0, "visual_mood": 0})
    assert data.pipeline(("text",), 0).mixture is None
