"""Makes clap.npz: small random `ClapModel`s of transformers, their features, and the spectrograms of its extractor.

Run from the repository with the extra `parity`: `python tests/goldens/make_clap.py`. A case, `unfused` or `fused`, has
`<case>.config` (config.json as transformers writes it), `<case>.weights.<key>`, `<case>.mel` [b, views, frames, bands],
`<case>.longer` [b], `<case>.tokens` [n, l], of which one is padded, `<case>.patches` and `<case>.stage.<number>`
[b, h, w, d] (a stage's output after the merging), `<case>.text.<layer>`, `<case>.pooled_text`, `<case>.text_features`
and `<case>.audio_features` (not of unit length), `<case>.logits_per_audio` and `<case>.logits_per_text`. Of
`ClapFeatureExtractor` with small sizes there are `sound.<name>`, `features.<case>.<name>` [views, frames, bands]
and `longer.<case>.<name>`; where it draws a random crop, the middle of what it can draw was taken.
"""

import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import transformers
from make_wav2vec2 import randomise

TEXT = {
    "vocab_size": 40,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 11,
}
AUDIO = {
    "spec_size": 32,
    "num_mel_bins": 16,
    "patch_size": 2,
    "patch_stride": [2, 2],
    "patch_embeds_hidden_size": 8,
    "depths": [2, 1],
    "num_attention_heads": [2, 4],
    "window_size": 4,
    "mlp_ratio": 1.5,
    "hidden_size": 16,
}
FRAMES = {"unfused": 51, "fused": 64}
"""One is stretched to 64 frames, the other is not."""
EXTRACTOR = {
    "feature_size": 64,  # its fusion knows no other
    "sampling_rate": 8000,
    "hop_length": 400,
    "fft_window_size": 1024,
    "max_length_s": 1,
    "frequency_min": 50,
    "frequency_max": 3800,
}
SECONDS = {"short": 0.3, "exact": 1.0, "long": 2.55, "barely": 1.005}
TRUNCATION = {"unfused": "rand_trunc", "fused": "fusion"}


def main() -> None:
    """Writes clap.npz beside this file."""
    arrays = sounds()
    for seed, case in enumerate(("unfused", "fused")):
        found = network(case, torch.Generator().manual_seed(seed))
        arrays |= {f"{case}.{key}": value for key, value in found.items()}
    np.savez_compressed(Path(__file__).with_name("clap.npz"), **arrays)


def network(case: str, generator: torch.Generator) -> dict[str, np.ndarray]:
    """A random network of a case with inputs and outputs."""
    audio = AUDIO | {"enable_fusion": case == "fused"}
    config = transformers.ClapConfig(text_config=TEXT, audio_config=audio, projection_dim=10)
    model: Any = transformers.ClapModel(config).eval()
    spread(model, generator)
    views = 4 if case == "fused" else 1
    mel = 20 * torch.randn((3, views, FRAMES[case], AUDIO["num_mel_bins"]), generator=generator) - 30
    longer = torch.tensor([[True], [False], [True]])
    tokens = torch.tensor([[0, 5, 9, 2, 1, 1, 1], [0, 38, 4, 11, 39, 7, 2]])
    arrays = outputs(model, mel, longer, tokens)
    arrays |= {f"weights.{key}": value for key, value in model.state_dict().items()}
    arrays |= {"mel": mel, "longer": longer[:, 0], "tokens": tokens}
    return {"config": np.array(saved_config(model)), **{key: value.numpy() for key, value in arrays.items()}}


def spread(model: torch.nn.Module, generator: torch.Generator) -> None:
    """Every weight random, the statistics of batch norms too."""
    randomise(model, generator)
    with torch.no_grad():
        for name, weight in (*model.named_parameters(), *model.named_buffers()):
            if not weight.is_floating_point():
                continue
            noise = torch.randn(weight.shape, generator=generator)
            if name.endswith("running_var"):
                weight.copy_(1 + noise.abs())
            elif name.endswith("running_mean") or "relative_position_bias_table" in name:
                weight.copy_(noise)
            elif weight.ndim == 1 and name.endswith("weight"):
                weight.copy_(1 + 0.1 * noise)


def outputs(model: Any, mel: Any, longer: Any, tokens: Any) -> dict[str, Any]:
    """What transformers gives, with the outputs of its stages and layers."""
    mask = (tokens != model.config.text_config.pad_token_id).long()
    with torch.no_grad():
        sounds = model.audio_model.audio_encoder(mel, is_longer=longer, output_hidden_states=True)
        texts = model.text_model(tokens, attention_mask=mask, output_hidden_states=True)
        out = model(input_ids=tokens, attention_mask=mask, input_features=mel, is_longer=longer)
        found = {
            "pooled_text": texts.pooler_output,
            "text_features": model.text_projection(texts.pooler_output),
            "audio_features": model.audio_projection(sounds.pooler_output),
            "logits_per_audio": out.logits_per_audio,
            "logits_per_text": out.logits_per_text,
        }
    first, *stages = (state.movedim(1, -1) for state in sounds.hidden_states)
    found |= {"patches": first} | {f"stage.{i}": state for i, state in enumerate(stages)}
    return found | {f"text.{i}": state for i, state in enumerate(texts.hidden_states)}


def saved_config(model: Any) -> str:
    """The config.json that transformers writes."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return Path(folder, "config.json").read_text()


def sounds() -> dict[str, np.ndarray]:
    """Sounds of several lengths, and what the extractor makes of them."""
    rng = np.random.default_rng(0)
    arrays = {}
    for name, seconds in SECONDS.items():
        length = round(seconds * EXTRACTOR["sampling_rate"])
        sound = (0.3 * np.sin(np.arange(length) * 0.6) + 0.05 * rng.normal(size=length)).astype(np.float32)
        arrays[f"sound.{name}"] = sound
        for case, truncation in TRUNCATION.items():
            mel, longer = extracted(sound, truncation)
            arrays |= {f"features.{case}.{name}": mel, f"longer.{case}.{name}": np.array(longer)}
    return arrays


def extracted(sound: np.ndarray, truncation: str) -> tuple[np.ndarray, bool]:
    """The spectrograms of a sound, with the middle of all that may be drawn, and whether it is longer."""
    extractor: Any = transformers.ClapFeatureExtractor(**EXTRACTOR)
    middle = {
        "randint": lambda low, high: (low + high - 1) // 2,
        "choice": lambda those: those[len(those) // 2],
    }
    with mock.patch.multiple(np.random, **middle):
        return extractor._get_input_mel(sound, extractor.nb_max_samples, truncation, "repeatpad")


if __name__ == "__main__":
    main()
