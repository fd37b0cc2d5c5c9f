"""The published sizes, without their memory: every number of parameters, every name and shape of a checkpoint."""

import json
import math
import re
from dataclasses import dataclass

import numpy as np
import pytest
from goldens import make_keys, make_parameters
from safetensors import safe_open

from mtv_jax.io.errors import UserError
from mtv_jax.models.mtv import MTVConfig
from mtv_jax.models.registry import make_config, make_model, replace_fields
from mtv_jax.models.shapes import parameter_counts, parameter_shapes
from mtv_jax.weights import (
    audiobox,
    cim,
    clap,
    clip,
    clip_text,
    dit,
    ge2e,
    i3d,
    imagebind,
    imagebind_audio,
    kl_vae,
    laion_clap,
    lr_asd,
    mtv_sat,
    resunet,
    spleeter,
    syncnet,
    t5,
    unet2d,
    vae3d,
    videoclip_xl,
    videocrafter,
    wav2vec2,
)
from mtv_jax.weights.aliases import Canonical
from mtv_jax.weights.rules import flat_paths, to_params, to_tensors

CHECKPOINTS = {
    "cogvideox_2b": ("dit", "cogvideox_2b", dit),
    "cogvideox_5b": ("dit", "cogvideox_5b", dit),
    "cogvideox_5b_i2v": ("dit", "cogvideox_5b_i2v", dit),
    "cogvideox_1_5_5b_i2v": ("dit", "cogvideox_1_5_5b_i2v", dit),
    "vae3d": ("vae3d", "cogvideox_5b", vae3d),
    "t5_v1_1_xxl": ("t5", "t5_v1_1_xxl", t5),
    "wav2vec2_base": ("wav2vec2", "base_960h", wav2vec2),
    "audiobox": ("audiobox", "base", audiobox),
    "i3d_kinetics_400": ("i3d", "kinetics_400", i3d),
    "clip_vit_b32": ("clip", "vit_b32", clip),
    "clip_vit_l14": ("clip", "vit_l14", clip),
    "sd_2_1_base_unet": ("unet2d", "sd_2_1_base", unet2d),
    "kl_f8": ("kl_vae", "kl_f8", kl_vae),
    "clip_text_h": ("clip_text", "vit_h", clip_text),
}


FLOAT32 = np.dtype("float32")


@dataclass(frozen=True)
class Spec:
    """Stands for a tensor: shape and dtype, no numbers."""

    shape: tuple[int, ...]
    dtype: np.dtype = FLOAT32


def _rules(tables, model):
    """Those of a table: a published checkpoint may have another one than the network's own."""
    return tables.RULES if hasattr(tables, "RULES") else tables.rules(model.config)


def check_one_to_one(theirs, tables, model):
    """Every tensor is used, every parameter filled, all shapes agree; and the same names lead back."""
    aliases, ignored = (getattr(tables, name, ()) for name in ("ALIASES", "IGNORED"))
    state = Canonical({key: Spec(shape) for key, shape in theirs.items()}, aliases)
    shapes, rules = parameter_shapes(model), _rules(tables, model)
    filled = to_params(state, rules, shapes, ignored=ignored, place=lambda path, leaf: leaf)
    assert {p: leaf.shape for p, leaf in flat_paths(filled).items()} == {
        p: tuple(leaf.shape) for p, leaf in flat_paths(shapes).items()
    }
    back = {key: tensor.shape for key, tensor in to_tensors(shapes, rules).items()}
    assert back == {key: state[key].shape for key in state if key in back}
    return set(state) - set(back)


@pytest.mark.parametrize("pipeline", make_parameters.PIPELINES)
def test_parameter_counts_are_the_golden_ones(pipeline):
    golden = (make_parameters.FOLDER / f"{pipeline}.txt").read_text()
    assert make_parameters.report(pipeline) == golden, (
        "the number of parameters has changed; if it was meant to: python tests/goldens/make_parameters.py"
    )


def test_published_sizes_are_met():
    counts = parameter_counts(make_model("mtv", MTVConfig.mtv_5b()))
    audio = sum(n for part, n in counts.items() if part.startswith("controlnet") or "injection" in part)
    assert round(audio / 1e9, 2) == 5.96
    assert [round(counts[f"controlnet/{t}"] / 1e9, 2) for t in ("speech", "effects", "music")] == [1.24] * 3
    assert sum(counts.values()) - audio == pytest.approx(5.63e9, abs=0.005e9)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_every_tensor_of_a_published_checkpoint_has_its_parameter(name):
    network, variant, tables = CHECKPOINTS[name]
    theirs = make_keys.read_list(make_keys.FOLDER / f"{name}.txt")
    assert not check_one_to_one(theirs, tables, make_model(network, make_config(network, variant)))


def test_every_tensor_of_spleeter_has_its_parameter():
    theirs = make_keys.read_list(make_keys.FOLDER / "spleeter_2stems.txt")
    unused = check_one_to_one(theirs, spleeter, make_model("spleeter", make_config("spleeter", "two_stems")))
    names = ("weight", "bias", "running_mean", "running_var")
    assert unused == {f"stems.{stem}.down6_act.0.{name}" for stem in range(2) for name in names}


