"""A Maestro folder from the files in which its networks were published."""

import gzip
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mtv_jax.io.files import copy_tree, existing_file, read_text, write_json, write_text
from mtv_jax.models.registry import spec_of
from mtv_jax.weights.audiosep import open_audiosep
from mtv_jax.weights.cim import open_cim
from mtv_jax.weights.imagebind_audio import open_imagebind_audio
from mtv_jax.weights.pretrained import Place, writing_model
from mtv_jax.weights.rules import Leaf
from mtv_jax.weights.videocrafter_files import convert_videocrafter

NETWORKS: dict[str, Callable[[Path, Place], Any]] = {
    "imagebind": lambda path, settle: [open_imagebind_audio(path, settle)],
    "cim": lambda path, settle: [open_cim(path, settle)],
    "audiosep": open_audiosep,
}
"""Parts beside VideoCrafter's that hold networks -> what opens their files."""
_ABOUT = {
    "weights": "converted from those of VideoCrafter2, ImageBind, Maestro's CIM and, if it has a separator, AudioSep",
    "licence": "each part has its own: VideoCrafter2's, CC BY-NC-SA 4.0 (ImageBind), none given (CIM), MIT (AudioSep)",
}
"""What `python -m mtv_jax.sample --describe` says of the weights."""
_TOKENIZER, _MERGES = "tokenizer.json", "merges.txt"


def convert_maestro(parts: Mapping[str, Path], out: Path, dtype: Any = None) -> Iterator[str]:
    """The parts (`mtv_jax.weights.maestro_parts.PARTS`) as a pipeline folder in `out`.

    Yields each tensor's name. Raises UserError for missing or unexpected tensors and mismatched shapes.
    """
    yield from convert_videocrafter(existing_file(parts["videocrafter"]), out, dtype)
    for part, open_file in NETWORKS.items():
        if part in parts:
            for network in open_file(existing_file(parts[part]), _leave):
                folder = spec_of(network[0]).folder_in(out)
                for tensor in writing_model(folder, *network, dtype=dtype):
                    yield f"{folder.name}/{tensor}"
    _copy_clip_tokenizer(parts["tokenizer"], out / "tokenizer")
    write_json(out / "about.json", _ABOUT)
    if "audiosep" in parts:
        source = parts["clap-tokenizer"]
        file = existing_file(source / _TOKENIZER if source.is_dir() else source)
        write_text(out / "clap" / _TOKENIZER, read_text(file))


def _copy_clip_tokenizer(source: Path, out: Path) -> None:
    """CLIP's tokenizer in a folder; a packed list of merges is unpacked."""
    if source.is_dir():
        copy_tree(source, out)
        return
    content = existing_file(source).read_bytes()
    text = (gzip.decompress(content) if source.suffix == ".gz" else content).decode("utf-8")
    out.mkdir(parents=True)
    write_text(out / (_TOKENIZER if source.suffix == ".json" else _MERGES), text)


def _leave(path: str, leaf: Leaf) -> Leaf:
    return leaf
