"""Writes keys/*.txt: names and shapes of every tensor of the published checkpoints, one a line.

`python tests/goldens/make_keys.py` needs the extra `parity`: the lists come from networks that diffusers and
transformers build on torch's meta device, which takes no memory. The public code of MTV, VideoCLIP-XL, ImageBind,
Maestro and VideoCrafter cannot be run at full size: `mtv_tensors`, `videoclip_xl_tensors`, `imagebind_tensors`,
`cim_tensors` and `videocrafter_tensors` are tables of what it calls its tensors. Given the sizes of the small networks
in `mtv/denoiser`, `videoclip_xl`, `imagebind`, `maestro_cim` and `videocrafter2`, they must list those networks'
tensors exactly, which gives them their right to speak for the large ones.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

Shapes = dict[str, tuple[int, ...]]

FOLDER = Path(__file__).with_name("keys")

_5B = {"num_layers": 42, "num_attention_heads": 48, "use_rotary_positional_embeddings": True}
TRANSFORMERS = {
    "cogvideox_2b": {},
    "cogvideox_5b": _5B,
    "cogvideox_5b_i2v": {**_5B, "in_channels": 32, "use_learned_positional_embeddings": True},
    "cogvideox_1_5_5b_i2v": {
        **_5B,
        "in_channels": 32,
        "patch_size_t": 2,
        "ofs_embed_dim": 512,
        "sample_height": 300,
        "sample_width": 300,
        "sample_frames": 81,
    },
}
T5_XXL = {
    "vocab_size": 32128,
    "d_model": 4096,
    "d_kv": 64,
    "d_ff": 10240,
    "num_layers": 24,
    "num_heads": 64,
    "feed_forward_proj": "gated-gelu",
}
CLIP_L14 = {
    "text_config": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
    "vision_config": {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
    },
    "projection_dim": 768,
}
SD_2_1_UNET = {
    "cross_attention_dim": 1024,
    "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}
VIDEOCRAFTER2 = {
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 320,
    "channel_mult": (1, 2, 4, 4),
    "num_res_blocks": 2,
    "attention_resolutions": (4, 2, 1),
    "num_head_channels": 64,
    "context_dim": 1024,
}
VIDEOCLIP_XL = {
    "vision": {
        "input_resolution": 224,
        "patch_size": 14,
        "width": 1024,
        "layers": 24,
        "output_dim": 768,
        "num_frames": 8,
    },
    "text": {"context_length": 248, "vocab_size": 49408, "width": 768, "layers": 12, "embed_dim": 768},
}
IMAGEBIND_HUGE: dict[str, int] = {
    "out_embed_dim": 1024,
    "vision_embed_dim": 1280,
    "vision_num_blocks": 32,
    "text_embed_dim": 1024,
    "text_num_blocks": 24,
    "text_vocab_size": 49408,
    "audio_embed_dim": 768,
    "audio_num_blocks": 12,
}
CIM_PAPER: dict[str, int] = {
    "dim": 1024,
    "depth": 6,
    "dim_head": 64,
    "heads": 12,
    "num_queries": 10,
    "embedding_dim": 768,
    "output_dim": 1024,
    "ff_mult": 4,
}
KL_F8 = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}
CLIP_TEXT_H = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "hidden_act": "gelu",
}
"""Of OpenCLIP ViT-H/14 without its last layer, as in Stable Diffusion 2."""
MTV_5B: dict[str, int] = {
    "layers": 42,
    "width": 3072,
    "head_dim": 64,
    "ffn": 12288,
    "time": 512,
    "text": 4096,
    "text_length": 226,
    "tokens": 13 * 30 * 45,
    "patch": 2,
    "in_channels": 32,
    "out_channels": 16,
    "features": 5 * 12 * 768,
    "projection": 512,
    "context": 32,
    "audio": 768,
    "blocks": 4,
    "audio_ffn": 3072,
}


def main() -> None:
    """Writes the lists."""
    FOLDER.mkdir(exist_ok=True)
    for name, shapes in original_lists().items():
        write_list(FOLDER / f"{name}.txt", shapes)


def original_lists() -> dict[str, Shapes]:
    """The lists of diffusers and transformers."""
    import diffusers
    import torch
    import transformers

    with torch.device("meta"):
        networks = {
            name: diffusers.CogVideoXTransformer3DModel(**config) for name, config in TRANSFORMERS.items()
        }
        networks["vae3d"] = diffusers.AutoencoderKLCogVideoX()
        networks["sd_2_1_base_unet"] = diffusers.UNet2DConditionModel(**SD_2_1_UNET)
        networks["t5_v1_1_xxl"] = transformers.T5EncoderModel(transformers.T5Config(**T5_XXL))
        networks["wav2vec2_base"] = transformers.Wav2Vec2Model(transformers.Wav2Vec2Config())
        networks["kl_f8"] = diffusers.AutoencoderKL(**KL_F8)
        networks["clip_text_h"] = transformers.CLIPTextModel(transformers.CLIPTextConfig(**CLIP_TEXT_H))
        networks["clip_vit_b32"] = transformers.CLIPModel(transformers.CLIPConfig())
        networks["clip_vit_l14"] = transformers.CLIPModel(transformers.CLIPConfig(**CLIP_L14))
        for name, fusion in (("clap_htsat_unfused", False), ("clap_htsat_fused", True)):
            config = transformers.ClapConfig(audio_config={"enable_fusion": fusion})
            networks[name] = transformers.ClapModel(config)
    return {
        name: {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
        for name, network in networks.items()
    }


def mtv_tensors(sizes: Mapping[str, int], *, num_speakers: int) -> Shapes:
    """Names and shapes in a checkpoint of the public MTV code; `sizes` as `MTV_5B`."""
    shapes = _backbone(**sizes)
    for layer in range(sizes["layers"]):
        shapes |= _prefixed(f"transformer.layers.{layer}.", _layer(num_speakers=num_speakers, **sizes))
    for block in range(sizes["blocks"]):
        shapes |= _prefixed(f"transformer.audio_combine.dual_blocks.{block}.", _interaction(**sizes))
    for track in ("", "_effect", "_music"):
        shapes |= _prefixed(f"transformer.audio_proj{track}.", _projection(**sizes))
    if num_speakers == 2:
        shapes |= dict.fromkeys(
            ("transformer.audio_vocal_embedding", "transformer.audio_vocal_embedding_1"), (sizes["audio"],)
        )
    return _prefixed("model.diffusion_model.", shapes)


def videoclip_xl_tensors(sizes: Mapping[str, Mapping[str, int]]) -> Shapes:
    """Names and shapes in a checkpoint of VideoCLIP-XL; `sizes` as `VIDEOCLIP_XL`."""
    vision, text = sizes["vision"], sizes["text"]
    width, patch = vision["width"], vision["patch_size"]
    patches = (vision["input_resolution"] // patch) ** 2
    frames = {
        "class_embedding": (width,),
        "positional_embedding": (patches + 1, width),
        "temporal_positional_embedding": (1, vision["num_frames"], width),
        "proj": (width, vision["output_dim"]),
        "conv1.weight": (width, 3, 1, patch, patch),
        **_joined({"ln_pre": _norm(width), "ln_post": _norm(width)}),
        **_resblocks(vision["layers"], width),
    }
    positions = (text["context_length"], text["width"])
    words = {
        "positional_embedding": positions,
        "positional_embedding_res": positions,
        "text_projection": (text["width"], text["embed_dim"]),
        "token_embedding.weight": (text["vocab_size"], text["width"]),
        "logit_scale": (),
        **_joined({"ln_final": _norm(text["width"])}),
        **_resblocks(text["layers"], text["width"]),
    }
    towers = _prefixed("vision_model.vision_encoder.", frames) | _prefixed("text_model.", words)
    return towers | {"vision_model.temp": ()}


def imagebind_tensors(sizes: Mapping[str, int]) -> Shapes:
    """Names and shapes of vision, text and audio in a checkpoint of ImageBind; `sizes` as `IMAGEBIND_HUGE`."""
    vision, text, audio = (sizes[f"{name}_embed_dim"] for name in ("vision", "text", "audio"))
    shapes = {
        "preprocessors.vision.rgbt_stem.proj.1.weight": (vision, 3, 2, 14, 14),
        "preprocessors.audio.rgbt_stem.proj.weight": (audio, 1, 16, 16),
        "preprocessors.text.token_embedding.weight": (sizes["text_vocab_size"], text),
        "preprocessors.text.pos_embed": (1, 77, text),
        "preprocessors.text.mask": (77, 77),
        "postprocessors.text.1.log_logit_scale": (),
        "postprocessors.audio.1.log_logit_scale": (),
        **_joined(
            {
                "preprocessors.audio.rgbt_stem.norm_layer": _norm(audio),
                "trunks.vision.pre_transformer_layer.0": _norm(vision),
            }
        ),
    }
    for name, width, tokens in (("vision", vision, 1 + 16 * 16), ("audio", audio, 1 + 12 * 19)):
        stem = f"preprocessors.{name}."
        shapes |= {
            f"{stem}cls_token": (1, 1, width),
            f"{stem}pos_embedding_helper.pos_embed": (1, tokens, width),
        }
    for name, width, head in (("vision", vision, ""), ("text", text, "proj."), ("audio", audio, "")):
        shapes |= _joined({f"heads.{name}.{head}0": _norm(width)})
        shapes |= {f"heads.{name}.{head}{1 if head else 2}.weight": (sizes["out_embed_dim"], width)}
        for layer in range(sizes[f"{name}_num_blocks"]):
            block = _imagebind_block(width, extra_key=name == "audio")
            shapes |= _prefixed(f"trunks.{name}.blocks.{layer}.", block)
    return _prefixed("modality_", shapes)


def _imagebind_block(width: int, *, extra_key: bool) -> Shapes:
    extra = {"attn.bias_k": (1, 1, width), "attn.bias_v": (1, 1, width)} if extra_key else {}
    pieces = {
        "attn.out_proj": _linear(width, width),
        "norm_1": _norm(width),
        "mlp.fc1": _linear(4 * width, width),
        "mlp.fc2": _linear(width, 4 * width),
        "norm_2": _norm(width),
    }
    projections = {"attn.in_proj_weight": (3 * width, width), "attn.in_proj_bias": (3 * width,)}
    return extra | projections | _joined(pieces)


def videocrafter_tensors(sizes: Mapping[str, Any]) -> Shapes:
    """Names and shapes of the UNet of VideoCrafter; `sizes` as `VIDEOCRAFTER2`."""
    width, factors, blocks = sizes["model_channels"], sizes["channel_mult"], sizes["num_res_blocks"]
    resolutions, last = sizes["attention_resolutions"], len(factors) - 1
    heads, context = sizes["num_head_channels"], sizes["context_dim"]
    pieces = {
        **{f"{name}.0": _linear(4 * width, width) for name in ("time_embed", "fps_embedding")},
        **{f"{name}.2": _linear(4 * width, 4 * width) for name in ("time_embed", "fps_embedding")},
        "input_blocks.0.0": _conv(width, sizes["in_channels"], 3, 3),
        **_unet_transformer("init_attn.0", width, 8 * heads, 8 * heads, (1,)),
        "out.0": _norm(width),
        "out.2": _conv(sizes["out_channels"], width, 3, 3),
    }

    def layer(name: str, inputs: int, outputs: int, *, attends: bool) -> None:
        pieces.update(_unet_residual(f"{name}.0", inputs, outputs, 4 * width))
        if attends:
            pieces.update(_unet_transformer(f"{name}.1", outputs, outputs, context))
            pieces.update(_unet_transformer(f"{name}.2", outputs, outputs, outputs))

    skips, number, now = [width], 1, width
    for level, factor in enumerate(factors):
        for _ in range(blocks):
            layer(f"input_blocks.{number}", now, factor * width, attends=2**level in resolutions)
            now, number = factor * width, number + 1
            skips.append(now)
        if level < last:
            pieces[f"input_blocks.{number}.0.op"] = _conv(now, now, 3, 3)
            number += 1
            skips.append(now)
    layer("middle_block", now, now, attends=True)
    pieces |= _unet_residual("middle_block.3", now, now, 4 * width)
    number = 0
    for level, factor in reversed(list(enumerate(factors))):
        for block in range(blocks + 1):
            attends = 2**level in resolutions
            layer(f"output_blocks.{number}", now + skips.pop(), factor * width, attends=attends)
            now = factor * width
            if level > 0 and block == blocks:
                pieces[f"output_blocks.{number}.{3 if attends else 1}.conv"] = _conv(now, now, 3, 3)
            number += 1
    return _joined(pieces)


def _unet_residual(name: str, inputs: int, outputs: int, time: int) -> dict[str, Shapes]:
    pieces = {
        "in_layers.0": _norm(inputs),
        "in_layers.2": _conv(outputs, inputs, 3, 3),
        "emb_layers.1": _linear(outputs, time),
        "out_layers.0": _norm(outputs),
        "out_layers.3": _conv(outputs, outputs, 3, 3),
        **({"skip_connection": _conv(outputs, inputs, 1, 1)} if inputs != outputs else {}),
    }
    for i in range(1, 5):
        pieces[f"temopral_conv.conv{i}.0"] = _norm(outputs)
        pieces[f"temopral_conv.conv{i}.{2 if i == 1 else 3}"] = _conv(outputs, outputs, 3, 1, 1)
    return {f"{name}.{key}": shapes for key, shapes in pieces.items()}


def _unet_transformer(
    name: str, width: int, inner: int, context: int, window: tuple[int, ...] = ()
) -> dict[str, Shapes]:
    """`window` is that of the projections, if they are convolutions."""
    block = f"{name}.transformer_blocks.0"
    pieces = {
        f"{name}.norm": _norm(width),
        f"{name}.proj_in": _conv(inner, width, *window),
        f"{name}.proj_out": _conv(width, inner, *window),
        f"{block}.ff.net.0.proj": _linear(8 * inner, inner),
        f"{block}.ff.net.2": _linear(inner, 4 * inner),
        **{f"{block}.norm{i}": _norm(inner) for i in (1, 2, 3)},
    }
    for attention, keys in (("attn1", inner), ("attn2", context)):
        pieces[f"{block}.{attention}.to_out.0"] = _linear(inner, inner)
        for part, inputs in (("q", inner), ("k", keys), ("v", keys)):
            pieces[f"{block}.{attention}.to_{part}"] = {"weight": (inner, inputs)}
    return pieces


def cim_tensors(sizes: Mapping[str, int | None]) -> Shapes:
    """Names and shapes in a file of Maestro's Condition Injection Module; `sizes` as `CIM_PAPER`."""
    names = ("dim", "output_dim", "embedding_dim", "dim_head", "heads", "num_queries", "depth", "ff_mult")
    dim, out, inputs, head, heads, queries, depth, multiple = (sizes[name] or 0 for name in names)
    pieces = {
        "0.norm1": _norm(dim),
        "0.norm2": _norm(dim),
        "0.to_q": {"weight": (head * heads, dim)},
        "0.to_kv": {"weight": (2 * head * heads, dim)},
        "0.to_out": {"weight": (dim, head * heads)},
        "1.0": _norm(dim),
        "1.1": {"weight": (multiple * dim, dim)},
        "1.3": {"weight": (dim, multiple * dim)},
    }
    outer = {"proj_in": _linear(dim, inputs), "proj_out": _linear(out, dim), "norm_out": _norm(out)}
    shapes = {"latents": (1, queries * (sizes.get("video_length") or 1), dim), **_joined(outer)}
    for layer in range(depth):
        shapes |= _prefixed(f"layers.{layer}.", _joined(pieces))
    return shapes


