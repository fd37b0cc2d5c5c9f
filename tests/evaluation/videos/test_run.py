"""Measuring videos: nothing twice, every failure counted, the same figures however the work is divided."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from mtv_jax.evaluation.metrics.base import video_mean, video_metric
from mtv_jax.evaluation.report.provenance import code_line
from mtv_jax.evaluation.report.schema import Figure, Report, read_report
from mtv_jax.evaluation.videos import command
from mtv_jax.evaluation.videos.clip import Clip
from mtv_jax.evaluation.videos.manifest import Item
from mtv_jax.evaluation.videos.metric import VideoMetric, Weights
from mtv_jax.evaluation.videos.options import Part, VideoOptions
from mtv_jax.evaluation.videos.run import Task, Tool, figures_of, gather, measure
from mtv_jax.evaluation.videos.samples import key_of
from mtv_jax.io.errors import UserError
from mtv_jax.io.pictures import read_image
from mtv_jax.io.video import write_video


@dataclass
class Brightness:
    """Measures how bright a video is; remembers which."""

    variant: str = "brightness_v1"
    facts: dict = field(default_factory=dict)
    untrained: bool = False
    seen: list = field(default_factory=list)

    def measure(self, clip):
        self.seen.append(clip.item.id)
        if "dark" in clip.prompt:
            raise UserError("it is too dark")
        return {"brightness": float(clip.frames.mean()), "about": [0.0]}


def figures(rows):
    own = [(row.group, row.values["brightness"]) for row in rows if not row.reference]
    others = [row for row in rows if row.reference]
    return [
        *video_mean("av_align.score", own),
        Figure("av_align.without_events", float(len(others)), len(rows)),
    ]


METRIC = VideoMetric(
    "brightness", "how bright", "higher", "a test", ("prompt", "reference"), ("brightness",),
    lambda weights: Brightness(untrained=weights.random), lambda: video_metric(figures),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for number in range(5):
        write_video(folder / f"{number}.mp4", np.full((3, 16, 16, 3), 40 * number, np.uint8), 8)
    return folder


@pytest.fixture
def task(folder, tmp_path):
    items = tuple(Item(str(number), folder / f"{number}.mp4", f"prompt {number % 2}") for number in range(4))
    return Task([Tool(METRIC, Brightness())], items, (Item("real", folder / "4.mp4", "x"),), tmp_path)


def test_only_what_a_metric_needs_makes_it_measure_again(folder, tmp_path):
    sounds = [tmp_path / f"{number}.flac" for number in range(2)]
    for number, file in enumerate(sounds):
        file.write_bytes(bytes([number]))

    def key(item, *needs):
        return key_of(replace(METRIC, needs=needs), Brightness(), Clip(item))

    item = Item("0", folder / "0.mp4", "x", audio=sounds[0], tracks={"speech": sounds[0]})
    other_sound = replace(item, audio=sounds[1])
    other_track = replace(item, tracks={"speech": sounds[1]})
    other_prompt = replace(item, prompt="y")
    assert key(item) == key(other_sound) == key(other_track) == key(other_prompt)
    assert key(item, "reference") == key(other_sound, "reference") == key(other_prompt, "reference")
    assert key(item, "sound") not in (key(other_sound, "sound"), key(item))
    assert key(item, "tracks") != key(other_track, "tracks")
    assert key(item, "prompt") != key(other_prompt, "prompt")
    assert key(item, "sound") == key(other_prompt, "sound")
    assert key(item) != key(replace(item, video=folder / "1.mp4"))


def fresh(task):
    return replace(task, tools=[Tool(METRIC, Brightness())])


def test_what_is_known_is_not_measured_again(task, folder):
    measure(task, part=Part())
    assert task.tools[0].instrument.seen == ["0", "1", "2", "3", "real"]
    again = fresh(task)
    measure(again, part=Part())
    assert again.tools[0].instrument.seen == []
    # Another name of the same video is the same measurement, another prompt or network is not.
    renamed, reworded, other = fresh(task), fresh(task), fresh(task)
    renamed = replace(renamed, items=(replace(task.items[0], id="renamed"),))
    reworded = replace(reworded, items=(replace(task.items[0], prompt="another"),))
    other.tools[0].instrument.facts["weights"] = "others"
    for changed, seen in ((renamed, []), (reworded, ["0"]), (other, ["0", "1", "2", "3", "real"])):
        measure(changed, part=Part())
        assert changed.tools[0].instrument.seen == seen


def test_figures_do_not_depend_on_how_the_work_is_divided(task, tmp_path):
    measure(task, part=Part())
    whole = figures_of(task.tools, gather(task))
    parts = replace(fresh(task), out=tmp_path / "parts")
    for number in (2, 0, 1):
        measure(parts, part=Part(number, 3))
    assert sorted(parts.tools[0].instrument.seen) == ["0", "1", "2", "3", "real"]
    assert figures_of(parts.tools, gather(parts)) == whole
    assert whole[0].interval is not None
    assert whole[1].value == 1.0


def test_a_part_that_is_missing_is_noticed(task):
    measure(task, part=Part(0, 2))
    found = gather(task)
    assert [row.id for row in found.rows["brightness"]] == ["0", "2", "real"]
    assert [failure.video for failure in found.failures] == ["1", "3"]
    assert all(
        failure.error == "brightness: not measured yet; run the other parts" for failure in found.failures
    )


def test_a_crash_in_the_middle_of_a_row_costs_that_row(task):
    measure(task, part=Part())
    file = next((task.out / "samples").iterdir())
    file.write_bytes(file.read_bytes()[:-20])
    again = fresh(task)
    measure(again, part=Part())
    assert again.tools[0].instrument.seen == ["real"]
    assert len(gather(again).rows["brightness"]) == 5


def test_an_error_of_a_library_costs_its_own_video_and_is_tried_again(task, monkeypatch):
    measured = Brightness.measure

    def failing(self, clip):
        if clip.item.id == "1":
            raise MemoryError("no room for it\nor for its traceback")
        return measured(self, clip)

    with monkeypatch.context() as patch:
        patch.setattr(Brightness, "measure", failing)
        measure(task, part=Part())
        found = gather(task)
        assert [row.id for row in found.rows["brightness"]] == ["0", "2", "3", "real"]
        assert [failure.error for failure in found.failures] == ["brightness: MemoryError: no room for it"]
        with pytest.raises(UserError, match="1: brightness: MemoryError: no room for it"):
            measure(task, part=Part(), strict=True)
    again = fresh(task)
    measure(again, part=Part())
    assert again.tools[0].instrument.seen == ["1"]
    assert not gather(again).failures


def test_a_sound_that_is_missing_costs_no_metric_of_the_picture(task, folder):
    picture = replace(METRIC, name="picture", needs=())
    tools = [Tool(METRIC, Brightness()), Tool(replace(METRIC, needs=("sound",)), Brightness())]
    tools = [Tool(picture, Brightness()), tools[1]]
    items = (replace(task.items[0], audio=folder / "gone.wav"), task.items[1])
    task = replace(task, tools=tools, items=items, references=())
    measure(task, part=Part())
    found = gather(task)
    assert [row.id for row in found.rows["picture"]] == ["0", "1"]
    assert [row.id for row in found.rows["brightness"]] == ["1"]
    (failure,) = found.failures
    assert failure.video == "0"
    assert "gone.wav" in failure.error


def test_a_damaged_row_is_named(task):
    (task.out / "samples").mkdir()
    (task.out / "samples" / "1_of_1.jsonl").write_text("[1]\n")
    with pytest.raises(UserError, match=r"1_of_1.jsonl: a row of it is damaged \(\[1\]\)"):
        measure(task, part=Part())


def test_n_counts_videos_and_the_note_prompts(task):
    measure(task, part=Part())
    (figure, _) = figures_of(task.tools, gather(task))
    assert figure.n == 4
    assert figure.note == "interval over 2 prompts"


def test_videos_that_fail_are_counted_and_the_others_measured(task, folder, tmp_path):
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"no video")
    items = (
        *task.items,
        Item("gone", folder / "gone.mp4", "x"),
        Item("damaged", damaged, "x"),
        Item("dark", folder / "0.mp4", "dark"),
        Item("mute", folder / "0.mp4"),
    )
    task = replace(task, items=items)
    measure(task, part=Part())
    found = gather(task)
    assert len(found.rows["brightness"]) == 5
    failures = {failure.video: failure.error for failure in found.failures}
    assert failures.keys() == {"gone", "damaged", "dark", "mute"}
    assert "no such file" in failures["gone"]
    assert failures["dark"] == "brightness: it is too dark"
    assert "has no prompt" in failures["mute"]
    for item in items[4:]:
        with pytest.raises(UserError):
            measure(replace(fresh(task), items=(item,), out=tmp_path / item.id), part=Part(), strict=True)


@pytest.mark.parametrize("bad", [float("nan"), [0.0, float("inf")], {"deep": [float("nan")]}])
def test_what_is_not_finite_is_a_failure(task, monkeypatch, bad):
    monkeypatch.setattr(Brightness, "measure", lambda self, clip: {"brightness": 0.0, "features": bad})
    measure(task, part=Part())
    found = gather(task)
    assert not found.rows["brightness"]
    assert all("not finite" in failure.error for failure in found.failures)


def unavailable(_: Weights):
    raise UserError("its weights are missing: pip install them")


@pytest.fixture
def evaluated(folder, tmp_path, monkeypatch):
    """Evaluates the folder by two metrics, of which one has no weights."""

    def evaluate(references=2, **options) -> Report | None:
        lacking = replace(METRIC, name="lacking", open=unavailable)
        monkeypatch.setattr(command, "find_metrics", lambda names: [lacking, METRIC])
        (tmp_path / "m.jsonl").write_text(
            "".join(
                f'{{"video": "{folder}/{n}.mp4", "id": "{n}", "prompt": "p", "reference": "{folder}/{real}.mp4"}}\n'
                for n, real in ((1, 4), (0, 5 - references), (2, 4))
            )
            + "{}\n"
        )
        options = {"manifest": tmp_path / "m.jsonl"} | options
        return command.evaluate_videos([], VideoOptions(**options), tmp_path / "out")

    return evaluate


def test_the_report_has_figures_failures_and_what_is_missing(evaluated, tmp_path):
    report = evaluated()
    assert report is not None
    assert report == read_report(tmp_path / "out" / "results.json")
    assert report.missing == {"lacking": "its weights are missing: pip install them"}
    assert [failure.video.rsplit(": ", 1)[-1] for failure in report.failures] == ["line 4"]
    assert report.figures[1].value == 2.0  # a reference that two videos name is measured once
    assert [row.id for row in report.rows] == ["0", "1", "2"]  # the worst first
    assert not report.untrained
    assert report.provenance["brightness_v1"]["seconds_per_video"] >= 0
    page = (tmp_path / "out" / "index.html").read_text()
    assert "pip install them" in page
    source = Path(page.split("<video src='")[1].split("'")[0])
    assert (tmp_path / "out" / source).resolve().is_file()


def test_a_report_says_which_code_measured_and_which_commit_it_was(evaluated, tmp_path, capsys):
    assert evaluated() is not None
    file = next((tmp_path / "out" / "samples").iterdir())
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert {row["code"] for row in rows} == {code_line()}
    assert "other code" not in capsys.readouterr().err
    file.write_text(file.read_text().replace(code_line(), "mtv_jax 0.0.1, code 12ab", 1))
    report = evaluated()
    assert report is not None
    counts = report.provenance["brightness_v1"]["measured_by"]
    assert counts == {"mtv_jax 0.0.1, code 12ab": 1, code_line(): len(rows) - 1}
    assert (
        "brightness: measured before by other code (1 by mtv_jax 0.0.1, code 12ab)" in capsys.readouterr().err
    )
    assert {"commit", "code", "packages"} < report.provenance.keys()


def test_the_page_has_a_strip_of_frames_of_each_video(evaluated, tmp_path):
    report = evaluated()
    assert report is not None
    for row in report.rows:
        picture = read_image(tmp_path / "out" / row.strip)
        assert picture.shape == (96, 6 * 96, 3)
        assert abs(int(picture[40, 40, 0]) - 40 * int(row.id)) < 10
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("loading=lazy") == page.count("preload=none") == 3
    for strip in (tmp_path / "out" / "strips").iterdir():
        strip.write_bytes(b"kept")
    evaluated()
    assert {path.read_bytes() for path in (tmp_path / "out" / "strips").iterdir()} == {b"kept"}


def test_many_numbers_of_a_video_are_kept_as_an_array(task, monkeypatch):
    values = {"brightness": 0.0, "features": [float(n) for n in range(100)], "few": [1.0]}
    monkeypatch.setattr(Brightness, "measure", lambda self, clip: values)
    measure(task, part=Part())
    for row in gather(task).rows["brightness"]:
        assert isinstance(row.values["features"], np.ndarray)
        assert {**row.values, "features": row.values["features"].tolist()} == values


def test_random_weights_make_the_result_invalid(evaluated):
    assert evaluated(allow_random_weights=True).untrained == ["brightness_v1"]


def test_a_part_makes_no_report(evaluated, tmp_path):
    assert evaluated(part=Part(0, 2)) is None
    assert not (tmp_path / "out" / "results.json").exists()


def test_a_set_that_is_too_small_is_a_missing_metric(evaluated):
    with pytest.raises(UserError, match="brightness: compares two sets, of two videos or more each"):
        evaluated(references=1)


def test_strict_stops_at_the_first_problem(evaluated):
    with pytest.raises(UserError, match="line 4: has no 'video'"):
        evaluated(strict=True)


def test_nothing_to_measure_with_is_an_error(evaluated, monkeypatch):
    monkeypatch.setitem(globals(), "METRIC", replace(METRIC, open=unavailable))
    with pytest.raises(UserError, match="lacking: its weights are missing"):
        evaluated()
