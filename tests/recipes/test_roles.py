"""The scripts of `recipes/roles`, as curation starts them: with packages and a service that stand for the real ones."""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from mtv_jax.curation.adapters.jsonl import JsonlDiarizer
from mtv_jax.curation.adapters.jsonl_people import JsonlPersons
from mtv_jax.io.errors import UserError
from mtv_jax.io.video import write_video

ROLES = Path(__file__).resolve().parents[2] / "recipes" / "roles"
SOUND = np.full(16_000, 0.1, np.float32)


def command(name: str, *options: object) -> str:
    return " ".join([sys.executable, str(ROLES / name), *map(str, options)])


def package(folder: Path, name: str, code: str) -> None:
    """An installed package of version 9.9."""
    path = folder / name.replace(".", "/")
    path.mkdir(parents=True)
    (path / "__init__.py").write_text(code)
    about = folder / f"{name.replace('.', '_')}-9.9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.9\n")


PYANNOTE = """
import soundfile
from types import SimpleNamespace

class Pipeline:
    @classmethod
    def from_pretrained(cls, folder):
        assert (folder / "config.yaml").exists()
        return cls()
    def to(self, device):
        self.device = device
    def __call__(self, path):
        print("loud")  # packages do
        end = soundfile.info(path).duration
        found = [(SimpleNamespace(start=end / 2, end=end), "_", "SPEAKER_01"),
                 (SimpleNamespace(start=0.0, end=end), "_", "SPEAKER_00")]
        tracks = SimpleNamespace(itertracks=lambda yield_label: found if yield_label else None)
        return SimpleNamespace(speaker_diarization=tracks)
"""


def test_pyannote(tmp_path, monkeypatch):
    package(tmp_path, "pyannote.audio", PYANNOTE)
    package(tmp_path, "torch", "device = str")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    folder = tmp_path / "community-1"
    folder.mkdir()
    (folder / "config.yaml").write_text("x")
    model = JsonlDiarizer(command("pyannote_diarizer.py", folder))
    card = model.card()
    assert (card.name, card.version, len(card.weights)) == ("pyannote community-1", "9.9", 64)
    found = model.diarize(SOUND, 16_000)
    assert found["turns"] == [[0.0, 1.0, "SPEAKER_00"], [0.5, 1.0, "SPEAKER_01"]]
    assert (found["speakers"], found["speech"]) == (2, 1.0)


YOLO = """
from types import SimpleNamespace

class List(list):
    def tolist(self):
        return list(self)

class YOLO:
    def __init__(self, path):
        assert path.endswith("small.pt")
    def __call__(self, frame, classes, conf, device, verbose):
        assert (classes, conf, device, verbose) == ([0], 0.5, "cpu", False)
        share = frame[..., 2].mean() / 255  # red comes last
        return [SimpleNamespace(boxes=SimpleNamespace(xyxyn=List([[0.0, 0.0, 1.0, share]]), conf=List([0.9])))]
"""


def test_yolo_sees_the_frames_that_are_displayed_at_the_rate_asked_for(tmp_path, monkeypatch):
    """Of 25 frames, of which each is a little redder: 0, 5, 10, 15 and 20."""
    pytest.importorskip("cv2")
    package(tmp_path, "ultralytics", YOLO)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "small.pt").write_bytes(b"weights")
    frames = np.zeros((25, 32, 32, 3), np.uint8)
    frames[..., 0] = np.arange(25)[:, None, None] * 10
    write_video(tmp_path / "clip.mp4", frames, 25)
    model = JsonlPersons(command("yolo_persons.py", tmp_path / "small.pt"))
    assert model.card().licence == "AGPL-3.0"
    people = model.find(tmp_path / "clip.mp4")["people"]
    reds = [round(255 * person["box"][3] / 10) for (person,) in people]
    np.testing.assert_allclose(reds, [0, 5, 10, 15, 20], atol=1)


WORDS = [
    {"type": "audio_event", "text": "(laughs)", "start": 0.0, "end": 0.1, "speaker_id": "speaker_0"},
    {"type": "word", "text": "Well,", "start": 0.1, "end": 0.3, "speaker_id": "speaker_0"},
    {"type": "spacing", "text": " ", "start": 0.3, "end": 0.4, "speaker_id": "speaker_0"},
    {"type": "word", "text": "no.", "start": 0.4, "end": 0.5, "speaker_id": "speaker_0"},
    {"type": "word", "text": "Yes!", "start": 0.45, "end": 0.9, "speaker_id": "speaker_1"},
    {"type": "word", "text": "Ah.", "start": 1.5, "end": 1.6, "speaker_id": "speaker_1"},
]


class Service(ThreadingHTTPServer):
    """Gives the answers in `answers` in turn: (status, headers, text or None for none in time)."""

    asked: list[tuple[str, bytes]]
    answers: list[tuple[int, dict[str, str], str | None]]


@pytest.fixture
def service():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            server.asked.append((self.headers["xi-api-key"], body))
            status, headers, text = server.answers.pop(0)
            if text is None:
                time.sleep(1)
                return
            self.send_response(status)
            for pair in headers.items():
                self.send_header(*pair)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    server = Service(("127.0.0.1", 0), Handler)
    server.asked, server.answers = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def scribe(service: Service, *options: object) -> JsonlDiarizer:
    url = f"http://127.0.0.1:{service.server_port}/v1/speech-to-text"
    return JsonlDiarizer(command("scribe_diarizer.py", "--url", url, "--backoff=0", *options))


def test_scribe_is_asked_again_until_it_answers(service, monkeypatch):
    monkeypatch.setenv("ELEVENLABS_API_KEY", "secret")
    answer = (200, {}, json.dumps({"words": WORDS}))
    failures = [(429, {"Retry-After": "0"}, ""), (503, {}, ""), (200, {}, None), (200, {}, "<html>")]
    service.answers = [*failures, answer]
    model = scribe(service, "--timeout=0.3")
    assert (model.card().name, model.card().licence) == ("Scribe", "proprietary")
    found = model.diarize(SOUND, 16_000)
    assert found["turns"] == [[0.1, 0.5, "speaker_0"], [0.45, 0.9, "speaker_1"], [1.5, 1.6, "speaker_1"]]
    assert len(service.asked) == 5
    key, body = service.asked[-1]
    assert key == "secret"
    for part in (b'name="diarize"\r\n\r\ntrue', b'name="model_id"\r\n\r\nscribe_v1', b"RIFF"):
        assert part in body


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ([(401, {}, "invalid key")], "scribe: 401 Unauthorized: invalid key"),
        ([(429, {"Retry-After": "0"}, "")] * 2, "scribe: no answer in 2 tries (429 Too Many Requests)"),
    ],
)
def test_scribe_gives_up(service, monkeypatch, capfd, answers, told):
    monkeypatch.setenv("ELEVENLABS_API_KEY", "secret")
    service.answers = list(answers)
    with pytest.raises(RuntimeError, match="ended with status 1"):
        scribe(service, "--tries=2").diarize(SOUND, 16_000)
    assert told in capfd.readouterr().err
    assert len(service.asked) == len(answers)


def test_scribe_needs_a_key(service, monkeypatch, capfd):
    monkeypatch.delenv("ELEVENLABS_API_KEY", raising=False)
    with pytest.raises(UserError, match="ended with status 1"):
        scribe(service).card()
    assert "ELEVENLABS_API_KEY is not set" in capfd.readouterr().err
