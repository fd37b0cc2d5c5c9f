"""Stages of kept clips: caption, and the arrays that training reads."""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from mtv_jax.audio.loudness import normalize_speech
from mtv_jax.audio.tracks import MIX, mixed
from mtv_jax.curation.arrays import ARRAYS, write_clip_arrays
from mtv_jax.curation.captions.config import CaptionsConfig
from mtv_jax.curation.captions.known import Known, disagreements
from mtv_jax.curation.encoders import Encoders, encoder_folders, encoder_identity
from mtv_jax.curation.heard import heard
from mtv_jax.curation.ledger import OK
from mtv_jax.curation.roles import Captioner, find_model, scores
from mtv_jax.curation.stages import CLIP, Item, Outcome, Stage
from mtv_jax.data.transforms import resize_crop
from mtv_jax.io.audio import read_audio
from mtv_jax.io.clip_size import ClipSize
from mtv_jax.io.video import read_video
from mtv_jax.names import TRACK_RATE, TRACKS


@dataclass(frozen=True)
class Caption(Stage):
    """The prompt of a clip, and where it disagrees with what the other stages found."""

    model: str
    config: CaptionsConfig

    name = "caption"
    needs = ("clips",)
    reads = ("separation", "speakers", "persons", "speaking", "motion")

    @property
    def captioner(self) -> Captioner:
        """The model, loaded once."""
        return find_model("captioner", self.model, self.config)

    @property
    def params(self) -> dict[str, Any]:
        """Without how often and how fast a server is asked."""
        config = dataclasses.asdict(self.config)
        server = {name: config["endpoint"][name] for name in ("url", "model", "request")}
        return {"model": self.model, "config": {**config, "endpoint": server}}

    def cards(self) -> Mapping[str, Mapping[str, Any]]:
        """See `Stage`."""
        return {"captioner": dataclasses.asdict(self.captioner.card())}

    def depends(self, about: Mapping[str, Any]) -> Any:
        """See `Stage`: what captioners read; a program gets all that is known."""
        if self.model.startswith("jsonl:"):
            return dict(about)
        return {name: about[name] for name in ("prompt", "people") if name in about}

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        found = self.captioner.caption(item.folder / CLIP, item.about, item.evidence)
        if found["status"] == OK:
            differences = disagreements(found["prompt"], Known.of(item.about, item.evidence))
            found = found | {"disagrees": differences}
        return Outcome(found)


@dataclass(frozen=True)
class Encode(Stage):
    """The arrays of a clip's record: pixels, or latents, text and sound.

    Of sound it has the features of the tracks or, with encoders of Maestro, the spectrograms of all of it,
    perhaps without speech.
    """

    size: ClipSize
    encoders: str
    vae: str | None
    frames_only: bool
    normalize_loudness: bool
    without_speech: bool = False

    name = "encode"
    version = 2
    needs = ("clips", "separation", "caption")
    files = (ARRAYS,)

    @property
    def params(self) -> dict[str, Any]:
        """Without the encoders' folders, which may move: `cards` has the hashes of their files."""
        return {key: value for key, value in super().params.items() if key not in ("encoders", "vae")}

    def cards(self) -> Mapping[str, Mapping[str, Any]]:
        """See `Stage`."""
        if self.frames_only:
            return {}
        return {"encoders": encoder_identity(encoder_folders(self.encoders, self.vae))}

    def run(self, item: Item, clips: Mapping[str, Item]) -> Outcome:
        """See `Stage`."""
        cut = item.evidence["clips"]
        frames, _ = read_video(item.folder / CLIP, num_frames=self.size.num_frames)
        frames = resize_crop(frames, self.size.height, self.size.width)
        arrays = {"video": frames}
        if not self.frames_only:
            made = load_encoders(self.encoders, self.vae)
            text = made.text.encode([item.evidence["caption"]["prompt"]])[0]
            if made.hears_mix:
                tracks = {MIX: heard(item.folder, without_speech=self.without_speech)}
            else:
                tracks = clip_tracks(item.folder, normalize_loudness=self.normalize_loudness)
            size = dataclasses.replace(self.size, fps=Fraction(cut["fps"]))
            arrays = made.encode(frames, tracks, text, size)
        write_clip_arrays(item.folder, item.id, arrays)
        return Outcome(scores(arrays={name: list(array.shape) for name, array in arrays.items()}))


@functools.cache
def load_encoders(encoders: str, vae: str | None) -> Encoders:
    """The networks, loaded once in a process."""
    return Encoders.from_pretrained(encoders, vae)


def clip_tracks(folder: Path, *, normalize_loudness: bool) -> dict[str, Any]:
    """The tracks of a clip as encoders hear them: mono float32 [s] at 16 kHz, by name."""
    tracks = {name: read_audio(folder / f"{name}.flac", TRACK_RATE) for name in TRACKS}
    if normalize_loudness:
        tracks["speech"] = normalize_speech(tracks["speech"], TRACK_RATE, mixed(tracks.values()))
    return tracks
