"""From a request to the plan of its video."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, get_args

from mtv_jax.io.errors import UserError
from mtv_jax.pipelines.timeline.grid import Grid, exact_seconds
from mtv_jax.pipelines.timeline.prompts import Prompts, PromptSpacing, TimedPrompt, timed_prompts
from mtv_jax.pipelines.timeline.windows import Sizes, Texts, Window, anchored, place_borders, split

if TYPE_CHECKING:
    from mtv_jax.pipelines.keyframes import Picture

LongVideo = Literal["latent", "released"]
LONG_VIDEO: tuple[LongVideo, ...] = get_args(LongVideo)
KeyframeFit = Literal["crop", "pad"]
KEYFRAME_FITS: tuple[KeyframeFit, ...] = get_args(KeyframeFit)

OVERLAP_FRAMES = 5
"""Frames of a window that were made before: MTV's, two latent frames of CogVideoX."""
_FADE_STEPS = 4
"""Most windows of a transition. Each has a text of its own, and repeats the overlap."""


@dataclass(frozen=True)
class StoryOptions:
    """How prompts, keyframes and windows of a call are laid out.

    Attributes:
      transition: seconds over which the text of one prompt becomes that of the next, around the time asked; 0 is a cut.
      prompt_spacing: `even` gives prompts without times equal parts of the video.
      keyframe_fit: how a picture of another shape is fitted: `crop` fills the frame, `pad` shows all of it on black.
      window_frames: most frames of a window, 1 + `ratio` * k; default: the longest video that the model is known to
        manage in one call.
      window_overlap: frames of a window that were made before, 1 + `ratio` * k, fewer than `window_frames`; default: 5,
        as in MTV's code, or fewer in shorter windows.
      long_video: how a window continues what is before it: `latent` takes its last latent frames, `released` decodes
        and encodes them, as MTV's code does.
    """

    transition: float = 0.0
    prompt_spacing: PromptSpacing | None = None
    keyframe_fit: KeyframeFit = "crop"
    window_frames: int | None = None
    window_overlap: int | None = None
    long_video: LongVideo = "latent"

    def __post_init__(self):
        for name, value, known in (
            ("keyframe_fit", self.keyframe_fit, KEYFRAME_FITS),
            ("long_video", self.long_video, LONG_VIDEO),
        ):
            if value not in known:
                raise UserError(f"{name} {value!r}: is not known; use {' or '.join(known)}")
        if exact_seconds(self.transition, f"transition {self.transition}") < 0:
            raise UserError(f"transition {self.transition}: must be at least 0 seconds")


@dataclass(frozen=True)
class Keyframe:
    """A picture at a latent frame.

    Attributes:
      asked: the frame or second as it was given.
      frame: the frame asked for.
      picture: a file, or pixels.
      fit: how it is fitted to the video.
    """

    asked: str
    frame: int
    picture: "Picture"
    fit: KeyframeFit = "crop"


@dataclass(frozen=True)
class Change:
    """A text that begins to hold.

    Attributes:
      frame: the frame asked for.
      border: the latent frame where it falls.
      texts: from then on.
    """

    frame: int
    border: int
    texts: Texts


@dataclass(frozen=True)
class Timeline(Grid):
    """The plan of a video.

    Attributes:
      windows: in order; they add each latent frame once.
      keyframes: by latent frame.
      changes: when which text holds, the first at 0; the steps of transitions too.
      long_video: as of `StoryOptions`.
    """

    windows: tuple[Window, ...]
    keyframes: Mapping[int, Keyframe] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    long_video: LongVideo = "latent"

    @property
    def is_plain(self) -> bool:
        """Whether it is one window of one text."""
        return len(self.windows) == 1 and len(self.windows[0].texts) == 1

    @property
    def frames_at_once(self) -> int:
        """Frames of the longest window."""
        return max(self.last_frame(len(window.latents) - 1) + 1 for window in self.windows)


