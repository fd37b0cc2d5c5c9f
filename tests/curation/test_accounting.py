from fractions import Fraction

from mtv_jax.curation.accounting import account, covered


def clip(start, end, failures=(), source="a"):
    times = {"start": str(Fraction(start)), "end": str(Fraction(end))}
    return {"source": source, **times, "keep": not failures, "failures": list(failures)}


def film(source="a", seconds="10", unused=None, **values):
    return {
        "source": source,
        "seconds": seconds,
        "reason": None,
        "rejected": None,
        "unused": unused or {},
    } | values


def test_the_union_of_intervals_counts_no_second_twice():
    parts = [(Fraction(0), Fraction(2)), (Fraction(5), Fraction(6)), (Fraction(1), Fraction(3))]
    assert covered(parts) == 4
    assert covered([*parts, (Fraction(1), Fraction(2))]) == 4


def test_every_second_is_kept_or_rejected_for_a_reason_or_counted_twice():
    clips = [clip(0, 4), clip(2, 6), clip(6, "29/3", ["silent", "static picture"])]
    films = [
        film(unused={"left over of a shot": "1/3"}),
        film("b", "7/2", reason="truncated", rejected="shots failed"),
        film("c", None, reason="not a video", rejected="probe failed"),
    ]
    total = account(films, clips)
    assert total.missing == 0
    assert total.to_json() == {
        "seconds": 13.5,
        "kept": 8.0,
        "overlap": 2.0,
        "rejected": {"left over of a shot": 1 / 3, "shots failed": 3.5, "silent": float(Fraction(11, 3))},
        "unread": 1,
    }


def test_a_clip_that_is_gone_is_missed():
    assert account([film(unused={"left over of a shot": "6"})], [clip(0, 4)]).missing == 0
    assert account([film(unused={"left over of a shot": "6"})], []).missing == 4
