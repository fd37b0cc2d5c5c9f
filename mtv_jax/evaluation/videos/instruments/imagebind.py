"""Audio-C and IA by ImageBind."""

from collections.abc import Callable

from mtv_jax.evaluation.imagebind import variant
from mtv_jax.evaluation.metrics.audio_c import audio_c
from mtv_jax.evaluation.metrics.ia import ia
from mtv_jax.evaluation.videos.clip import Clip
from mtv_jax.evaluation.videos.metric import Measure, Weights
from mtv_jax.evaluation.videos.networks import Network, load_network

_HOW = (
    "convert it: python -m mtv_jax.convert --from imagebind --in imagebind_huge.pth --out WEIGHTS/imagebind"
)


def open_audio_c(weights: Weights) -> Measure:
    """Raises UserError if ImageBind is missing."""
    network = _network(weights)
    return _measure(
        "audio_c",
        network,
        lambda clip: audio_c(clip.frames, float(clip.fps), *clip.channels, network.model, network.params),
        "short side to the network's size, bilinear, three squares",
    )


def open_ia(weights: Weights) -> Measure:
    """Raises UserError if ImageBind is missing."""
    network = _network(weights)
    return _measure(
        "ia",
        network,
        lambda clip: ia(clip.frames, *clip.channels, network.model, network.params),
        "short side to the network's size, bicubic (PIL), centre crop",
    )


def _network(weights: Weights) -> Network:
    return load_network(weights, "imagebind", "imagebind", _HOW)


def _measure(metric: str, network: Network, score: Callable[[Clip], float], resize: str) -> Measure:
    return Measure(
        variant(metric, network.model.config),
        lambda clip: {"score": score(clip)},
        {
            "weights": network.sha256,
            "resize": resize,
            "fps": "the video's own",
            "sample_rate": 16_000,
        },
        network.untrained,
    )
