"""AudioSep's ResUNet against numbers of the original (`goldens/audiosep_resunet`), and as a network."""

import json
import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mtv_jax.audio.separation.by_text.audiosep import separate_windows
from mtv_jax.io.errors import UserError
from mtv_jax.models.resunet import AudioSepResUNet, ResUNetConfig
from mtv_jax.models.resunet.spectrum import spectrum, waveform
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights.resunet import IGNORED, RULES
from mtv_jax.weights.rules import to_params
from tests.resunet_goldens import FOLDER, load_golden, relative_error

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no goldens of AudioSep in {FOLDER.parent}")

STAGES = {
    "pre_conv": "pre_conv",
    **{f"encoder_block{level}.pool": f"encoder_{level}" for level in range(1, 7)},
    "conv_block7a.pool": "middle",
    **{f"decoder_block{level}": f"decoder_{level}" for level in range(1, 7)},
    "after_conv": "after_conv",
    "film.encoder_block2.conv_block1.beta1": "encoder_2/film_1",
    "film.decoder_block3.beta1": "decoder_3/film",
    "film.decoder_block3.conv_block2.beta2": "decoder_3/residual/film_2",
}
"""Stages of the original -> modules here."""


@pytest.fixture(scope="module")
def golden():
    return load_golden()


def test_spectra_agree_with_torchlibrosa(golden):
    config, sound = golden.config, golden.sound("waveform_int16")[:1]

    @jax.jit
    def there_and_back(sound):
        lengths = jnp.array([sound.shape[1]])
        values = spectrum(sound, lengths, config.n_fft, config.hop)
        return values, waveform(values, lengths, config.n_fft, config.hop, sound.shape[1])

    values, again = there_and_back(sound)
    assert values.shape[1] == golden.numbers["stft.frames"][0]
    found = np.asarray(values)[0, [0, 3, -1]]
    magnitudes = np.maximum(np.abs(found), 1e-5)
    for name, ours in (
        ("mag", magnitudes),
        ("cos", found.real / magnitudes),
        ("sin", found.imag / magnitudes),
    ):
        assert relative_error(ours, golden.numbers[f"stft.{name}_row0_frames_0_3_last"]) < 1e-4, name
    np.testing.assert_allclose(again, sound, atol=5e-7)


@pytest.fixture(scope="module")
def program(golden):
    """The network, and what the modules of `STAGES` gave. All tests give it 5 s, so that it is compiled once."""
    model, params = golden.network
    names = {path.split("/")[-1] for path in STAGES.values()}

    @jax.jit
    def run(mixture, lengths, condition):
        return model.apply(
            params,
            mixture,
            condition,
            lengths,
            capture_intermediates=lambda module, _: module.name in names,
            mutable=["intermediates"],
        )

    return run


def test_every_stage_and_the_sound_agree_with_the_original(golden, program):
    """The row is filled up with noise, which is not heard."""
    sound, rows = golden.sound("waveform_int16")[:1], 5 * golden.config.sample_rate
    longer = np.random.default_rng(0).normal(0, 0.1, (1, rows)).astype(np.float32)
    longer[:, : sound.shape[1]] = sound
    found, seen = program(longer, np.array([sound.shape[1]]), golden.numbers["tiny.condition"][:1])
    expected = golden.numbers["tiny.waveform_out"][:1, 0]
    assert relative_error(found[:, : sound.shape[1]], expected) < 1e-4
    assert not found[:, sound.shape[1] :].any()
    checked = [name for name in golden.numbers if name.startswith("tiny.") and stage_of(name) in STAGES]
    assert len(checked) > 10
    for name in checked:
        expected = golden.numbers[name][:1]
        assert relative_error(intermediate(seen["intermediates"], name, expected.shape), expected) < 1e-4, (
            name
        )


def test_a_long_sound_is_separated_in_the_windows_of_the_original(golden, program):
    """11.3 s: three windows of 5 s, and one of 2.3 s."""
    mix, condition = golden.sound("chunk.waveform_int16")[:, None], golden.numbers["tiny.condition"][:1]

    def separate(mixture, length):
        return program(mixture, length, condition)[0]

    found = separate_windows(separate, mix, golden.config.sample_rate, "noise")
    assert relative_error(found[::4].T, golden.numbers["chunk.out"]) < 1e-4


