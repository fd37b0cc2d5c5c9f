"""Configs of the training command: their values as golden, every field a flag, and those that earlier runs saved."""

import dataclasses
import functools
import json
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from goldens import make_configs

from mtv_jax.io.config import flatten, override, to_plain
from mtv_jax.io.errors import UserError
from mtv_jax.training.configs import (
    TASKS,
    TrainConfig,
    differences,
    load_train_config,
    saved_train_config,
    train_config,
    tree,
)

REGENERATE = "if it was meant to change: python tests/goldens/make_configs.py"


@pytest.fixture(scope="module")
def golden():
    return json.loads(make_configs.FILE.read_text())


@pytest.mark.parametrize("spec", make_configs.SPECS)
def test_values_of_a_config_are_golden(spec, golden):
    assert make_configs.values(spec) == golden[spec], f"{spec} is another now; {REGENERATE}"


def test_the_golden_file_has_every_config(golden):
    files = {str(path.relative_to(make_configs.CONFIGS)) for path in make_configs.CONFIGS.rglob("*.py")}
    assert {spec.partition(":")[0] for spec in golden} == files - {
        "stages.py",
        "curate.py",
        "maestro/curate.py",
    }  # no configs of a training
    assert set(golden) == set(make_configs.SPECS), REGENERATE


def fields_of(kind: type, task: str, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and types of the fields of a dataclass and of those in it."""
    hints = get_type_hints(kind) | ({"loss": TASKS[task]} if kind is TrainConfig else {})
    for field in dataclasses.fields(kind):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            yield from fields_of(hint, task, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", hint


@pytest.mark.parametrize("spec", make_configs.SPECS)
def test_every_field_of_the_dataclasses_is_a_key_of_every_config(spec):
    values = load_train_config(str(make_configs.CONFIGS / spec)).to_dict()
    keys = [key for key, _ in fields_of(TrainConfig, values["task"])]
    assert [key for key in keys if not has_key(values, key)] == []


def has_key(values: Any, key: str) -> bool:
    section, _, name = key.rpartition(".")
    return name in (value_at(values, section) if section else values)


def value_at(values: Any, key: str) -> Any:
    return functools.reduce(lambda section, name: section[name], key.split("."), values)


CHOICES = {
    "ablation": "frozen_backbone",
    "data.mixture": "{'music': 2.0}",
    "model.overrides": "{'x': 1}",
    "model.remat": "block",
    "loss.schedule.prediction": "epsilon",  # that every other field of a schedule goes with
    "optimizer.ema_dtype": "bfloat16",
    "optimizer.lr_factors": "(('b.*', 2.0),)",
    "optimizer.moment_dtype": "bfloat16",
}


def another(key: str, hint: Any, now: Any) -> Any:
    """A value of a field that is not the one it has."""
    hint = next((arm for arm in get_args(hint) if type(None) in get_args(hint)), hint)
    if key in CHOICES or get_origin(hint) is Literal:
        return CHOICES.get(key) or next(choice for choice in get_args(hint) if choice != now)
    if get_origin(hint) is tuple:
        return ("b.*",)
    if hint is bool:
        return not now
    return "other" if hint is str else (now or 0) + {int: 1, float: 0.01}[hint]


@pytest.mark.parametrize("spec", ["tiny/denoiser.py", "vae.py:tiny"])
def test_every_field_is_set_by_its_flag(spec):
    path = str(make_configs.CONFIGS / spec)
    before = load_train_config(path).to_dict()
    kinds = {key: hint for key, hint in fields_of(TrainConfig, before["task"]) if key != "task"}
    flags = {key: str(another(key, hint, value_at(before, key))) for key, hint in kinds.items()}
    after = load_train_config(path, flags).to_dict()
    assert (
        after.pop("ablation") == flags["ablation"]
    )  # it changes other fields, if the network is the one it is of
    config = dataclasses.asdict(train_config(after))
    for key in kinds.keys() - {"ablation"}:
        found = value_at(config, key)
        assert found != value_at(before, key)
        assert str(found) == flags[key]


def test_fields_without_a_default_are_required():
    values = tree("denoiser")
    for key in ("num_steps", "model.name", "model.variant", "data.dir", "data.batch_size"):
        with pytest.raises(UserError, match=rf"config\.{key}: not given; add --config\.{key}=VALUE"):
            train_config(values.to_dict())
        override(values, key, "1")
    train_config(values.to_dict())
    with pytest.raises(UserError, match=r"config\.data\.batch_size='two': must be a whole number"):
        override(values, "data.batch_size", "two")


def test_a_mixture_takes_any_subset_unless_the_config_names_them():
    flags = {"data.mixture.basic_face": "2", "data.mixture.music": "0.5"}
    config = train_config(load_train_config(f"{make_configs.CONFIGS}/tiny/denoiser.py", flags).to_dict())
    assert config.data.mixture == {"basic_face": 2, "music": 0.5}
    with pytest.raises(UserError, match="did you mean config.data.mixture.basic_face?"):
        load_train_config(f"{make_configs.CONFIGS}/stage1.py", {"data.mixture.basic_fase": "1"})
    wrong = load_train_config(f"{make_configs.CONFIGS}/tiny/denoiser.py", {"data.mixture.basic_face": "x"})
    with pytest.raises(UserError, match=r"config\.data\.mixture\.basic_face 'x': must be a number"):
        train_config(wrong.to_dict())


@pytest.mark.parametrize("spec", json.loads(make_configs.SAVED.read_text()))
def test_a_run_that_the_previous_version_saved_goes_on(spec):
    """`saved.json` has configs as version 0.1.0.dev0 saved them, before trees were generated: with fewer keys."""
    saved = json.loads(make_configs.SAVED.read_text())[spec]
    flags = {f"model.overrides.{key}": str(value) for key, value in flatten(saved["model"]["overrides"])}
    flags = {} if flags == {"model.overrides.": "{}"} else flags
    values: Any = load_train_config(str(make_configs.CONFIGS / spec), flags)
    now = to_plain(values)
    now["data"] |= {"dir": "elsewhere", "shards": saved["data"]["shards"]}
    assert saved.keys() != now.keys() or saved["optimizer"].keys() != now["optimizer"].keys()
    assert list(differences(saved, now)) == []
    now["optimizer"]["decay"] = ["bias"]
    assert list(differences(saved, now)) == ["optimizer.decay (was ['.*kernel'], is ['bias'])"]
    values.data.dir = saved["data"]["dir"]
    assert saved_train_config(saved) == train_config(values.to_dict())


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("controlnet.rope_query", "false", "did you mean config.model.overrides.controlnet.rope_queries?"),
        ("controlnet.rope_queries", "maybe", "must be true or false"),
        ("controlnet", "1", "config.model.overrides.controlnet: a section"),
    ],
)
def test_a_field_that_is_not_there_is_one_line(flag, value, message):
    with pytest.raises(UserError) as caught:
        load_train_config(f"{make_configs.CONFIGS}/stage1.py:tiny", {f"model.overrides.{flag}": value})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
