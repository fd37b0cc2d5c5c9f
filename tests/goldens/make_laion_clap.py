"""Writes keys/laion_clap_*.txt: names and shapes of every tensor in LAION's CLAP files, from LAION's own code.

`python tests/goldens/make_laion_clap.py` needs the extra `parity` and
`pip install --no-deps laion-clap==1.1.7 torchlibrosa==0.1.0`; what else that package imports, for training and
downloads, is replaced by mocks. RoBERTa-base is built from its sizes, so nothing is downloaded.
"""

import sys
from importlib.machinery import ModuleSpec
from typing import Any
from unittest import mock

import make_keys
import transformers

TRAINING = [
    "braceexpand",
    "h5py",
    "pandas",
    "progressbar",
    "torchaudio",
    "torchaudio.functional",
    "torchaudio.transforms",
    "torchvision",
    "torchvision.datasets",
    "torchvision.ops",
    "torchvision.ops.misc",
    "torchvision.transforms",
    "wandb",
    "webdataset",
    "wget",
]
AUDIO = {"model_type": "HTSAT", "sample_rate": 48000, "hop_size": 480, "window_size": 1024}
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 512, "heads": 8, "layers": 12}
NETWORKS = {"laion_clap_base": ("base", 1024, False), "laion_clap_fused": ("tiny", 768, True)}
"""Size of HTSAT, its width, and whether it has fusion."""


def main() -> None:
    """Writes the lists."""
    offline = mock.patch.object(transformers.PreTrainedTokenizerBase, "from_pretrained", mock.MagicMock())
    mocks = {name: mock.MagicMock(__spec__=ModuleSpec(name, None)) for name in TRAINING}
    with offline, mock.patch.dict(sys.modules, mocks):
        from laion_clap.clap_module import model as original

        with mock.patch.object(original, "RobertaModel") as roberta:
            roberta.from_pretrained = lambda name: transformers.RobertaModel(roberta_base())
            for name, sizes in NETWORKS.items():
                state = network(original, *sizes).state_dict()
                shapes = {key: tuple(tensor.shape) for key, tensor in state.items()}
                make_keys.write_list(make_keys.FOLDER / f"{name}.txt", shapes)


def network(original: Any, size: str, width: int, fused: bool) -> Any:
    """LAION's network with random weights."""
    return original.CLAP(
        embed_dim=width,
        audio_cfg=AUDIO | {"model_name": size},
        text_cfg=TEXT | {"model_type": "roberta"},
        enable_fusion=fused,
        fusion_type="aff_2d" if fused else "None",
    )


def roberta_base() -> transformers.RobertaConfig:
    """The config of roberta-base."""
    return transformers.RobertaConfig(vocab_size=50265, max_position_embeddings=514, type_vocab_size=1)


if __name__ == "__main__":
    main()