def stage_of(name: str) -> str:
    """The stage of a number, `tiny.STAGE` or, subsampled, `tiny.STAGE_tA_fB`."""
    return name.removeprefix("tiny.").split("_t")[0]


def intermediate(seen, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """What a module gave, as the original stores it: a bias for each channel, or [1 c t f] within the sound."""
    stage = stage_of(name)
    for module in STAGES[stage].split("/"):
        seen = seen[module]
    output = np.asarray(seen["__call__"][0])
    if stage.startswith("film"):
        return output
    if stage.startswith("encoder"):
        output = pooled(output, (1, 2) if stage.startswith("encoder_block6") else (2, 2))
    output = np.moveaxis(output, -1, 1)
    if "_t" in name.removeprefix("tiny."):
        every_frame, every_bin = map(int, name.split("_t")[1].split("_f"))
        output = output[..., ::every_frame, ::every_bin]
    return output[:, :, : shape[2]]


def pooled(x: np.ndarray, step: tuple[int, int]) -> np.ndarray:
    batch, t, f, channels = x.shape
    return x.reshape(batch, t // step[0], step[0], f // step[1], step[1], channels).mean((2, 4))


@pytest.mark.slow
def test_rows_are_separated_together_and_bfloat16_is_close(golden):
    model, params = golden.network
    inputs = golden.sound("waveform_int16"), golden.numbers["tiny.condition"]
    expected = golden.numbers["tiny.waveform_out"][:, 0]
    assert relative_error(jax.jit(model.apply)(params, *inputs), expected) < 1e-4
    found = jax.jit(AudioSepResUNet(model.config, jnp.bfloat16).apply)(params, *inputs)
    assert found.dtype == jnp.float32
    assert 1e-4 < np.linalg.norm(found - expected) / np.linalg.norm(expected) < 2e-2


@pytest.mark.slow
def test_the_released_size_agrees_with_the_original(golden):
    model = AudioSepResUNet(ResUNetConfig.audiosep_base())
    params = to_params(released(), RULES, parameter_shapes(model), ignored=IGNORED)
    sound, condition = golden.sound("waveform_int16")[:1], golden.numbers["full.condition"][:1]
    found = jax.jit(model.apply)(params, sound, condition)
    assert relative_error(found, golden.numbers["full.waveform_out"][:, 0]) < 1e-3


def released() -> dict[str, np.ndarray]:
    """The weights of the full size, by the recipe in the goldens' README; the sums are checked."""
    recipe = json.loads((FOLDER / "recipe_full_checksums.json").read_text())
    seed = int(re.findall(r"default_rng\(\[(\d+), i\]\)", (FOLDER / "README.md").read_text())[0])
    found = {}
    for key, row in recipe.items():
        found[key] = array = drawn(key, row["shape"], np.random.default_rng([seed, row["index"]]))
        sums = array.astype(np.float64).sum(), np.square(array.astype(np.float64)).sum()
        np.testing.assert_allclose(sums, (row["sum"], row["sumsq"]), rtol=1e-5, atol=1e-4, err_msg=key)
    return found


def drawn(key: str, shape: list[int], random: np.random.Generator) -> np.ndarray:
    if key.endswith("running_var"):
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    numbers = random.standard_normal(shape)
    if len(shape) == 1:
        is_gain = ".bn" in key and key.endswith("weight")
        return (0.1 * numbers + is_gain).astype(np.float32)
    factor = 0.7 / np.sqrt(np.prod(shape[1:]))
    if key.startswith("film."):
        factor = 0.5 / np.sqrt(shape[1])
    elif "decoder_block" in key and key.endswith(".conv1.weight") and "conv_block2" not in key:
        factor = 1 / np.sqrt(shape[0])
    elif key == "base.after_conv.weight":
        factor = 0.3 / np.sqrt(shape[1])
    return (factor * numbers).astype(np.float32)


def test_sizes_that_do_not_fit_are_refused():
    tiny = ResUNetConfig.tiny()
    assert sum(leaf.size for leaf in jax.tree.leaves(parameter_shapes(AudioSepResUNet(tiny)))) < 15_000
    with pytest.raises(UserError, match="n_fft 100: must be a multiple of 8 for 2 widths"):
        replace(tiny, n_fft=100)
    with pytest.raises(UserError, match="hop 129: must be at most 128, half of n_fft"):
        replace(tiny, hop=129)
