"""The smallest networks through which a Condition Injection Module is trained, and batches for them."""

from pathlib import Path

import jax
import numpy as np
from maestro_folders import write_clip_tokenizer
from random_weights import random_weights, scaled_weights

from mtv_jax.models.registry import make_config, make_model
from mtv_jax.weights.pretrained import save_model

UNET = {
    "block_out_channels": [8],
    "attention_levels": [False],
    "attention_head_dim": 4,
    "norm_num_groups": 4,
}
CIM = {"dim": 8, "depth": 1, "heads": 2}
NETWORK = {"unet": UNET, "cim": CIM, "text_length": 12}
"""Overrides of the variant `tiny`."""
SEGMENTS, SIDE = 2, 4


def make_cim_network(**overrides):
    """The network, and parameters with which everything matters."""
    model = make_model("cim_unet2d", make_config("cim_unet2d", "tiny", NETWORK | overrides))
    params = jax.tree.map(
        lambda kept, other: kept + 0.3 * other, scaled_weights(model), random_weights(model, 1)
    )
    return model, params


def make_cim_batch(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Arrays of a batch, float16 as in records."""
    rng = np.random.default_rng(seed)
    shapes = {
        "latents_mean": (SEGMENTS, SIDE, SIDE, 4),
        "latents_logvar": (SEGMENTS, SIDE, SIDE, 4),
        "text": (12, 24),
        "mel": (SEGMENTS, 128, 204),
    }
    return {name: rng.normal(size=(rows, *shape)).astype(np.float16) for name, shape in shapes.items()}


def write_image_networks(folder: Path) -> Path:
    """The folder that such a training starts from, as of Stable Diffusion with a network for sounds put into it."""
    model, params = make_cim_network()
    for name, network in (("unet", "unet2d"), ("imagebind", "imagebind_audio")):
        part = make_model(network, getattr(model.config, name))
        save_model(folder / name, part, {"params": params["params"][name]})
    text = make_model("clip_text", make_config("clip_text", "tiny", {"vocab_size": 520}))
    save_model(folder / "text_encoder", text, scaled_weights(text, 5))
    write_clip_tokenizer(folder / "tokenizer")
    return folder
