"""Makes clip.npz: a small random `CLIPModel` of transformers, its features, and pictures of its processor.

Run from the repository with the extra `parity`: `python tests/goldens/make_clip.py`. It has `config` (config.json as
transformers writes it), `weights.<key>`, `pixels` [b, 3, H, W], `tokens` [b, l], of which some end in the middle,
`vision.<layer>` and `text.<layer>` (every layer's output, 0 is the input of the first), `image_features`,
`text_features` and `logits_per_image`; and of `CLIPImageProcessorPil`, with a short side of 24 pixels, `frames`, whose
sides have an odd difference, and `processed` [F, 24, 24, 3].
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from make_wav2vec2 import randomise

VISION = {
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 22,
    "patch_size": 7,
}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "vocab_size": 40,
    "max_position_embeddings": 9,
    "bos_token_id": 38,
    "eos_token_id": 37,
}
SIDE = 24


def main() -> None:
    """Writes clip.npz beside this file."""
    config = transformers.CLIPConfig(vision_config=VISION, text_config=TEXT, projection_dim=12)
    model: Any = transformers.CLIPModel(config).eval()
    generator = torch.Generator().manual_seed(0)
    randomise(model, generator)
    pixels = torch.randn((2, 3, VISION["image_size"], VISION["image_size"]), generator=generator)
    # The end token, 37, has not the highest id here: its place is found by its id alone.
    tokens = torch.tensor([[38, 5, 37, 37, 39, 1, 1, 1, 1], [38, 9, 11, 39, 2, 3, 30, 8, 37]])
    with torch.no_grad():
        out = model(input_ids=tokens, pixel_values=pixels, output_hidden_states=True)
        arrays = {
            "image_features": model.get_image_features(pixels).pooler_output,
            "text_features": model.get_text_features(tokens).pooler_output,
            "logits_per_image": out.logits_per_image,
        }
    for tower in ("vision", "text"):
        states = getattr(out, f"{tower}_model_output").hidden_states
        arrays |= {f"{tower}.{layer}": state for layer, state in enumerate(states)}
    arrays |= {f"weights.{key}": value for key, value in model.state_dict().items()}
    np.savez_compressed(
        Path(__file__).with_name("clip.npz"),
        config=np.array(saved_config(model)),
        pixels=pixels.numpy(),
        tokens=tokens.numpy(),
        **processed(),
        **{key: value.numpy() for key, value in arrays.items()},
    )


def saved_config(model: Any) -> str:
    """The config.json that transformers writes."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return Path(folder, "config.json").read_text()


def processed() -> dict[str, np.ndarray]:
    """Frames of noise, and what transformers makes of them."""
    frames = np.random.default_rng(0).integers(0, 256, (2, 31, 45, 3), np.uint8)
    processor = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
    )
    found = processor(list(frames), return_tensors="np").pixel_values
    return {"frames": frames, "processed": np.moveaxis(found, 1, -1)}


if __name__ == "__main__":
    main()
