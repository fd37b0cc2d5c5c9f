import re
from dataclasses import dataclass, replace
from typing import Literal

import pytest

from mtv_jax.io.checks import check_fields, check_number, check_whole
from mtv_jax.io.errors import UserError


@dataclass(frozen=True)
class Config:
    width: int = 8
    depth: int | None = None
    rate: float = 0.5
    kind: Literal["a", "b"] = "a"
    sizes: tuple[int, ...] = (1, 2)
    name: str = "x"
    on: bool = True
    other: list | None = None


@pytest.mark.parametrize(
    "right",
    [
        {},
        {"width": 100},
        {"depth": 3},
        {"rate": 2},
        {"rate": -1e9},
        {"sizes": (100,)},
        {"other": ["anything"]},
    ],
)
def test_fields_of_their_types_and_within_bounds_pass(right):
    check_fields(replace(Config(), **right), most=100)


@pytest.mark.parametrize(
    ("field", "value", "needed"),
    [
        ("width", 101, "at most 100"),
        ("width", 0, "at least 1"),
        ("width", 1.5, "a whole number from 1 to 100"),
        ("width", True, "a whole number"),
        ("width", None, "a whole number"),
        ("depth", 6, "at most 5"),
        ("depth", "6", "a whole number from 1 to 5"),
        ("rate", float("nan"), "a finite number"),
        ("rate", 10**400, "a finite number"),
        ("rate", True, "a finite number"),
        ("kind", "c", "one of a, b"),
        ("sizes", [1, 2], "a list of 1 to 64 whole numbers"),
        ("sizes", (), "a list of 1 to 64 whole numbers"),
        ("sizes", (1, 101), "a list of 1 to 64 whole numbers from 1 to 100"),
        ("sizes", (1,) * 65, "a list of 1 to 64"),
        ("name", 3, "a string"),
        ("on", 1, "true or false"),
    ],
)
def test_a_wrong_field_is_named_with_what_it_must_be(field, value, needed):
    with pytest.raises(UserError, match=rf"^{field} .*must be .*{re.escape(needed)}"):
        check_fields(replace(Config(), **{field: value}), most=100, most_of={"depth": 5})


def test_single_numbers():
    assert check_whole("n", 0, most=3, least=0) == 0
    assert check_number("x", 1e9) == 1e9
    with pytest.raises(UserError, match="n 4: must be at most 3"):
        check_whole("n", 4, most=3)
    with pytest.raises(UserError, match="x 'aaa.*[.]{3}: must be a finite number"):
        check_number("x", "a" * 100)
