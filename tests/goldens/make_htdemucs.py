"""Makes htdemucs/: two small random networks of demucs as it stores them (`<case>.th`, float16), and io.npz.

Run from the repository with the extra `parity`: `python tests/goldens/make_htdemucs.py`. A case has `<case>.mix`
[channels, samples] and `<case>.stems` [sources, channels, samples] of the network; `three` also `three.long_mix` and
`three.long_stems`, which demucs' `apply_model` makes of it with an overlap of .8 and without shifts.
"""

from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from demucs.apply import apply_model
from demucs.htdemucs import HTDemucs
from demucs.states import get_state

FOLDER = Path(__file__).with_name("htdemucs")
SIZES = {"nfft": 512, "depth": 2, "t_layers": 2, "t_heads": 2, "t_hidden_scale": 1.5, "samplerate": 8000}
CASES = {
    "three": {
        "sources": ["sfx", "music", "speech"],
        "channels": 5,
        "dconv_mode": 3,
        "dconv_depth": 1,
        "dconv_comp": 3,
        "bottom_channels": 12,
        "segment": Fraction(799, 8000),
        "multi_freqs": [],
    },
    "two": {
        "sources": ["drums", "vocals"],
        "audio_channels": 1,
        "channels": 4,
        "dconv_comp": 2,
        "t_layers": 1,
        "segment": 0.1,
        "freq_emb": 0.3,
    },
}
LENGTHS = {"three": 799, "two": 700}
"""Samples: as long as the segment, and shorter."""
LONG = 1700


def randomise(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Every weight random and exact in float16: matrices about 1/sqrt(fan in), scales about 1, biases small."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if name.startswith("freq_emb"):
                noise = 0.1 * noise
            elif weight.ndim > 1:
                noise = noise / weight[0].numel() ** 0.5
            else:
                scales = name.endswith(("scale", "weight"))
                noise = (1 if scales else 0) + 0.2 * noise
            weight.copy_(noise.half())


def main() -> None:
    """Writes the folder beside this file."""
    FOLDER.mkdir(exist_ok=True)
    arrays = {}
    for seed, (name, options) in enumerate(CASES.items()):
        kwargs = SIZES | options
        model = HTDemucs(**kwargs).eval()
        generator = torch.Generator().manual_seed(seed)
        randomise(model, generator)
        package = {
            "klass": HTDemucs,
            "args": (),
            "kwargs": kwargs,
            "state": get_state(model, None, half=True),
        }
        torch.save(package | {"training_args": {"seed": seed}}, FOLDER / f"{name}.th")
        mix = torch.randn((1, model.audio_channels, LENGTHS[name]), generator=generator)
        with torch.no_grad():
            arrays |= {f"{name}.mix": mix[0].numpy(), f"{name}.stems": model(mix)[0].numpy()}
        if name == "three":
            long = 0.1 * torch.randn((1, model.audio_channels, LONG), generator=generator)
            stems = apply_model(model, long, shifts=0, split=True, overlap=0.8)
            arrays |= {f"{name}.long_mix": long[0].numpy(), f"{name}.long_stems": stems[0].numpy()}
    np.savez_compressed(FOLDER / "io.npz", **arrays)


if __name__ == "__main__":
    main()
