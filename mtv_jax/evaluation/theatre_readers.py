"""What a clip of the theatre shows, read from its frames alone: mouths, events, mood, looks.

Of a clip's plan only the places are used that its text tells too: how many heads there are, where, and where the
prop stands or could stand. What the readers need to know of colours and shapes is fitted on clips rendered here, of
seeds that neither training nor evaluation reaches. They are meant for pictures like the theatre's, be they blurred by
an autoencoder or generated.
"""

from dataclasses import dataclass

import numpy as np

from mtv_jax.evaluation.crops import crop
from mtv_jax.theatre import EVALUATION_SEEDS, ClipPlan, TheatreClip, render_clip
from mtv_jax.theatre.actors import INSIDE, MOUTH_HEIGHT, MOUTH_WIDTH
from mtv_jax.theatre.paint import Canvas
from mtv_jax.theatre.plan import Place, prop_places
from mtv_jax.theatre.stage import PLAIN, energy_of, valence_of

FITTING_SEED = 2 * EVALUATION_SEEDS
"""Of the theatre that readers are fitted on."""
_CLIPS = 400
_MARGIN = (1.4, 1.0)
"""Stage units by which the largest head wanders from its place, and a little more."""
_GRID = 12
NO_PROP = "none"


@dataclass(frozen=True)
class Looks:
    """What the text decides: how many heads, the prop's name, and each head's colours."""

    heads: int
    prop: str
    skins: tuple[str, ...]
    hairs: tuple[str, ...]
    shirts: tuple[str, ...]


class Classifier:
    """Linear discriminant analysis: the class whose mean is nearest under the covariance that all share."""

    def __init__(self, samples: np.ndarray, labels: list[str], ridge: float = 4.0):
        self.names = sorted(set(labels))
        marks = np.array(labels)
        means = np.stack([samples[marks == name].mean(axis=0) for name in self.names])
        centred = samples - means[np.searchsorted(self.names, marks)]
        covariance = centred.T @ centred / len(samples) + ridge * np.eye(samples.shape[1])
        self._weights = np.linalg.solve(covariance, means.T)
        self._biases = -0.5 * np.einsum("kd,dk->k", means, self._weights)

    def __call__(self, sample: np.ndarray) -> str:
        """The class of one sample [d]."""
        return self.names[int(np.argmax(sample @ self._weights + self._biases))]


@dataclass(frozen=True)
class Readers:
    """Instruments fitted by `fit_readers`; frames are [F H W 3], 0..255."""

    mouth: np.ndarray
    event_threshold: float
    heads: Classifier
    props: Classifier
    skins: Classifier
    hairs: Classifier
    shirts: Classifier

    def openings(self, frames: np.ndarray, plan: ClipPlan) -> np.ndarray:
        """How far each actor's mouth is open, [actors, F], about 0..1."""
        openings = [_mouth_features(frames, actor.place) @ self.mouth for actor in plan.actors]
        return np.reshape(openings, (len(plan.actors), len(frames)))

    def event_frames(self, frames: np.ndarray, plan: ClipPlan) -> tuple[int, ...]:
        """Frames in which the prop flashes up."""
        if plan.prop is None:
            return ()
        rises = _rises(frames, plan.prop.place)
        after = np.append(rises[1:], 0)
        before = np.append(0, rises[:-1])
        peaks = (rises > self.event_threshold) & (rises >= after) & (rises > before)
        return tuple(int(i) for i in np.flatnonzero(peaks))

    def looks(self, frames: np.ndarray, plan: ClipPlan) -> Looks:
        """Counts and colours."""
        places = [actor.place for actor in plan.actors]
        return Looks(
            heads=int(self.heads(_picture(frames))),
            prop=self._prop(frames, plan),
            skins=tuple(self.skins(_skin(frames, place)) for place in places),
            hairs=tuple(self.hairs(_hair(frames, place)) for place in places),
            shirts=tuple(self.shirts(_shirt(frames, place)) for place in places),
        )

    def _prop(self, frames: np.ndarray, plan: ClipPlan) -> str:
        """The prop where the plan has one; where it has none, any that stands where one could."""
        seen = [self.props(_prop_picture(frames, place)) for place in _prop_places(plan)]
        return next((name for name in seen if name != NO_PROP), NO_PROP)


