"""Writes parameters/*.txt: how many parameters the published pipelines have, part by part.

`python tests/goldens/make_parameters.py` writes the files, `--print` shows them. Only shapes are computed
(`jax.eval_shape`), so this runs anywhere in seconds.
"""

import argparse
from pathlib import Path

from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.shapes import parameter_counts

FOLDER = Path(__file__).with_name("parameters")

PIPELINES = {
    "cogvideox_2b": {
        "transformer": ("dit", "cogvideox_2b"),
        "vae": ("vae3d", "cogvideox_2b"),
        "text_encoder": ("t5", "t5_v1_1_xxl"),
    },
    "cogvideox_5b": {
        "transformer": ("dit", "cogvideox_5b"),
        "vae": ("vae3d", "cogvideox_5b"),
        "text_encoder": ("t5", "t5_v1_1_xxl"),
    },
    "mtv_5b": {
        "denoiser": ("mtv", "mtv_5b"),
        "vae": ("vae3d", "cogvideox_5b"),
        "text_encoder": ("t5", "t5_v1_1_xxl"),
        "audio_encoder": ("wav2vec2", "base_960h"),
    },
}
"""Folder of a pipeline -> network and variant in the registry."""

NOTES = {
    "mtv_5b": """\
The published figures are about 5.63 billion for the base (CogVideoX-5b-I2V) and about 5.96 billion for the
audio parts, of which 3 x 1.24 the audio projections. Ours: base 5.625, audio 5.962, projections 3 x 1.244.
The base is 5.625 and not 5.63 since that figure is rounded; a checkpoint also carries tensors that compute
nothing and that we do not keep: an unused position table (64 x 3072) and the rotary buffers (2 x 17550 x 64),
together 2.4 million. diffusers counts the learned position table (17776 x 3072 = 54.6 million, in patch_embed)
as a buffer, so that its own figure for 5b-I2V is 5.570.
"""
}


def main() -> None:
    """Writes or shows the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="show the counts and write nothing")
    show = parser.parse_args().print
    FOLDER.mkdir(exist_ok=True)
    for name in PIPELINES:
        if show:
            print(report(name))
        else:
            (FOLDER / f"{name}.txt").write_text(report(name))


def report(pipeline: str) -> str:
    """The text of a pipeline's file."""
    networks = {part: _counts(*network) for part, network in PIPELINES[pipeline].items()}
    lines = [f"# {line}" for line in NOTES.get(pipeline, "").splitlines()]
    for part, counts in networks.items():
        lines += [_line(part, sum(counts.values())), *(_line(f"  {k}", n) for k, n in sorted(counts.items()))]
        if part == "denoiser":
            audio = sum(n for k, n in counts.items() if k.startswith("controlnet") or "injection" in k)
            lines += [_line("  = base", sum(counts.values()) - audio), _line("  = audio parts", audio)]
    return "\n".join([*lines, _line("total", sum(sum(c.values()) for c in networks.values()))]) + "\n"


def _counts(network: str, variant: str) -> dict[str, int]:
    return parameter_counts(make_model(network, make_config(network, variant)))


def _line(name: str, count: int) -> str:
    return f"{name:<52}{count:>16,}"


if __name__ == "__main__":
    main()
