"""Makes the separator of Maestro's tiny pipeline: AudioSep's network, which finds sounding objects by their names.

    python -m recipes.train_objects_separator --out runs/maestro/separator

Trains the ResUNet (`ResUNetConfig.objects`) and a small text half of CLAP from nothing, together, on mixes of the world
`mtv_jax.theatre.objects`: the loss is the mean absolute error of the wave, as AudioSep's. Words that no prompt of the
world has are unknown to it. Writes `separator/`, `clap/` with its tokenizer, and `fit.json`, the record of the fit: the
gain of SI-SDR on the sources of held-out pairs.
"""

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from benchmarks.separation_metrics import si_sdr
from mtv_jax.evaluation.objects.cases import evaluation_clips
from mtv_jax.io.files import atomic_directory, write_json
from mtv_jax.io.progress import progress
from mtv_jax.models.clap.config import ClapTextConfig
from mtv_jax.models.registry import make_model
from mtv_jax.models.resunet.config import ResUNetConfig
from mtv_jax.names import TRACK_RATE
from mtv_jax.theatre.objects import BACKGROUNDS, KINDS
from mtv_jax.theatre.objects.clip import LEVEL
from mtv_jax.theatre.objects.sounds import sound_of
from mtv_jax.typing import Params
from mtv_jax.weights.pretrained import write_model

NAMES = (*KINDS, *BACKGROUNDS)
SEED = 1003
SECONDS, SOUND_SECONDS = 2, 8
QUANTILES = {"lowest tenth": 10, "median": 50, "highest tenth": 90}
LENGTH = 4
"""Tokens of a name: start, the word, end, padding."""


def word_tokenizer() -> Tokenizer:
    """RoBERTa's form of a tokenizer, in which each name is a token."""
    words = ["<s>", "<pad>", "</s>", "<unk>", *NAMES]
    made = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    made.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        "<s> $A </s>", None, [("<s>", 0), ("</s>", 2)]
    )
    return made


def make_bank(sounds: int) -> np.ndarray:
    """Sounds [kind n s] with an RMS of 1, float16."""
    rng = np.random.default_rng(SEED)
    length = SOUND_SECONDS * TRACK_RATE
    rows = [
        [sound_of(rng, name, length, TRACK_RATE).astype(np.float16) for _ in range(sounds)]
        for name in progress(NAMES, "making sounds")
    ]
    return np.array(rows)


def make_batch(rng: np.random.Generator, bank: np.ndarray, rows: int) -> tuple[np.ndarray, ...]:
    """Mixes [b s] of one to three sounds, which one is asked for [b], and its wave [b s]; one in ten is not there."""
    size = SECONDS * TRACK_RATE
    mixes, targets = np.zeros((2, rows, size), np.float32)
    asked = np.zeros(rows, np.int32)
    for row in range(rows):
        kinds = rng.permutation(len(NAMES))[: rng.integers(1, 4)]
        for place, kind in enumerate(kinds):
            start = rng.integers(bank.shape[2] - size + 1)
            wave = bank[kind, rng.integers(bank.shape[1]), start : start + size].astype(np.float32)
            wave *= LEVEL * 10 ** (rng.uniform(-12, 0) / 20)
            mixes[row] += wave
            if not place:
                asked[row], targets[row] = kind, wave
        if rng.random() < 0.1:
            absent = [kind for kind in range(len(NAMES)) if kind not in kinds]
            asked[row], targets[row] = rng.choice(absent), 0
    return mixes, asked, targets


def loss_of(models: Any, params: Any, tokens: jax.Array, batch: tuple[jax.Array, ...]) -> jax.Array:
    """Mean absolute error of the waves, in units of the loudest source's level."""
    separator, text = models
    mixes, asked, targets = batch
    condition = text.apply(params["text"], tokens[asked], method="text_features")
    condition /= jnp.linalg.norm(condition, axis=-1, keepdims=True)
    found = separator.apply(params["separator"], mixes, condition)
    return jnp.mean(jnp.abs(found - targets)) / LEVEL


