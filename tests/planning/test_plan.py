"""`python -m mtv_jax.plan`."""

import json

import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.plan import main
from mtv_jax.planning.chips import CHIPS, Topology, topology
from mtv_jax.planning.hlo import Collective
from mtv_jax.planning.programs import Program
from mtv_jax.planning.report import Plan, Work, to_html, to_text

SMALL = (
    "--config.model.overrides={'dit': {'num_layers': 1, 'num_attention_heads': 1, 'attention_head_dim': 16, "
    "'sample_frames': 2, 'sample_height': 4, 'sample_width': 4}, 'controlnet': {'interaction_blocks': 1}}"
)


@pytest.fixture
def plan():
    program = Program(
        {"parameters": 30 * 2**30, "temporary": 4 * 2**30}, {"all-gather": Collective(3, 4e9)}, 12.0
    )
    return Plan(
        "train step",
        Topology("v6e:2x4", [None] * 8, CHIPS["v6e"]),
        {"fsdp": 8},
        program,
        Work(6e15, 8e15),
        100,
    )


def test_a_dry_run_on_this_machine_writes_the_plan(tmp_path, capsys):
    code = main(["--config", "configs/tiny/denoiser.py", SMALL, "--report", str(tmp_path / "plan.json")])
    assert code == 0
    (found,) = json.loads((tmp_path / "plan.json").read_text())
    memory = found["memory_bytes_per_device"]
    # Adam keeps two moments of what trains, and the average is as large.
    assert memory["optimiser state"] == pytest.approx(2 * memory["parameters that train"], abs=64)
    assert memory["average"] == memory["parameters that train"]
    assert found["flops"]["needed"] > 0
    assert "train step" in capsys.readouterr().out


def test_bounds_follow_from_the_chip(plan):
    bounds = plan.least_seconds()
    assert bounds["operations"] == pytest.approx(8e15 / (8 * 918e12))
    assert bounds["interconnect"] == pytest.approx(4e9 / 400e9)
    assert bounds["memory"] == pytest.approx(38 * 2**30 / 1638e9)
    assert plan.whole()["chip_hours"] == pytest.approx(100 * max(bounds.values()) * 8 / 3600)


def test_too_much_memory_is_told_with_how_much(plan):
    assert plan.missing == 2 * 2**30
    assert "2 GiB TOO MUCH" in to_text(plan)
    assert plan.to_json()["fits"] is False
    assert "TOO MUCH" in to_html([plan])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--topology", "v9:2x2"], r"topology 'v9:2x2': .*chips are"),
        (["--mesh", "depth=2"], r"'depth=2' is not AXIS=N"),
        (["--mesh", "fsdp=3"], "needs 3 device"),
        (["--report", "plan.txt"], r"must end in \.json or \.html"),
        (["--sample", "--steps", "0"], "at least 1"),
    ],
)
def test_mistakes_are_told_before_anything_is_compiled(args, message):
    with pytest.raises(UserError, match=message):
        main(["--config", "configs/tiny/denoiser.py", SMALL, *args])


def test_the_training_of_an_autoencoder_is_not_planned():
    with pytest.raises(UserError, match="only the training of a denoiser"):
        main(["--config", "configs/vae.py"])


def test_ironwood_has_two_devices_a_chip():
    assert Topology("tpu7x:2x2x1", [None] * 8, CHIPS["tpu7x"]).num_chips == 4
    assert topology("cpu").chip is None
