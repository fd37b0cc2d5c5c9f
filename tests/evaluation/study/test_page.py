"""The page in a browser: a participant answers, goes away, comes back, and downloads what `study read` takes."""

import json
import time

import pytest
from browser import Browser, browser
from study_folders import write_system

from mtv_jax import evaluate
from mtv_jax.evaluation.study.answers import collect
from mtv_jax.evaluation.study.design import read_key

NEXT = "document.querySelector('form').requestSubmit()"
TITLE = "document.querySelector('h1').textContent"
VIDEOS = "[...document.querySelectorAll('video')].map(video => video.getAttribute('src'))"


@pytest.fixture(scope="module")
def page():
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def systems(tmp_path_factory):
    folder = tmp_path_factory.mktemp("systems")
    return [str(write_system(folder / name, ("sea", "wood"), 80)) for name in ("ours", "other")]


def build(systems, form, out):
    words = ["study", "build", *systems, "--form", form, "--participants", "3", "--out", str(out)]
    assert evaluate.main(words) == 0
    return read_key(out / "key.json"), (out / "page" / "index.html").as_uri()


def answer_page(page: Browser, choice: str) -> None:
    """Answers each question of a page by the button at `choice`, an expression of their number `n`, by clicks."""
    page.run(
        "document.querySelectorAll('fieldset').forEach((field, n) => "
        f"field.querySelectorAll('label')[{choice}].click())"
    )


def download(page: Browser, folder) -> dict:
    page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    page.run("document.querySelector('a[download]').click()")
    while not (found := [path for path in folder.glob("*.json") if path.stat().st_size]):
        time.sleep(0.02)
    return json.loads(found[0].read_text(encoding="utf-8"))


def test_a_participant_chooses_the_best_and_goes_on_after_a_break(page, systems, tmp_path):
    study, url = build(systems, "mtv", tmp_path)
    page.open(f"{url}?p=2")
    assert "headphones" in page.run("document.body.textContent")
    page.run(NEXT)
    order = study.order(2)
    assert page.run(TITLE) == "Page 1 of 2"
    assert page.run(VIDEOS) == [f"videos/{name}.mp4" for name in order[0][1]]
    assert page.run("document.querySelector('blockquote').textContent") == study.clips[order[0][0]].text
    page.run(NEXT)
    assert page.run(TITLE) == "Page 1 of 2"  # until all questions are answered
    answer_page(page, "n % 2")
    page.run(NEXT)
    assert page.run(TITLE) == "Page 2 of 2"

    page.open(f"{url}?p=2")  # the break
    page.run(NEXT)
    assert page.run(TITLE) == "Page 2 of 2"
    answer_page(page, "0")
    page.run(NEXT)
    assert page.run(TITLE) == "Thank you"
    given = download(page, tmp_path / "answers")
    assert json.loads(page.run("document.querySelector('textarea').value")) == given
    (first, shown), (second, others) = order
    assert given["answers"] == {
        f"{first}/semantic_consistency": shown[0],
        f"{first}/motion_fluency": shown[1],
        f"{first}/overall_preference": shown[0],
        **{f"{second}/{question.id}": others[0] for question in study.form.questions},
    }
    found = collect(study, [tmp_path / "answers"])
    assert not found.problems
    assert [sheet.participant for sheet in found.sheets] == [2]

    page.open(f"{url}?p=3")
    page.run(NEXT)
    assert page.run(TITLE) == "Page 1 of 2"  # another participant has answers of their own
    assert page.run("document.querySelectorAll(':checked').length") == 0


def test_each_video_is_rated_on_a_phone(page, systems, tmp_path):
    study, url = build(systems, "maestro", tmp_path)
    page.call("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True)
    page.open(f"{url}?p=1")
    for _ in study.clips:
        page.run(NEXT)
        assert page.run("document.documentElement.scrollWidth") == 360
        small = "[...document.querySelectorAll('label, button')].map(it => it.getBoundingClientRect().height)"
        assert min(page.run(small)) >= 40  # large enough for a finger
        answer_page(page, "n % 4 + 1")
    page.call("Emulation.clearDeviceMetricsOverride")
    page.run(NEXT)
    page.run("document.querySelector('button').click()")  # back
    assert page.run("document.querySelectorAll(':checked').length") == 8
    page.run(NEXT)
    given = download(page, tmp_path / "answers")["answers"]
    ratings = dict(zip((question.id for question in study.form.questions), "2345", strict=True))
    assert given == {
        f"{video}/{question}": rating
        for clip in study.clips.values()
        for video in clip.videos
        for question, rating in ratings.items()
    }


def test_videos_play_with_sound_one_at_a_time_and_everything_is_labelled(page, systems, tmp_path):
    _, url = build(systems, "mtv", tmp_path)
    page.open(f"{url}?p=1")
    page.events.clear()
    page.run(NEXT)
    played = (
        "(async () => { const [a, b] = document.querySelectorAll('video'); a.loop = true; await a.play(); "
        "await b.play(); return [a.paused, b.paused, a.muted, b.muted]; })()"
    )
    assert page.run(played) == [True, False, False, False]
    assert page.run("[...document.querySelectorAll('video')].map(video => video.ariaLabel)") == [
        "Video A",
        "Video B",
    ]
    assert page.run(
        "[...document.querySelectorAll('fieldset')].every(field => field.querySelector('legend'))"
    )
    assert page.run("[...document.querySelectorAll('input')].every(input => input.labels.length === 1)")
    assert page.run("document.activeElement.id") == "main"
    requests = [
        e["params"]["request"]["url"] for e in page.events if e.get("method") == "Network.requestWillBeSent"
    ]
    assert requests
    assert {request.partition(":")[0] for request in requests} <= {"file", "data"}
    sent = (
        "new Promise(told => { document.addEventListener('securitypolicyviolation', e => "
        "told(e.effectiveDirective)); fetch('https://example.org').catch(() => setTimeout(told, 1000)); })"
    )
    assert page.run(sent) == "connect-src"
    wrong = [e for e in page.events if e.get("method") == "Runtime.exceptionThrown"]
    assert not wrong
