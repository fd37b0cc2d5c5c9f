"""Which of a list of words are heard in a mix, by the CLAP of a Maestro folder."""

import os
from pathlib import Path

from mtv_jax.audio.recognition import load_clap, propose_sources
from mtv_jax.audio.separation.by_text.audiosep import CLAP
from mtv_jax.audio.silence import is_silent
from mtv_jax.io.audio import read_recording
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_text

_SHOWN = 12
"""Lines for words that are not proposed, and those that are, together at least."""
COMMON = (
    *("dog barking", "cat meowing", "bird singing", "rooster crowing", "cow mooing", "sheep bleating"),
    *("horse galloping", "frog croaking", "insects buzzing", "lion roaring", "pig oinking", "duck quacking"),
    *("man speaking", "woman speaking", "baby crying", "people laughing", "people cheering", "singing"),
    *("footsteps", "clapping", "typing on a keyboard", "door knocking", "telephone ringing", "clock ticking"),
    *("rain", "thunder", "wind", "sea waves", "river flowing", "fire crackling", "waterfall"),
    *("car engine", "motorcycle", "train passing", "airplane flying", "helicopter", "siren", "car horn"),
    *("guitar", "piano", "drums", "violin", "trumpet", "flute", "church bells", "gunshot", "fireworks"),
    *("hammering", "sawing wood", "lawn mower", "vacuum cleaner", "frying food", "skateboarding"),
)
"""Sounds that often have a visible source; ours, after the classes of AudioSet and VGGSound."""


def list_sources(folder: Path, audio: str | os.PathLike, words: str) -> list[str]:
    """Lines of a table: words in the order of how likely they are heard in a file, the proposed ones marked.

    `words` are separated by commas, or a text file with one in each line; if empty, `COMMON`. Raises UserError for a
    folder without CLAP, and for silence.
    """
    if not (folder / CLAP).is_dir():
        raise UserError(f"{folder}: has no {CLAP}/, which hears what is in a mix (Maestro's folders have it)")
    sound, known = read_recording(audio), read_words(words)
    if is_silent(sound.samples):
        raise UserError(f"audio {sound.path}: is silent, so that nothing is heard in it")
    found = propose_sources(load_clap(folder / CLAP), sound.samples, sound.sample_rate, known)
    count = max(_SHOWN, sum(proposal.chosen for proposal in found))
    width = max(len(proposal.word) for proposal in found)
    head = f"{'':2}{'sound':<{width}}  cosine  share"
    return [head] + [
        f"{'*' if row.chosen else '':<2}{row.word:<{width}}  {row.cosine:6.3f}  {row.share:5.3f}"
        for row in found[:count]
    ]


def read_words(words: str) -> list[str]:
    """The words of a flag (`list_sources`). Raises UserError for fewer than two, of which none can be chosen."""
    if not words:
        return list(COMMON)
    file = Path(words)
    parts = read_text(file).splitlines() if "," not in words and file.is_file() else words.split(",")
    found = list(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if len(found) < 2:
        raise UserError(
            f"--list-sources {words}: fewer than two different words; give several, separated by commas, or a "
            "text file with one a line"
        )
    return found
