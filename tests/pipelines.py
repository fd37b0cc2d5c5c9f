"""A pipeline folder of the smallest networks, with random weights that are written out, as users have them."""

from fractions import Fraction
from pathlib import Path

from mtv_jax.diffusion.schedule import ScheduleConfig
from mtv_jax.io.files import write_json
from mtv_jax.models.registry import make_config, make_model
from mtv_jax.models.shapes import random_params
from mtv_jax.weights.folder import PipelineDefaults, index_json
from mtv_jax.weights.pretrained import save_model
from mtv_jax.weights.scheduler import save_schedule

SIZE = PipelineDefaults(5, Fraction(12), 32, 32, 24, "zeros")
MEL = {"_class_name": "LogMel", "bins": 8, "subframes": 2}
SMALL = {
    "vae3d": {"block_out_channels": [4, 4, 4, 4], "norm_num_groups": 2, "latent_channels": 4},
    "t5": {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2},
    "mtv": {
        "dit": {
            "num_layers": 1,
            "num_attention_heads": 1,
            "attention_head_dim": 16,
            "in_channels": 4,
            "out_channels": 4,
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
            "projection_width": 8,
            "context_tokens": 2,
            "width": 8,
            "interaction_blocks": 1,
            "interaction_heads": 2,
        },
    },
}


def make_small(name: str, seed: int = 0):
    """A network of the registry at the smallest size, and random parameters."""
    model = make_model(name, make_config(name, "tiny", SMALL[name]))
    return model, random_params(model, seed)


def write_pipeline(folder: Path) -> Path:
    """Writes the folder and returns it."""
    save_model(folder, *make_small("mtv"))
    save_model(folder / "vae", *make_small("vae3d"))
    save_model(folder / "text_encoder", *make_small("t5"))
    write_json(folder / "audio_encoder" / "config.json", MEL)
    save_schedule(folder / "scheduler", ScheduleConfig())
    write_json(folder / "model_index.json", index_json(SIZE))
    return folder
