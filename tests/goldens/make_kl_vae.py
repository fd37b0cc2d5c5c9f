"""Makes kl_vae.npz: a small random AutoencoderKL of diffusers and what it gives.

Run from the repository with the extra `parity`: `python tests/goldens/make_kl_vae.py`. The file has `config`
(config.json), `weights.<key>`, and inputs and outputs, channels last, a picture a row: `pictures`, `mean`, `logvar`;
`latents`, `decoded`.
"""

from pathlib import Path

import diffusers
import numpy as np
import torch
from make_vae3d import randomise

CONFIG = {
    "block_out_channels": (4, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 3,
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "sample_size": 8,
}


def main() -> None:
    """Writes kl_vae.npz beside this file."""
    model = diffusers.AutoencoderKL(**CONFIG).eval()
    generator = torch.Generator().manual_seed(0)
    randomise(model, generator)
    pictures = 2 * torch.rand((4, 3, 8, 12), generator=generator) - 1
    latents = torch.randn((4, 3, 4, 6), generator=generator)
    with torch.no_grad():
        posterior = model.encode(pictures).latent_dist
        arrays = {
            "pictures": pictures,
            "mean": posterior.mean,
            "logvar": posterior.logvar,
            "latents": latents,
            "decoded": model.decode(latents).sample,
        }
    arrays = {name: np.moveaxis(array.numpy(), 1, -1) for name, array in arrays.items()}
    arrays |= {f"weights.{key}": value.numpy() for key, value in model.state_dict().items()}
    arrays["config"] = np.array(model.to_json_string())
    np.savez_compressed(Path(__file__).with_name("kl_vae.npz"), **arrays)


if __name__ == "__main__":
    main()