def write_list(path: Path, shapes: Shapes) -> None:
    """One `name shape` a line, sizes joined by x, in the order of names; a number has the shape -."""
    path.write_text("".join(f"{key} {'x'.join(map(str, shapes[key])) or '-'}\n" for key in sorted(shapes)))


def read_list(path: Path) -> Shapes:
    """What `write_list` wrote."""
    pairs = (line.split() for line in path.read_text().splitlines())
    return {key: () if shape == "-" else tuple(map(int, shape.split("x"))) for key, shape in pairs}


def _backbone(
    *, layers, width, head_dim, time, text, text_length, tokens, patch, in_channels, out_channels, **_
) -> Shapes:
    shapes = {
        # In the checkpoint, but nothing is computed from them.
        "transformer.position_embeddings.weight": (64, width),
        "mixins.pos_embed.freqs_sin": (tokens, head_dim),
        "mixins.pos_embed.freqs_cos": (tokens, head_dim),
        "mixins.pos_embed.pos_embedding": (1, text_length + tokens, width),
        "mixins.patch_embed.proj.weight": (width, in_channels, patch, patch),
        "mixins.patch_embed.proj.bias": (width,),
    }
    pieces = {
        "mixins.patch_embed.text_proj": _linear(width, text),
        "time_embed.0": _linear(time, width),
        "time_embed.2": _linear(time, time),
        "transformer.final_layernorm": _norm(width),
        "mixins.final_layer.norm_final": _norm(width),
        "mixins.final_layer.adaLN_modulation.1": _linear(2 * width, time),
        "mixins.final_layer.linear": _linear(out_channels * patch**2, width),
    }
    for layer in range(layers):
        pieces[f"mixins.adaln_layer.adaLN_modulations.{layer}.1"] = _linear(12 * width, time)
        pieces[f"mixins.adaln_layer.query_layernorm_list.{layer}"] = _norm(head_dim)
        pieces[f"mixins.adaln_layer.key_layernorm_list.{layer}"] = _norm(head_dim)
    return shapes | _joined(pieces)


