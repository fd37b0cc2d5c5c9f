"""Captions by a vision-language model of transformers in a folder (LLaVA, Qwen-VL and others). It runs in torch."""

import functools
import hashlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtv_jax.curation.captions.config import CaptionsConfig
from mtv_jax.curation.captions.frames import even_frames
from mtv_jax.curation.captions.known import Known
from mtv_jax.curation.captions.question import parse_answer
from mtv_jax.curation.roles import Evidence, ModelCard, scores, unavailable
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import existing_directory, read_json_object, read_text, sha256


class LocalModel:
    """A model of the task image-text-to-text, with its processor and chat template. It decodes greedily."""

    def __init__(self, folder: str = "", *, config: CaptionsConfig):
        if not folder:
            raise UserError(
                "local: needs a model; download the folder of one of image-text-to-text and give "
                "config.captioner=local:FOLDER"
            )
        self._folder, self._config = existing_directory(folder), config

    def card(self) -> ModelCard:
        """By its files; the licence is that of its README. Raises UserError without torch, or without weights."""
        if importlib.util.find_spec("torch") is None:
            raise UserError(
                f"local:{self._folder}: runs in torch, which is missing; pip install 'mtv_jax[captions]'"
            )
        files = sorted(self._folder.glob("*.safetensors"))
        if not files:
            raise UserError(f"{self._folder}: no .safetensors file in it")
        hashes = [sha256(file) for file in files]
        weights = hashes[0] if len(files) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
        kind = read_json_object(self._folder / "config.json").get("model_type", "unknown")
        return ModelCard(self._folder.name, str(kind), _licence(self._folder), weights, "real")

    def caption(
        self, clip: Path, about: Mapping[str, Any], evidence: Mapping[str, Mapping[str, Any]]
    ) -> Evidence:
        """The caption of a clip; `unavailable` if the model does not answer as asked."""
        config = self._config
        frames = even_frames(clip, config.frames, config.longest_side)
        question = f"{config.instruction} {Known.of(about, evidence).as_text()}".strip()
        try:
            return scores(prompt=parse_answer(self.answer(frames, question)).prompt)
        except ValueError as error:
            return unavailable(f"the answer is not as asked: {error}")

    def answer(self, frames: list[Any], question: str) -> str:
        """What the model says to frames (PIL) and a question."""
        import torch  # pyright: ignore[reportMissingImports] - an extra

        model, processor = self._network
        content = [
            *({"type": "image", "image": frame} for frame in frames),
            {"type": "text", "text": question},
        ]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        ).to(model.device, model.dtype)
        with torch.inference_mode():
            tokens = model.generate(**inputs, max_new_tokens=self._config.max_tokens, do_sample=False)
        new = tokens[:, inputs["input_ids"].shape[1] :]
        return processor.batch_decode(new, skip_special_tokens=True)[0]

    @functools.cached_property
    def _network(self) -> tuple[Any, Any]:
        import torch  # pyright: ignore[reportMissingImports] - an extra
        from transformers import AutoModelForImageTextToText, AutoProcessor

        model: Any = AutoModelForImageTextToText.from_pretrained(
            self._folder, dtype="auto", local_files_only=True, trust_remote_code=False
        )
        processor = AutoProcessor.from_pretrained(
            self._folder, local_files_only=True, trust_remote_code=False
        )
        return model.to("cuda" if torch.cuda.is_available() else "cpu").eval(), processor


def _licence(folder: Path) -> str:
    """The line `license:` of a model's README, as model hubs have it."""
    readme = folder / "README.md"
    lines = read_text(readme).splitlines() if readme.exists() else []
    found = [line.partition(":")[2].strip() for line in lines if line.startswith("license:")]
    return found[0] if found else "unknown"
