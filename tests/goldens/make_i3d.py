"""Makes i3d.npz: I3D of `i3d_jax` 0.0.1 with narrow random layers, and what it gives.

Run from the repository with the extra `eval`: `python tests/goldens/make_i3d.py`. Every width in the package's code is
divided by `divisor`. The file has the package's arrays, whose names are joined by dots, `weights.<key>`; the input is
`RandomState(seed).rand(1, frames, 224, 224, 3) * 2 - 1` in float32, and the output `logits` [1, classes].

keys/i3d_kinetics_400.txt lists the arrays of the released network.
"""

from pathlib import Path
from typing import Any

import i3d_jax
import jax
import numpy as np
from flax.traverse_util import flatten_dict
from i3d_jax import i3d
from make_keys import FOLDER, write_list

DIVISOR, CLASSES, FRAMES, SEED = 16, 10, 9, 0


def main() -> None:
    """Writes the files."""
    shapes = {key: array.shape for key, array in named(i3d_jax.load_variables()).items()}
    write_list(FOLDER / "i3d_kinetics_400.txt", shapes)
    wide = i3d.Unit3D
    i3d.Unit3D = lambda output_channels, **options: wide(  # pyright: ignore[reportAttributeAccessIssue]
        max(1, output_channels // DIVISOR) if options.get("use_batch_norm", True) else output_channels,
        **options,
    )
    frames = (np.random.RandomState(SEED).rand(1, FRAMES, 224, 224, 3) * 2 - 1).astype(np.float32)
    network = i3d.InceptionI3d(num_classes=CLASSES)
    drawn = jax.tree.map(lambda leaf: np.array(leaf), network.init(jax.random.key(SEED), frames))
    variables = jax.tree_util.tree_map_with_path(with_statistics, drawn)
    logits, _ = network.apply(variables, frames)
    saved = {f"weights.{key}": array for key, array in named(variables).items()}
    numbers = {"divisor": DIVISOR, "num_classes": CLASSES, "frames": FRAMES, "seed": SEED}
    np.savez(Path(__file__).with_name("i3d.npz"), logits=np.asarray(logits), **numbers, **saved)


def named(variables: Any) -> dict[str, np.ndarray]:
    """The arrays of nested dicts by their names, joined by dots; statistics in the package's shape."""
    flat: dict[Any, Any] = flatten_dict(jax.tree.map(np.asarray, variables), sep=".")
    statistics = {key for key in flat if key.startswith("batch_stats.")}
    return {key: array.reshape(1, 1, 1, 1, -1) if key in statistics else array for key, array in flat.items()}


def with_statistics(path: Any, leaf: np.ndarray) -> np.ndarray:
    """Random statistics and biases in place of zeros and ones."""
    name = jax.tree_util.keystr(path)
    random = np.random.default_rng(hash_of(name))
    if name.endswith("['var']"):
        return random.uniform(0.5, 1.5, leaf.shape).astype(np.float32)
    if name.endswith("['kernel']"):
        return leaf
    return (0.1 * random.standard_normal(leaf.shape)).astype(np.float32)


def hash_of(name: str) -> int:
    """The same number for a name in every process."""
    return int.from_bytes(name.encode(), "little") % 2**32


if __name__ == "__main__":
    main()