def mood_of(frames: np.ndarray) -> tuple[float, float]:
    """Valence and energy that the stage's plain top shows (grey, too, has some: ask only where there is music)."""
    canvas = Canvas(1, *frames.shape[1:3])
    rows = canvas.y < PLAIN - 1
    red, green, blue = frames[:, rows].reshape(-1, 3).mean(axis=0) / 255
    return valence_of(_hue(red, green, blue)), energy_of(max(red, green, blue))


def fit_readers(clips: int = _CLIPS, seed: int = FITTING_SEED) -> Readers:
    """Readers fitted on rendered clips: least squares for mouths, the best F1 for events, means for looks."""
    return _fit([render_clip(seed, index) for index in range(clips)])


def match_events(found: tuple[int, ...], true: tuple[int, ...], tolerance: int = 1) -> int:
    """Pairs of one found and one true frame at most `tolerance` apart, each used once, matched in order."""
    free, pairs = sorted(found), 0
    for frame in sorted(true):
        near = [other for other in free if abs(other - frame) <= tolerance]
        if near:
            free.remove(near[0])
            pairs += 1
    return pairs


def _fit(clips: list[TheatreClip]) -> Readers:
    heads = [(clip, number) for clip in clips for number in range(len(clip.plan.actors))]
    features = [_mouth_features(clip.frames, clip.plan.actors[n].place) for clip, n in heads]
    openings = [clip.truth.openings[n] for clip, n in heads]
    mouth, *_ = np.linalg.lstsq(np.concatenate(features), np.concatenate(openings), rcond=None)
    looks = [(clip.frames, clip.plan.actors[n].place, clip.plan.actors[n].look) for clip, n in heads]
    props = [(clip, place) for clip in clips for place in _prop_places(clip.plan)]
    return Readers(
        mouth=mouth,
        event_threshold=_best_threshold([clip for clip in clips if clip.plan.prop]),
        heads=Classifier(
            np.stack([_picture(clip.frames) for clip in clips]),
            [str(len(clip.plan.actors)) for clip in clips],
        ),
        props=Classifier(
            np.stack([_prop_picture(clip.frames, place) for clip, place in props]),
            [clip.plan.prop.name if clip.plan.prop else NO_PROP for clip, _ in props],
        ),
        skins=Classifier(np.stack([_skin(f, p) for f, p, _ in looks]), [look.skin for *_, look in looks]),
        hairs=Classifier(np.stack([_hair(f, p) for f, p, _ in looks]), [look.hair for *_, look in looks]),
        shirts=Classifier(np.stack([_shirt(f, p) for f, p, _ in looks]), [look.shirt for *_, look in looks]),
    )


def _best_threshold(clips: list[TheatreClip]) -> float:
    """The middle of the gap between what onsets rise by and what other frames do, by the best F1."""
    rises = np.concatenate([_rises(clip.frames, clip.plan.prop.place) for clip in clips if clip.plan.prop])
    marks = np.concatenate([np.isin(np.arange(len(c.frames)), c.truth.event_frames) for c in clips])
    order = np.argsort(-rises)
    hits = np.cumsum(marks[order])
    f1 = 2 * hits / (np.arange(1, len(rises) + 1) + marks.sum())
    best = int(np.argmax(f1))
    return float((rises[order][best] + rises[order][min(best + 1, len(rises) - 1)]) / 2)


