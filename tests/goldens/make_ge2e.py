"""Makes ge2e.npz and legacy.pt: a small random speaker encoder of Resemblyzer's layers and what it gives.

Run from the repository with the extra `parity` and `pip install --no-deps resemblyzer==0.1.4`:
`python tests/goldens/make_ge2e.py`. ge2e.npz has `config`, `weights.<key>`, `mels`
[batch, time, mels] and `embeddings`.
legacy.pt has the weights as torch stored them before 1.6, under `model_state`, beside an optimizer's state.
keys/resemblyzer.txt lists the tensors of the released model.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent
CONFIG = {
    "num_layers": 2,
    "width": 6,
    "embedding": 5,
    "sample_rate": 16_000,
    "n_fft": 400,
    "hop": 160,
    "mels": 4,
    "frames": 160,
}


class VoiceEncoder(torch.nn.Module):
    """The layers of `resemblyzer.VoiceEncoder`, whose sizes are fixed."""

    def __init__(self, mels: int, width: int, layers: int, embedding: int):
        super().__init__()
        self.lstm = torch.nn.LSTM(mels, width, layers, batch_first=True)
        self.linear = torch.nn.Linear(width, embedding)

    def forward(self, mels: torch.Tensor) -> torch.Tensor:
        """Embeddings of length 1."""
        _, (hidden, _) = self.lstm(mels)
        return torch.nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


def released() -> Path:
    """The file of the released weights."""
    spec = importlib.util.find_spec("resemblyzer")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("pip install --no-deps resemblyzer==0.1.4")
    return Path(spec.submodule_search_locations[0]) / "pretrained.pt"


def main() -> None:
    """Writes the files."""
    from make_keys import FOLDER, write_list  # beside this script

    torch.manual_seed(0)
    network = VoiceEncoder(CONFIG["mels"], CONFIG["width"], CONFIG["num_layers"], CONFIG["embedding"])
    for value in network.parameters():
        value.data.normal_(std=0.6)
    network.linear.bias.data.abs_()
    mels = torch.randn(3, 9, CONFIG["mels"])
    arrays = {"mels": mels, "embeddings": network(mels).detach()}
    arrays |= {f"weights.{key}": value for key, value in network.state_dict().items()}
    saved = {key: value.numpy() for key, value in arrays.items()} | {"config": np.array(json.dumps(CONFIG))}
    np.savez(HERE / "ge2e.npz", **saved)
    content = {
        "step": 3,
        "model_state": network.state_dict(),
        "optimizer_state": {
            "state": {0: {"exp_avg": torch.ones(2, dtype=torch.float64)}},
            "groups": [{"lr": 1e-3}],
        },
    }
    torch.save(content, HERE / "legacy.pt", _use_new_zipfile_serialization=False)
    state = torch.load(released(), map_location="cpu", weights_only=True)["model_state"]
    write_list(FOLDER / "resemblyzer.txt", {key: value.shape for key, value in state.items()})


if __name__ == "__main__":
    main()