def plan_timeline(
    grid: Grid,
    prompt: Prompts | Any,
    *,
    longest: int | None,
    full: bool = False,
    keyframes: Mapping[Any, Any] | None = None,
    options: StoryOptions | None = None,
) -> Timeline:
    """The plan of a video.

    Windows begin where a text does, at the latent frame nearest to the time asked, since joint attention sees one text
    a window. A transition is made of up to four windows around that time, each with a mix of both texts. A window adds
    at least as many latent frames as it has in common with the one before; changes that are closer than that move
    apart, by at most half a window.

    Args:
      grid: the frames of the video.
      prompt: a prompt, pairs of a second and a prompt, or prompts to spread.
      longest: frames that the model manages in one call, if no `window_frames` are given; None: one window.
      full: whether it is known at that length alone (`Sizes.full`).
      keyframes: pictures by frame, or by second such as "2.5s".
      options: how it is laid out.

    Raises UserError for what does not fit.
    """
    options = options or StoryOptions()
    sizes = window_sizes(grid, options, longest, full=full)
    if sizes.longest == 1 < grid.latent_frames:
        raise UserError(
            f"window_frames {sizes.longest}: a window that goes on from another has at least {1 + grid.ratio}"
        )
    changes = _changes(grid, timed_prompts(prompt, grid, options.prompt_spacing), options.transition, sizes)
    borders = [change.border for change in changes] + [grid.latent_frames]
    windows: list[Window] = []
    for change, (start, stop) in zip(changes, itertools.pairwise(borders), strict=True):
        windows += _of_text(start, stop, change.texts, sizes, options.long_video)
    placed = place_keyframes(grid, keyframes or {}, options.keyframe_fit)
    return Timeline(
        grid.num_frames, grid.fps, grid.ratio, tuple(windows), placed, tuple(changes), options.long_video
    )


