"""Checks a folder of shards and, if it is that of a curation, its media, its test split and its account of seconds."""

import json
from pathlib import Path

from mtv_jax.curation.accounting import account
from mtv_jax.curation.pack import SOURCES
from mtv_jax.curation.settings import Layout
from mtv_jax.curation.verdicts import read_verdicts
from mtv_jax.data.manifests import MANIFEST, MEDIA, TEST
from mtv_jax.data.shards import check_hash
from mtv_jax.data.verify import Verified, verify_shards
from mtv_jax.io.errors import UserError
from mtv_jax.io.files import read_text


def verify(folder: Path, *, again: bool = False) -> str:
    """What was found, in lines.

    Raises UserError, naming the file, for shards that are damaged or do not match, media of other clips than those of
    the shards, a clip that is for training and for testing, and seconds that are not accounted for.
    """
    lines, train = _verify_split(folder, again)
    if (folder / TEST / MANIFEST).exists():
        more, test = _verify_split(folder / TEST, again)
        lines += more
        _check_split(folder, train, test)
    layout = Layout(folder)
    if layout.verdicts.exists():
        films = (row for row in read_verdicts(layout.verdicts) if "clip" not in row)
        clips = (row for row in read_verdicts(layout.verdicts) if "clip" in row)
        total = account(films, clips)
        if total.missing:
            raise UserError(
                f"{layout.verdicts}: {float(total.missing):.3f} s of the films are not accounted for; "
                "run `curate decide`"
            )
        lines.append(f"{folder}: every one of {float(total.seconds):.2f} s of the films is accounted for")
    return "\n".join(lines)


def _verify_split(folder: Path, again: bool) -> tuple[list[str], Verified]:
    found = verify_shards(folder, again=again)
    lines = [_line(folder, found)]
    sources = found.shards.manifest["info"].get("sources")
    if sources is not None:
        check_hash(folder / SOURCES, sources["sha256"])
    if (folder / MEDIA / MANIFEST).exists():
        media = verify_shards(folder / MEDIA, again=again)
        lines.append(_line(folder / MEDIA, media))
        if media.clips != found.clips:
            raise UserError(f"{folder / MEDIA}: has other clips than {folder}; run `curate pack`")
    return lines, found


def _check_split(folder: Path, train: Verified, test: Verified) -> None:
    """Raises UserError if a film is in both."""
    both = sorted(train.films & test.films)
    if both:
        rows = [json.loads(line) for line in read_text(folder / TEST / SOURCES).splitlines()]
        names = [row["source"] for row in rows if row["film"].startswith(both[0])]
        raise UserError(f"{folder / TEST}: {names[0]} is in the training split too; run `curate pack`")


def _line(folder: Path, found: Verified) -> str:
    total = len(found.shards.manifest["shards"])
    known = f" ({total - found.read} of them found whole before)" if found.read < total else ""
    return f"{folder}: {len(found.shards)} records in {total} shards{known}, all whole"
