"""`python -m mtv_jax.plan`."""

import ast
import json
import math

import jax
import pytest
from cim_networks import NETWORK
from jax.sharding import AbstractMesh

from mtv_jax.io.config import load_config
from mtv_jax.io.errors import UserError
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.plan import main
from mtv_jax.planning.chips import CHIPS, Topology, topology
from mtv_jax.planning.hlo import Collective
from mtv_jax.planning.plans import BRANCHES
from mtv_jax.planning.programs import Program
from mtv_jax.planning.report import Plan, Work, to_html, to_text
from mtv_jax.sharding.mesh import AXES
from mtv_jax.sharding.rules import tree_shardings
from mtv_jax.training.configs import train_config

SMALL = (
    "--config.model.overrides={'dit': {'num_layers': 1, 'num_attention_heads': 1, 'attention_head_dim': 16, "
    "'sample_frames': 2, 'sample_height': 4, 'sample_width': 4}, 'controlnet': {'interaction_blocks': 1}}"
)

ON_GPUS = ("--config=configs/tiny/denoiser.py", SMALL, "--topology=h100:8", "--mesh=fsdp=8")
ON_GPUS += ("--config.data.batch_size=8",)


@pytest.fixture
def plan():
    program = Program(
        {"parameters": 30 * 2**30, "temporary": 4 * 2**30}, {"all-gather": Collective(3, 4e9)}, 12.0
    )
    return Plan(
        "train step",
        Topology("v6e:2x4", 8, CHIPS["v6e"]),
        {"fsdp": 8},
        program,
        Work(6e15, 8e15),
        100,
    )


def test_a_dry_run_on_this_machine_writes_the_plan(tmp_path, capsys):
    code = main(["--config", "configs/tiny/denoiser.py", SMALL, "--report", str(tmp_path / "plan.json")])
    assert code == 0
    found, denoise, decoder = json.loads((tmp_path / "plan.json").read_text())
    memory = found["memory_bytes_per_device"]
    # Adam keeps two moments of what trains, and the average is as large.
    assert memory["optimiser state"] == pytest.approx(2 * memory["parameters that train"], abs=64)
    assert memory["average"] == memory["parameters that train"]
    assert found["flops"]["needed"] > 0
    assert found["estimate"] is False
    assert "train step" in capsys.readouterr().out
    # Samples are made beside the state: two branches of one clip, and the latents that are decoded at once.
    state = {"parameters that train", "optimiser state", "average"}
    for sample in (denoise, decoder):
        beside = sample["memory_bytes_per_device"]
        assert all(beside[kind] == memory[kind] for kind in state)
        assert beside["temporary"] > 0
    latents, text, sound = 2 * 4 * 4 * 8, 40 * 64, 3 * 2 * 4 * 64
    assert denoise["memory_bytes_per_device"]["inputs"] == 4 * BRANCHES * (latents + 1 + text + sound)
    assert decoder["memory_bytes_per_device"]["inputs"] == 4 * latents


def test_of_gpus_the_state_is_exact_and_the_rest_an_estimate(tmp_path, capsys):
    assert main([*ON_GPUS, "--report", str(tmp_path / "plan.json")]) == 0
    text = capsys.readouterr().out
    assert "an ESTIMATE" in text
    step, denoise, decoder = json.loads((tmp_path / "plan.json").read_text())
    config = train_config(load_config("configs/tiny/denoiser.py", {}).to_dict())
    overrides = ast.literal_eval(SMALL.partition("=")[2])
    shapes = parameter_shapes(make_model("mtv", make_config("mtv", config.model.variant, overrides)))
    mesh = AbstractMesh((1, 8, 1, 1), AXES)
    shardings = tree_shardings(shapes, mesh)
    parts = jax.tree.map(lambda x, s: 4 * math.prod(s.shard_shape(x.shape)), shapes, shardings)
    state = sum(jax.tree.leaves(parts))
    for plan in (step, denoise, decoder):
        memory = plan["memory_bytes_per_device"]
        assert plan["estimate"] is True
        assert plan["collectives"] == {}
        assert memory["parameters that train"] == memory["average"] == state
        assert memory["optimiser state"] == pytest.approx(2 * state, abs=16)
        assert memory["temporary"] > 0
    # Two operations a multiply-add at the chips' peak: all that is known of an estimate's time.
    assert step["least_seconds"] == {"operations": pytest.approx(step["flops"]["run"] / (8 * 989e12))}
    # Two branches of one clip do not split over eight devices: each does both.
    assert denoise["flops"]["run"] == 8 * denoise["flops"]["needed"]


def test_what_does_not_fit_gpus_exits_with_1_and_samples_that_are_not_made_are_not_counted(tmp_path, capsys):
    huge = ("--config.data.batch_size=8000000", "--config.sample.every=0")
    assert main([*ON_GPUS, *huge, "--report", str(tmp_path / "plan.json")]) == 1
    assert "does not fit" in capsys.readouterr().out
    (step,) = json.loads((tmp_path / "plan.json").read_text())
    assert step["program"] == "train step"
    assert step["fits"] is False