def _layer(*, num_speakers, width, ffn, audio, **_) -> Shapes:
    pieces = {
        "input_layernorm": _norm(width),
        "post_attention_layernorm": _norm(width),
        "attention.query_key_value": _linear(3 * width, width),
        "attention.dense": _linear(width, width),
        "mlp.dense_h_to_4h": _linear(ffn, width),
        "mlp.dense_4h_to_h": _linear(width, ffn),
        "audio_music_adaLn": _linear(2 * width, audio),
    }
    for track in ("", "_effect", "_second")[: 1 + num_speakers]:
        pieces |= {
            f"audio_input_layernorm{track}": _norm(width),
            f"audio_attn{track}.query": _linear(width, width),
            f"audio_attn{track}.key_value": _linear(2 * width, audio),
            f"audio_attn{track}.dense": _linear(width, width),
        }
    return _joined(pieces)


def _interaction(*, audio, audio_ffn, time, **_) -> Shapes:
    return _joined(
        {
            **{f"{kind}_layernorm": _norm(audio) for kind in ("vocal", "accm", "post_attention")},
            "adaLN_modulations.1": _linear(12 * audio, time),
            "attention.query_key_value": _linear(3 * audio, audio),
            "attention.dense": _linear(audio, audio),
            "mlp.dense_h_to_4h": _linear(audio_ffn, audio),
            "mlp.dense_4h_to_h": _linear(audio, audio_ffn),
        }
    )


