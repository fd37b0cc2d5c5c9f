"""Makes the audio encoder of Maestro's tiny pipeline: patches of the log-mel spectrogram, without any training.

    python recipes/make_patches.py --out runs/maestro/encoders

ImageBind's network for sounds with the variant `patches`: its patch embedding is a fixed projection onto orthonormal
directions, positions are sinusoids of frequency and time, and the output weights of its one block are zero, so that
the tokens are the projected patches themselves. The projection is scaled down until its layer norm divides by the
square root of epsilon and not by the deviation; otherwise the norm would take away how loud a sound is. What the tokens
mean is left to the Condition Injection Module.

A folder without `model_index.json` gets one of the encoders of sounding objects (`recipes/train_tiny_text.py --world
objects` puts the text encoder there).
"""

import argparse
from pathlib import Path

import jax
import numpy as np

from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.files import write_json
from mtv_jax.models.imagebind.config import ImageBindAudioConfig
from mtv_jax.models.imagebind.model import PATCH_EPSILON
from mtv_jax.models.registry import make_model
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.theatre.objects import ObjectsConfig
from mtv_jax.typing import Params
from mtv_jax.weights.model_index import INDEX, MAESTRO, TextOptions, encoders_json
from mtv_jax.weights.pretrained import save_model

SEED = 1002
TEXT = TextOptions(77, "zeros")
"""How prompts of the tiny pipeline are encoded: CLIP's length, since the UNets are Stable Diffusion's."""
_POSITION = 0.5
"""Size of the sinusoids beside patches of about unit variance."""
_SMALL = 5e-4
"""Scale of the projection: patches of unit variance have 2.5e-7 after it, a fortieth of the norm's epsilon."""


def patches(config: ImageBindAudioConfig) -> Params:
    """The parameters."""
    model = make_model("imagebind_audio", config)
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), parameter_shapes(model))
    params = zeros["params"]["audio"]
    size, width = config.audio_kernel_size, config.audio.width
    rows = np.linalg.qr(np.random.default_rng(SEED).standard_normal((size * size, width)))[0]
    params["patch_embedding"]["kernel"] = (_SMALL * rows).reshape(size, size, 1, width).astype(np.float32)
    params["patch_norm"]["scale"] = np.full(width, PATCH_EPSILON**0.5 / _SMALL, np.float32)
    params["position_embedding"] = _POSITION * _positions(config)
    return zeros


def _positions(config: ImageBindAudioConfig) -> np.ndarray:
    """Sinusoids [tokens, width]: a half for the row of a patch (frequency), a half for its column (time)."""
    size, stride = config.audio_kernel_size, config.audio_stride
    rows, columns = ((n - size) // stride + 1 for n in (config.num_mel_bins, config.target_length))
    row, column = np.divmod(np.arange(rows * columns), columns)
    quarter = config.audio.width // 4
    frequencies = np.pi / np.geomspace(2, 2 * max(rows, columns), quarter)
    waves = [f(place[:, None] * frequencies) for place in (row, column) for f in (np.sin, np.cos)]
    return np.concatenate([np.zeros((1, 4 * quarter)), np.concatenate(waves, axis=1)]).astype(np.float32)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="pipeline folder; imagebind/ is written in it"
    )
    args = parser.parse_args(argv)
    config = ImageBindAudioConfig.patches()
    save_model(args.out / "imagebind", make_model("imagebind_audio", config), patches(config))
    if not (args.out / INDEX).exists():
        world = ObjectsConfig()
        size = ClipSize(world.num_frames, world.fps, world.height, world.width)
        write_json(args.out / INDEX, encoders_json(size, TEXT, MAESTRO))
    print(args.out / "imagebind")


if __name__ == "__main__":
    main()
