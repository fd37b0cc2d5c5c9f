"""Makes the text encoder of a tiny preset: a word tokenizer, and a T5 that distinguishes who has which look.

    python recipes/train_tiny_text.py [--world theatre] [--out mtv_jax/assets/tiny] [--steps 400]

No published T5 was trained on these 51 words. This one learns, on prompts of the synthetic theatre, what each word is
about (the second person's hair, the speaker ...), so that words alike in two persons get embeddings that differ; on
those of the sounding objects (`--world objects`), which of them is loud. No picture and no sound is used. Prints the
share of words that it classifies correctly on held-out prompts, as JSON, and writes it to `text.json` beside the
tokenizer.
"""

import argparse
import json
import re
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from mtv_jax.io.files import atomic_directory, write_json
from mtv_jax.models.t5 import T5Config, T5Encoder
from mtv_jax.text.template import scene_prompt
from mtv_jax.theatre import ClipPlan, plan_clip
from mtv_jax.theatre.clip import describe
from mtv_jax.theatre.objects import BACKGROUNDS, KINDS, objects_prompt, plan_objects
from mtv_jax.weights.pretrained import save_model

CONFIG = T5Config.tiny()
SEED = 1001
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
LENGTH = 40
TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "pad_token": PAD,
    "eos_token": END,
    "unk_token": UNKNOWN,
    "model_max_length": LENGTH,
}
WORD = r"[a-z]+[0-9]?"
BATCH = 128


