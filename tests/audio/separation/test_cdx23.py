"""CDX23: the stems of demucs' inference, tracks that add up, checkpoints by path. Networks are small (goldens)."""

import dataclasses
import functools
import hashlib
import shutil

import numpy as np
import pytest
from golden_folders import OURS

from mtv_jax.audio.separation import cdx23
from mtv_jax.audio.separation.cdx23 import CDX23, Network, overlapped_stems, share_remainder
from mtv_jax.audio.separation.sections import separate_sections
from mtv_jax.audio.separation.separators import find_separator
from mtv_jax.convert import main as convert
from mtv_jax.io.errors import UserError
from mtv_jax.models.htdemucs import HTDemucsConfig
from mtv_jax.names import TRACKS
from mtv_jax.weights.pretrained import load_model

FOLDER = OURS / "htdemucs"
NUMBERS = dict(np.load(FOLDER / "io.npz"))
MIX = np.ascontiguousarray(NUMBERS["three.long_mix"].T)
STEMS = NUMBERS["three.long_stems"].swapaxes(1, 2)
"""In the order of the network: effects, music, speech."""


def relative(got, want) -> float:
    return float(np.abs(np.asarray(got, np.float64) - want).max() / np.abs(want).max())


@pytest.fixture(scope="module")
def small():
    """The separator of a small network, compiled once."""
    return find_separator(f"cdx23:{FOLDER / 'three.th'}", TRACKS)


def test_stems_are_those_of_the_network_and_of_demucs_inference(small):
    network = small._networks[0]
    stems = network.stems(NUMBERS["three.mix"].T[None])[0]
    assert relative(stems, NUMBERS["three.stems"].swapaxes(1, 2)) < 1e-5
    assert relative(overlapped_stems(network, MIX), STEMS) < 1e-5


def test_tracks_have_the_stems_of_their_name_and_add_up(small):
    tracks = small.separate(MIX, 8000)
    assert tuple(tracks) == TRACKS
    np.testing.assert_allclose(sum(tracks.values()), MIX, atol=1e-6)
    wanted = share_remainder(MIX, STEMS, 8000)
    for name, stem in zip(("effects", "music", "speech"), wanted, strict=True):
        assert relative(tracks[name], stem) < 1e-4, name


def test_a_card_has_the_hash_of_the_file_and_no_licence(small):
    card = small.cards()["music"]
    assert (card.name, card.version, card.fidelity) == ("MVSEP-CDX23 (HTDemucs)", "three", "real")
    assert card.licence == "none stated"
    assert card.weights == hashlib.sha256((FOLDER / "three.th").read_bytes()).hexdigest()


def lowpass_network(weights: tuple[float, ...]) -> Network:
    """Stands for a network: each stem is a share of the sound, and of the sound before it."""
    config = dataclasses.replace(HTDemucsConfig.tiny(), samplerate=1000, segment_samples=700)

    def stems(mix):
        blurred = mix + np.roll(mix, 1, axis=1) + 0.1 * np.linspace(-1, 1, mix.shape[1])[:, None]
        return np.stack([weight * blurred for weight in weights], axis=1).astype(np.float32)

    return Network(config, stems)


@pytest.fixture
def stand_in(monkeypatch):
    """A separator whose networks are stand-ins; the sections are short."""

    def make(*networks):
        monkeypatch.setattr(cdx23, "_SECTION_SECONDS", 0.1)
        monkeypatch.setattr(CDX23, "_networks", networks)
        return CDX23("nowhere")

    return make


def test_sections_give_what_the_whole_sound_gives(stand_in):
    separator = stand_in(lowpass_network((0.5, 0.2, 0.2)))
    mix = np.random.default_rng(0).normal(size=(6000, 2)).astype(np.float32)
    pieces = list(separate_sections(lambda first, last: mix[first:last], 1000, separator))
    assert len(pieces) > 5
    whole = separator.separate(mix, 1000)
    for name in TRACKS:
        joined = np.concatenate([piece[name] for piece in pieces])
        assert relative(joined[:-700], whole[name][:-700]) < 1e-5, name


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("rate", [1000, 1411])
def test_any_rate_and_any_number_of_channels(stand_in, channels, rate):
    separator = stand_in(lowpass_network((0.5, 0.2, 0.2)))
    mix = np.random.default_rng(0).normal(size=(1001, channels)).astype(np.float32)
    tracks = separator.separate(mix, rate)
    assert all(track.shape == mix.shape and track.dtype == np.float32 for track in tracks.values())
    np.testing.assert_allclose(sum(tracks.values()), mix, atol=1e-6)
    if channels == 1:
        stereo = separator.separate(np.repeat(mix, 2, axis=1), rate)
        np.testing.assert_allclose(tracks["speech"][:, 0], stereo["speech"][:, 1], atol=1e-6)


def test_several_networks_are_averaged(stand_in):
    one, other = lowpass_network((0.5, 0.1, 0.2)), lowpass_network((0.1, 0.5, 0.4))
    mix = np.random.default_rng(0).normal(size=(900, 2)).astype(np.float32)
    both = stand_in(one, other).separate(mix, 1000)
    mean = stand_in(lowpass_network((0.3, 0.3, 0.3))).separate(mix, 1000)
    for name in TRACKS:
        np.testing.assert_allclose(both[name], mean[name], atol=1e-5)


def test_what_stems_lack_is_shared_as_their_power():
    mix = np.ones((400, 1), np.float32)
    stems = np.stack([0.6 * mix, 0.3 * mix, 0 * mix])
    stems[:, 200:] = 0
    shared = share_remainder(mix, stems, 1000)
    np.testing.assert_allclose(shared.sum(0), mix, atol=1e-6)
    np.testing.assert_allclose(shared[:, 100, 0], [0.68, 0.32, 0], atol=1e-6)
    np.testing.assert_allclose(shared[:, 300, 0], [1 / 3] * 3, atol=1e-6)


def test_a_folder_of_checkpoints_and_a_converted_one(tmp_path, small):
    (tmp_path / "bag").mkdir()
    for name in ("a", "b"):
        shutil.copy(FOLDER / "three.th", tmp_path / "bag" / f"{name}.th")
    bag = CDX23(str(tmp_path / "bag"))
    assert len(bag._networks) == 2
    digest = small.cards()["music"].weights
    assert (bag.cards()["music"].version, bag.cards()["music"].weights) == ("a+b", f"{digest}+{digest}")
    convert(["--from", "demucs", "--in", str(FOLDER / "three.th"), "--out", str(tmp_path / "folder")])
    model, params = load_model(tmp_path / "folder")
    (network,) = CDX23(str(tmp_path / "folder"))._networks
    assert network.config == model.config == small._networks[0].config
    partial = small._networks[0].stems
    assert isinstance(partial, functools.partial)
    kernel = params["params"]["channel_upsampler"]["kernel"]
    np.testing.assert_array_equal(kernel, partial.args[1]["params"]["channel_upsampler"]["kernel"])


def test_other_checkpoints_are_refused_in_a_line(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.th").write_text("not a checkpoint")
    for path, message in (
        (tmp_path / "missing.th", "missing.th"),
        (tmp_path / "empty", "neither config.json nor a .th file"),
        (tmp_path / "text.th", "text.th"),
        (FOLDER / "two.th", "two.th: separates drums, vocals; cdx23 needs music, effects"),
        (OURS.parents[1] / "mtv_jax/assets/syncsynth", "is no HTDemucs"),
    ):
        with pytest.raises(UserError, match=message) as error:
            find_separator(f"cdx23:{path}").cards()
        assert "\n" not in str(error.value)
