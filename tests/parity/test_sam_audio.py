"""SAM Audio by a stand-in of the package `sam_audio` with its interface: what it is given, and what becomes of it."""

import json

import numpy as np
import pytest

from mtv_jax.audio.separation.by_text.sam_audio import SAMAudio
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import sha256

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.parity

PACKAGE = '''
"""The interface of facebookresearch/sam-audio. A mix comes back with a gain for each word, and some noise."""

import json
from pathlib import Path
from types import SimpleNamespace

import torch

HOP = 1920


class SAMAudio(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.zeros(()))
        assert config["visual_ranker"] is config["text_ranker"] is config["span_predictor"] is None

    @classmethod
    def from_pretrained(cls, folder, **changes):
        config = json.loads((Path(folder) / "config.json").read_text())
        model = cls(config | {key: value for key, value in changes.items() if key in config})
        model.load_state_dict(torch.load(Path(folder) / "checkpoint.pt", weights_only=True))
        return model

    def separate(self, batch):
        assert not self.training
        sounds = batch.audios[:, 0] * self.gain * len(batch.descriptions[0])
        sounds = sounds + 1e-3 * torch.randn_like(sounds)
        padded = torch.nn.functional.pad(sounds, (0, -sounds.shape[1] % HOP))
        return SimpleNamespace(target=list(padded), residual=list(padded), noise=None)


class Batch:
    def __init__(self, audios, descriptions):
        self.audios, self.descriptions = audios, descriptions

    def to(self, device):
        self.audios = self.audios.to(device)
        return self


class SAMAudioProcessor:
    audio_sampling_rate = 48_000

    @classmethod
    def from_pretrained(cls, folder):
        return cls()

    def __call__(self, descriptions, audios):
        assert len(descriptions) == len(audios)
        return Batch(torch.stack([audio.mean(0) for audio in audios])[:, None], descriptions)
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A checkpoint, and the package."""
    (tmp_path / "packages").mkdir()
    (tmp_path / "packages/sam_audio.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    checkpoint = tmp_path / "sam-audio-small"
    checkpoint.mkdir()
    config = {"visual_ranker": {}, "text_ranker": {}, "span_predictor": "pe-a-frame-large", "num_anchors": 3}
    (checkpoint / "config.json").write_text(json.dumps(config))
    torch.save({"gain": torch.tensor(0.1)}, checkpoint / "checkpoint.pt")
    return checkpoint


def test_every_channel_and_word_is_separated(folder):
    """40 s of stereo in two sections: each sound is 0.1 times as loud as its description is long."""
    tone = np.sin(np.arange(40 * 8000) / 5)
    mix = (tone[:, None] * [0.1, 0.05]).astype(np.float32)
    separator = SAMAudio(str(folder))
    tracks = separator.separate(mix, 8000, ["dog", "a bird"])
    assert list(tracks) == ["dog", "a bird"]
    for word, gain in (("dog", 0.3), ("a bird", 0.6)):
        assert tracks[word].shape == mix.shape
        np.testing.assert_allclose(tracks[word][80:-80], gain * mix[80:-80], atol=0.01)
    first, again = (separator.separate(mix[:8000], 8000, ["dog"])["dog"] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    card = separator.card()
    assert (card.version, card.licence) == ("sam-audio-small", "LicenseRef-SAM-License")
    assert card.weights == sha256(folder / "checkpoint.pt")


def test_a_checkpoint_that_the_package_cannot_load_is_an_error(folder):
    torch.save({"other": torch.tensor(0.1)}, folder / "checkpoint.pt")
    with pytest.raises(UserError, match=r"sam-audio-small: the package sam_audio cannot load it \(Error"):
        SAMAudio(str(folder)).separate(np.zeros((800, 1), np.float32), 8000, ["dog"])
    (folder / "checkpoint.pt").unlink()
    with pytest.raises(UserError, match=r"checkpoint\.pt: no such file"):
        SAMAudio(str(folder)).card()