def word_tokenizer(words: list[str]) -> Tokenizer:
    """Lower-case words; everything else parts them, and is dropped."""
    vocabulary = {token: i for i, token in enumerate([PAD, END, UNKNOWN, *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [pre_tokenizers.Split(Regex(r"[^a-z0-9]+"), "removed")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single=f"$A {END}", special_tokens=[(END, vocabulary[END])]
    )
    return tokenizer


def roles(plan: ClipPlan, words: list[str]) -> list[str]:
    """What each word of a plan's prompt is about; the word itself where that says it."""
    found, start = list(words), 0
    for number, actor in enumerate(plan.actors):
        look = actor.look
        phrase = [look.skin, "skin", look.style, look.hair, "hair", look.shirt, "shirt"]
        start = next(i for i in range(start, len(words)) if words[i : i + len(phrase)] == phrase)
        parts = ("skin", "skin", "hair style", "hair", "hair", "shirt", "shirt")
        for place, part in enumerate(parts, start):
            found[place] = f"{words[place]} of the {part} of {number + 1} in {len(plan.actors)}"
        start += len(phrase)
    if plan.speaker is not None:
        is_speaking = words.index("is")
        for place in range(is_speaking - 1, is_speaking + 2):
            found[place] = f"speaks {plan.speaker + 1} of {len(plan.actors)}"
    return found


Examples = tuple[list[str], list[list[str]], list[list[str]]]
"""Prompts, their words, and the words' roles."""


def theatre_examples(first: int, count: int) -> Examples:
    """Of the synthetic theatre."""
    plans = [plan_clip(SEED, index) for index in range(first, first + count)]
    described = [describe(plan) for plan in plans]
    prompts = [scene_prompt(clip.scene, clip.persons, clip.speaking) for clip in described]
    words = [re.findall(WORD, prompt.lower()) for prompt in prompts]
    return prompts, words, [roles(plan, w) for plan, w in zip(plans, words, strict=True)]


def object_examples(first: int, count: int) -> Examples:
    """Of the sounding objects: an article and a state are of the thing that they are said of."""
    prompts = [objects_prompt(plan_objects(SEED, index)) for index in range(first, first + count)]
    words = [re.findall(WORD, prompt) for prompt in prompts]
    found = []
    for row in words:
        roles_of, thing = list(row), ""
        for place in reversed(range(len(row))):
            thing = row[place] if row[place] in (*KINDS, *BACKGROUNDS) else thing
            if row[place] not in (thing, "and"):
                roles_of[place] = f"{row[place]} of {thing}"
        found.append(roles_of)
    return prompts, words, found


WORLDS = {"theatre": theatre_examples, "objects": object_examples}


def as_arrays(tokenizer: Tokenizer, prompts: list[str], role_rows: list[list[str]], names: list[str]):
    """Token ids and role numbers [n LENGTH]; 0 behind the end of either, and roles of the end token."""
    tokens, labels = (np.zeros((len(prompts), LENGTH), np.int32) for _ in range(2))
    number = {name: i + 1 for i, name in enumerate(names)}
    for row, (prompt, roles_of) in enumerate(zip(prompts, role_rows, strict=True)):
        ids = tokenizer.encode(prompt).ids
        tokens[row, : len(ids)] = ids
        labels[row, : len(roles_of)] = [number.get(role, 0) for role in roles_of]
    return tokens, labels


def logits(model: T5Encoder, params: dict, tokens: jax.Array) -> jax.Array:
    states = model.apply(params["t5"], tokens, tokens > 0)
    return jnp.asarray(states) @ params["head"]


@partial(jax.jit, static_argnums=(0, 1))
def train_step(model: T5Encoder, optimizer, params, state, tokens, labels):
    def loss_of(params):
        losses = optax.softmax_cross_entropy_with_integer_labels(logits(model, params, tokens), labels)
        return jnp.sum(losses * (labels > 0)) / jnp.sum(labels > 0)

    loss, gradients = jax.value_and_grad(loss_of)(params)
    updates, state = optimizer.update(gradients, state)
    return optax.apply_updates(params, updates), state, loss


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("mtv_jax/assets/tiny"), help="pipeline folder")
    parser.add_argument("--world", choices=tuple(WORLDS), default="theatre", help="whose prompts")
    parser.add_argument("--steps", type=int, default=400, help="of 128 prompts")
    parser.add_argument("--prompts", type=int, default=6000, help="to learn from; another sixth is held out")
    args = parser.parse_args(argv)
    started, examples = time.monotonic(), WORLDS[args.world]
    prompts, words, role_rows = examples(0, args.prompts)
    tokenizer = word_tokenizer(sorted({word for row in words for word in row}))
    names = sorted({role for row in role_rows for role in row})
    tokens, labels = as_arrays(tokenizer, prompts, role_rows, names)
    model = T5Encoder(CONFIG)
    keys = jax.random.split(jax.random.key(SEED))
    params = {
        "t5": model.init(keys[0], tokens[:1]),
        "head": 0.1 * jax.random.normal(keys[1], (CONFIG.d_model, len(names) + 1)),
    }
    optimizer = optax.adam(optax.cosine_decay_schedule(3e-3, args.steps))
    state, rng = optimizer.init(params), np.random.default_rng(SEED)
    for _ in range(args.steps):
        picks = rng.integers(args.prompts, size=BATCH)
        params, state, loss = train_step(model, optimizer, params, state, tokens[picks], labels[picks])
    prompts, words, role_rows = examples(args.prompts, args.prompts // 6)
    tokens, labels = as_arrays(tokenizer, prompts, role_rows, names)
    right = np.argmax(logits(model, params, jnp.asarray(tokens)), -1) == labels
    save_model(args.out / "text_encoder", model, jax.tree.map(np.asarray, params["t5"]))
    with atomic_directory(args.out / "tokenizer") as folder:
        tokenizer.save(str(folder / "tokenizer.json"))
        write_json(folder / "tokenizer_config.json", TOKENIZER_CONFIG)
    report = {
        "world": args.world,
        "seed": SEED,
        "steps": args.steps,
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
    report |= {"words": tokenizer.get_vocab_size(), "roles": len(names), "loss": float(loss)}
    report["right"] = float(right[labels > 0].mean())
    report["longest"] = int((tokens > 0).sum(1).max())
    write_json(args.out / "text.json", report)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
