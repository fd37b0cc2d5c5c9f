"""The originals' side of `vs_diffusers.py`: torch, diffusers and transformers, and nothing of ours.

Not a command: `vs_diffusers.py` starts it and communicates with it as described in `sides.py`.
"""

import torch
from diffusers import AutoencoderKLCogVideoX, CogVideoXTransformer3DModel
from diffusers.models.embeddings import get_3d_rotary_pos_embed
from sides import Case, Prepared, serve, timed
from transformers import T5Config, T5EncoderModel, Wav2Vec2Config, Wav2Vec2Model

VAE_LEVELS = {
    "down_block_types": ("CogVideoXDownBlock3D",) * 4,
    "up_block_types": ("CogVideoXUpBlock3D",) * 4,
    "block_out_channels": (128, 256, 256, 512),
}


def dit(sizes):
    model = CogVideoXTransformer3DModel(
        num_attention_heads=sizes["heads"],
        num_layers=sizes["layers"],
        text_embed_dim=sizes["text_dim"],
        max_text_seq_length=sizes["text_length"],
        sample_frames=4 * sizes["frames"] - 3,
        sample_height=sizes["height"],
        sample_width=sizes["width"],
        use_rotary_positional_embeddings=True,
    )
    grid = (sizes["height"] // 2, sizes["width"] // 2)
    rope = get_3d_rotary_pos_embed(64, ((0, 0), grid), grid, sizes["frames"])

    def forward(latents, text, timestep):
        moved = latents.permute(0, 1, 4, 2, 3)
        out = model(moved, text, timestep, image_rotary_emb=rope, return_dict=False)[0]
        return out.permute(0, 1, 3, 4, 2)

    return model, forward


def vae(sizes):
    model = AutoencoderKLCogVideoX(**VAE_LEVELS, sample_height=480, sample_width=720, scaling_factor=0.7)

    def forward(latents):
        return model.decode(latents.permute(0, 4, 1, 2, 3), return_dict=False)[0].permute(0, 2, 3, 4, 1)

    return model, forward


def t5(sizes):
    config = T5Config(
        d_model=sizes["d_model"],
        d_ff=sizes["d_ff"],
        num_heads=sizes["heads"],
        num_layers=sizes["layers"],
        feed_forward_proj="gated-gelu",
    )
    model = T5EncoderModel(config)
    return model, lambda tokens: model(tokens).last_hidden_state


def wav2vec2(sizes):
    model = Wav2Vec2Model(Wav2Vec2Config())
    return model, lambda wave: torch.stack(model(wave, output_hidden_states=True).hidden_states, 1)


MAKERS = {"dit": dit, "vae": vae, "t5": t5, "wav2vec2": wav2vec2}


def prepare(case: Case) -> Prepared:
    """Makes the network with random weights, writes them in its own format, and returns what runs it."""
    torch.manual_seed(0)
    torch.set_num_threads(case.threads)
    model, forward = MAKERS[case.network](case.sizes)
    model.eval().save_pretrained(case.weights)
    dtype = getattr(torch, case.dtype)
    model.to(dtype)
    inputs = [torch.from_numpy(x) for x in case.inputs()]
    inputs = [x.to(dtype) if x.is_floating_point() and x.ndim > 1 else x for x in inputs]

    def run() -> None:
        with torch.inference_mode():
            run.output = forward(*inputs)

    first, _ = timed(run)
    return first, run, lambda: run.output.float().numpy()


if __name__ == "__main__":
    serve(prepare)
