"""Two results: differences of their figures, and paired ones of the videos of both."""

import pytest

from mtv_jax import evaluate
from mtv_jax.evaluation.report.output import write_report
from mtv_jax.evaluation.report.schema import Figure, Report, VideoRow
from mtv_jax.io.errors import UserError


def written(folder, values, *, suite="videos", facts="a", untrained=()):
    rows = [VideoRow(f"{n}.mp4", values={"ia": v}, id=f"clip{n}") for n, v in values.items()]
    mean = sum(values.values()) / len(values)
    provenance = {"ia_imagebind_huge": {"weights": facts, "seconds_per_video": mean}}
    folder.mkdir()
    write_report(
        folder,
        Report(suite, [Figure("ia.score", mean, len(rows))], provenance, rows, untrained=list(untrained)),
    )
    return folder


def compared(capsys, a, b):
    assert evaluate.main(["--compare", str(a), str(b)]) == 0
    return capsys.readouterr().out.splitlines()


def test_videos_of_both_are_paired(tmp_path, capsys):
    a = written(tmp_path / "a", {n: 0.1 * n for n in range(6)})
    b = written(tmp_path / "b", {n: 0.1 * n + 0.2 + 0.01 * (n % 2) for n in range(1, 8)})
    lines = compared(capsys, a, b)
    assert lines[0] == "mean cosine of frames' and their sound's embeddings: 0.250 -> 0.606 (+0.3557)"
    paired = lines[1]
    assert paired.startswith("ia, 5 videos of both: +0.206 (+0.2")
    low, high = (float(end) for end in paired.split("(")[1].rstrip(")").split(" to "))
    # The differences are all between these, although the values themselves are spread ten times as wide.
    assert 0.2 <= low < 0.206 < high <= 0.21


def test_what_makes_figures_incomparable_is_said(tmp_path, capsys):
    a = written(tmp_path / "a", {0: 0.1, 1: 0.2})
    b = written(tmp_path / "b", {0: 0.1, 1: 0.5}, facts="others", untrained=["ia_imagebind_huge"])
    lines = compared(capsys, a, b)
    assert lines[0] == f"{b}: not a valid result: random weights: ia_imagebind_huge"
    assert "ia_imagebind_huge: measured otherwise" in lines[1]
    assert not [line for line in compared(capsys, a, a) if "otherwise" in line]


def test_results_of_different_suites_are_refused(tmp_path):
    a, b = written(tmp_path / "a", {0: 1.0}), written(tmp_path / "b", {0: 1.0}, suite="scene")
    with pytest.raises(UserError, match="is of the suite scene"):
        evaluate.main(["--compare", str(a), str(b)])
    with pytest.raises(UserError, match="no such file"):
        evaluate.main(["--compare", str(a), str(tmp_path / "c")])


def test_other_networks_and_sets_of_other_sizes_are_said(tmp_path, capsys):
    for name, network, count in (("a", "fvd_i3d_k400", 3), ("b", "fvd_other", 9)):
        (tmp_path / name).mkdir()
        figures = [Figure("fvd.i3d_k400", 100.0, count)]
        write_report(tmp_path / name, Report("videos", figures, {network: {"weights": "w"}, "videos": count}))
    lines = compared(capsys, tmp_path / "a", tmp_path / "b")
    assert f"fvd_i3d_k400: only in {tmp_path / 'a'}; figures of other networks are not comparable" in lines
    assert f"fvd_other: only in {tmp_path / 'b'}; figures of other networks are not comparable" in lines
    assert "FVD: of other numbers of videos or frames, so that it is not comparable" in lines


def test_comparing_measures_nothing(tmp_path):
    for flags in (["x.mp4"], ["--strict"], ["--scene", "s"]):
        with pytest.raises(UserError, match="--compare"):
            evaluate.main(["--compare", str(tmp_path), str(tmp_path), *flags])
