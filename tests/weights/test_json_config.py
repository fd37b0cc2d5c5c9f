import pytest

from mtv_jax.io.errors import UserError
from mtv_jax.weights.json_config import read_fields

FIELDS = {"hidden_size": "width", "conv_dim": "channels"}


def read(values, **options):
    return read_fields(values, FIELDS, origin="config.json", **options)


def test_known_keys_become_fields_and_lists_tuples():
    given = {"hidden_size": 8, "conv_dim": [1, 2], "note": "x", "act": "gelu"}
    assert read(given, harmless=["note"], fixed={"act": "gelu"}) == {"width": 8, "channels": (1, 2)}
    assert read({}, fixed={"act": "gelu"}) == {}


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ({"hidden": 8}, {}, "unknown keys hidden; known are conv_dim, hidden_size"),
        ({"act": "relu"}, {"fixed": {"act": "gelu"}}, "act = 'relu' is not supported"),
        ({"conv_dim": []}, {"required": ["hidden_size"]}, "keys missing: hidden_size"),
    ],
)
def test_what_is_not_understood_is_named(values, options, message):
    with pytest.raises(UserError, match=f"config.json: {message}"):
        read(values, **options)
