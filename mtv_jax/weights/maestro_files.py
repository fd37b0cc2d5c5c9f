"""A Maestro folder from the files in which its networks were published."""

import gzip
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mtv_jax.io.files import copy_tree, existing_directory, existing_file, write_text
from mtv_jax.weights.cim import open_cim
from mtv_jax.weights.imagebind_audio import open_imagebind_audio
from mtv_jax.weights.laion_clap import laion_text, open_laion_clap
from mtv_jax.weights.maestro_parts import CLAP_TOKENIZER
from mtv_jax.weights.pretrained import Place, open_model, writing_model
from mtv_jax.weights.resunet import QUERY_ENCODER, audiosep_tensors, open_audiosep
from mtv_jax.weights.rules import Leaf
from mtv_jax.weights.videocrafter_files import convert_videocrafter

_NETWORKS: dict[str, tuple[str, Callable[[Path, Place], tuple[Any, Any]]]] = {
    "imagebind": ("imagebind", open_imagebind_audio),
    "cim": ("cim", open_cim),
    "audiosep": ("separator", open_audiosep),
    "clap": ("clap", open_laion_clap),
}
"""Parts that hold one network -> its folder, and what opens its original's file."""


def convert_maestro(parts: Mapping[str, Path], out: Path, dtype: Any = None) -> Iterator[str]:
    """The parts (`PARTS`) as a pipeline folder in `out`; networks that are folders were converted before.

    Yields each tensor's name. Raises UserError for missing or unexpected tensors and mismatched shapes.
    """
    yield from convert_videocrafter(existing_file(parts["videocrafter"]), out, dtype)
    for part, (folder, open_file) in _NETWORKS.items():
        if part in parts:
            source = parts[part]
            opened = (
                open_model(source, _leave) if source.is_dir() else open_file(existing_file(source), _leave)
            )
            yield from _written(out / folder, opened, dtype)
    if "audiosep" in parts and "clap" not in parts:
        source = parts["audiosep"]
        tensors = audiosep_tensors(source, f"{QUERY_ENCODER}model.")
        yield from _written(out / "clap", laion_text(tensors, _leave, str(source)), dtype)
    _copy_clip_tokenizer(parts["tokenizer"], out / "tokenizer")
    _copy_clap_tokenizer(parts, out / "clap")


def _written(folder: Path, network: tuple[Any, Any], dtype: Any) -> Iterator[str]:
    for tensor in writing_model(folder, *network, dtype=dtype):
        yield f"{folder.name}/{tensor}"


def _copy_clip_tokenizer(source: Path, out: Path) -> None:
    """CLIP's tokenizer in a folder; a packed list of merges is unpacked."""
    if source.is_dir():
        copy_tree(existing_directory(source), out)
        return
    content = existing_file(source).read_bytes()
    text = (gzip.decompress(content) if source.suffix == ".gz" else content).decode("utf-8")
    out.mkdir(parents=True)
    write_text(out / (CLAP_TOKENIZER if source.suffix == ".json" else "merges.txt"), text)


def _copy_clap_tokenizer(parts: Mapping[str, Path], out: Path) -> None:
    source = parts.get("clap-tokenizer") or parts.get("clap")
    if source is not None and out.is_dir():
        file = source / CLAP_TOKENIZER if source.is_dir() else source
        write_text(out / CLAP_TOKENIZER, existing_file(file).read_text(encoding="utf-8"))


def _leave(path: str, leaf: Leaf) -> Leaf:
    return leaf