def _projection(*, features, projection, context, audio, **_) -> Shapes:
    channels = context * audio
    pieces = {
        "proj1": _linear(projection, features),
        "proj2": _linear(projection, projection),
        "proj3": _linear(channels, projection),
        "norm": _norm(audio),
    }
    return {"conv1.weight": (channels, channels, 2), "conv1.bias": (channels,), **_joined(pieces)}


def _resblocks(layers: int, width: int) -> Shapes:
    pieces = {
        "attn.out_proj": _linear(width, width),
        "ln_1": _norm(width),
        "mlp.c_fc": _linear(4 * width, width),
        "mlp.c_proj": _linear(width, 4 * width),
        "ln_2": _norm(width),
    }
    layer = {
        "attn.in_proj_weight": (3 * width, width),
        "attn.in_proj_bias": (3 * width,),
        **_joined(pieces),
    }
    return {f"transformer.resblocks.{i}.{key}": shape for i in range(layers) for key, shape in layer.items()}


def _linear(outputs: int, inputs: int) -> Shapes:
    return {"weight": (outputs, inputs), "bias": (outputs,)}


def _conv(outputs: int, inputs: int, *window: int) -> Shapes:
    return {"weight": (outputs, inputs, *window), "bias": (outputs,)}


def _norm(width: int) -> Shapes:
    return {"weight": (width,), "bias": (width,)}


def _joined(pieces: Mapping[str, Shapes]) -> Shapes:
    return {f"{name}.{leaf}": shape for name, shapes in pieces.items() for leaf, shape in shapes.items()}


def _prefixed(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + key: shape for key, shape in shapes.items()}


if __name__ == "__main__":
    main()
