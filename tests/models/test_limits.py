import dataclasses

import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.models.dit import DiTConfig
from mtv_jax.models.limits import check_network


def test_the_largest_networks_there_are_pass():
    check_network(DiTConfig.cogvideox_5b())


@pytest.mark.parametrize(
    ("field", "value"), [("num_layers", 513), ("patch_size", 65), ("num_attention_heads", 0)]
)
def test_a_network_beyond_any_is_refused_by_field(field, value):
    config = DiTConfig.cogvideox_5b()
    object.__setattr__(config, field, value)
    with pytest.raises(UserError, match=f"^{field} {value}: must be at (most|least)"):
        check_network(config)


def test_other_sizes_have_a_bound_too():
    @dataclasses.dataclass(frozen=True)
    class Config:
        width: int

    check_network(Config(2**17))
    with pytest.raises(UserError, match="width"):
        check_network(Config(2**17 + 1))
