"""A Maestro folder of the smallest networks with random weights, and sounds for it."""

from fractions import Fraction
from pathlib import Path

import jax
import numpy as np
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

from mtv_jax.diffusion.noise.vp import ScheduleConfig
from mtv_jax.io.audio import write_audio
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.files import write_json
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights.maestro_defaults import MaestroDefaults
from mtv_jax.weights.model_index import PipelineDefaults, SamplingDefaults, TextOptions, index_json
from mtv_jax.weights.pretrained import save_model
from mtv_jax.weights.scheduler import save_schedule

SIZE = PipelineDefaults(
    ClipSize(4, Fraction(2), 16, 32),
    TextOptions(12),
    SamplingDefaults("empty_prompt", sampler="ddim", num_inference_steps=4, guidance_scale=12.0, eta=1.0),
    MaestroDefaults(locating_steps=2),
)
UNET = {
    "block_out_channels": [8],
    "attention_levels": [False],
    "attention_head_dim": 4,
    "norm_num_groups": 4,
}
PARTS = {
    "unet": ("videocrafter", UNET),
    "vae": ("kl_vae", {"block_out_channels": [4, 4], "norm_num_groups": 2}),
    "text_encoder": ("clip_text", {"vocab_size": 520}),
    "imagebind": ("imagebind_audio", {}),
    "cim": ("cim", {"embedding_dim": 8, "output_dim": 24}),
    "separator": ("resunet", {}),
    "clap": ("clap_text", {}),
}
"""Folder -> network and the fields in which it is not its `tiny`."""


def write_maestro(folder: Path) -> Path:
    """Writes the folder and returns it."""
    for part, (name, fields) in PARTS.items():
        model = make_model(name, make_config(name, "tiny", fields))
        save_model(folder / part, model, _weights(model))
    write_clip_tokenizer(folder / "tokenizer")
    write_letters(folder / "clap" / "tokenizer.json")
    save_schedule(folder / "scheduler", ScheduleConfig.videocrafter2())
    write_json(folder / "model_index.json", index_json(SIZE))
    return folder


def _weights(model):
    """Normal numbers that neither vanish nor grow from layer to layer, with scales and variances about 1."""
    random = np.random.default_rng(0)

    def draw(path, leaf):
        name = path[-1].key
        fan_in = leaf.size // leaf.shape[-1] if name == "kernel" else 25
        around = 1.0 if name in ("var", "scale") else 0.0
        values = around + random.normal(0, fan_in**-0.5, leaf.shape)
        return (np.abs(values) if name == "var" else values).astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, parameter_shapes(model))


def write_clip_tokenizer(folder: Path) -> None:
    """CLIP's vocabulary of bytes with few merges, in diffusers' files."""
    folder.mkdir(parents=True)
    (folder / "merges.txt").write_text("#version: 0.2\nd o\ndo g</w>\n", encoding="utf-8")


def write_letters(file: Path) -> None:
    """RoBERTa's form of a tokenizer, in which each letter is a token."""
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz "]
    made = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    made.post_processor = processors.TemplateProcessing("<s> $A </s>", None, [("<s>", 0), ("</s>", 2)])
    made.save(str(file))


def write_mix(file: Path, seconds: float = 2.0, rate: int = 8000) -> Path:
    """A stereo file of a low tone on the left and a high one on the right."""
    t = np.arange(round(seconds * rate)) / rate
    sides = [0.3 * np.sin(2 * np.pi * hertz * t) for hertz in (220, 1500)]
    write_audio(file, np.stack(sides, -1).astype(np.float32), rate)
    return file