def is_statistic(path: Any) -> bool:
    """Whether a parameter is one of the fixed statistics of a normalisation, which are not trained."""
    return path[-1].key in ("mean", "var")


def judge(folder: Path, clips: int) -> dict[str, Any]:
    """By how much the separator in a folder raises the SI-SDR of the sources of held-out pairs, in dB.

    They are not the pairs that the objects suite measures (seed 0). A source that is lost has -30 dB, so that the mean
    says little.
    """
    from mtv_jax.audio.separation.by_text.audiosep import AudioSep

    gains = []
    for clip in evaluation_clips(clips, things=2, seed=1):
        heard = {kind: wave for kind, wave in clip.sources.items() if wave.any()}
        tracks = AudioSep(str(folder)).separate(clip.mix[:, None], TRACK_RATE, list(heard))
        for kind, wave in heard.items():
            gains.append(si_sdr(tracks[kind][:, 0], wave) - si_sdr(clip.mix, wave))
    return {
        "clips": clips,
        "sources": len(gains),
        "si_sdr_gain": {name: float(np.percentile(gains, share)) for name, share in QUANTILES.items()},
    }


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--steps", type=int, default=1600, help="of 8 mixes of two seconds")
    parser.add_argument(
        "--rate", type=float, default=1e-3, help="learning rate at its peak; 1,600 steps at 3e-3 diverge"
    )
    parser.add_argument("--sounds", type=int, default=40, help="of each kind, to mix from")
    parser.add_argument("--clips", type=int, default=40, help="held-out pairs to judge by")
    args = parser.parse_args(argv)
    started = time.monotonic()
    config = ClapTextConfig(**{**vars(ClapTextConfig.tiny()), "vocab_size": 4 + len(NAMES)})
    models_ = make_model("resunet", ResUNetConfig.objects()), make_model("clap_text", config)
    tokenizer, bank = word_tokenizer(), make_bank(args.sounds)
    rows = [tokenizer.encode(name).ids for name in NAMES]
    tokens = jnp.asarray([row + [1] * (LENGTH - len(row)) for row in rows])
    rng, keys = np.random.default_rng(SEED + 1), jax.random.split(jax.random.key(SEED))
    mixes, _, _ = make_batch(rng, bank, 1)
    params: Params = {
        "separator": models_[0].init(keys[0], mixes, jnp.zeros((1, config.projection_dim))),
        "text": models_[1].init(keys[1], tokens[:1], method="text_features"),
    }
    labels = jax.tree_util.tree_map_with_path(
        lambda path, _: "fixed" if is_statistic(path) else "trained", params
    )
    rate = optax.warmup_cosine_decay_schedule(0.0, args.rate, min(30, args.steps // 2), args.steps)
    optimizer = optax.multi_transform(
        {
            "trained": optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate)),
            "fixed": optax.set_to_zero(),
        },
        labels,
    )

    @jax.jit
    def step(params: Any, state: Any, batch: Any) -> Any:
        loss, gradients = jax.value_and_grad(partial(loss_of, models_))(params, tokens, batch)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, loss

    state, losses = optimizer.init(params), []
    for _ in progress(range(args.steps), "training"):
        params, state, loss = step(params, state, make_batch(rng, bank, 8))
        losses.append(float(loss))
    with atomic_directory(args.out) as temporary:
        write_model(temporary / "separator", models_[0], params["separator"])
        write_model(temporary / "clap", models_[1], params["text"])
        tokenizer.save(str(temporary / "clap" / "tokenizer.json"))
        fit = {
            "seed": SEED,
            "steps": args.steps,
            "rate": args.rate,
            "minutes": round((time.monotonic() - started) / 60, 1),
            "loss": [round(float(np.mean(part)), 4) for part in np.array_split(losses, min(10, args.steps))],
            "held_out": judge(temporary, args.clips),
        }
        write_json(temporary / "fit.json", fit)
    print(fit)


if __name__ == "__main__":
    main()
