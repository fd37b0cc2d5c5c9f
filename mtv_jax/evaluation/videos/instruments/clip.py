"""Temp-C by CLIP, Text-C by VideoCLIP-XL."""

from dataclasses import asdict, replace
from typing import Any

from mtv_jax.evaluation.metrics import temp_c, text_c
from mtv_jax.evaluation.videos.metric import Measure, Weights
from mtv_jax.evaluation.videos.networks import load_network
from mtv_jax.models.videoclip_xl import VideoCLIPXLConfig
from mtv_jax.text.clip_tokenizer import installed_vocabulary, load_clip_tokenizer

_CLIP = "put the Hugging Face folder of CLIP there, such as openai/clip-vit-base-patch32"
_VIDEOCLIP = (
    "convert it: python -m mtv_jax.convert --from videoclip-xl --in FILE.bin --out WEIGHTS/videoclip_xl"
)


def open_temp_c(weights: Weights) -> Measure:
    """Raises UserError if CLIP is missing."""
    network = load_network(weights, "clip", "clip", _CLIP)
    size = network.model.config.vision.image_size
    return Measure(
        temp_c.variant(network.model.config),
        lambda clip: asdict(temp_c.temp_c(clip.frames, network.model, network.params)),
        _facts(network, f"short side {size}, bicubic (PIL), centre crop"),
        network.untrained,
    )


def open_text_c(weights: Weights) -> Measure:
    """Raises UserError if VideoCLIP-XL or CLIP's vocabulary is missing."""
    own = weights.folder / "videoclip_xl" / "tokenizer.json" if weights.folder else None
    tokenizer = load_clip_tokenizer(own if own is not None and own.exists() else installed_vocabulary())
    tiny = VideoCLIPXLConfig.tiny()
    tiny = replace(tiny, text=replace(tiny.text, vocab_size=tokenizer.tokenizer.get_vocab_size()))
    network = load_network(weights, "videoclip_xl", "videoclip_xl", _VIDEOCLIP, tiny)
    config = network.model.config
    return Measure(
        text_c.variant(config),
        lambda clip: asdict(
            text_c.text_c(clip.frames, clip.prompt, network.model, network.params, tokenizer)
        ),
        _facts(network, f"squashed to {config.vision.image_size}, linear (OpenCV)")
        | {"frames": config.num_frames},
        network.untrained,
    )


def _facts(network: Any, resize: str) -> dict[str, Any]:
    return {"weights": network.sha256, "resize": resize, "fps": "the video's own"}
