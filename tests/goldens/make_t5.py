"""Makes t5.npz: small random T5 v1.1 and UMT5 encoders of transformers and what they give.

Run from the repository with the extra `parity`: `python tests/goldens/make_t5.py`. A case `<name>` has
`<name>.config` (config.json), `<name>.weights.<key>`, `<name>.tokens`, `<name>.mask`, and the outputs
`<name>.all` (no mask) and `<name>.masked`.
"""

import json
from pathlib import Path

import numpy as np
import torch
import transformers

SIZES = {
    "vocab_size": 60,
    "d_model": 32,
    "d_kv": 8,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 4,
    "relative_attention_num_buckets": 16,
    "relative_attention_max_distance": 20,
}
FAMILIES = {"t5": "T5", "umt5": "UMT5"}


def randomise(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Every weight random: matrices about 1/sqrt(fan in), norms about 1, tables about 1."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim == 1:
                weight.copy_(1 + 0.2 * noise)
            else:
                weight.copy_(noise if "embed" in name or "shared" in name else noise / weight.shape[1] ** 0.5)


def main() -> None:
    """Writes t5.npz beside this file."""
    arrays = {}
    for seed, (name, family) in enumerate(FAMILIES.items()):
        config = getattr(transformers, f"{family}Config")(**SIZES, feed_forward_proj="gated-gelu")
        model = getattr(transformers, f"{family}EncoderModel")(config).eval()
        generator = torch.Generator().manual_seed(seed)
        randomise(model, generator)
        tokens = torch.randint(0, SIZES["vocab_size"], (2, 37), generator=generator)
        mask = torch.arange(37)[None] < torch.tensor([[37], [11]])
        with torch.no_grad():
            arrays[f"{name}.all"] = model(input_ids=tokens).last_hidden_state.numpy()
            masked = model(input_ids=tokens, attention_mask=mask.long()).last_hidden_state
        arrays[f"{name}.masked"] = masked.numpy()
        arrays[f"{name}.tokens"], arrays[f"{name}.mask"] = tokens.numpy(), mask.numpy()
        arrays[f"{name}.config"] = np.array(json.dumps(model.config.to_diff_dict() | {"model_type": name}))
        state = {key: value.numpy() for key, value in model.state_dict().items()}
        state.pop("encoder.embed_tokens.weight")  # the same tensor as shared.weight
        arrays |= {f"{name}.weights.{key}": value for key, value in state.items()}
    np.savez(Path(__file__).with_name("t5.npz"), **arrays)


if __name__ == "__main__":
    main()