def test_every_tensor_of_the_speaker_encoder_has_its_parameter():
    theirs = make_keys.read_list(make_keys.FOLDER / "resemblyzer.txt")
    unused = check_one_to_one(theirs, ge2e, make_model("ge2e", make_config("ge2e", "resemblyzer")))
    assert unused == {"similarity_weight", "similarity_bias"}


def test_every_tensor_of_syncnet_has_its_parameter(original_goldens):
    recipe = original_goldens / "syncnet" / "recipe_full_checksums.json"
    if not recipe.exists():
        pytest.skip(f"no goldens of SyncNet in {original_goldens}")
    theirs = {key: tuple(row["shape"]) for key, row in json.loads(recipe.read_text()).items()}
    model = make_model("syncnet", make_config("syncnet", "syncnet_v2"))
    assert not check_one_to_one(theirs, syncnet, model)
    assert sum(parameter_counts(model).values()) == sum(math.prod(shape) for shape in theirs.values())


def test_every_tensor_of_audiosep_has_its_parameter(original_goldens):
    recipe = original_goldens / "audiosep_resunet" / "recipe_full_checksums.json"
    if not recipe.exists():
        pytest.skip(f"no goldens of AudioSep in {original_goldens}")
    theirs = {key: tuple(row["shape"]) for key, row in json.loads(recipe.read_text()).items()}
    assert not check_one_to_one(
        theirs, resunet, make_model("resunet", make_config("resunet", "audiosep_base"))
    )


def test_every_tensor_of_lr_asd_has_its_parameter():
    theirs = make_keys.read_list(make_keys.FOLDER / "lr_asd.txt")
    model = make_model("lr_asd", make_config("lr_asd", "lr_asd"))
    assert check_one_to_one(theirs, lr_asd, model) == {"lossV.FC.weight", "lossV.FC.bias"}
    assert round(sum(parameter_counts(model).values()) / 1e6, 2) == 0.84


def test_every_tensor_of_videoclip_xl_has_its_parameter():
    theirs = make_keys.videoclip_xl_tensors(make_keys.VIDEOCLIP_XL)
    model = make_model("videoclip_xl", make_config("videoclip_xl", "xl"))
    unused = check_one_to_one(theirs, videoclip_xl, model)
    assert unused == {"text_model.logit_scale", "vision_model.temp"}


def test_every_tensor_of_imagebind_has_its_parameter():
    theirs = make_keys.imagebind_tensors(make_keys.IMAGEBIND_HUGE)
    model = make_model("imagebind", make_config("imagebind", "huge"))
    others = {f"modality_heads.{name}.0.weight": (8,) for name in ("depth", "thermal", "imu")}
    unused = check_one_to_one(theirs | others, imagebind, model)
    assert unused == {"modality_preprocessors.text.mask", *others}
    sound = make_model("imagebind_audio", make_config("imagebind_audio", "huge"))
    unused = check_one_to_one(theirs | others, imagebind_audio, sound)
    assert unused == {key for key in theirs | others if ".audio." not in key}


def test_every_tensor_of_videocrafter2_has_its_parameter():
    theirs = make_keys.videocrafter_tensors(make_keys.VIDEOCRAFTER2)
    model = make_model("videocrafter", make_config("videocrafter", "videocrafter2"))
    whole = {f"{videocrafter.PREFIX}{key}": shape for key, shape in theirs.items()}
    assert not check_one_to_one(whole, videocrafter, model)
    paths = flat_paths(parameter_shapes(model))
    assert len([path for path in paths if path.endswith("spatial/blocks_0/attn2/to_k/kernel")]) == 16


@pytest.mark.parametrize("variant", ["htsat_unfused", "htsat_fused"])
def test_every_tensor_of_clap_has_its_parameter(variant):
    theirs = make_keys.read_list(make_keys.FOLDER / f"clap_{variant}.txt")
    unused = check_one_to_one(theirs, clap, make_model("clap", make_config("clap", variant)))
    assert {key.rpartition(".")[2] for key in unused} == {
        "position_ids",
        "token_type_ids",
        "relative_position_index",
        "num_batches_tracked",
    }


@pytest.mark.parametrize(("name", "variant"), [("base", "htsat_base"), ("fused", "htsat_fused")])
def test_every_tensor_of_laions_clap_has_its_parameter(name, variant):
    theirs = make_keys.read_list(make_keys.FOLDER / f"laion_clap_{name}.txt")
    unused = check_one_to_one(theirs, laion_clap, make_model("clap", make_config("clap", variant)))
    assert all(any(re.fullmatch(pattern, key) for pattern in laion_clap.IGNORED) for key in unused)


def test_every_tensor_of_the_condition_injection_module_has_its_parameter():
    theirs = make_keys.cim_tensors(make_keys.CIM_PAPER)
    assert not check_one_to_one(theirs, cim, make_model("cim", make_config("cim", "paper")))


