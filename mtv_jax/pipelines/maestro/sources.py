"""The sources of a video's sounds: their names, their own files if they have any, and where they are seen.

As text, `NAME`, `NAME=FILE`, and both with `@PLACE` (`mtv_jax.pipelines.places`):

    dog barking@0,.3,.5,.7     a sound of the mix, and its box
    rain@background
    cat=cat.wav@.5,.3,1,.7     a sound in a file of its own
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mtv_jax.io.errors import UserError
from mtv_jax.pipelines.places import Place, parse_place
from mtv_jax.pipelines.request import Sound


@dataclass(frozen=True)
class Source:
    """A source.

    Attributes:
      name: what it is, in a few words by which it is found in a mix.
      sound: a file of it alone, or its decoded sound; None: it is part of the mix.
      place: where it is seen; None: a layout decides.

    Raises UserError for a blank name.
    """

    name: str
    sound: Sound | None = None
    place: Place | None = None

    def __post_init__(self):
        if not self.name.strip():
            raise UserError("has no name; say what it is, such as 'dog barking'")


def parse_source(text: str) -> Source:
    """The source of its text form. Raises UserError, naming it, for any other text."""
    named, at, place = text.rpartition("@") if "@" in text else (text, "", "")
    name, equals, file = named.partition("=")
    if equals and not file.strip():
        raise UserError(f"source {text!r}: has no file behind =")
    try:
        return Source(name.strip(), file.strip() or None, parse_place(place) if at else None)
    except UserError as error:
        raise UserError(f"source {text!r}: {error}") from None


def read_sources(sources: Sequence[Source | str], *, mixed: bool) -> tuple[Source, ...]:
    """The sources of a call, of which `mixed` says whether there is a mix to find them in.

    Raises UserError if there are none, if two have one name, for files beside a mix or sources without either, and for
    one text in place of a list.
    """
    if isinstance(sources, str):
        raise UserError(f"sources {sources!r}: must be a list, such as [{sources!r}]")
    found = tuple(parse_source(source) if isinstance(source, str) else source for source in sources)
    if not found:
        raise UserError("sources: there are none; name what makes the sounds, such as 'dog barking'")
    names = [source.name.casefold() for source in found]
    if twice := [source.name for source in found if names.count(source.name.casefold()) > 1]:
        raise UserError(f"source {twice[0]!r}: is given twice; give each a name of its own")
    for source in found:
        if mixed and source.sound is not None:
            raise UserError(f"source {source.name!r}: has a file of its own; give one mix or a file for each")
        if not mixed and source.sound is None:
            raise UserError(
                f"source {source.name!r}: is in no file; give a mix (audio), or {source.name}=FILE"
            )
    return found
