"""How much memory does decoding a clip at full width and full size take?

    python benchmarks/vae_memory.py [--dtype bfloat16] [--latents 13x60x90] [--tile 240x360]

Decodes random latents (13x60x90 are 49 frames of 480x720) by `tiled_decode` with random weights of
CogVideoX-5b's autoencoder, encoder and all. Prints JSON: the peak memory of the process in bytes, what it was
before decoding, and seconds. On two cores 49 frames take most of an hour in float32; fewer latent frames (5)
run the same two compiled functions on the same tiles and lack only pixels: 2 MB a frame and copy of the clip.
"""

import argparse
import json
import time

import jax
import jax.numpy as jnp
from sides import latent_sizes, peak_memory

from mtv_jax.models.registry import make_config
from mtv_jax.models.shapes import random_params
from mtv_jax.models.vae3d import VAE3D, Tiling, tiled_decode


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--latents", type=latent_sizes, default=[13, 60, 90], help="default: 13x60x90")
    parser.add_argument("--variant", default="cogvideox_5b", help="of the network (default: %(default)s)")
    parser.add_argument("--tile", help="height x width in pixels (default: diffusers', 240x360)")
    args = parser.parse_args(argv)
    config = make_config("vae3d", args.variant)
    tiling = Tiling(*map(int, args.tile.split("x"))) if args.tile else Tiling.of(config)
    model = VAE3D(config, dtype=jnp.dtype(args.dtype))
    params = jax.block_until_ready(random_params(model, 0))
    latents = jax.random.normal(jax.random.key(0), (1, *args.latents, config.latent_channels))
    before, started = peak_memory(), time.perf_counter()
    video = jax.block_until_ready(tiled_decode(model, params, latents, tiling))
    result = {
        "jax": jax.__version__,
        "dtype": args.dtype,
        "video": video.shape,
        "tile": [tiling.height, tiling.width],
        "seconds": time.perf_counter() - started,
        "peak_bytes_before": before,
        "peak_bytes": peak_memory(),
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
