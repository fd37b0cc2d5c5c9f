"""Makes wav2vec2.npz: small random wav2vec2 encoders of transformers (base, large) and their outputs.

Run from the repository with the extra `parity`: `python tests/goldens/make_wav2vec2.py`. A case `<name>` has
`<name>.config` (config.json), `<name>.weights.<key>`, `<name>.waveform`, `<name>.hidden_states` (layer first)
and `<name>.last_hidden_state`; MTV's interpolation is held by the goldens of the MTV reference.
"""

import json
from pathlib import Path

import numpy as np
import torch
import transformers

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "conv_dim": [16, 12, 12, 16],
    "conv_kernel": [10, 3, 3, 2],
    "conv_stride": [5, 2, 2, 2],
    "num_conv_pos_embeddings": 9,
    "num_conv_pos_embedding_groups": 4,
}
STYLES = {
    "base": {"feat_extract_norm": "group", "do_stable_layer_norm": False, "conv_bias": False},
    "large": {
        "feat_extract_norm": "layer",
        "do_stable_layer_norm": True,
        "conv_bias": True,
        "num_conv_pos_embeddings": 12,
    },
}


def randomise(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Every weight random: matrices about 1/sqrt(fan in), norm scales about 1, biases small."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if name.endswith("original0"):
                weight.copy_(1 + 0.2 * noise.abs())
            elif weight.ndim > 1:
                weight.copy_(noise / weight[0].numel() ** 0.5)
            else:
                weight.copy_(0.1 * noise + (1 if "norm.weight" in name else 0))


def main() -> None:
    """Writes wav2vec2.npz beside this file."""
    arrays = {}
    for seed, (name, style) in enumerate(STYLES.items()):
        model = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config(**SIZES | style)).eval()
        generator = torch.Generator().manual_seed(seed)
        randomise(model, generator)
        waveform = torch.randn((2, 771), generator=generator)
        with torch.no_grad():
            out = model(waveform, output_hidden_states=True)
        arrays[f"{name}.config"] = np.array(json.dumps(model.config.to_diff_dict()))
        arrays[f"{name}.waveform"] = waveform.numpy()
        arrays[f"{name}.hidden_states"] = np.stack([h.numpy() for h in out.hidden_states])
        arrays[f"{name}.last_hidden_state"] = out.last_hidden_state.numpy()
        arrays |= {f"{name}.weights.{key}": value.numpy() for key, value in model.state_dict().items()}
    np.savez(Path(__file__).with_name("wav2vec2.npz"), **arrays)


if __name__ == "__main__":
    main()
