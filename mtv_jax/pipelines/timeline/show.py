"""The plan of a video as lines of text, for `--dry-run`."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from mtv_jax.audio.silence import is_silent
from mtv_jax.audio.tracks import MIX
from mtv_jax.io.audio import Recording
from mtv_jax.names import track_label
from mtv_jax.pipelines.timeline.plan import Change, Timeline
from mtv_jax.pipelines.timeline.windows import Texts, Window

_NAMES = 12
"""Width of the column of names."""
_NOTED_SECONDS = Fraction(1, 100)


def timeline_lines(
    timeline: Timeline,
    sounds: Mapping[str, Recording],
    tracks: Sequence[str] = (),
    *,
    width: int,
    height: int,
) -> list[str]:
    """What is made in which window: prompts, keyframes and tracks, and what is cut, padded, moved or dropped.

    `tracks` are those that the pipeline takes.
    """
    missing = [] if MIX in sounds else [name for name in tracks if name not in sounds]
    heard = [_track(name, sound, timeline) for name, sound in sounds.items()]
    heard += [f"{track_label(name)}: not given, so silent" for name in missing]
    rows = [
        ("video", _video(timeline, width, height)),
        *_headed("prompts", _prompts(timeline)),
        *_headed("keyframes", _keyframes(timeline)),
        *_headed("tracks", heard),
        *_headed("windows", _windows(timeline, sounds)),
    ]
    return [f"{name:<{_NAMES}}{text}" for name, text in rows]


def _headed(name: str, texts: Sequence[str]) -> list[tuple[str, str]]:
    return [("" if i else name, text) for i, text in enumerate(texts or ["none"])]


def _video(timeline: Timeline, width: int, height: int) -> str:
    dropped = timeline.generated_frames - timeline.num_frames
    extra = f"; {timeline.generated_frames} are generated and the last {dropped} dropped" if dropped else ""
    rate = f"{float(timeline.fps):g} frames a second"
    return f"{timeline.num_frames} frames of {width} x {height}, {_span(timeline.duration)} at {rate}{extra}"


def _texts(timeline: Timeline) -> list[str]:
    return list(dict.fromkeys(text for change in timeline.changes for text, _ in change.texts))


def _label(texts: Texts, numbers: Mapping[str, int]) -> str:
    if len(texts) == 1:
        return f"prompt {numbers[texts[0][0]]}"
    return "prompts " + " + ".join(f"{weight:.0%} of {numbers[text]}" for text, weight in texts)


def _numbers(timeline: Timeline) -> dict[str, int]:
    return {text: number for number, text in enumerate(_texts(timeline), 1)}


def _prompts(timeline: Timeline) -> list[str]:
    numbers, lines = _numbers(timeline), []
    for text, number in numbers.items():
        lines.append(f"{number}: {text}")
    if len(timeline.changes) > 1:
        lines += [_change(timeline, change, numbers) for change in timeline.changes]
    return lines


def _change(timeline: Timeline, change: Change, numbers: Mapping[str, int]) -> str:
    frame = timeline.first_frame(change.border)
    asked, late = timeline.second_of(change.frame), frame - change.frame
    when = f"from frame {frame}, {timeline.second_of(frame):.2f} s"
    moved = f" (asked: frame {change.frame}, {asked:.2f} s; it is {_frames(abs(late))} "
    moved += "late)" if late > 0 else "early)"
    return f"{when}: {_label(change.texts, numbers)}{moved if late else ''}"


def _keyframes(timeline: Timeline) -> list[str]:
    lines = []
    for latent, keyframe in timeline.keyframes.items():
        first = timeline.first_frame(latent)
        last = min(timeline.last_frame(latent), timeline.num_frames - 1)
        shown = f"frame {first}" if first == last else f"frames {first} to {last}"
        (window,) = [i for i, window in enumerate(timeline.windows, 1) if latent in window.new]
        picture = (
            keyframe.picture if isinstance(keyframe.picture, str) else getattr(keyframe.picture, "name", None)
        )
        lines.append(
            f"{keyframe.asked} (frame {keyframe.frame}): latent frame {latent}, which shows {shown}, in window "
            f"{window}: {picture or 'pixels'} ({keyframe.fit})"
        )
    return lines


def _track(name: str, sound: Recording, timeline: Timeline) -> str:
    length, seconds = Fraction(sound.duration), timeline.duration
    if is_silent(sound.first(float(seconds)).samples):
        done = "silent"
    elif abs(length - seconds) < _NOTED_SECONDS:
        done = "all of it"
    elif length > seconds:
        done = f"cut to {_span(seconds)}"
    else:
        done = f"silent from then to {_span(seconds)}"
    also = "; separated into tracks" if name == MIX else ""
    return f"{track_label(name)}: {sound.path}, {_span(length)}: {done}{also}"


def _windows(timeline: Timeline, sounds: Mapping[str, Recording]) -> list[str]:
    numbers = _numbers(timeline)
    overlaps = {timeline.last_frame(window.prefix - 1) + 1 for window in timeline.windows if window.prefix}
    head = f"{len(timeline.windows)} of up to {_frames(timeline.frames_at_once)}"
    if overlaps:
        shared = " to ".join(str(n) for n in sorted({min(overlaps), max(overlaps)}))
        head += f"; each goes on from {shared} before it ({timeline.long_video})"
    rows = [_window(timeline, i, window, numbers, sounds) for i, window in enumerate(timeline.windows, 1)]
    return [head, *rows]


def _window(
    timeline: Timeline,
    number: int,
    window: Window,
    numbers: Mapping[str, int],
    sounds: Mapping[str, Recording],
) -> str:
    first = timeline.first_frame(window.new.start)
    last = min(timeline.last_frame(window.new.stop - 1), timeline.num_frames - 1)
    begin, end = first / timeline.fps, (last + 1) / timeline.fps
    heard = [track_label(name) for name, sound in sounds.items() if not is_silent(_part(sound, begin, end))]
    pictures = [f"keyframe {key.asked}" for latent, key in timeline.keyframes.items() if latent in window.new]
    what = [_label(window.texts, numbers), *pictures, ", ".join(heard) or "silent"]
    return f"{number}: frames {first} to {last}, {float(begin):.2f} to {float(end):.2f} s: {'; '.join(what)}"


def _part(sound: Recording, begin: Fraction, end: Fraction):
    rate = sound.sample_rate
    return sound.samples[round(begin * rate) : round(end * rate)]


def _frames(count: int) -> str:
    return f"{count} frame{'' if count == 1 else 's'}"


def _span(seconds: Fraction) -> str:
    return f"{float(seconds):.2f} s"
