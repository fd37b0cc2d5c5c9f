"""A mix of sounding objects as files, and how well a video of it shows them.

A scene is a folder with the sound of each source, `KIND.flac`, their sum `mix.flac`, and `scene.json`, an object of

    objects   {"seed", "index", "things"}: the clip of the world, outside of all training seeds
    places    KIND -> left, top, right, bottom in shares of the frame: where each belongs

`python -m mtv_jax.curate scene --things 2` makes such a folder.
"""

import os
from pathlib import Path
from typing import Any

from mtv_jax.evaluation.objects.cases import (
    OWN,
    THINGS,
    Case,
    evaluation_clip,
    own_case,
    performed,
    see,
    strip_of,
)
from mtv_jax.evaluation.objects.suite import figures
from mtv_jax.evaluation.report.contact_sheet import contact_sheet
from mtv_jax.evaluation.report.output import SHEET, write_report
from mtv_jax.evaluation.report.schema import Report, VideoRow
from mtv_jax.evaluation.scene import FILE
from mtv_jax.io.audio import write_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import atomic_directory, existing_file, read_json_object, sha256, write_json
from mtv_jax.io.pictures import write_image
from mtv_jax.io.video import read_video
from mtv_jax.names import TRACK_RATE
from mtv_jax.theatre.objects import ObjectClip

OBJECTS = "objects"
"""The entry of scene.json that says that it is of this kind."""
MIX_FILE = "mix.flac"


def write_objects_scene(folder: str | os.PathLike, index: int, *, things: int, seed: int = 0) -> ObjectClip:
    """Writes a mix as a scene, in place of what the folder holds, and returns its clip."""
    clip = evaluation_clip(index, things=things, seed=seed)
    places = {kind: [round(float(side), 4) for side in place] for kind, place in clip.places.items()}
    with atomic_directory(folder) as temporary:
        for kind, sound in clip.sources.items():
            write_audio(temporary / f"{kind}.flac", sound, TRACK_RATE)
        write_audio(temporary / MIX_FILE, clip.mix, TRACK_RATE)
        named = {"seed": seed, "index": index, "things": things}
        write_json(temporary / FILE, {OBJECTS: named, "places": places})
    return clip


def is_objects_scene(folder: Path) -> bool:
    """Whether a folder is a scene of this kind, and not of the theatre."""
    return (folder / FILE).is_file() and OBJECTS in read_json_object(folder / FILE)


def read_objects_scene(folder: Path) -> Case:
    """The case of a scene. Raises UserError for a `scene.json` that does not name a clip."""
    value = read_json_object(folder / FILE)[OBJECTS]
    named = value if isinstance(value, dict) else {}
    seed, index, things = (_number(named.get(name)) for name in ("seed", "index", "things"))
    if seed is None or index is None or things not in THINGS:
        raise UserError(
            f'{folder / FILE}: no scene: {OBJECTS!r} is {{"seed": N, "index": N, "things": 2 or 3}}, not {value!r}'
        )
    return own_case(evaluation_clip(index, things=things, seed=seed), 0)


def _number(value: Any) -> int | None:
    """A whole number that is not negative; None for anything else."""
    return value if type(value) is int and value >= 0 else None


def evaluate_objects_scene(video: Path, folder: Path, out: Path) -> Report:
    """Measures a video file against a scene, and writes the report and a contact sheet to a folder.

    Raises UserError for files that cannot be read, and a video of another length or shape than the scene's.
    """
    video, case = existing_file(video), read_objects_scene(folder)
    frames, _ = read_video(video)
    config = case.clip.plan.config
    wanted = (config.num_frames, config.height, config.width, 3)
    if frames.shape != wanted:
        raise UserError(
            f"{video}: {len(frames)} frames of {frames.shape[2]} x {frames.shape[1]}; the scene has {wanted[0]} of "
            f"{wanted[2]} x {wanted[1]}"
        )
    found = figures([{OWN: see(case, frames)}])
    write_image(out / SHEET, contact_sheet([strip_of(case, frames), strip_of(case, performed(case))]))
    shown = video.resolve().is_relative_to(out.resolve())
    name = video.resolve().relative_to(out.resolve()).as_posix() if shown else video.name
    row = VideoRow(name, sha256(video), case.clip.prompt, shown=shown)
    report = Report("objects", found, {"scene": str(folder)}, [row], contact_sheet=SHEET)
    write_report(out, report)
    return report
