"""A folder of CogVideoX as it is downloaded: text to video (1.0), and image to video (1.5)."""

import json
import shutil
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sentencepiece
from pipeline_folders import SENTENCES, write_cogvideox

from mtv_jax import Pipeline
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.errors import UserError
from mtv_jax.weights.model_index import TextOptions, read_defaults

STEPS = {"num_inference_steps": 2, "sampler": "ddim", "progress": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_cogvideox(tmp_path_factory.mktemp("cogvideox") / "2b")


@pytest.fixture(scope="module")
def pipe(folder):
    return Pipeline.from_pretrained(folder)


@pytest.fixture(scope="module")
def image_to_video(tmp_path_factory):
    folder = write_cogvideox(tmp_path_factory.mktemp("cogvideox") / "i2v", image_to_video=True)
    return Pipeline.from_pretrained(folder)


def test_it_is_a_text_to_video_pipeline_as_it_stands(pipe):
    assert pipe.untrained == ()
    video = pipe("a rabbit eats", **STEPS)
    assert video.frames.shape == (5, 32, 32, 3)  # as the transformer's config says
    assert (video.fps, video.audio) == (8, None)
    with pytest.raises(UserError, match="no controlnet"):
        pipe("a rabbit", speech="speech.wav", **STEPS)
    with pytest.raises(UserError, match="guidance_scale of speech: conditions are text"):
        pipe("a rabbit", guidance_scale={"speech": 2.0}, **STEPS)


def test_tokens_are_those_of_t5(pipe, folder):
    from transformers import T5Tokenizer

    theirs = T5Tokenizer.from_pretrained(folder / "tokenizer")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer" / "spiece.model"))
    ours = pipe.text_encoder.tokenizer
    assert ours.pad_id == theirs.pad_token_id == 0
    for prompt in (*SENTENCES, "", "Two  spaces, a\nline and 東京!"):
        assert ours.encode(prompt) == theirs(prompt).input_ids == [*pieces.encode(prompt), 1]


def test_prompts_are_encoded_with_their_padding_and_without_mask(pipe, folder):
    from transformers import T5Tokenizer

    encoder = pipe.text_encoder
    prompts = ["a rabbit", SENTENCES[1] * 2]  # one shorter than the text length, one longer
    tokens = T5Tokenizer.from_pretrained(folder / "tokenizer")(
        prompts, padding="max_length", max_length=encoder.text_length, truncation=True
    ).input_ids
    assert encoder.text_length == 20
    assert [row[-1] for row in tokens] == [0, 1]
    want = jax.jit(encoder.model.apply)(encoder.params, jnp.asarray(tokens))
    np.testing.assert_allclose(encoder(prompts), want, atol=1e-5)


def test_guidance_leads_away_from_the_empty_prompt_or_another(pipe):
    default, empty, other = (
        pipe("a rabbit eats", **STEPS, guidance_scale=30.0, **options).frames.astype(int)
        for options in ({}, {"negative_prompt": ""}, {"negative_prompt": SENTENCES[2]})
    )
    np.testing.assert_array_equal(default, empty)
    assert np.abs(default - other).max() > 0


def test_sizes_are_those_the_transformer_was_trained_at(folder, tmp_path):
    def defaults(transformer, **index):
        for path, change in (("transformer/config.json", transformer), ("model_index.json", index)):
            values = json.loads((folder / path).read_text()) | change
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(json.dumps(values))
        return read_defaults(tmp_path)

    published = {"sample_frames": 49, "sample_height": 60, "sample_width": 90, "max_text_seq_length": 226}
    size = defaults(published)
    assert size.clip == ClipSize(49, Fraction(8), 480, 720)
    assert size.text == TextOptions(226, "encoded")
    assert size.sampling.no_text == "empty_prompt"
    size = defaults(published | {"patch_size_t": 2, "sample_frames": 81, "sample_height": 300})
    assert size.clip == ClipSize(81, Fraction(16), 768, 1360)
    with pytest.raises(UserError, match=r"pipeline 'FluxPipeline' is not supported"):
        defaults({}, _class_name="FluxPipeline")


def test_image_to_video_follows_its_first_frame(image_to_video):
    assert image_to_video.padding(image_to_video.defaults.clip) == 1  # three latent frames, two a token
    pictures = [np.full((16, 16, 3), value, np.uint8) for value in (0, 255)]
    size = {"num_frames": 9, "height": 16, "width": 16}
    videos = [image_to_video("a rabbit", keyframes={0: p}, **size, **STEPS).frames for p in pictures]
    assert videos[0].shape == (9, 16, 16, 3)
    assert np.abs(videos[0].astype(int) - videos[1]).max() > 0


def test_image_to_video_needs_its_first_frame_and_no_other(image_to_video):
    picture = np.zeros((16, 16, 3), np.uint8)
    for keyframes in ({}, {4: picture}, {0: picture, 4: picture}):
        with pytest.raises(UserError, match="an image-to-video model takes one, at frame 0"):
            image_to_video("a rabbit", keyframes=keyframes, **STEPS)


def test_a_shard_that_is_missing_is_named(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "text_encoder" / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(UserError, match="model-00002-of-00002"):
        Pipeline.from_pretrained(tmp_path / "copy")
