from mtv_jax.curation.ledger import RETRY, State, given_up


def row(item="c", stage="probe", key="k", status="ok", **values):
    return {"item": item, "film": "f", "stage": stage, "key": key, "status": status, **values}


def test_the_state_has_the_latest_outcome_of_the_key_that_is_asked_for():
    state = State([row(value=1), row(value=2), row("d", key="other"), row("f", "clips")])
    found = state.row("c", "probe", "k")
    assert found is not None
    assert found["value"] == 2
    assert state.row("c", "probe", "other") is None
    assert state.clips("f", "probe", "k") == ["c"]
    assert len(state.rows_of("f")) == 3


def test_failures_count_until_they_are_forgiven():
    errors = [row(status="error", reason=f"try {i}", final=False) for i in range(2)]
    state = State(errors)
    assert given_up(state.errors("k"), 1)
    assert not given_up(state.errors("k"), 2)
    assert given_up([{**errors[0], "final": True}], 5)
    state.add(row(stage=RETRY))
    assert state.errors("k") == []
