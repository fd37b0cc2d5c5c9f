"""Folders as diffusers and transformers write them, in every form, are loaded to the bit."""

import numpy as np
import pytest

from mtv_jax import load_model
from mtv_jax.weights import clip, dit, t5, vae3d, wav2vec2
from mtv_jax.weights.aliases import canonical_key
from mtv_jax.weights.rules import to_state

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")


def transformer():
    from diffusers import CogVideoXTransformer3DModel

    return CogVideoXTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        num_layers=2,
        text_embed_dim=12,
        time_embed_dim=8,
        max_text_seq_length=6,
        sample_width=8,
        sample_height=8,
        sample_frames=5,
        use_rotary_positional_embeddings=True,
    )


def autoencoder():
    from diffusers import AutoencoderKLCogVideoX

    return AutoencoderKLCogVideoX(
        block_out_channels=(4, 4, 8, 8), layers_per_block=1, norm_num_groups=2, latent_channels=4
    )


def text_encoder():
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=40,
            d_model=16,
            d_kv=4,
            d_ff=24,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
        )
    )


def audio_encoder():
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    return Wav2Vec2Model(
        Wav2Vec2Config(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=24,
            conv_dim=(8,) * 7,
            num_conv_pos_embeddings=8,
            num_conv_pos_embedding_groups=2,
        )
    )


def text_and_vision():
    from transformers import CLIPConfig, CLIPModel

    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": 40, "max_position_embeddings": 9}
    vision = {**sizes, "image_size": 16, "patch_size": 8}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=12))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shards", [1, 2], ids=["one file", "shards"])
@pytest.mark.parametrize(
    ("make", "tables"),
    [
        (transformer, dit),
        (autoencoder, vae3d),
        (text_encoder, t5),
        (audio_encoder, wav2vec2),
        (text_and_vision, clip),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_saved_folder_is_loaded_to_the_bit(tmp_path, make, tables, shards, dtype):
    original = make().to(getattr(torch, dtype))
    size = sum(p.numel() * p.element_size() for p in original.parameters())
    original.save_pretrained(tmp_path, max_shard_size=size // shards + 1000)
    assert len(list(tmp_path.glob("*.safetensors"))) >= shards
    _, params = load_model(tmp_path, param_dtype=dtype)
    ours = to_state(params, tables.RULES)
    compared = 0
    for key, tensor in original.state_dict().items():
        name = canonical_key(key, getattr(tables, "ALIASES", ()))
        np.testing.assert_array_equal(ours[name].astype(np.float32), tensor.float().numpy(), err_msg=key)
        compared += 1
    assert compared >= len(ours)
