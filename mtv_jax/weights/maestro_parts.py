"""The parts of which a Maestro folder is made, and what names them. Imports no network, so that commands start fast."""

from pathlib import Path

from mtv_jax.io.errors import UserError

PARTS = {
    "videocrafter": "VideoCrafter2's model.ckpt",
    "imagebind": "imagebind_huge.pth, of which the network for sounds is kept",
    "cim": "Maestro's perceiver.pth",
    "tokenizer": "a folder of CLIP's tokenizer, or bpe_simple_vocab_16e6.txt.gz of OpenCLIP",
    "audiosep": "AudioSep's audiosep_base_4M_steps.ckpt, which finds sources in a mix",
    "clap-tokenizer": "tokenizer.json of RoBERTa, for AudioSep, as in laion/clap-htsat-unfused",
}
"""What a Maestro folder is made of."""
_NEEDED = ("videocrafter", "imagebind", "cim", "tokenizer")


def parse_parts(inputs: list[Path]) -> dict[str, Path]:
    """The parts of arguments such as `cim=perceiver.pth`. Raises UserError for what is unknown, twice or missing."""
    parts: dict[str, Path] = {}
    for text in map(str, inputs):
        name, equals, path = text.partition("=")
        if not equals or name not in PARTS or name in parts:
            wrong = "given twice" if name in parts else f"must be PART=FILE; parts are {', '.join(PARTS)}"
            raise UserError(f"--in {text}: {wrong}")
        parts[name] = Path(path)
    if missing := [name for name in _NEEDED if name not in parts]:
        raise UserError(f"--in: {missing[0]}=FILE is missing ({PARTS[missing[0]]})")
    if ("audiosep" in parts) != ("clap-tokenizer" in parts):
        raise UserError("--in: audiosep=FILE and clap-tokenizer=FILE need each other; give both or none")
    return parts
