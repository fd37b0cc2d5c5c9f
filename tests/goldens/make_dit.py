"""Makes dit.npz: small random CogVideoXTransformer3DModels of diffusers and what they give.

Run from the repository with the extra `parity`: `python tests/goldens/make_dit.py`. A case `<name>` has
`<name>.config` (config.json), `<name>.weights.<key>`, `<name>.latents` [b f h w c], `<name>.timesteps`,
`<name>.text`, and the output `<name>.prediction` [b f h w c]. Weights are multiples of 1/64 below 2 in size,
so that the file packs well. Rotary tables are those of diffusers' pipeline; `_wide` is of another size than
that of training.
"""

import json
from pathlib import Path
from types import SimpleNamespace

import diffusers
import numpy as np
import torch

SIZES = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "out_channels": 2,
    "time_embed_dim": 8,
    "text_embed_dim": 6,
    "num_layers": 2,
    "sample_height": 4,
    "sample_width": 6,
    "sample_frames": 5,
    "max_text_seq_length": 3,
}
ROTARY = {"use_rotary_positional_embeddings": True}
NEWER = ROTARY | {"patch_size_t": 2, "patch_bias": False}
STYLES = {
    "2b": {"in_channels": 2},
    "5b": ROTARY | {"in_channels": 2},
    "5b_i2v": ROTARY | {"in_channels": 4, "use_learned_positional_embeddings": True},
    "1.5_i2v": NEWER | {"in_channels": 4, "ofs_embed_dim": 8},
}
WIDE = {"2b", "5b"}


def randomise(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Every weight random: matrices about 1/sqrt(fan in), norms about 1, biases about 0."""
    with torch.no_grad():
        for name, weight in model.state_dict(keep_vars=True).items():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim > 1:
                value = noise / (1 if "pos_embedding" in name else weight[0].numel() ** 0.5)
            else:
                value = (1 + 0.2 * noise) if name.endswith("weight") else 0.1 * noise
            weight.copy_((64 * value.clamp(-2, 2)).round() / 64)


def predict(model, latents: torch.Tensor, timesteps: torch.Tensor, text: torch.Tensor) -> np.ndarray:
    """The model called as diffusers' pipelines do; latents channels last."""
    rope = None
    if model.config.use_rotary_positional_embeddings:
        pipeline = SimpleNamespace(transformer=model, vae_scale_factor_spatial=8)
        frames, height, width = latents.shape[1:4]
        rope = diffusers.CogVideoXPipeline._prepare_rotary_positional_embeddings(
            pipeline, 8 * height, 8 * width, frames, torch.device("cpu")
        )
    with torch.no_grad():
        out = model(
            latents.permute(0, 1, 4, 2, 3),
            text,
            timesteps,
            ofs=None if model.config.ofs_embed_dim is None else torch.full((1,), 2.0),
            image_rotary_emb=rope,
        ).sample
    return out.permute(0, 1, 3, 4, 2).numpy()


def main() -> None:
    """Writes dit.npz beside this file."""
    arrays = {}
    for seed, (name, options) in enumerate(STYLES.items()):
        model = diffusers.CogVideoXTransformer3DModel(**SIZES, **options).eval()
        generator = torch.Generator().manual_seed(seed)
        randomise(model, generator)
        config = {key: value for key, value in model.config.items() if not key.startswith("_")}
        arrays[f"{name}.config"] = np.array(json.dumps(config))
        state = {key: value.numpy() for key, value in model.state_dict().items()}
        arrays |= {f"{name}.weights.{key}": value for key, value in state.items()}
        text = torch.randn(2, SIZES["max_text_seq_length"], SIZES["text_embed_dim"], generator=generator)
        for case, size in {name: (2, 4, 6), f"{name}_wide": (3, 6, 4)}.items():
            if case == name or name in WIDE:
                latents = torch.randn(2, *size, options["in_channels"], generator=generator)
                timesteps = torch.tensor([3.0, 871.0])
                given = {"latents": latents, "timesteps": timesteps, "text": text}
                arrays |= {f"{case}.{key}": value.numpy() for key, value in given.items()}
                arrays[f"{case}.prediction"] = predict(model, latents, timesteps, text)
    np.savez_compressed(Path(__file__).with_name("dit.npz"), **arrays)


if __name__ == "__main__":
    main()
