"""Commands called in this process, as `python -m mtv_jax.<command>` runs them."""

from collections.abc import Callable
from typing import Any

import pytest

from mtv_jax.io.cli import run


def exit_code(main: Callable[[list[str]], int | None], *argv: Any) -> int:
    """The exit status of a command."""
    with pytest.raises(SystemExit) as caught:
        run(main, [str(a) for a in argv])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def forbid_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the command if it loads a network: what is tested must be known before."""

    def load(*_: Any, **__: Any) -> None:
        raise AssertionError("a network is loaded")

    for place in (
        "mtv_jax.pipelines.base.Pipeline.from_pretrained",
        "mtv_jax.curation.encoders.Encoders.from_pretrained",
        "mtv_jax.audio.separation.files.separate_sections",
        "mtv_jax.weights.conversion.convert_pretrained",
        "mtv_jax.training.job.set_up",
        "mtv_jax.evaluation.videos.command.measure",
        "mtv_jax.planning.plans.training_plans",
    ):
        monkeypatch.setattr(place, load)
