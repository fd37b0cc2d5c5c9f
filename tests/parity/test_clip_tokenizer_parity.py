"""CLIP's whole vocabulary: ids of the originals' code, and those of the goldens of VideoCLIP-XL and ImageBind.

Vocabulary and code are in open_clip, of which one file is run: `pip install --no-deps open_clip_torch==3.3.0`.
"""

import importlib.util
import json

import numpy as np
import pytest
from golden_folders import ORIGINALS

from mtv_jax.text.clip_tokenizer import installed_vocabulary, load_clip_tokenizer

pytestmark = pytest.mark.parity
pytest.importorskip("ftfy")
if importlib.util.find_spec("open_clip") is None:
    pytest.skip("needs open_clip_torch", allow_module_level=True)
PROMPTS = [
    "a photo of a cat",
    "  The man's car -- he'd DRIVEN it, they'll say: 'we've won!!' 100% at 3:45pm.  ",
    "“Curly” quotes’ ends… — ﬁne ligatures, ｆｕｌｌ width, &lt;b&gt;bold&lt;/b&gt; &amp;amp; more",
    "café naïve Ünïcödé ÅÄÖ ß İstanbul ΣΊΣΥΦΟΣ",
    "日本語のテキスト, русский текст, العربية, हिन्दी 🎬🎵 ½ ² Ⅳ",
    "tab\tnew\nline\r\nand\u00a0blank\u200bzero\x00width <|pipes|>",
    "schÃ¶n mojibake, it''s 'so' x's'll rock'n'roll 's't",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "",
    "long text, " * 100,
]


@pytest.fixture(scope="module")
def tokenizer():
    return load_clip_tokenizer(installed_vocabulary())


@pytest.mark.parametrize(("network", "key"), [("videoclip_xl", "ids_truncate_true"), ("imagebind", "ids")])
def test_ids_are_those_of_the_goldens(tokenizer, network, key):
    file = ORIGINALS / network / "config.json"
    if not file.exists():
        pytest.skip(f"MTV_JAX_GOLDENS has no {network}/")
    golden = json.loads(file.read_text())["tokenizer"]
    tokens, cut = tokenizer.encode(golden["strings"], len(golden[key][0]))
    np.testing.assert_array_equal(tokens, golden[key])
    np.testing.assert_array_equal(cut, [0 not in row for row in golden[key]])


@pytest.mark.parametrize("prompt", PROMPTS)
def test_ids_are_those_of_the_original_code(tokenizer, prompt):
    pytest.importorskip("torch")
    ours, _ = tokenizer.encode([prompt], 77)
    np.testing.assert_array_equal(ours, original()(prompt, context_length=77).numpy())


def original():
    """`SimpleTokenizer` of open_clip, whose package as a whole needs more than is installed.

    It is OpenAI's but for the names of the two special tokens, which no prompt here contains.
    """
    spec = importlib.util.spec_from_file_location(
        "open_clip_tokenizer", installed_vocabulary().with_name("tokenizer.py")
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SimpleTokenizer()


def test_a_folder_of_transformers_gives_the_same_ids(tokenizer, tmp_path):
    import transformers

    theirs = transformers.CLIPTokenizer(
        vocab=tokenizer.tokenizer.get_vocab(),
        merges=[tuple(pair) for pair in json.loads(tokenizer.tokenizer.to_str())["model"]["merges"]],
    )
    theirs.save_pretrained(tmp_path)
    folder = load_clip_tokenizer(tmp_path)
    np.testing.assert_array_equal(folder.encode(PROMPTS, 77)[0], tokenizer.encode(PROMPTS, 77)[0])


def test_padding_is_that_of_stable_diffusion_2(tokenizer, tmp_path):
    """Whose tokenizer pads with `!`; OpenCLIP pads with 0, which is the same.

    transformers also reads a prompt's own `!` as padding. OpenCLIP, by which the network was trained, does not.
    """
    import transformers

    merges = [tuple(pair) for pair in json.loads(tokenizer.tokenizer.to_str())["model"]["merges"]]
    theirs = transformers.CLIPTokenizer(
        vocab=tokenizer.tokenizer.get_vocab(), merges=merges, pad_token="!", model_max_length=77
    )
    assert theirs.pad_token_id == 0
    prompts = ["a photo of a cat", "", "The man's car -- 100% at 3:45pm?", "dog barking, " * 40]
    want = theirs(prompts, padding="max_length", truncation=True, max_length=77).input_ids
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    folder = load_clip_tokenizer(tmp_path)
    np.testing.assert_array_equal(folder.encode(prompts, 77)[0], want)
    assert theirs(["stop!"]).input_ids[0][2] == 0
    assert folder.encode(["stop!"], 77)[0][0, 2] == 256