def _mouth_features(frames: np.ndarray, place: Place) -> np.ndarray:
    """[F, k]: how much of the mouth's surroundings is as dark as its inside, against the cheeks' colour."""
    skin = _skin(frames, place)[0]
    height, y = MOUTH_HEIGHT * place.half_height, place.y + 0.42 * place.half_height
    half_width = MOUTH_WIDTH * place.half_width + _MARGIN[0]
    box = (
        place.x - half_width,
        y - 0.25 * height - _MARGIN[1],
        place.x + half_width,
        y + 0.75 * height + _MARGIN[1],
    )
    red = crop(frames, box, (16, 20))[..., 0]
    dark = np.clip((skin - red) / max(skin - INSIDE[0], 20.0), 0, 1.2)
    levels = [dark, dark**2, dark**4]
    features = [level.mean(axis=(1, 2)) for level in levels]
    # Rows tell its height, which is what opens; dark^2 leaves out lips.
    rows = (dark**2).mean(axis=2)
    return np.stack([np.ones(len(frames)), *features, *rows.T], axis=1)


def _rises(frames: np.ndarray, place: Place) -> np.ndarray:
    """By how much the prop and what is around it are brighter than in the frame before, [F]; 0 in the first."""
    radius = 1.5 * max(place.half_width, place.half_height)
    box = (place.x - radius, place.y - radius, place.x + radius, place.y + radius)
    light = crop(frames, box, (16, 16)).mean(axis=(1, 2, 3))
    return np.append(0.0, np.diff(light))


def _picture(frames: np.ndarray) -> np.ndarray:
    """The whole stage, small: [3 * _GRID**2]. The median over time leaves out what happens in few frames."""
    return np.median(crop(frames, (0, 0, 64, 64), (_GRID, _GRID)), axis=0).ravel()


def _prop_places(plan: ClipPlan) -> list[Place]:
    """Where the prop is, or could be."""
    return [plan.prop.place] if plan.prop else list(prop_places(len(plan.actors)).values())


def _prop_picture(frames: np.ndarray, place: Place) -> np.ndarray:
    """A prop's place, small."""
    box = (
        place.x - place.half_width,
        place.y - place.half_height,
        place.x + place.half_width,
        place.y + place.half_height,
    )
    return np.median(crop(frames, box, (_GRID, _GRID)), axis=0).ravel()


def _skin(frames: np.ndarray, place: Place) -> np.ndarray:
    """Colour of the cheeks, [3]."""
    w, h = place.half_width, place.half_height
    left, right = (
        crop(frames, (place.x + a * w, place.y + 0.12 * h, place.x + b * w, place.y + 0.36 * h), (4, 4))
        for a, b in ((-0.6, -0.25), (0.25, 0.6))
    )
    return np.median(np.concatenate([left, right]).reshape(-1, 3), axis=0)


def _hair(frames: np.ndarray, place: Place) -> np.ndarray:
    """Colour of the top of the head, [3]."""
    w, h = place.half_width, place.half_height
    box = (place.x - 0.4 * w, place.y - 0.9 * h, place.x + 0.4 * w, place.y - 0.6 * h)
    return np.median(crop(frames, box, (4, 8)).reshape(-1, 3), axis=0)


def _shirt(frames: np.ndarray, place: Place) -> np.ndarray:
    """Colour of the shoulders, [3]."""
    w = place.half_width
    left, right = (
        crop(frames, (place.x + a * w, 61.5, place.x + b * w, 64.0), (3, 4))
        for a, b in ((-0.7, -0.45), (0.45, 0.7))
    )
    return np.median(np.concatenate([left, right]).reshape(-1, 3), axis=0)


def _hue(red: float, green: float, blue: float) -> float:
    """Degrees in -60..300, so that the theatre's hues (40 to 250) and what lies around them are in order."""
    top, low = max(red, green, blue), min(red, green, blue)
    spread = max(top - low, 1e-6)
    if top == red:
        return 60 * (green - blue) / spread
    if top == green:
        return 60 * (2 + (blue - red) / spread)
    return 60 * (4 + (red - green) / spread)
