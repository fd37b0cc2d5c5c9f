"""Batches from shards with Grain: shuffled, mixed, infinite, split over processes, exactly resumable.

The order is a pure function of the position: row r of global batch i is the same record for any number of processes,
workers or threads, and an iterator's state is little more than the number of batches drawn.
"""

import dataclasses
import math
import sys
from collections.abc import Mapping
from fractions import Fraction

import grain
import jax
import numpy as np
from absl import flags

from mtv_jax.data.records import decode_record
from mtv_jax.data.shards import ShardSet
from mtv_jax.io.checks import check_whole
from mtv_jax.io.errors import UserError

_MAX_BLOCK = 10_000
"""Maximum rows of a mixture's block, whose permutation is drawn again for each row (0.1 ms at this size)."""


_GRAIN_SEEDS = 2**32
"""Grain's limit on seeds."""


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Options of the input pipeline.

    Attributes:
      batch_size: rows of the global batch, over all processes.
      seed: seed of the order, below 2**32.
      shuffle: whether to reshuffle in each epoch.
      repeat: whether to repeat indefinitely, with full batches. False: one pass over all rows, the last batch may be
        smaller.
      keys: arrays to return; None: all arrays of the shards.
      text_length: tokens to which `text` is padded with zeros; None: as stored (all must have the same length).
      mixture: subset -> weight; each block of rows has exact proportions. Without `repeat` it names one subset, which
        is read once. None: all records.
      num_workers: Grain worker processes; 0: threads of this process. A saved state requires the same number.
      read_threads: threads per worker that read and decode batches.
      prefetch_batches: batches per worker to read ahead. Memory is about this many batches.
    """

    batch_size: int
    seed: int = 0
    shuffle: bool = True
    repeat: bool = True
    keys: tuple[str, ...] | None = None
    text_length: int | None = None
    mixture: Mapping[str, int | float] | None = None
    num_workers: int = 0
    read_threads: int = 4
    prefetch_batches: int = 4


def make_dataset(
    shards: ShardSet,
    config: DataConfig,
    *,
    first_batch: int = 0,
    process_index: int | None = None,
    process_count: int | None = None,
) -> grain.IterDataset:
    """Batches of `shards` for one process: dicts of NumPy arrays as in `mtv_jax.data.records`, dtypes as stored.

    Process p of n returns the contiguous rows [p * batch_size / n, (p + 1) * batch_size / n) of each global
    batch. `iter(dataset)` has `get_state` and `set_state`, and can be saved in an Orbax checkpoint with
    `grain.checkpoint.CheckpointSave` and `CheckpointRestore`.

    Args:
      first_batch: index of the first global batch, which is all that a resumed run needs, with any number of processes
        and workers. Requires `repeat`.
      process_index: default `jax.process_index()`.
      process_count: default `jax.process_count()`.

    Raises:
      UserError: the batch size is not divisible by the number of processes, a key or subset is unknown, or arrays
        differ in shape; while iterating: a record is damaged, or a text is longer than `text_length`.
    """
    index = jax.process_index() if process_index is None else process_index
    count = jax.process_count() if process_count is None else process_count
    check_reading(shards, config, process_count=count)
    if first_batch and not config.repeat:
        raise ValueError("first_batch: a single pass starts at its beginning")
    keys = _checked_keys(shards, config)
    parents, counts = _parents(shards, config)
    rows = _RowOrder(
        counts=counts,
        num_rows=sys.maxsize // 2 if config.repeat else sum(map(len, parents)),
        seed=config.seed if config.shuffle else None,
        batch_size=config.batch_size,
        process=(index, count),
        first_batch=first_batch,
    )
    dataset = grain.MapDataset.select_from_datasets(parents, rows)
    dataset = dataset.map(_RowDecoder(keys, config.text_length))
    # Batching before the iterator makes a batch the unit of work, so workers affect speed but not content.
    dataset = dataset.batch(config.batch_size // count)
    threads = min(config.read_threads, config.prefetch_batches)
    dataset = dataset.to_iter_dataset(grain.ReadOptions(threads, config.prefetch_batches if threads else 0))
    if config.num_workers:
        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()  # Grain's workers read absl flags, even without absl's app
        dataset = dataset.mp_prefetch(grain.MultiprocessingOptions(config.num_workers))
    return dataset


def check_reading(shards: ShardSet, config: DataConfig, *, process_count: int | None = None) -> None:
    """Raises UserError if `make_dataset` would, by the shards' manifest and subsets; no record is read."""
    count = jax.process_count() if process_count is None else process_count
    if config.batch_size < 1 or config.batch_size % count:
        raise UserError(f"batch_size {config.batch_size}: must be a multiple of the {count} processes")
    check_whole("seed", config.seed, least=0, most=_GRAIN_SEEDS - 1)
    _checked_keys(shards, config)
    _members(shards, config)


def batch_shapes(shards: ShardSet, config: DataConfig) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and dtypes of the arrays of a global batch, as the shards' manifest says. Raises as `check_reading`."""
    shapes = {}
    for key in _checked_keys(shards, config):
        shape, dtype = shards.shapes[key], shards.manifest["arrays"][key]["dtype"]
        if key == "text" and config.text_length is not None:
            shape = (config.text_length, *shape[1:])
        shapes[key] = jax.ShapeDtypeStruct((config.batch_size, *shape), np.dtype(dtype))
    return shapes


