"""Captions by a server: a real one of HTTP on this machine, which fails in all the ways that servers do."""

import base64
import dataclasses
import email.utils
import io
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from mtv_jax.curation.adapters import endpoint
from mtv_jax.curation.adapters.endpoint import Endpoint
from mtv_jax.curation.captions.config import CaptionsConfig, EndpointConfig
from mtv_jax.curation.roles import UnusableModelError
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import write_video

GOOD = {"participants": [{"appearance": "a man"}], "speaking": [1], "scene": "A shop."}
PROMPT = "One person conversation. Persons: Person1: a man. Person1 is speaking. Scene Description: A shop."
VOICE = {"speakers": {"status": "ok", "speakers": 1}}


def completion(content, *, refusal=None, finish="stop"):
    message = {"role": "assistant", "content": content, "refusal": refusal}
    usage = {"prompt_tokens": 100, "completion_tokens": 7}
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def good(handler):
    send(handler, completion(json.dumps(GOOD)))


def send(handler, value, status=200, **headers):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    handler.send_response(status)
    for name, text in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), text)
    handler.end_headers()
    handler.wfile.write(body)


class Server:
    """Answers each request by the next of its functions; the last one is repeated."""

    def __init__(self):
        self.answers: list[Callable] = []
        self.requests: list[dict] = []
        self.headers: list = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                outer.headers.append((self.path, dict(self.headers)))
                outer.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                answer(self)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    made = Server()
    yield made
    made.close()


@pytest.fixture
def waits(monkeypatch):
    """The seconds that were waited between requests, without waiting."""
    found: list[float] = []
    monkeypatch.setattr(endpoint.time, "sleep", found.append)
    return found


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    video = np.repeat(np.array([20, 120, 220], np.uint8), 64 * 96 * 3).reshape(3, 64, 96, 3)
    write_video(path, video, 12)
    return path


def ask(server, clip, *answers, evidence=VOICE, **options):
    server.answers = list(answers)
    config = CaptionsConfig(
        frames=3, longest_side=48, endpoint=EndpointConfig(url=server.url, model="llava", **options)
    )
    return Endpoint(config).caption(clip, {}, evidence)


def test_frames_question_and_schema_are_sent_and_tokens_are_counted(server, clip, monkeypatch):
    monkeypatch.setenv("CAPTION_KEY", "secret")
    found = ask(server, clip, good, key="CAPTION_KEY")
    tokens = {"requests": 1, "prompt_tokens": 100, "completion_tokens": 7}
    assert found == {"status": "ok", "prompt": PROMPT, "tokens": tokens}
    ((path, headers),) = server.headers
    assert (path, headers["Authorization"]) == ("/v1/chat/completions", "Bearer secret")
    (request,) = server.requests
    assert (request["model"], request["max_tokens"], request["temperature"]) == ("llava", 800, 0)
    assert request["response_format"]["json_schema"]["schema"]["required"][0] == "participants"
    text, *images = request["messages"][0]["content"]
    assert "Voices heard: 1" in text["text"]
    frames = [image["image_url"]["url"].removeprefix("data:image/jpeg;base64,") for image in images]
    opened = [Image.open(io.BytesIO(base64.b64decode(frame))) for frame in frames]
    assert [image.size for image in opened] == [(48, 32)] * 3
    assert [round(np.asarray(image).mean(), -1) for image in opened] == [20, 120, 220]


def test_fields_of_the_request_are_those_of_the_config(server, clip):
    ask(server, clip, good, request={"max_tokens": None, "max_completion_tokens": 9, "response_format": None})
    (request,) = server.requests
    assert request["max_completion_tokens"] == 9
    assert {"max_tokens", "response_format"}.isdisjoint(request)
    assert "Authorization" not in server.headers[0][1]


def drop(handler):
    """Closes the connection without an answer."""
    handler.close_connection = True


def cut_off(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"choices"')


@pytest.mark.parametrize(
    "failure",
    [
        lambda h: send(h, {"error": {"message": "overloaded"}}, 503),
        lambda h: send(h, b"bad gateway", 502),
        lambda h: send(h, {"error": {"message": "slow down"}}, 429),
        drop,
        cut_off,
        lambda h: send(h, b"<html>a proxy</html>"),
        lambda h: send(h, {"choices": []}),
        lambda h: send(h, [1]),
    ],
)
def test_a_failure_that_passes_is_tried_again(server, clip, waits, failure):
    assert ask(server, clip, failure, failure, good, backoff=0.5)["prompt"] == PROMPT
    assert waits == [0.5, 1.0]


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        (lambda: "7", 7),
        (lambda: email.utils.formatdate(time.time() + 30, usegmt=True), 30),
        (lambda: "100000", 120),
        (lambda: "-5", 0),
        (lambda: "soon", 1),
    ],
)
def test_a_rate_limit_says_how_long_to_wait(server, clip, waits, header, wait):
    limited = {"error": {"message": "rate limit"}}
    ask(server, clip, lambda h: send(h, limited, 429, Retry_After=header()), good)
    assert waits == [pytest.approx(wait, abs=5 if wait == 30 else 1e-6)]


