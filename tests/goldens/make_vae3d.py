"""Makes vae3d.npz: a small random AutoencoderKLCogVideoX of diffusers and what it gives.

Run from the repository with the extra `parity`: `python tests/goldens/make_vae3d.py`. The file has `config`
(config.json), `weights.<key>`, and by case its inputs and outputs, channels last: `video`, `mean`, `logvar`
(chunks of 8 frames, the first of 13); `once.mean`, `once.logvar` (its first 9 frames all at once); `latents`,
`decoded` (5 latents in chunks of 3 and 2); `even.decoded` (their first 4 as 2 and 2: 16 frames);
`wide.latents`, `wide.decoded` (two tiles).
"""

from pathlib import Path

import diffusers
import numpy as np
import torch

CONFIG = {
    "block_out_channels": (4, 8, 8, 8),
    "latent_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": 2,
    "sample_height": 64,
    "sample_width": 96,
}


def randomise(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Every weight random: kernels about 1/sqrt(fan in), scales about 1, biases about 0."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim > 1:
                weight.copy_(noise / weight[0].numel() ** 0.5)
            else:
                weight.copy_(0.2 * noise + float("norm" in name and name.endswith("weight")))


def main() -> None:
    """Writes vae3d.npz beside this file."""
    model = diffusers.AutoencoderKLCogVideoX(**CONFIG).eval()
    generator = torch.Generator().manual_seed(0)
    randomise(model, generator)
    video = 2 * torch.rand((1, 3, 21, 16, 24), generator=generator) - 1
    latents = torch.randn((1, 4, 5, 2, 3), generator=generator)
    wide = torch.randn((1, 4, 1, 3, 7), generator=generator)
    with torch.no_grad():
        posterior = model.encode(video).latent_dist
        once = model.encoder(video[:, :, :9])[0]
        arrays = {
            "video": video,
            "mean": posterior.mean,
            "logvar": posterior.logvar,
            "once.mean": once.chunk(2, dim=1)[0],
            "once.logvar": once.chunk(2, dim=1)[1],
            "latents": latents,
            "decoded": model.decode(latents).sample,
            "even.decoded": model.decode(latents[:, :, :4]).sample,
        }
        model.enable_tiling()
        arrays |= {"wide.latents": wide, "wide.decoded": model.decode(wide).sample}
    arrays = {name: np.moveaxis(array.numpy(), 1, -1) for name, array in arrays.items()}
    arrays |= {f"weights.{key}": value.numpy() for key, value in model.state_dict().items()}
    arrays["config"] = np.array(model.to_json_string())
    np.savez(Path(__file__).with_name("vae3d.npz"), **arrays)


if __name__ == "__main__":
    main()
