"""A story file: the arguments of one video, as YAML or JSON."""

import importlib.resources
import json
import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml

from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_text
from mtv_jax.io.rates import exact_fps
from mtv_jax.io.schema import check_schema


def story_schema() -> dict[str, Any]:
    """The JSON schema of story files."""
    return json.loads(
        importlib.resources.files("mtv_jax.assets").joinpath("story.schema.json").read_text("utf-8")
    )


def read_story(file: str | os.PathLike) -> dict[str, Any]:
    """The arguments of a pipeline's call in a story file: `pipe(**read_story("story.yaml"))`.

    Paths in it are relative to the file. Raises UserError, which names the key, for what is not of the schema.
    """
    path = Path(file)
    story = _load(path)
    if not isinstance(story, dict):
        raise UserError(f"{path}: must be a mapping of keys such as prompt, tracks and duration")
    check_schema(story, story_schema(), str(path))
    if isinstance(story["prompt"], list):
        story["prompt"] = [
            (entry["at"], entry["text"]) if isinstance(entry, dict) else entry for entry in story["prompt"]
        ]
    for name in ("tracks", "keyframes"):
        if name in story:
            story[name] = {key: path.parent / value for key, value in story[name].items()}
    if "audio" in story:
        story["audio"] = path.parent / story["audio"]
    if "fps" in story:
        try:
            story["fps"] = exact_fps(story["fps"])
        except UserError as error:
            raise UserError(f"{path}: {error}") from error
    return story


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, to which a key that is given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for i, key in enumerate(keys):
            if key in keys[:i]:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key} is given twice", node.value[i][0].start_mark
                )
        return super().construct_mapping(node, deep)


def _load(path: Path) -> Any:
    try:
        return yaml.load(read_text(path), _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f" at line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}: is not YAML{line}: {error.problem}") from error
    except (yaml.YAMLError, RecursionError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: is not YAML: {reason}") from error


def with_flags(story: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A story whose arguments are replaced by those that are `given`; of tracks, each by its name.

    Of those of which only one can be given (a length in seconds or frames, tracks or a mix), what is given replaces the
    other.
    """
    merged = {**story, **given}
    tracks = ("tracks", "speech", "effects", "music")
    for name, others in (("num_frames", ["duration"]), ("duration", ["num_frames"]), ("audio", tracks)):
        if name in given:
            merged = {key: value for key, value in merged.items() if key not in others or key in given}
    if any(name in given for name in tracks):
        merged = {key: value for key, value in merged.items() if key != "audio" or key in given}
    if "tracks" in given and "tracks" in story:
        merged["tracks"] = {**story["tracks"], **given["tracks"]}
    return merged
