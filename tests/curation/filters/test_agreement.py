"""Cosines of key frames, sound and label; known answers by an embedder whose vectors are known."""

import jax
import numpy as np
import pytest
from maestro_folders import write_clip_tokenizer

from mtv_jax.curation.adapters import imagebind
from mtv_jax.curation.adapters.imagebind import ImageBindEmbedder
from mtv_jax.curation.filters.agreement import agreement_scores, pick_frames
from mtv_jax.curation.filters.fingerprints import from_text
from mtv_jax.curation.roles import Embedder, Embeddings, find_model
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import write_json
from mtv_jax.io.video import write_video
from mtv_jax.models.imagebind import ImageBind, ImageBindAudio, ImageBindAudioConfig, ImageBindConfig
from mtv_jax.models.registry import replace_fields
from mtv_jax.models.shapes import random_params
from mtv_jax.pipelines.maestro.features import key_frames
from mtv_jax.weights.imagebind import config_to_json
from mtv_jax.weights.pretrained import save_model

RATE = 16_000


@pytest.mark.parametrize(
    ("frames", "segments", "expected"),
    [
        (81, 5, [0, 21, 42, 63, 80]),
        (16, 2, [0, 15]),
        (16, 1, [0]),
        (2, 5, [0, 1, 1, 1, 1]),
        (80, 5, [0, 20, 40, 60, 79]),
    ],
)
def test_key_frames_are_at_min_of_s_n_and_the_last(frames, segments, expected):
    assert key_frames(frames, segments).tolist() == expected
    shades = np.arange(frames, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    picked = pick_frames(iter(shades), expected)
    assert picked[:, 0, 0, 0].tolist() == expected


def direction(angle):
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


class ByShade:
    """Pictures point where their grey level says, sounds where their level does; the label points along the axis."""

    def card(self):
        raise NotImplementedError

    def embed(self, keyframes, sounds, label):
        self.seen = keyframes[:, 0, 0, 0].astype(int).tolist()
        self.heard = [float(np.abs(sound).max()) for sound in sounds]
        assert {len(sound) for sound in sounds} == {2 * RATE}
        grey = direction(keyframes.mean(axis=(1, 2, 3)) / 100)
        return Embeddings(grey, direction(np.array(self.heard)), None if label is None else direction(0.0))


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """21 frames of 10 s that become lighter, and sound that is louder from 4 s on."""
    folder = tmp_path_factory.mktemp("clip")
    shades = np.repeat(np.arange(21, dtype=np.uint8) * 10, 32 * 32 * 3).reshape(21, 32, 32, 3)
    write_video(folder / "clip.mp4", shades, 2.1)
    tone = np.sin(2 * np.pi * 500 * np.arange(10 * RATE) / RATE) * np.where(
        np.arange(10 * RATE) < 4 * RATE, 0.2, 0.8
    )
    return folder / "clip.mp4", tone.astype(np.float32)


def test_the_cosines_are_means_over_the_segments(clip):
    known = ByShade()
    found = agreement_scores(clip[0], clip[1], 10.0, 21, "tone", known)
    assert known.seen == pytest.approx([0, 60, 120, 180, 200], abs=2)
    assert known.heard == pytest.approx([0.2, 0.2, 0.8, 0.8, 0.8], abs=0.01)
    pictures, sounds = np.array([0, 0.6, 1.2, 1.8, 2.0]), np.array([0.2, 0.2, 0.8, 0.8, 0.8])
    assert found["keyframe_audio"] == pytest.approx(np.cos(pictures - sounds).mean(), abs=0.02)
    assert found["keyframe_text"] == pytest.approx(np.cos(pictures).mean(), abs=0.02)
    assert found["audio_text"] == pytest.approx(np.cos(sounds).mean(), abs=0.01)
    stored = from_text(found["vectors"]["sound"], np.uint16).view(np.float16)
    np.testing.assert_allclose(stored, direction(sounds).mean(axis=0), atol=0.01)
    assert found["label"] == "tone"


def test_without_a_label_there_is_the_cosine_of_picture_and_sound_alone(clip):
    found = agreement_scores(clip[0], clip[1], 10.0, 21, None, ByShade())
    assert {name for name in found if isinstance(found[name], float)} == {"keyframe_audio", "dbfs"}
    assert (found["label"], set(found["vectors"])) == (None, {"sound"})


def test_random_weights_give_cosines_and_are_a_stub(clip):
    embedder = find_model("embedder", "imagebind:random")
    assert isinstance(embedder, Embedder)
    assert (embedder.card().fidelity, embedder.card().weights) == ("stub", None)
    one, other = (
        agreement_scores(clip[0], clip[1], 10.0, 21, label, embedder)
        for label in ("dog barking", "cat meowing")
    )
    names = ("keyframe_audio", "keyframe_text", "audio_text")
    assert all(-1 <= one[name] <= 1 for name in names)
    assert one["keyframe_audio"] == other["keyframe_audio"]
    assert one["audio_text"] != other["audio_text"]
    assert one["keyframe_text"] != other["keyframe_text"]


def test_a_folder_of_weights_has_their_card_and_another_network_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"imagebind: needs its weights; convert them .*imagebind:FOLDER"):
        ImageBindEmbedder()
    with pytest.raises(UserError, match="no such directory"):
        ImageBindEmbedder(str(tmp_path / "nowhere"))
    config = replace_fields(ImageBindConfig.tiny(), {"vocab_size": 520})
    untrained = tmp_path / "untrained"
    untrained.mkdir()
    write_json(untrained / "config.json", config_to_json(config) | {"_untrained_seed": 1})
    write_clip_tokenizer(untrained / "tokenizer")
    assert ImageBindEmbedder(str(untrained)).card().fidelity == "stub"
    model = ImageBind(config)
    save_model(tmp_path / "whole", model, jax.tree.map(np.asarray, random_params(model, 1)))
    write_clip_tokenizer(tmp_path / "whole" / "tokenizer")
    embedder = ImageBindEmbedder(str(tmp_path / "whole"))
    card = embedder.card()
    assert (card.fidelity, card.licence, len(card.weights or "")) == ("real", "CC-BY-NC-SA-4.0", 64)
    found = embedder.embed(np.zeros((1, 9, 9, 3), np.uint8), [np.ones(2 * RATE, np.float32)], "a dog")
    for vectors in (found.keyframes, found.sounds, found.label):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, rtol=1e-6)
    audio = ImageBindAudio(ImageBindAudioConfig.tiny())
    save_model(tmp_path / "audio", audio, jax.tree.map(np.asarray, random_params(audio, 1)))
    with pytest.raises(UserError, match="a ImageBindAudio, not the whole of ImageBind"):
        ImageBindEmbedder(str(tmp_path / "audio")).card()
    (tmp_path / "whole" / "tokenizer" / "merges.txt").write_text("no merges\nx\n")
    imagebind._load_tokenizer.cache_clear()
    with pytest.raises(UserError, match="not a list of merges"):  # before any clip is judged
        embedder.card()
