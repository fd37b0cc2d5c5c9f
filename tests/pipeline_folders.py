"""Pipeline folders of the smallest networks, with random weights that are written out, as users have them."""

import io
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import jax
from random_weights import scaled_weights
from safetensors.numpy import load_file, save_file

from mtv_jax.diffusion.noise.vp import ScheduleConfig
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.files import write_json
from mtv_jax.models.dit import DiTConfig
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.pipelines.request import read_sounds
from mtv_jax.pipelines.run import Request
from mtv_jax.weights.model_index import PipelineDefaults, TextOptions, index_json
from mtv_jax.weights.pretrained import save_model
from mtv_jax.weights.scheduler import save_schedule

SIZE = PipelineDefaults(ClipSize(5, Fraction(12), 32, 32), TextOptions(24, "zeros"))
MEL = {"_class_name": "LogMel", "bins": 8, "subframes": 2}
SMALL = {
    "vae3d": {
        "block_out_channels": [4, 4, 4, 4],
        "norm_num_groups": 2,
        "latent_channels": 4,
        "temporal_compression_ratio": 4,
        "temporal_kernel_size": 3,
    },
    "t5": {"vocab_size": 384, "d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2},
    "mtv": {
        "dit": {
            "num_layers": 1,
            "num_attention_heads": 1,
            "attention_head_dim": 16,
            "in_channels": 4,
            "out_channels": 4,
            "patch_size": 2,
            "text_embed_dim": 8,
            "max_text_seq_length": 24,
            "time_embed_dim": 8,
            "sample_frames": 2,
            "sample_height": 4,
            "sample_width": 4,
        },
        "controlnet": {
            "audio_layers": 2,
            "audio_channels": 8,
            "temporal_compression_ratio": 4,
            "projection_width": 8,
            "context_tokens": 2,
            "width": 8,
            "interaction_blocks": 1,
            "interaction_heads": 2,
        },
    },
}


COGVIDEOX = {
    "num_layers": 1,
    "num_attention_heads": 1,
    "attention_head_dim": 16,
    "in_channels": 4,
    "out_channels": 4,
    "patch_size": 2,
    "text_embed_dim": 8,
    "max_text_seq_length": 20,
    "time_embed_dim": 8,
    "positions": "rope",
    "sample_frames": 2,
    "sample_height": 4,
    "sample_width": 4,
}
BACKBONE = COGVIDEOX | {"in_channels": 8, "positions": "rope_learned", "sample_frames": 3}
COGVIDEOX_1_5_I2V = COGVIDEOX | {
    "in_channels": 8,
    "patch_size_t": 2,
    "ofs_embed_dim": 8,
    "rope_grid": "slice",
    "sample_frames": 3,
}
SENTENCES = (
    "a rabbit eats grass in the meadow",
    "One person conversation. Persons: Person1: a man with a beard. Person1 is speaking.",
    "the drummer plays loud music while two people dance",
)

SMALL_DIT = DiTConfig(
    2,
    2,
    16,
    in_channels=2,
    out_channels=2,
    text_embed_dim=4,
    max_text_seq_length=3,
    time_embed_dim=8,
    sample_frames=2,
    sample_height=4,
    sample_width=6,
)
"""A backbone of two layers, for tests that need no pipeline."""


def conditions_of(pipe, files, prompt="a rabbit"):
    """What a pipeline encodes for a video of its own size."""
    clip, key = pipe.defaults.clip, jax.random.key(0)
    tracks = pipe.tracks_of(read_sounds(files, None), clip)
    return pipe.encode([Request(prompt, tracks, key, key)], clip).conditions


def make_small(name: str, seed: int = 0, overrides: Mapping[str, Any] | None = None):
    """A network of the registry at the smallest size, and random parameters."""
    model = make_model(name, make_config(name, "tiny", SMALL.get(name) if overrides is None else overrides))
    return model, scaled_weights(model, seed)


def write_pipeline(folder: Path, *, num_speakers: int = 1, ratio: int = 4) -> Path:
    """Writes the folder and returns it; `ratio` frames are one of the latents."""
    compression = {"temporal_compression_ratio": ratio}
    control = SMALL["mtv"]["controlnet"] | {"num_speakers": num_speakers} | compression
    save_model(folder, *make_small("mtv", overrides=SMALL["mtv"] | {"controlnet": control}))
    save_model(folder / "vae", *make_small("vae3d", overrides=SMALL["vae3d"] | compression))
    save_model(folder / "text_encoder", *make_small("t5"))
    write_json(folder / "audio_encoder" / "config.json", MEL)
    save_schedule(folder / "scheduler", ScheduleConfig())
    write_json(folder / "model_index.json", index_json(SIZE))
    return folder


def write_backbone(folder: Path) -> Path:
    """A CogVideoX image to video (1.0), from which MTV's training starts, with an `audio_encoder/` put into it."""
    # Two levels compile sooner than four.
    vae = SMALL["vae3d"] | {"block_out_channels": [4, 4], "temporal_compression_ratio": 2}
    write_cogvideox(folder, image_to_video=True, transformer=BACKBONE, vae=vae)
    write_json(folder / "audio_encoder" / "config.json", MEL)
    return folder


def write_cogvideox(
    folder: Path,
    *,
    image_to_video: bool = False,
    transformer: Mapping[str, Any] | None = None,
    vae: Mapping[str, Any] | None = None,
) -> Path:
    """A CogVideoX (1.0), or CogVideoX 1.5 image to video, as diffusers and transformers write one.

    `transformer` and `vae` are the fields of others.
    """
    transformer = transformer or (COGVIDEOX_1_5_I2V if image_to_video else COGVIDEOX)
    save_model(folder / "transformer", *make_small("dit", overrides=transformer))
    save_model(folder / "vae", *make_small("vae3d", overrides=vae))
    size = write_t5_tokenizer(folder / "tokenizer")
    save_model(folder / "text_encoder", *make_small("t5", overrides=SMALL["t5"] | {"vocab_size": size}))
    split_shards(folder / "text_encoder")
    parts = {
        "scheduler": ["diffusers", "CogVideoXDDIMScheduler"],
        "text_encoder": ["transformers", "T5EncoderModel"],
        "tokenizer": ["transformers", "T5Tokenizer"],
        "transformer": ["diffusers", "CogVideoXTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLCogVideoX"],
    }
    (folder / "scheduler").mkdir()
    write_json(folder / "scheduler" / "scheduler_config.json", DDIM)
    name = "CogVideoXImageToVideoPipeline" if image_to_video else "CogVideoXPipeline"
    write_json(folder / "model_index.json", {"_class_name": name, "_diffusers_version": "0.31.0", **parts})
    return folder


DDIM = {
    "_class_name": "CogVideoXDDIMScheduler",
    "_diffusers_version": "0.31.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "clip_sample_range": 1.0,
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "sample_max_value": 1.0,
    "set_alpha_to_one": True,
    "snr_shift_scale": 3.0,
    "steps_offset": 0,
    "timestep_spacing": "trailing",
    "trained_betas": None,
}


def write_t5_tokenizer(folder: Path) -> int:
    """A small sentencepiece model in the files T5's tokenizer comes in; returns the size of the vocabulary."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 4),
        model_writer=model,
        vocab_size=300,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).get_piece_size()
    sentinels = {f"<extra_id_{i}>": pieces + 99 - i for i in range(100)}
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    own = {"<pad>": 0, "</s>": 1, "<unk>": 2}
    tokens = {str(i): plain | {"content": c} for c, i in own.items()}
    tokens |= {str(i): plain | {"content": c, "lstrip": True, "rstrip": True} for c, i in sentinels.items()}
    named = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    named["additional_special_tokens"] = list(sentinels)
    folder.mkdir(parents=True)
    (folder / "spiece.model").write_bytes(model.getvalue())
    write_json(folder / "added_tokens.json", sentinels)
    write_json(folder / "special_tokens_map.json", named)
    options = {"add_prefix_space": True, "clean_up_tokenization_spaces": True, "extra_ids": 100}
    options |= {
        "legacy": True,
        "model_max_length": 226,
        "sp_model_kwargs": {},
        "tokenizer_class": "T5Tokenizer",
    }
    write_json(folder / "tokenizer_config.json", options | {"added_tokens_decoder": tokens} | named)
    return pieces + 100


def split_shards(folder: Path) -> None:
    """Cuts `model.safetensors` in two with an index, as large checkpoints come."""
    whole = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names, index = sorted(whole), {}
    for i, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{i:05}-of-00002.safetensors"
        save_file({name: whole[name] for name in part}, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    size = sum(tensor.nbytes for tensor in whole.values())
    write_json(
        folder / "model.safetensors.index.json", {"metadata": {"total_size": size}, "weight_map": index}
    )
