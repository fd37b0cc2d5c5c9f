from mtv_jax.curation.ledger import RETRY, Ledger, State, given_up
from mtv_jax.io.jsonl import RowWriter


def row(item="c", stage="probe", key="k", status="ok", **values):
    return {
        "item": item,
        "film": values.pop("film", "f"),
        "stage": stage,
        "key": key,
        "status": status,
        **values,
    }


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


def test_a_ledger_on_disk_says_of_each_film_what_its_rows_say(tmp_path):
    path = tmp_path / "ledger.jsonl"
    found = Ledger(path)
    with RowWriter(path) as writer:
        writer.append([row("c", film="a"), row("d", film="b"), row("x", film="", stage="file")])
        found.refresh()
        forget = [["d", "probe"], ["e", "probe"]]
        writer.append([row("", film="", stage=RETRY, forget=forget), row("e", film="b"), row("f", film="c")])
    with open(path, "a") as file:
        file.write('{"item": "cut off')
    for ledger in (Ledger(path), found):
        ledger.refresh()
        assert list(ledger.films) == ["a", "b", "c"]
        assert [ledger.state("a").row("c", "probe", "k") is None, ledger.state("none").rows_of("none")] == [
            False,
            (),
        ]
        assert [told["item"] for told in ledger.state("b").rows_of("b")] == [
            "e"
        ]  # forgotten before it was there
        assert ledger.files.row("x", "file", "k") is not None
        assert [told["stage"] for told in ledger.others] == ["file", RETRY]
