"""Captions that lie beside the films."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtv_jax.curation.roles import Evidence, ModelCard, scores, unavailable


class Sidecar:
    """The prompt of a film, in the file beside it or in its line of `sources.jsonl`, is that of each of its clips."""

    def card(self) -> ModelCard:
        """It is none: people wrote the captions."""
        return ModelCard("captions of the films", "1", "that of the films", None, "real")

    def caption(
        self, clip: Path, about: Mapping[str, Any], evidence: Mapping[str, Mapping[str, Any]]
    ) -> Evidence:
        """The prompt, if there is one."""
        prompt = about.get("prompt")
        if not prompt:
            return unavailable('no prompt; write {"prompt": "what is seen"} into the .json beside the film')
        return scores(prompt=prompt)
