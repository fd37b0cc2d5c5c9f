"""SAM Audio (Shi et al. 2025) as a separator by words. It runs in torch, by Meta's package `sam_audio`.

The package is facebookresearch/sam-audio; it is not on PyPI. Code and weights are under the SAM License, which
restricts their use. A checkpoint is a folder with `config.json` and `checkpoint.pt`, as facebook/sam-audio-large.
"""

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mtv_jax.audio.separation.base import Context, ModelCard, Tracks
from mtv_jax.audio.separation.by_text.base import check_words
from mtv_jax.audio.separation.sections import separate
from mtv_jax.io.audio import fit_length, resample
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory, existing_file, sha256
from mtv_jax.typing import Float

PACKAGE = "sam_audio"
INSTALL = "pip install git+https://github.com/facebookresearch/sam-audio"
LICENCE = "LicenseRef-SAM-License"
CONFIG, WEIGHTS = "config.json", "checkpoint.pt"
"""Files of a checkpoint."""
_UNUSED = {"visual_ranker": None, "text_ranker": None, "span_predictor": None}
"""Networks that choose among several results or guess time spans. They would be downloaded."""
_SEED = 0
"""Of the noise that a sound is generated from."""


@dataclass(frozen=True)
class SAMAudio:
    """Generates the sound of each description, at the model's rate, the channels one by one.

    The noise is that of a fixed seed. Descriptions should be short phrases in lower case, such as "dog barking", as in
    the model's training. The package downloads the text encoder (T5) on first use.

    Attributes:
      path: folder of the checkpoint.
    """

    path: str

    def card(self) -> ModelCard:
        """See `SeparatorByText`."""
        _check_package()
        folder = self._folder
        return ModelCard("SAM Audio", folder.name, LICENCE, _hash(folder / WEIGHTS), "real")

    def separate(self, samples: Float[np.ndarray, "_ c"], sample_rate: int, words: Sequence[str]) -> Tracks:
        """See `SeparatorByText`. A long sound is separated in sections, which are cross-faded."""
        check_words(words)
        return separate(samples, sample_rate, _Words(self, tuple(words))).tracks

    def generate(self, sound: Float[np.ndarray, "s"], sample_rate: int, word: str) -> Float[np.ndarray, "s"]:
        """One sound in a mix of one channel."""
        model, processor, device = _load(self._folder)
        import torch  # pyright: ignore[reportMissingImports] - of the package

        rate = processor.audio_sampling_rate
        mix = torch.from_numpy(resample(sound, sample_rate, rate))
        batch = processor(audios=[mix[None]], descriptions=[word]).to(device)
        with torch.inference_mode(), torch.random.fork_rng():
            torch.manual_seed(_SEED)
            target = model.separate(batch).target[0]
        track = target.float().cpu().numpy().reshape(-1)
        return fit_length(resample(track, rate, sample_rate), len(sound))

    @cached_property
    def _folder(self) -> Path:
        """Raises UserError unless it holds a checkpoint."""
        folder = existing_directory(self.path)
        for name in (CONFIG, WEIGHTS):
            existing_file(folder / name)
        return folder


@dataclass(frozen=True)
class _Words:
    """A separator of the tracks of fixed words, which do not add up to the mix."""

    model: SAMAudio
    tracks: tuple[str, ...]

    context = Context(section=30.0, past=1.0, future=1.0)

    @property
    def leak_db(self) -> Mapping[str, float | None]:
        return dict.fromkeys(self.tracks)

    def cards(self) -> Mapping[str, ModelCard]:
        return dict.fromkeys(self.tracks, self.model.card())

    def separate(self, samples: Float[np.ndarray, "_ c"], sample_rate: int) -> Tracks:
        def channels(word: str) -> np.ndarray:
            alone = [self.model.generate(channel, sample_rate, word) for channel in samples.T]
            return np.stack(alone, axis=1)

        return {word: channels(word) for word in self.tracks}


def _check_package() -> None:
    """Raises UserError without the package."""
    if importlib.util.find_spec(PACKAGE) is None:
        raise UserError(
            f"SAM Audio runs by Meta's package {PACKAGE} (SAM License), which is missing; {INSTALL}"
        )


@lru_cache(maxsize=1)
def _load(folder: Path) -> tuple[Any, Any, str]:
    """The model, its processor, and its device: a GPU if there is one."""
    _check_package()
    try:
        import torch  # pyright: ignore[reportMissingImports] - of the package

        package = importlib.import_module(PACKAGE)
        model = package.SAMAudio.from_pretrained(str(folder), **_UNUSED).eval()
        processor = package.SAMAudioProcessor.from_pretrained(str(folder))
    except Exception as error:  # of the package, torch, or the download of the text encoder
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{folder}: the package {PACKAGE} cannot load it ({first[:120]})") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return model.to(device), processor, device


@lru_cache(maxsize=1)
def _hash(path: Path) -> str:
    return sha256(path)
