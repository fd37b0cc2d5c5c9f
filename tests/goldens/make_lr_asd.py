"""Makes lr_asd.npz: a small random network of LR-ASD's layers and what it gives, and cepstra of a sound.

Run from the repository with the extra `parity` and `pip install --no-deps python_speech_features==0.6`:
`python tests/goldens/make_lr_asd.py`. lr_asd.npz has `weights.<key>` as in the published checkpoints, `faces` [batch,
time, height, width], `cepstra` [batch, 4 time, 13], `logits` [batch, time, 2]; keys/lr_asd.txt lists the tensors of the
published size.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent
WIDTHS = (32, 64, 128)
NORM = {"eps": 1e-3}


class Chain(nn.Module):
    """A block: two convolutions over space (`s`) or cepstra (`m`), two over time, named as in the original."""

    def __init__(
        self, conv: type[nn.Module], norm: type[nn.Module], name: str, channels: tuple[int, int], stride: int
    ):
        super().__init__()
        before, after = channels
        self.names = [f"{name}_1", f"{name}_2", "t_1", "t_2"]
        sizes = [(before, after // 2, 5), (after // 2, after, 3), (after, after, 5), (after, after, 3)]
        for index, (key, (inputs, outputs, size)) in enumerate(zip(self.names, sizes, strict=True)):
            kernel, padding = self.shape(name, key, size), self.shape(name, key, size)
            strides = self.shape(name, key, stride if index == 0 else 1)
            padding = tuple(side // 2 for side in padding)
            self.add_module(key, conv(inputs, outputs, kernel, strides, padding, bias=False))
            self.add_module(f"{key[0]}_norm_{key[2]}", norm(outputs, **NORM))

    @staticmethod
    def shape(name: str, key: str, size: int) -> tuple[int, ...]:
        """A size along the axes that a convolution covers, 1 along the others: (time, y, x) or (cepstra, time)."""
        if name == "s":
            return (size, 1, 1) if key[0] == "t" else (1, size, size)
        return (1, size) if key[0] == "t" else (size, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features."""
        for key in self.names:
            x = getattr(self, f"{key[0]}_norm_{key[2]}")(getattr(self, key)(x)).relu()
        return x


class Encoder(nn.Module):
    """Three blocks with pooling between them."""

    def __init__(self, name: str, widths: tuple[int, ...]):
        super().__init__()
        seen = name == "s"
        conv, norm = (nn.Conv3d, nn.BatchNorm3d) if seen else (nn.Conv2d, nn.BatchNorm2d)
        for number, channels in enumerate(zip((1, *widths), widths, strict=False), 1):
            stride = 2 if seen and number == 1 else 1
            self.add_module(f"block{number}", Chain(conv, norm, name, channels, stride))
        self.pool = (
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)) if seen else nn.MaxPool2d((1, 3), (1, 2), (0, 1))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [b, c, ...]."""
        return self.block3(self.pool(self.block2(self.pool(self.block1(x)))))


class Gate(nn.Module):
    """`Fusion` of the original."""

    def __init__(self, width: int):
        super().__init__()
        self.attention = nn.Conv1d(width, width, 1, bias=False)
        self.bn = nn.BatchNorm1d(width, **NORM)

    def forward(self, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Gated features [b, t, d]."""
        x = torch.cat((one, other), 2).transpose(1, 2)
        return (x * self.bn(self.attention(x)).sigmoid()).transpose(1, 2)


class Detector(nn.Module):
    """Two GRUs, of which one runs backwards."""

    def __init__(self, width: int):
        super().__init__()
        self.gru_forward = nn.GRU(width, width // 4, batch_first=True)
        self.gru_backward = nn.GRU(width, width // 4, batch_first=True)
        self.attention = Gate(width // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features [b, t, d]."""
        ahead, _ = self.gru_forward(x)
        back, _ = self.gru_backward(x.flip(1))
        return self.attention(ahead, back.flip(1))


class Network(nn.Module):
    """The networks of a checkpoint's `model.`."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.visualEncoder, self.audioEncoder = Encoder("s", widths), Encoder("m", widths)
        self.fusion, self.detector = Gate(2 * widths[-1]), Detector(2 * widths[-1])

    def forward(self, faces: torch.Tensor, cepstra: torch.Tensor) -> torch.Tensor:
        """Features [b, t, d]."""
        heard = self.audioEncoder(cepstra.transpose(1, 2)[:, None]).mean(2).transpose(1, 2)
        seen = self.visualEncoder(((faces / 255 - 0.4161) / 0.1688)[:, None]).amax((3, 4)).transpose(1, 2)
        return self.detector(self.fusion(heard, seen))


class Head(nn.Module):
    """The linear layer of a loss."""

    def __init__(self, width: int):
        super().__init__()
        self.FC = nn.Linear(width, 2)


class ASD(nn.Module):
    """What a checkpoint of LR-ASD is the state of."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS):
        super().__init__()
        self.model = Network(widths)
        self.lossAV, self.lossV = Head(widths[-1]), Head(widths[-1])

    def forward(self, faces: torch.Tensor, cepstra: torch.Tensor) -> torch.Tensor:
        """Logits [b, t, 2]."""
        return self.lossAV.FC(self.model(faces, cepstra))


def random_network(widths: tuple[int, ...]) -> ASD:
    """With weights and statistics of a size that every layer shows in the result."""
    network = ASD(widths).eval()
    for name, value in network.state_dict().items():
        if value.dtype.is_floating_point:
            spread = 0.5 / max(1, value[0].numel()) ** 0.5 if value.ndim > 1 else 0.3
            value.normal_(std=2 * spread if value.ndim > 1 else spread)
        if name.endswith("running_var") or ("norm" in name and name.endswith("weight")):
            value.abs_().add_(0.5)
    return network


def random_inputs(batch: int, frames: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Faces and cepstra."""
    return 255 * torch.rand(batch, frames, side, side), 5 * torch.randn(batch, 4 * frames, 13)


def shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Of its tensors, without the counters of the training."""
    return {key: tuple(value.shape) for key, value in network.state_dict().items() if value.ndim}


def main() -> None:
    """Writes the files."""
    import python_speech_features
    from make_keys import FOLDER, write_list  # beside this script

    torch.manual_seed(0)
    network = random_network((4, 6, 8))
    faces, cepstra = random_inputs(2, 6, 20)
    with torch.no_grad():
        arrays = {"faces": faces, "cepstra": cepstra, "logits": network(faces, cepstra)}
    arrays |= {f"weights.{key}": value for key, value in network.state_dict().items()}
    sound = np.random.default_rng(0).normal(0, 3000, 5 * 640 + 240).astype(np.int16)
    heard = python_speech_features.mfcc(sound, 16_000, numcep=13, winlen=0.025, winstep=0.010)
    saved = {key: value.numpy() for key, value in arrays.items()}
    np.savez(HERE / "lr_asd.npz", sound=sound, sound_cepstra=heard, **saved)
    write_list(FOLDER / "lr_asd.txt", shapes(ASD()))


if __name__ == "__main__":
    main()
