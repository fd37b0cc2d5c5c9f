"""A folder of a small CLAP: random weights, RoBERTa's tokenizer with few merges, options of the spectrograms."""

import json
from pathlib import Path

import jax
import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

from mtv_jax.models.clap import Clap, ClapConfig
from mtv_jax.models.registry import replace_fields
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights.clap import RULES, config_to_json
from mtv_jax.weights.rules import to_state

VOCABULARY = 270
FEATURES = {
    "feature_extractor_type": "ClapFeatureExtractor",
    "feature_size": 8,
    "sampling_rate": 8000,
    "hop_length": 400,
    "fft_window_size": 512,
    "max_length_s": 1,
    "frequency_min": 50,
    "frequency_max": 3800,
    "truncation": "rand_trunc",
    "padding": "repeatpad",
}


def write_tokenizer(folder: Path, marks: tuple[str, str, str] = ("<s>", "<pad>", "</s>")) -> None:
    """A byte-pair tokenizer in RoBERTa's form; `marks` are those of start, padding and end."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=[*marks, "<unk>", "<mask>"], initial_alphabet=letters
    )
    tokenizer.train_from_iterator(["dog barking", "cat meowing", "rain"] * 5, trainer)
    start, _, end = marks
    tokenizer.post_processor = processors.RobertaProcessing((end, 2), (start, 0), add_prefix_space=False)
    tokenizer.save(str(folder / "tokenizer.json"))


def write_clap(folder: Path) -> Path:
    """A folder as transformers writes it."""
    folder.mkdir()
    config = replace_fields(ClapConfig.tiny(), {"text": {"vocab_size": VOCABULARY}})
    (folder / "config.json").write_text(json.dumps(config_to_json(config)))
    (folder / "preprocessor_config.json").write_text(json.dumps(FEATURES))
    rng = np.random.default_rng(0)
    shapes = parameter_shapes(Clap(config))
    params = jax.tree.map(lambda leaf: 0.3 * rng.normal(size=leaf.shape).astype(np.float32), shapes)
    for name in ("logit_scale_a", "logit_scale_t"):
        params["params"][name] = np.log(np.float32(1 / 0.07))
    params["params"]["audio"]["batch_norm"]["var"] = np.full(config.audio.num_mel_bins, 100, np.float32)
    save_file(to_state(params, RULES), folder / "model.safetensors")
    write_tokenizer(folder)
    return folder
