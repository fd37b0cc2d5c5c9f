"""AudioSep's checkpoint, `audiosep_base_4M_steps.ckpt` of Lightning, which holds two networks.

Under `state_dict`, the tensors with the prefix `ss_model.` are those of its ResUNet, and those with the prefix
`query_encoder.model.` those of the CLAP by LAION (HTSAT-base) that it was trained with.
"""

from pathlib import Path
from typing import Any

import flax.linen as nn

from mtv_jax.io.errors import UserError
from mtv_jax.models.resunet import AudioSepResUNet, ResUNetConfig
from mtv_jax.typing import Params
from mtv_jax.weights.laion_clap import laion_clap
from mtv_jax.weights.pretrained import Place, fill
from mtv_jax.weights.torch_files import read_torch

_SEPARATOR, _CLAP = "ss_model.", "query_encoder.model."


def open_audiosep(path: Path, settle: Place) -> list[tuple[nn.Module, Params]]:
    """The ResUNet and the CLAP, with `settle(path, leaf)` in place of each parameter.

    Raises UserError as `load_model` does, and for a file with other tensors than those of the two.
    """
    tensors = read_torch([path], entry="state_dict")
    others = sorted(key for key in tensors if not key.startswith((_SEPARATOR, _CLAP)))
    if others:
        raise UserError(
            f"{path}: no checkpoint of AudioSep, since {others[0]} is neither {_SEPARATOR}* nor {_CLAP}*"
        )

    def part(prefix: str) -> dict[str, Any]:
        return {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}

    separator = AudioSepResUNet(ResUNetConfig.audiosep_base())
    return [
        (separator, fill(part(_SEPARATOR), separator, settle, path)),
        laion_clap(part(_CLAP), settle, str(path)),
    ]