def test_sampling_with_sources_in_boxes_is_planned_with_the_autoencoder_of_pictures(tmp_path):
    file, made = tmp_path / "plan.json", []
    for sources in ("0", "2"):
        args = ["--config=configs/maestro/video.py:tiny", "--topology=l4:1", "--sample", "--sources", sources]
        assert main([*args, "--mesh=data=1", "--report", str(file), "--overwrite"]) == 0
        made.append(json.loads(file.read_text()))
    (plain, decoder), (placed, _) = made
    config = make_config("videocrafter", "tiny")
    floats = BRANCHES * config.sample_frames * (2 * 10 * config.text_embed_dim + 2 * 4)  # tokens and boxes
    floats += BRANCHES * 2  # the frame rate, and until when objects are located
    more = placed["memory_bytes_per_device"]["inputs"] - plain["memory_bytes_per_device"]["inputs"]
    assert more == 4 * floats + BRANCHES * 2 * 2  # which sources are heard, and which are background
    assert placed["flops"]["needed"] > plain["flops"]["needed"]
    weights = parameter_shapes(make_model("kl_vae", make_config("kl_vae", "kl_f8")))
    expected = sum(2 * math.prod(leaf.shape) for leaf in jax.tree.leaves(weights))
    assert decoder["memory_bytes_per_device"]["autoencoder"] == expected


def test_the_training_of_a_cim_runs_its_network_for_the_sound_and_its_copy(tmp_path):
    network = f"--config.model.overrides={NETWORK | {'text_length': 77}}"
    tiny = (
        "--config=configs/maestro/cim.py:tiny",
        "--config.model.variant=tiny",
        network,
        "--topology=h100:1",
    )
    plain = ("--config.loss.augment.frequency_masks=0", "--config.loss.augment.time_warp=0")
    found = []
    for flags in ((), plain):
        assert main([*tiny, *flags, "--report", str(tmp_path / "plan.json"), "--overwrite"]) == 0
        (step,) = json.loads((tmp_path / "plan.json").read_text())
        found.append(step)
    assert found[0]["flops"]["needed"] == 2 * found[1]["flops"]["needed"]
    memory = found[0]["memory_bytes_per_device"]
    assert memory["optimiser state"] == pytest.approx(2 * memory["parameters that train"], abs=64)
    assert memory["frozen parameters"] > memory["parameters that train"]
    assert memory["temporary"] > 1.5 * found[1]["memory_bytes_per_device"]["temporary"]
    with pytest.raises(UserError, match="the task 'cim' makes no videos"):
        main([*tiny, "--sample"])


def test_bounds_follow_from_the_chip(plan):
    bounds = plan.least_seconds()
    assert bounds["operations"] == pytest.approx(8e15 / (8 * 918e12))
    assert bounds["interconnect"] == pytest.approx(4e9 / 400e9)
    assert bounds["memory"] == pytest.approx(38 * 2**30 / 1638e9)
    assert plan.whole()["chip_hours"] == pytest.approx(100 * max(bounds.values()) * 8 / 3600)


def test_too_much_memory_is_reported_with_the_amount(plan):
    assert plan.missing == 2 * 2**30
    assert "2 GiB TOO MUCH" in to_text(plan)
    assert plan.to_json()["fits"] is False
    assert "TOO MUCH" in to_html([plan])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--topology", "v9:2x2"], r"topology 'v9:2x2': .*chips are"),
        (["--topology", "h100:4x2"], r"GPU:NUMBER such as h100:8"),
        (["--topology", "a100-80gb:24", "--mesh", "fsdp=24"], "24 is the smallest"),
        (["--mesh", "depth=2"], r"'depth=2' is not AXIS=N"),
        (["--mesh", "fsdp=3"], "needs 3 device"),
        (["--report", "plan.txt"], r"must end in \.json or \.html"),
        (["--sample", "--steps", "0"], "at least 1"),
        (["--sample", "--sources", "8"], "from 0 to 7"),
        (["--sources", "2"], "only with --sample"),
        (["--sample", "--sources", "2"], "network mtv takes no sources in boxes"),
    ],
)
def test_errors_are_reported_before_anything_is_compiled(args, message):
    with pytest.raises(UserError, match=message):
        main(["--config", "configs/tiny/denoiser.py", SMALL, *args])


def test_the_training_of_an_autoencoder_is_not_planned():
    with pytest.raises(UserError, match="the training of an autoencoder cannot be planned"):
        main(["--config", "configs/vae.py"])


def test_ironwood_has_two_devices_a_chip():
    assert Topology("tpu7x:2x2x1", 8, CHIPS["tpu7x"]).num_chips == 4
    assert topology("cpu").chip is None
