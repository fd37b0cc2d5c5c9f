"""Whole pipelines against diffusers': the same folder, prompt and noise give the same latents and frames.

`MTV_JAX_SEED` draws weights, noise and prompt.
"""

import os

import jax
import numpy as np
import pytest
from pipeline_folders import DDIM, SENTENCES, write_t5_tokenizer

from mtv_jax import Pipeline
from mtv_jax.diffusion.samplers import SamplerConfig
from mtv_jax.pipelines.run import GenerateConfig, Request, decode_latents, generate

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

SEED = int(os.environ.get("MTV_JAX_SEED", "0"))
STEPS, SCALE = 4, 6.0
TRANSFORMER = {
    "num_layers": 2,
    "num_attention_heads": 2,
    "attention_head_dim": 32,
    "in_channels": 8,
    "out_channels": 8,
    "text_embed_dim": 24,
    "max_text_seq_length": 30,
    "time_embed_dim": 16,
    "sample_frames": 9,
    "sample_height": 6,
    "sample_width": 8,
}
ROPE = {"use_rotary_positional_embeddings": True}
LEARNED = ROPE | {"in_channels": 16, "use_learned_positional_embeddings": True}
STYLES = {
    "2b": ("CogVideoXPipeline", {}),
    "5b": ("CogVideoXPipeline", ROPE),
    "1.5": ("CogVideoXPipeline", ROPE | {"patch_size_t": 2, "patch_bias": False}),
    "5b-i2v": ("CogVideoXImageToVideoPipeline", LEARNED),
    "1.5-i2v": (
        "CogVideoXImageToVideoPipeline",
        ROPE | {"in_channels": 16, "patch_size_t": 2, "patch_bias": False, "ofs_embed_dim": 16},
    ),
}


def randomise(network, generator):
    """Every weight random: matrices about 1/sqrt(fan in), norms about 1, biases small."""
    with torch.no_grad():
        for name, weight in network.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if weight.ndim > 1:
                weight.copy_(noise / weight[0].numel() ** 0.5)
            else:
                weight.copy_(0.1 * noise + (1 if name.endswith("norm.weight") else 0))
    return network.eval()


def write_original(folder, style):
    """A random pipeline of diffusers, saved by itself; its tokenizer is in the files downloads have."""
    import diffusers
    import transformers

    name, options = STYLES[style]
    generator = torch.Generator().manual_seed(SEED)
    vocabulary = write_t5_tokenizer(folder / "tokenizer")
    t5 = transformers.T5Config(
        vocab_size=vocabulary,
        d_model=24,
        d_kv=8,
        d_ff=32,
        num_layers=2,
        num_heads=3,
        feed_forward_proj="gated-gelu",
    )
    vae = diffusers.AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * 4,
        up_block_types=("CogVideoXUpBlock3D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        latent_channels=8,
        norm_num_groups=2,
        scaling_factor=0.7,
        invert_scale_latents=style == "1.5-i2v",
    )
    transformer = diffusers.CogVideoXTransformer3DModel(**TRANSFORMER | options)
    pipe = getattr(diffusers, name)(
        tokenizer=transformers.T5Tokenizer.from_pretrained(folder / "tokenizer"),
        text_encoder=randomise(transformers.T5EncoderModel(t5), generator),
        vae=randomise(vae, generator),
        transformer=randomise(transformer, generator),
        scheduler=diffusers.CogVideoXDDIMScheduler.from_config(DDIM),
    )
    pipe.save_pretrained(folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("style", STYLES)
def test_latents_and_frames_are_those_of_diffusers(style, tmp_path, monkeypatch):
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    # diffusers samples the latents of the first frame; its mean is what two programs can agree on.
    monkeypatch.setattr(DiagonalGaussianDistribution, "sample", lambda self, generator=None: self.mode())
    theirs = write_original(tmp_path, style)
    ours = Pipeline.from_pretrained(tmp_path)
    rng = np.random.default_rng(SEED)
    prompt, size = (
        SENTENCES[int(rng.integers(len(SENTENCES)))],
        ours.defaults.clip.replace(height=48, width=64, num_frames=9),
    )
    padding = ours.padding(size)
    assert padding == (1 if style.startswith("1.5") else 0)
    noise = rng.normal(size=(1, 3 + padding, 6, 8, 8)).astype(np.float32)
    picture = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    options, keyframes = {}, {}
    if style.endswith("i2v"):
        from PIL import Image

        options, keyframes = {"image": Image.fromarray(picture)}, {0: picture}
    options |= {
        "height": 48,
        "width": 64,
        "num_frames": 9,
        "num_inference_steps": STEPS,
        "guidance_scale": SCALE,
    }
    with torch.no_grad():
        shared = {"prompt": prompt, "max_sequence_length": 30, **options}
        start = torch.from_numpy(noise.transpose(0, 1, 4, 2, 3).copy())
        latents = theirs(**shared, latents=start, output_type="latent").frames.numpy()
        frames = theirs(**shared, latents=start, output_type="np").frames[0]
    config = GenerateConfig(SamplerConfig("ddim", STEPS), guidance_scale=SCALE)
    keys = jax.random.split(jax.random.key(0), 1)
    encoded = ours.encode([Request(prompt, {}, keys[0], keys[0], keyframes=keyframes)], size)
    made = generate(
        ours.denoiser, ours.denoiser_params, encoded, jax.numpy.asarray(noise), keys, ours.schedule, config
    )
    got = np.asarray(made)[:, padding:]
    want = latents.transpose(0, 1, 3, 4, 2)[:, -got.shape[1] :]
    assert np.abs(got - want).max() < 1e-3 * np.abs(want).max()
    pixels = decode_latents(ours.vae, ours.vae_params, jax.numpy.asarray(want))[0]
    assert pixels.shape == frames.shape == (9, 48, 64, 3)
    assert np.abs(pixels / 255 - frames).max() < 1 / 255  # theirs are not rounded to bytes