@pytest.mark.parametrize(
    ("network", "variant", "count"),
    [
        ("unet2d", "sd_2_1_base", 865_910_724),
        ("videocrafter", "videocrafter2", 1_413_284_420),
        ("clap", "htsat_unfused", 153_493_018),
        ("clap_text", "roberta_base", 125_302_016),
        ("clip", "vit_b32", 151_277_313),
        ("clip", "vit_l14", 427_616_513),
        ("videoclip_xl", "xl", 427_946_496),
        ("imagebind", "huge", 1_073_097_730),
        ("imagebind_audio", "huge", 86_235_649),
        ("resunet", "audiosep_base", 26_469_703),
        ("cim", "paper", 71_092_224),
        ("kl_vae", "kl_f8", 83_653_863),
        ("clip_text", "vit_h", 340_387_840),
    ],
)
def test_numbers_of_parameters(network, variant, count):
    assert sum(parameter_counts(make_model(network, make_config(network, variant))).values()) == count


@pytest.mark.parametrize("num_speakers", [1, 2])
def test_every_tensor_of_the_mtv_checkpoint_has_its_parameter(num_speakers):
    theirs = make_keys.mtv_tensors(make_keys.MTV_5B, num_speakers=num_speakers)
    config = replace_fields(MTVConfig.mtv_5b(), {"controlnet": {"num_speakers": num_speakers}})
    unused = check_one_to_one(theirs, mtv_sat, make_model("mtv", config))
    assert sorted(key.rpartition("diffusion_model.")[2] for key in unused) == [
        "mixins.pos_embed.freqs_cos",
        "mixins.pos_embed.freqs_sin",
        "transformer.position_embeddings.weight",
    ]


def test_a_tensor_of_another_size_is_found():
    theirs = make_keys.mtv_tensors(make_keys.MTV_5B | {"text": 768}, num_speakers=1)
    with pytest.raises(UserError, match=r"text_proj\.weight has shape \(3072, 768\).* needs \(3072, 4096\)"):
        check_one_to_one(theirs, mtv_sat, make_model("mtv", MTVConfig.mtv_5b()))


def test_table_of_mtv_tensors_is_that_of_the_original(original_goldens):
    folder = original_goldens / "mtv" / "denoiser"
    config = json.loads((folder / "config.json").read_text())
    model, audio = config["model"], config["audio"]
    sizes = {
        "layers": model["num_layers"],
        "width": model["hidden_size"],
        "head_dim": model["head_dim"],
        "ffn": model["ffn_size"],
        "time": model["time_embed_dim"],
        "text": model["text_hidden_size"],
        "text_length": model["text_length"],
        "tokens": model["latent_frames"] * model["tokens_per_latent_frame"],
        "patch": model["patch_size"],
        "in_channels": model["in_channels"],
        "out_channels": model["out_channels"],
        "features": audio["window"] * audio["wav2vec_layers"] * audio["wav2vec_channels"],
        "projection": audio["projection_inter_dim"],
        "context": audio["context_tokens"],
        "audio": audio["width"],
        "blocks": audio["interaction_blocks"],
        "audio_ffn": audio["interaction_mlp"],
    }
    originals = shapes_in(folder / "weights_single.safetensors")
    assert make_keys.mtv_tensors(sizes, num_speakers=1) == originals
    originals |= shapes_in(folder / "weights_multi_extra.safetensors")
    assert make_keys.mtv_tensors(sizes, num_speakers=2) == originals


def test_table_of_videoclip_xl_tensors_is_that_of_the_original(original_goldens):
    folder = original_goldens / "videoclip_xl"
    if not folder.is_dir():
        pytest.skip("MTV_JAX_GOLDENS has no videoclip_xl/")
    sizes = json.loads((folder / "config.json").read_text())
    assert make_keys.videoclip_xl_tensors(sizes) == shapes_in(folder / "weights.safetensors")


def test_table_of_imagebind_tensors_is_that_of_the_original(original_goldens):
    folder = original_goldens / "imagebind"
    if not folder.is_dir():
        pytest.skip("MTV_JAX_GOLDENS has no imagebind/")
    values = json.loads((folder / "config.json").read_text())
    sizes = values["model_kwargs"] | {"text_vocab_size": values["text_vocab_size"]}
    assert make_keys.imagebind_tensors(sizes) == shapes_in(folder / "weights.safetensors")


def test_table_of_videocrafter_s_tensors_is_that_of_the_original(original_goldens):
    folder = original_goldens / "videocrafter2"
    if not folder.is_dir():
        pytest.skip("MTV_JAX_GOLDENS has no videocrafter2/")
    sizes = json.loads((folder / "config.json").read_text())["unet_params"]
    assert make_keys.videocrafter_tensors(sizes) == shapes_in(folder / "weights_f16.safetensors")


def test_table_of_the_condition_injection_modules_tensors_is_that_of_the_original(original_goldens):
    folder = original_goldens / "maestro_cim"
    if not folder.is_dir():
        pytest.skip("MTV_JAX_GOLDENS has no maestro_cim/")
    sizes = json.loads((folder / "config.json").read_text())["kwargs"]
    assert make_keys.cim_tensors(sizes) == shapes_in(folder / "weights.safetensors")


def shapes_in(path):
    with safe_open(path, "np") as file:
        return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
