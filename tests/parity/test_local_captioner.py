"""A vision-language model of transformers as captioner: a small LLaVA, fitted to the captions of two clips."""

import dataclasses
import json

import numpy as np
import pytest

from mtv_jax.curation.adapters.local_model import LocalModel
from mtv_jax.curation.captions.config import CaptionsConfig
from mtv_jax.curation.captions.frames import even_frames
from mtv_jax.io.files import sha256
from mtv_jax.io.video import write_video

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

pytestmark = pytest.mark.parity

CONFIG = CaptionsConfig(frames=2, longest_side=32, max_tokens=120, instruction="Describe the clip.")
SHADES = {"A shop.": 20, "A field.": 230}


def answer(scene):
    return json.dumps({"participants": [{"appearance": "a man"}], "speaking": [1], "scene": scene})


TEMPLATE = (
    "{% for message in messages %}{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}<say>{% endif %}"
)


def tokenizer():
    """A token for each character."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    special = ["<pad>", "</s>", "<unk>", "<image>", "<say>"]
    characters = [chr(code) for code in range(32, 127)]
    vocabulary = {token: number for number, token in enumerate([*special, *characters])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    made.decoder = decoders.Fuse()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=["<image>", "<say>"],
    )


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Scene -> a clip of one shade."""
    folder = tmp_path_factory.mktemp("clips")
    paths = {scene: folder / f"{shade}.mp4" for scene, shade in SHADES.items()}
    for scene, path in paths.items():
        write_video(path, np.full((4, 32, 48, 3), SHADES[scene], np.uint8), 12)
    return paths


def small_llava(words):
    torch.manual_seed(0)
    words = tokenizer()
    vision = transformers.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
    )
    text = transformers.LlamaConfig(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=256,
        pad_token_id=words.pad_token_id,
        eos_token_id=words.eos_token_id,
        bos_token_id=words.eos_token_id,
    )
    config = transformers.LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=words.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
    )
    return transformers.LlavaForConditionalGeneration(config)


def fit(model, processor, clips):
    """Trains until the model gives its answer to each of the clips."""
    questions = [{"type": "image"}] * CONFIG.frames + [{"type": "text", "text": CONFIG.instruction}]
    asked = processor.apply_chat_template(
        [{"role": "user", "content": questions}], add_generation_prompt=True
    )
    batches = []
    for scene, clip in clips.items():
        frames = even_frames(clip, CONFIG.frames, CONFIG.longest_side)
        inputs = processor(images=frames, text=f"{asked}{answer(scene)}</s>", return_tensors="pt")
        labels = inputs["input_ids"].clone()
        begin = (labels == processor.tokenizer.convert_tokens_to_ids("<say>")).nonzero()[0, 1] + 1
        labels[:, :begin] = -100
        batches.append({**inputs, "labels": labels})
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(400):
        loss = torch.stack([model(**batch).loss for batch in batches]).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss < 0.02:
            return
    raise AssertionError(f"the loss is still {float(loss)}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, clips):
    """The model that was fitted, with its processor and README."""
    words = tokenizer()
    model = small_llava(words)
    pictures = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    )
    processor = transformers.LlavaProcessor(
        pictures,
        words,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=TEMPLATE,
        num_additional_image_tokens=1,
    )
    fit(model, processor, clips)
    folder = tmp_path_factory.mktemp("llava")
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return folder


def test_the_model_sees_the_frames_and_its_answer_becomes_a_caption(folder, clips):
    model = LocalModel(str(folder), config=CONFIG)
    for scene, clip in clips.items():
        prompt = f"One person conversation. Persons: Person1: a man. Person1 is speaking. Scene Description: {scene}"
        assert model.caption(clip, {}, {}) == {"status": "ok", "prompt": prompt}


def test_an_answer_that_is_cut_off_is_no_caption(folder, clips):
    model = LocalModel(str(folder), config=dataclasses.replace(CONFIG, max_tokens=8))
    found = model.caption(clips["A shop."], {}, {})
    assert found["status"] == "unavailable"
    assert "no JSON object" in found["reason"]


def test_the_card_has_the_licence_and_the_hash_of_the_weights(folder):
    card = LocalModel(str(folder), config=CONFIG).card()
    assert (card.version, card.licence, card.fidelity) == ("llava", "apache-2.0", "real")
    assert card.weights == sha256(folder / "model.safetensors")
