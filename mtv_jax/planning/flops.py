"""Operations of the MTV denoiser, counted from its shapes: a compiler counts the body of a scan once."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mtv_jax.models.dit import DiTConfig
from mtv_jax.models.mst_controlnet import MSTControlNetConfig
from mtv_jax.models.mtv import MTV
from mtv_jax.models.shapes import parameter_shapes
from mtv_jax.weights.rules import flat_paths


@dataclass(frozen=True)
class LatentSize:
    """Latent frames, rows and columns of a clip."""

    latent_frames: int
    latent_height: int
    latent_width: int


@dataclass(frozen=True)
class ForwardFlops:
    """Operations of one clip's forward pass (a multiply-add is two).

    Attributes:
      kernels: parameter path of each kernel -> operations of its products.
      attention: of the products of attention (logits and values).
    """

    kernels: dict[str, float]
    attention: float

    @property
    def total(self) -> float:
        """All of them."""
        return sum(self.kernels.values()) + self.attention

    def training(self, trains: Callable[[str], bool], *, recomputes: bool) -> tuple[float, float]:
        """Operations of a training step on one clip: those the mathematics needs, and those that are run.

        The backward pass needs the gradient of every product's input, and that of the kernel only where it
        trains. With rematerialisation the forward pass runs twice.
        """
        of_weights = sum(flops for path, flops in self.kernels.items() if trains(path))
        needed = 2 * self.total + of_weights + self.attention
        return needed, needed + (self.total if recomputes else 0.0)


def forward_flops(model: Any, size: LatentSize) -> ForwardFlops:
    """Operations of a forward pass of `MTV` or `DiT` on one clip; norms and activations are left out."""
    dit: DiTConfig = model.config.dit if isinstance(model, MTV) else model.config
    control: MSTControlNetConfig | None = model.config.controlnet if isinstance(model, MTV) else None
    times = _applications(dit, control, size)
    kernels = {}
    for path, leaf in flat_paths(parameter_shapes(model)).items():
        if path.endswith("kernel"):
            count = next(n for pattern, n in times if re.search(pattern, path))
            kernels[path] = 2.0 * math.prod(leaf.shape) * count
    return ForwardFlops(kernels, _attention(dit, control, size))


def num_tokens(model: Any, size: LatentSize) -> int:
    """Tokens of video and text that the transformer works on for one clip."""
    dit: DiTConfig = model.config.dit if isinstance(model, MTV) else model.config
    return _tokens(dit, size) + dit.max_text_seq_length


def _tokens(dit: DiTConfig, size: LatentSize) -> int:
    frames = -(-size.latent_frames // dit.frames_per_token)
    return frames * size.latent_height * size.latent_width // dit.patch_size**2


def _applications(
    dit: DiTConfig, control: MSTControlNetConfig | None, size: LatentSize
) -> list[tuple[str, int]]:
    """How many vectors each kernel is multiplied with; the first expression that is found in its path holds."""
    video = _tokens(dit, size)
    both = video + dit.max_text_seq_length
    rules = [
        (r"patch_embed/text_proj", dit.max_text_seq_length),
        (r"patch_embed/|^(transformer/)?proj_out", video),
        (r"time_embedding|norm\d/linear|norm_out_linear|music_modulation|ofs_embedding", 1),
    ]
    if control is not None:
        tracks, speakers = _interacting(control), control.num_speakers
        frames = control.sound_frames(size.latent_frames)
        context = size.latent_frames * control.context_tokens
        # Applied to pairs of steps, as often as time is halved.
        halvings = control.temporal_compression_ratio.bit_length() - 1
        pairs = sum((frames - 1) // 2 ** (i + 1) for i in range(halvings))
        rules += [
            (r"injection/attn_shared/to_[kv]/", context * (speakers + 2)),
            (r"injection/attn_\w+/to_[kv]/", context),
            (r"injection/", video),
            (r"controlnet/blocks/modulation", 1),
            (r"controlnet/blocks/(up|down)_speech/", context * speakers),
            (r"controlnet/blocks/(up|down)_\w+/", context),
            (r"controlnet/blocks/", context * tracks),
            (r"controlnet/speech/conv", pairs * speakers),
            (r"controlnet/speech/", frames * speakers),
            (r"controlnet/\w+/conv", pairs),
            (r"controlnet/", frames),
        ]
    return [*rules, (r"", both)]


def _interacting(control: MSTControlNetConfig) -> int:
    """Tracks that go through the interaction blocks."""
    return control.num_speakers + (1 if control.separate_extraction else 2)


def _attention(dit: DiTConfig, control: MSTControlNetConfig | None, size: LatentSize) -> float:
    video = _tokens(dit, size)
    both = video + dit.max_text_seq_length
    flops = 4.0 * dit.num_layers * both**2 * dit.width
    if control is not None:
        # Apart or in one, the video attends to every track's tokens; music is one of them if nothing is separate.
        tracks = control.num_speakers + (1 if control.separate_injection else 2)
        flops += 4.0 * dit.num_layers * tracks * video * control.context_tokens * dit.width
        inner = _interacting(control) * control.context_tokens
        flops += 4.0 * control.interaction_blocks * size.latent_frames * inner**2 * control.width
    return flops