def mixture_counts(weights: Mapping[str, int | float]) -> tuple[int, ...]:
    """The smallest integers proportional to the weights: 0.5, 0.25, 0.25 -> 2, 1, 1.

    Raises UserError for weights that are not above 0, or whose integers would sum to more than a few thousand.
    """
    if not weights or not all(np.isfinite(weight) and weight > 0 for weight in weights.values()):
        raise UserError(f"mixture {dict(weights)}: it needs subsets, with weights above 0")
    exact = [Fraction(weight).limit_denominator(1000) for weight in weights.values()]
    scale = math.lcm(*(weight.denominator for weight in exact))
    counts = [int(weight * scale) for weight in exact]
    divisor = math.gcd(*counts)
    if 0 in counts or sum(counts) // divisor > _MAX_BLOCK:
        raise UserError(f"mixture {dict(weights)}: give small whole numbers, such as 3 and 1")
    return tuple(count // divisor for count in counts)


@dataclasses.dataclass(frozen=True)
class _RowOrder(grain.transforms.DatasetSelectionMap):
    """Maps a row number of this process to (subset, position in that subset's infinite order).

    Rows are drawn in blocks of sum(counts), each with exactly `counts` rows of the subsets, in an order drawn from
    (seed, block). Drawing by global position first and splitting over processes afterwards keeps every process and
    batch balanced; interleaving and then slicing would give process k only subset k.
    """

    counts: tuple[int, ...]
    num_rows: int
    seed: int | None
    batch_size: int
    process: tuple[int, int]
    first_batch: int = 0

    @property
    def _local_size(self) -> int:
        return self.batch_size // self.process[1]

    def __len__(self) -> int:
        batches, rest = divmod(self.num_rows, self.batch_size)
        mine = rest - self.process[0] * self._local_size
        return batches * self._local_size + min(max(mine, 0), self._local_size)

    def __getitem__(self, index: int) -> tuple[int, int]:
        batch, row = divmod(index, self._local_size)
        position = (self.first_batch + batch) * self.batch_size + self.process[0] * self._local_size + row
        if len(self.counts) == 1:
            return 0, position
        size = sum(self.counts)
        block, slot = divmod(position, size)
        # Permuted without `shuffle` too: in order, a batch smaller than a block would have one subset only.
        slot = int(np.random.default_rng((self.seed or 0, block)).permutation(size)[slot])
        for subset, count in enumerate(self.counts):
            if slot < count:
                return subset, block * count + slot
            slot -= count
        raise AssertionError("a slot lies beyond its block")


@dataclasses.dataclass(frozen=True)
class _Records:
    """The bytes of selected records, as a Grain source."""

    shards: ShardSet
    numbers: np.ndarray | None

    def __len__(self) -> int:
        return len(self.shards) if self.numbers is None else len(self.numbers)

    def __getitem__(self, index: int) -> bytes:
        return self.shards.source[index if self.numbers is None else int(self.numbers[index])]


@dataclasses.dataclass(frozen=True)
class _RowDecoder:
    """Decodes bytes to the arrays of one row."""

    keys: tuple[str, ...]
    text_length: int | None

    def __call__(self, data: bytes) -> dict[str, np.ndarray]:
        record = decode_record(data, self.keys)
        arrays = record.arrays
        if "text" in arrays and self.text_length is not None:
            missing = self.text_length - len(arrays["text"])
            if missing < 0:
                raise UserError(_too_long(f"clip {record.id[:16]}", len(arrays["text"]), self.text_length))
            arrays["text"] = np.pad(arrays["text"], [(0, missing), (0, 0)])
        return arrays


def _parents(shards: ShardSet, config: DataConfig) -> tuple[list[grain.MapDataset], tuple[int, ...]]:
    """A dataset of bytes for each subset, infinite with `repeat`, and the rows of each per block."""
    members, counts = _members(shards, config)
    parents = []
    for number, numbers in enumerate(members):
        parent = grain.MapDataset.source(_Records(shards, numbers))
        if config.shuffle:
            parent = parent.seed((config.seed + number) % _GRAIN_SEEDS).shuffle()
        parents.append(parent.repeat() if config.repeat else parent)
    return parents, counts


def _members(shards: ShardSet, config: DataConfig) -> tuple[list[np.ndarray | None], tuple[int, ...]]:
    """The records of each subset of the mixture (None: all there are), and how many rows of each make a block."""
    mixture = config.mixture
    if mixture is None:
        return [None], (1,)
    if len(mixture) > 1 and not config.repeat:
        raise UserError(
            f"mixture {dict(mixture)}: one pass over several subsets has no proportions; name one"
        )
    counts = mixture_counts(mixture)
    return [shards.subset(name) for name in mixture], counts


def _too_long(where: str, tokens: int, text_length: int) -> str:
    return f"{where}: its text has {tokens} tokens, text_length is {text_length}; raise it"


def _checked_keys(shards: ShardSet, config: DataConfig) -> tuple[str, ...]:
    shapes = shards.shapes
    keys = tuple(shapes) if config.keys is None else tuple(config.keys)
    for key in keys:
        if key not in shapes:
            raise UserError(f"key {key!r}: not in {shards.directory}; it has {', '.join(shapes)}")
        shape, length = shapes[key], config.text_length if key == "text" else None
        if length is not None and shape and (shape[0] or 0) > length:
            raise UserError(_too_long(f"{shards.directory}", shape[0], length))
        if None in (shape if length is None else shape[1:]):
            advice = "; give text_length" if key == "text" else ""
            raise UserError(
                f"{shards.directory}: {key} differs in shape from clip to clip ({list(shape)}){advice}"
            )
    return keys
