"""Writes imagebind_pixels.npz: pictures and frame numbers as torchvision and pytorchvideo make them for ImageBind.

`python tests/goldens/make_imagebind.py` needs the extra `parity`, the torchvision of that torch, and
`pip install --no-deps pytorchvideo==0.1.5 fvcore iopath parameterized portalocker av`. Decord is replaced by a reader
whose frames are their numbers.
"""

import sys
import types
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("imagebind_pixels.npz")
SIZE = 32
SHAPES = {"wide": (45, 61), "tall": (40, 35), "square": (20, 20)}
"""The wide one is 43 wide at 32 high, so that its centre is at half a pixel."""
VIDEOS = ((49, 24.0), (30, 25.0), (120, 30000 / 1001), (1, 24.0), (241, 12.5))
"""Frames, and frames a second."""


def main() -> None:
    """Writes the file."""
    rng = np.random.default_rng(17)
    arrays: dict[str, Any] = {}
    for name, (height, width) in SHAPES.items():
        frames = rng.integers(0, 256, (2, height, width, 3), np.uint8)
        arrays |= {f"{name}.frames": frames} | {f"{name}.{k}": v for k, v in pictures(frames).items()}
    arrays["videos"] = np.array(VIDEOS)
    arrays["first_and_last"] = np.array([first_and_last(*video) for video in VIDEOS])
    np.savez_compressed(FILE, **arrays)


def pictures(frames: np.ndarray) -> dict[str, np.ndarray]:
    """What `load_and_transform_vision_data` and `load_and_transform_video_data` do to frames, at a smaller size."""
    import torch
    from PIL import Image
    from torchvision import transforms

    prepare_pytorchvideo()
    from pytorchvideo.transforms.functional import short_side_scale, uniform_crop

    cut = transforms.Compose(
        [
            transforms.Resize(SIZE, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(SIZE),
        ]
    )
    video = torch.from_numpy(frames).permute(3, 0, 1, 2).float() / 255  # channels, frames, rows, columns
    scaled = short_side_scale(video, SIZE)
    views = torch.stack([uniform_crop(scaled, SIZE, position) for position in range(3)])
    return {
        "picture": np.stack([np.asarray(cut(Image.fromarray(frame))) for frame in frames]),
        "views": views.permute(0, 2, 3, 4, 1).numpy(),
    }


def first_and_last(count: int, fps: float) -> list[list[int]]:
    """The frames that are seen of each of five clips of two seconds.

    Clips start as in the pytorchvideo that ImageBind requires, which `imagebind/config.json` records: from the first
    to the last possible one. Version 0.1.5 ends a step earlier.
    """
    prepare_pytorchvideo()
    import torch
    from pytorchvideo.data import encoded_video_decord
    from pytorchvideo.transforms.functional import uniform_temporal_subsample

    encoded_video_decord.decord = fake_decord(count, fps)
    encoded_video_decord._HAS_DECORD = True
    video = encoded_video_decord.EncodedVideoDecord(None, decode_audio=False)  # pyright: ignore[reportArgumentType]
    found = []
    for number in range(5):
        start = Fraction(max(video.duration - 2, 0)) * number / 4
        clip = uniform_temporal_subsample(video.get_clip(start, start + 2)["video"], 2)
        found.append(clip[0, :, 0, 0].to(torch.int64).tolist())
    return found


def fake_decord(count: int, fps: float) -> Any:
    """A module whose videos have the number of each frame as its only pixel."""
    import torch

    class Reader:
        def __init__(self, **_: Any):
            pass

        def __len__(self) -> int:
            return count

        def get_avg_fps(self) -> float:
            return fps

        def get_batch(self, indices: list[int]) -> Any:
            return torch.tensor(indices).reshape(-1, 1, 1, 1)

    return types.SimpleNamespace(VideoReader=Reader, cpu=lambda number: number)


def prepare_pytorchvideo() -> None:
    """pytorchvideo 0.1.5 imports a module of torchvision that has since moved."""
    import torchvision.transforms.functional as functional

    sys.modules.setdefault("torchvision.transforms.functional_tensor", functional)


if __name__ == "__main__":
    main()