def test_a_server_that_is_silent_times_out(server, clip, waits):
    release = threading.Event()

    def silent(handler):
        if not release.wait(5):
            good(handler)

    try:
        with pytest.raises(ConnectionError, match="no answer .*timed out"):
            ask(server, clip, silent, timeout=0.05, tries=2)
    finally:
        release.set()
    assert (len(server.requests), len(waits)) == (2, 1)


def test_after_the_last_attempt_the_failure_is_named(server, clip, waits):
    down = {"error": {"message": "out of memory"}}
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1.*HTTP 500: out of memory"):
        ask(server, clip, lambda h: send(h, down, 500), tries=3)
    assert len(server.requests) == 3


def test_nobody_listens(clip, waits, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    config = EndpointConfig(url="http://127.0.0.1:9/v1", model="m", tries=1)
    with pytest.raises(ConnectionError, match="no answer .*refused"):
        Endpoint(CaptionsConfig(endpoint=config)).caption(clip, {}, {})


@pytest.mark.parametrize(("status", "lasts"), [(400, False), (401, True), (404, True), (413, False)])
def test_a_request_that_is_rejected_is_not_repeated_and_a_key_that_is_stops_the_run(
    server, clip, waits, status, lasts
):
    wrong = {"error": {"message": "no such\nmodel"}}
    with pytest.raises(UserError, match=rf"HTTP {status}: no such model") as caught:
        ask(server, clip, lambda h: send(h, wrong, status), good)
    assert isinstance(caught.value, UnusableModelError) == lasts
    assert len(server.requests) == 1


def send_forbidden(handler):
    send(handler, {"error": {"message": "not allowed"}}, 403)


@pytest.mark.parametrize("harmless", [send_forbidden, lambda h: send(h, {}, 401)])
def test_a_server_that_forbids_a_harmless_request_too_stops_the_run(server, clip, harmless):
    with pytest.raises(UnusableModelError, match="HTTP 403: not allowed"):
        ask(server, clip, send_forbidden, harmless)
    assert len(server.requests) == 2
    assert "image" not in str(server.requests[1]["messages"])


@pytest.mark.parametrize(
    "harmless",
    [
        [good],
        [lambda h: send(h, {}, 400)],
        [lambda h: send(h, {}, 503), send_forbidden, good],  # not known yet: both are asked again
    ],
)
def test_a_server_that_forbids_one_clip_does_not_stop_the_run(server, clip, waits, harmless):
    with pytest.raises(UserError, match="HTTP 403: not allowed") as caught:
        ask(server, clip, send_forbidden, *harmless)
    assert not isinstance(caught.value, UnusableModelError)


def test_a_redirection_is_not_followed(server, clip):
    with pytest.raises(UserError, match="HTTP 302"):
        ask(server, clip, lambda h: send(h, b"", 302, Location=f"{server.url}/elsewhere"), good)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (completion(None, refusal="I can't describe people."), "refuses: I can't describe people"),
        (completion("", finish="content_filter"), "refuses: its content filter"),
    ],
)
def test_a_refusal_is_no_caption_and_not_repeated(server, clip, refused, reason):
    found = ask(server, clip, lambda h: send(h, refused), good)
    assert found["status"] == "unavailable"
    assert reason in found["reason"]
    assert found["tokens"]["requests"] == len(server.requests) == 1


def test_an_answer_in_another_form_is_asked_for_again_with_what_is_wrong(server, clip, waits):
    wrong = json.dumps(GOOD | {"speaking": [3]})
    found = ask(server, clip, lambda h: send(h, completion(wrong)), good)
    assert found["prompt"] == PROMPT
    assert found["tokens"] == {"requests": 2, "prompt_tokens": 200, "completion_tokens": 14}
    _, answer, complaint = server.requests[1]["messages"]
    assert answer == {"role": "assistant", "content": wrong}
    assert "speaking has 3" in complaint["content"]
    assert waits == []


def test_answers_that_are_never_as_asked_are_no_caption(server, clip):
    broken = completion('{"participants": [', finish="length")
    found = ask(server, clip, lambda h: send(h, broken), tries=2)
    assert found["status"] == "unavailable"
    assert "no JSON object" in found["reason"]
    assert "cut off" in found["reason"]
    assert found["tokens"]["completion_tokens"] == 14


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"url": ""}, r"endpoint\.url: not given"),
        ({"model": ""}, r"endpoint\.model: not given"),
        ({"url": "file:///etc/passwd"}, "http://"),
        ({"key": "NO_SUCH_KEY"}, "NO_SUCH_KEY: no such environment variable"),
    ],
)
def test_a_config_that_lacks_something_is_refused_before_anything_runs(fields, message):
    whole = EndpointConfig(url="http://localhost/v1", model="llava")
    config = CaptionsConfig(endpoint=dataclasses.replace(whole, **fields))
    with pytest.raises(UserError, match=message):
        Endpoint(config).card()


def test_the_card_names_model_server_and_licence_and_not_the_key(monkeypatch):
    monkeypatch.setenv("CAPTION_KEY", "secret")
    config = EndpointConfig("http://localhost/v1", "llava", "CAPTION_KEY", licence="Apache-2.0")
    card = Endpoint(CaptionsConfig(endpoint=config)).card()
    assert (card.name, card.licence) == ("llava at http://localhost/v1", "Apache-2.0")
    assert "secret" not in str(card)
