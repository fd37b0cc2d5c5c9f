"""Makes audiobox.npz: a small random network of audiobox_aesthetics 0.0.4 and its ratings.

Run from the repository with the extra `parity` and `pip install --no-deps audiobox_aesthetics==0.0.4`:
`python tests/goldens/make_audiobox.py`. It has `config` (config.json as the original writes it, and the sizes of WavLM
that are not the released ones), `weights.<key>`, `waveform` and `mask` [2, samples], of which the second row is padded,
and `ratings` [2, 4]. keys/audiobox.txt lists the tensors of the network at full size, with heads of one layer.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from make_keys import write_list

SIZES: dict[str, Any] = {
    "encoder_layers": 2,
    "encoder_embed_dim": 32,
    "encoder_ffn_embed_dim": 48,
    "encoder_attention_heads": 4,
    "conv_feature_layers": "[(16,10,5)] + [(16,3,2)] * 4 + [(16,2,2)] * 2",
    "conv_pos": 16,
    "conv_pos_groups": 4,
    "num_buckets": 32,
    "max_distance": 40,
}
WAVLM = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
"""The same in the names of `Wav2Vec2Config`."""
OPTIONS: dict[str, Any] = {
    "proj_num_layer": 3,
    "proj_ln": True,
    "proj_act_fn": "gelu",
    "proj_dropout": 0.1,
    "nth_layer": 3,
    "use_weighted_layer_sum": True,
    "precision": "32",
    "normalize_embed": True,
    "output_dim": 1,
    "freeze_encoder": True,
    "target_transform": {
        axis: {"mean": 4.0 + i, "std": 1.5 + 0.25 * i} for i, axis in enumerate(("CE", "CU", "PC", "PQ"))
    },
}
SAMPLES = 16_000


def main() -> None:
    from audiobox_aesthetics.model import aes

    full = aes.AesMultiOutput(target_transform=OPTIONS["target_transform"])
    shapes = {key: tuple(tensor.shape) for key, tensor in full.state_dict().items()}
    write_list(Path(__file__).with_name("keys") / "audiobox.txt", shapes)
    aes.DEFAULT_AUDIO_CFG.update(SIZES)
    torch.manual_seed(0)
    model = aes.AesMultiOutput(**OPTIONS).eval()
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.ndim < 2 or "grep" in name:
                tensor.add_(0.3 * torch.randn_like(tensor))  # else they are 0 or 1, which hides errors
            elif "encoder.layers" in name:
                tensor.mul_(8)  # else the layers hardly change what they are given
            if "relative_attention_bias" in name:
                tensor.mul_(2 / tensor.std())
    waveform = 0.2 * torch.randn(2, 1, SAMPLES)
    mask = torch.ones(2, 1, SAMPLES, dtype=torch.bool)
    waveform[1, :, 10_000:], mask[1, :, 10_000:] = 0, False
    with torch.no_grad():
        found = model({"wav": waveform, "mask": mask})
    units = OPTIONS["target_transform"]
    ratings = [found[axis].numpy() * units[axis]["std"] + units[axis]["mean"] for axis in units]
    config = OPTIONS | {
        "wavlm": WAVLM,
        "num_buckets": SIZES["num_buckets"],
        "max_distance": SIZES["max_distance"],
    }
    np.savez_compressed(
        Path(__file__).with_name("audiobox.npz"),
        config=np.array(json.dumps(config)),
        waveform=waveform[:, 0].numpy(),
        mask=mask[:, 0].numpy(),
        ratings=np.stack(ratings, axis=1),
        **{f"weights.{key}": tensor.numpy() for key, tensor in model.state_dict().items()},
    )


if __name__ == "__main__":
    main()