def _of_text(start: int, stop: int, texts: Texts, sizes: Sizes, long_video: LongVideo) -> list[Window]:
    """The windows that show a text; in latent space those behind the first have an anchor, as long as their overlap."""
    if sizes.longest is None or long_video == "released":
        return split(start, stop, texts, sizes)
    anchor = min(sizes.overlap, (sizes.longest - sizes.overlap) // 2)
    windows = split(start, stop, texts, replace(sizes, overlap=sizes.overlap + anchor))
    return anchored(windows, anchor, full=sizes.full)


def single_window(grid: Grid, text: str) -> Timeline:
    """The plan of a video that one window of one text makes."""
    texts = ((text, 1.0),)
    window = Window(0, grid.latent_frames, 0, texts)
    return Timeline(grid.num_frames, grid.fps, grid.ratio, (window,), changes=(Change(0, 0, texts),))


def window_sizes(grid: Grid, options: StoryOptions, longest: int | None, *, full: bool = False) -> Sizes:
    """Sizes of windows in latent frames, at most those of `longest` frames unless `options` say otherwise.

    The default overlap is less in a model that knows only shorter videos. Raises UserError for sizes that the
    autoencoder does not have, and windows that are not longer than their overlap.
    """
    for name, given in (("window_frames", options.window_frames), ("window_overlap", options.window_overlap)):
        if given is not None:
            _check_length(name, given, grid.ratio)
    frames = longest if options.window_frames is None else options.window_frames
    most = None if frames is None else (frames - 1) // grid.ratio + 1
    if options.window_overlap is None:
        shared = (OVERLAP_FRAMES - 1) // grid.ratio + 1
        return Sizes(most, shared if most is None else max(min(shared, most - 1), 1), full)
    shared = (options.window_overlap - 1) // grid.ratio + 1
    if most is not None and most <= shared:
        raise UserError(
            f"window_frames {frames}: must be more than the overlap of windows, {options.window_overlap}"
        )
    return Sizes(most, shared, full)


def _check_length(name: str, frames: Any, ratio: int) -> None:
    if isinstance(frames, bool) or not isinstance(frames, int) or frames < 1:
        raise UserError(f"{name} {frames!r}: must be a number of frames, at least 1")
    if (frames - 1) % ratio:
        below = (frames - 1) // ratio * ratio + 1
        raise UserError(f"{name} {frames}: must be 1 + {ratio}k; the nearest are {below} and {below + ratio}")


def _changes(grid: Grid, prompts: Sequence[TimedPrompt], transition: float, sizes: Sizes) -> list[Change]:
    wanted = _wanted(grid, prompts, exact_seconds(transition, "transition"), sizes)
    total, count = grid.latent_frames, len(wanted)
    if count > 1 and count * sizes.shortest > total:
        raise UserError(
            f"prompt: {len(prompts)} prompts are {count} windows of at least {_seconds(grid, sizes.shortest)}, more "
            f"than the {float(grid.duration):.2f} s of the video"
        )
    targets = [min(grid.border_of(grid.frame_at(second)), total) for second, _ in wanted[1:]]
    borders = [0, *place_borders(targets, total, sizes.shortest)] if targets else [0]
    changes = []
    for (second, texts), border, target in zip(wanted, borders, [0, *targets], strict=True):
        _check_moved(grid, second, border - target, sizes)
        changes.append(Change(grid.frame_at(second), border, texts))
    return changes


def _wanted(
    grid: Grid, prompts: Sequence[TimedPrompt], transition: Fraction, sizes: Sizes
) -> list[tuple[Fraction, Texts]]:
    """When each text should begin: those of prompts, and the mixes of transitions between them."""
    if transition:
        _check_transition(grid, prompts, transition)
    latent = grid.ratio / grid.fps
    steps = min(max(int(transition / latent) // sizes.shortest, 1), _FADE_STEPS) if transition else 0
    wanted: list[tuple[Fraction, Texts]] = [(Fraction(0), ((prompts[0].text, 1.0),))]
    for before, after in itertools.pairwise(prompts):
        start = after.seconds - transition / 2
        for step in range(steps):
            share = (step + 1) / (steps + 1)
            mix = ((before.text, 1 - share), (after.text, share))
            wanted.append((start + transition * step / steps, mix))
        wanted.append((start + transition, ((after.text, 1.0),)))
    return wanted


def _check_transition(grid: Grid, prompts: Sequence[TimedPrompt], transition: Fraction) -> None:
    times = [prompt.seconds for prompt in prompts[1:]]
    shown = f"transition {float(transition):g}"
    for time in times:
        if time - transition / 2 <= 0 or time + transition / 2 >= grid.duration:
            raise UserError(f"{shown}: around the prompt at {float(time):g} s it does not fit into the video")
    for before, after in itertools.pairwise(times):
        if after - before < transition:
            raise UserError(
                f"{shown}: the prompts at {float(before):g} and {float(after):g} s are nearer to each other"
            )


def _check_moved(grid: Grid, second: Fraction, moved: int, sizes: Sizes) -> None:
    """Raises UserError if a change of text is more than half a window from where it should be."""
    half = (grid.latent_frames if sizes.longest is None else sizes.longest) / 2
    if abs(moved) > half:
        raise UserError(
            f"prompt at {float(second):.2f} s: others are so near that it would move by {_seconds(grid, abs(moved))}, "
            f"more than half a window; put them at least {_seconds(grid, sizes.shortest)} apart"
        )


def _seconds(grid: Grid, latents: int) -> str:
    return f"{float(latents * grid.ratio / grid.fps):.2f} s"


_SECOND = re.compile(r"(-?[0-9]*\.?[0-9]+) ?s")


def place_keyframes(
    grid: Grid, keyframes: Mapping[Any, Any], fit: KeyframeFit = "crop"
) -> dict[int, Keyframe]:
    """Pictures by the latent frame that stands for the frame, or for the one nearest to the second, asked for.

    Raises UserError for one outside the video, two at a latent frame, and for what is no frame or second.
    """
    placed: dict[int, Keyframe] = {}
    for where, picture in keyframes.items():
        frame, asked = _frame_of(grid, where)
        if not 0 <= frame < grid.num_frames:
            end = grid.second_of(grid.num_frames - 1)
            raise UserError(
                f"keyframe {asked}: the video has frames 0 to {grid.num_frames - 1}, 0 to {end:.2f} s"
            )
        latent = grid.latent_of(frame)
        if latent in placed:
            first, last = grid.first_frame(latent), min(grid.last_frame(latent), grid.num_frames - 1)
            same = (
                f"frames {first} to {last}, which are one latent frame" if last > first else f"frame {first}"
            )
            raise UserError(f"keyframe {asked}: the one at {placed[latent].asked} is in the same {same}")
        placed[latent] = Keyframe(asked, frame, picture, fit)
    return dict(sorted(placed.items()))


def _frame_of(grid: Grid, where: Any) -> tuple[int, str]:
    """The frame of a key, and the key as text."""
    if isinstance(where, str) and re.fullmatch(r"-?[0-9]{1,9}", where):
        where = int(where)
    if hasattr(where, "__index__") and not isinstance(where, bool):
        return int(where), str(int(where))
    found = _SECOND.fullmatch(where) if isinstance(where, str) else None
    if found is None:
        raise UserError(f"keyframe {where!r}: must be a frame, such as 48, or a second, such as '2.5s'")
    return grid.frame_at(exact_seconds(float(found[1]), f"keyframe {where}")), found[0]
