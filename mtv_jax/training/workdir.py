"""The folder of a run: its name, and its lock."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from mtv_jax.io.lock import FolderLock
from mtv_jax.sharding.distributed import from_first


def run_name(spec: str) -> str:
    """The name of a config's run: `configs/stage3.py:tiny` -> `stage3-tiny`, `configs/tiny/vae.py` -> `tiny/vae`."""
    path, _, argument = spec.partition(":")
    parts = Path(path).with_suffix("").parts
    # The last `configs` of the path: a checkout may be inside another folder of that name.
    above = parts[-2::-1]
    depth = above.index("configs") + 1 if "configs" in above else 1
    inside = parts[-depth:]
    return "/".join(inside) + (f"-{argument.replace(',', '-')}" if argument else "")


@contextlib.contextmanager
def locked(workdir: Path) -> Iterator[None]:
    """The lock of a run's folder; the first process holds it for all. Raises UserError in all if another holds it."""
    with contextlib.ExitStack() as held:

        def take() -> str:
            held.enter_context(FolderLock(workdir))
            return ""

        from_first("lock", take)
        yield
