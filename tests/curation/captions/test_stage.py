"""The stage of captions: what its outcome depends on, and how it says where a caption disagrees with the evidence."""

import dataclasses

import pytest

from mtv_jax.curation.adapters.detectors import Detectors
from mtv_jax.curation.captions.config import CaptionsConfig, EndpointConfig
from mtv_jax.curation.config import load_curate_config
from mtv_jax.curation.release import release_problems
from mtv_jax.curation.roles import ADAPTERS, Captioner, find_model
from mtv_jax.curation.stages import Item, Keys, Stage
from mtv_jax.curation.steps.last import Caption
from mtv_jax.curation.verdicts import Verdicts
from mtv_jax.io.errors import UserError
from mtv_jax.text.template import scene_prompt

CONFIG = CaptionsConfig(endpoint=EndpointConfig("http://localhost/v1", "llava"))


def run(tmp_path, prompt, **evidence):
    item = Item("id", tmp_path / "film.mp4", tmp_path, {"prompt": prompt}, evidence)
    return Caption("sidecar", CONFIG).run(item, {}).evidence


def test_a_caption_that_disagrees_says_so(tmp_path):
    heard = {"speakers": {"status": "ok", "speakers": 2}}
    prompt = scene_prompt("A shop.", ["a man"], [1])
    found = run(tmp_path, prompt, **heard)
    assert found == {"status": "ok", "prompt": prompt, "disagrees": {"participants": "1 described, 2 heard"}}
    assert run(tmp_path, prompt)["disagrees"] == {}
    assert run(tmp_path, "a shop", **heard)["disagrees"] is None
    assert "disagrees" not in run(tmp_path, "", **heard)


@dataclasses.dataclass(frozen=True)
class _Persons(Stage):
    detector: int

    name = "persons"


def keys(config=CONFIG, persons=None):
    stages = [*([] if persons is None else [_Persons(persons)]), Caption("endpoint", config)]
    return Keys(stages, {"caption": {}, "persons": {}}).clip("id", {}, {})["caption"]


def test_a_caption_is_made_again_if_what_was_found_before_it_changes():
    assert len({keys(), keys(persons=1), keys(persons=2)}) == 3


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"timeout": 1.0}, False),
        ({"tries": 9}, False),
        ({"key": "OTHER"}, False),
        ({"model": "other"}, True),
        ({"request": {"temperature": 1}}, True),
    ],
)
def test_how_a_server_is_asked_matters_where_it_changes_the_answer(change, again):
    changed = dataclasses.replace(CONFIG, endpoint=dataclasses.replace(CONFIG.endpoint, **change))
    assert (keys(changed) != keys()) == again
    assert keys(dataclasses.replace(CONFIG, frames=3)) != keys()


def test_a_captioner_is_made_with_the_config_once_for_each():
    other = dataclasses.replace(CONFIG, frames=3)
    found = find_model("captioner", "endpoint", CONFIG)
    assert find_model("captioner", "endpoint", CONFIG) is found
    assert find_model("captioner", "endpoint", other) is not found
    assert isinstance(found, Captioner)
    with pytest.raises(UserError, match="local: needs a model"):
        find_model("captioner", "local", CONFIG)
    with pytest.raises(UserError, match=", ".join(ADAPTERS["captioner"])):
        find_model("captioner", "nobody", CONFIG)


def test_fields_of_requests_are_set_from_the_command_line():
    given = {"captions.endpoint.request": "{'max_tokens': None, 'top_p': 0.5}", "captions.frames": "4"}
    config = load_curate_config(None, {"captioner": "endpoint", **given}).captions
    assert (config.frames, config.endpoint.request) == (4, {"max_tokens": None, "top_p": 0.5})
    for key in ("captions.frames", "captions.endpoint.tries"):
        with pytest.raises(UserError, match="at least 1"):
            load_curate_config(None, {key: "0"})


def test_captions_of_detectors_are_not_released():
    cards = {"caption": {"captioner": dataclasses.asdict(Detectors().card())}}
    assert release_problems(cards, Verdicts([], [])) == ["captioner is by detectors, a stub"]
