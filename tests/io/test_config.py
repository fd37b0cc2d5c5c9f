"""Config files: their arguments, and what they import."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from mtv_jax.io.config import load_config, parse_arg
from mtv_jax.io.errors import UserError


def test_an_argument_is_flags_and_values():
    known = {"tiny": False, "batch_size": 8, "rate": 0.5, "backbone": "cogvideox_5b"}
    assert vars(parse_arg("", **known)) == known
    found = parse_arg("tiny,backbone=wan_1_3b,batch_size=4", **known)
    assert vars(found) == {"tiny": True, "batch_size": 4, "rate": 0.5, "backbone": "wan_1_3b"}
    assert parse_arg("tiny=false", **known).tiny is False


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("small", "unknown argument 'small'; known are: tiny, batch_size=VALUE"),
        ("tiny,batch_size", "argument 'batch_size': no value; write batch_size=VALUE"),
        ("batch_size=four", "argument 'batch_size=four': must be a whole number"),
        ("tiny=maybe", "argument 'tiny=maybe': must be true or false"),
    ],
)
def test_a_wrong_argument_is_one_line(arg, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_arg(arg, tiny=False, batch_size=8)
    with pytest.raises(ValueError, match="unknown argument 'x'; known are: none"):
        parse_arg("x")


BEGIN = "from ml_collections import ConfigDict\n"


def checkout(folder: Path, name: str) -> Path:
    """A folder with configs that tell their name and import one another."""
    files = {
        "stages.py": f"{BEGIN}from configs import shared\nNAME = {name!r}",
        "shared.py": f"NAME = 'shared of {name}'",
        "mine.py": f"{BEGIN}from configs import shared, stages\n"
        "def get_config(arg=''):\n    return ConfigDict({'names': (stages.NAME, shared.NAME, stages.shared.NAME)})",
        "tiny/one.py": "NAME = 'one'",
        "tiny/two.py": f"{BEGIN}import configs.stages as first, configs.shared\nfrom .. import stages as second\n"
        "from . import one\nfrom .one import NAME\nfrom configs.tiny.one import NAME as SAME\n"
        "def get_config(arg=''):\n    from configs import shared\n"
        "    same = first is second and configs.shared is shared and NAME == SAME\n"
        "    return ConfigDict({'names': (first.NAME, shared.NAME, one.NAME, same)})",
    }
    for file, text in files.items():
        path = folder / "configs" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def names(file: Path) -> Any:
    return load_config(str(file)).names


def test_configs_are_those_of_the_file_s_own_checkout(tmp_path, monkeypatch):
    one, two = (checkout(tmp_path / name, name) for name in ("one", "two"))
    monkeypatch.chdir(one)
    before, path = dict(sys.modules), list(sys.path)
    monkeypatch.setitem(sys.modules, "configs", "another package")
    for folder in (one, two, one):
        name = folder.name
        assert names(folder / "configs/mine.py") == (name, *[f"shared of {name}"] * 2)
    assert (sys.modules.pop("configs"), sys.path) == ("another package", path)
    assert sys.modules == before


def test_configs_of_a_folder_below_import_in_every_form(tmp_path, monkeypatch):
    folder = checkout(tmp_path / "one", "one")
    monkeypatch.chdir(tmp_path)
    file = folder / "configs/tiny/two.py"
    assert names(file) == ("one", "shared of one", "one", True)
    (folder / "configs/stages.py").write_text("NAME = 'edited'")
    assert names(file)[0] == "edited"


def test_a_config_elsewhere_imports_those_of_the_current_checkout(tmp_path, monkeypatch):
    folder = checkout(tmp_path / "one", "one")
    mine = tmp_path / "elsewhere" / "deep" / "mine.py"
    mine.parent.mkdir(parents=True)
    mine.write_text((folder / "configs/mine.py").read_text())
    monkeypatch.chdir(folder)
    assert names(mine)[0] == "one"
    # One beside the file's folder comes first.
    checkout(mine.parent.parent, "beside")
    assert names(mine)[0] == "beside"


def test_an_import_that_fails_is_one_line(tmp_path, monkeypatch):
    folder = checkout(tmp_path / "one", "one")
    monkeypatch.chdir(tmp_path)
    file = folder / "configs/mine.py"
    file.write_text("from configs import gone")
    with pytest.raises(UserError, match=rf"{re.escape(str(file))}: ImportError: cannot import name 'gone'"):
        load_config(str(file))
    file.write_text("import configs.gone")
    with pytest.raises(
        UserError, match=r"mine\.py: ModuleNotFoundError: no module configs\.gone in .*one/configs"
    ):
        load_config(str(file))
