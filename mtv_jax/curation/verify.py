"""Checks a folder of shards and, if it is that of a curation, its media, its test split and its account of seconds."""

from pathlib import Path

from mtv_jax.curation.accounting import account
from mtv_jax.curation.pack import MEDIA, SOURCES, TEST
from mtv_jax.curation.settings import Layout
from mtv_jax.curation.verdicts import read_verdicts
from mtv_jax.data.manifests import MANIFEST
from mtv_jax.data.shards import ShardSet, check_hash
from mtv_jax.data.verify import verify_shards
from mtv_jax.io.errors import UserError


def verify(folder: Path, *, again: bool = False) -> str:
    """What was found, in lines.

    Raises UserError, naming the file, for shards that are damaged or do not match, media of other clips than those of
    the shards, a clip that is for training and for testing, and seconds that are not accounted for.
    """
    lines, train = _verify_split(folder, again)
    if (folder / TEST / MANIFEST).exists():
        more, test = _verify_split(folder / TEST, again)
        lines += more
        _check_split(train, test)
    layout = Layout(folder)
    if layout.verdicts.exists():
        verdicts = read_verdicts(layout.verdicts)
        total = account(verdicts.films, verdicts.clips)
        if total.missing:
            raise UserError(
                f"{layout.verdicts}: {float(total.missing):.3f} s of the films are not accounted for; "
                "run `curate decide`"
            )
        lines.append(f"{folder}: every one of {float(total.seconds):.2f} s of the films is accounted for")
    return "\n".join(lines)


def _verify_split(folder: Path, again: bool) -> tuple[list[str], ShardSet]:
    lines = []
    shards, read = verify_shards(folder, again=again)
    lines.append(_line(folder, shards, read))
    sources = shards.manifest["info"].get("sources")
    if sources is not None:
        check_hash(folder / SOURCES, sources["sha256"])
    if (folder / MEDIA / MANIFEST).exists():
        media, read = verify_shards(folder / MEDIA, again=again)
        lines.append(_line(folder / MEDIA, media, read))
        if _ids(media) != _ids(shards):
            raise UserError(f"{folder / MEDIA}: has other clips than {folder}; run `curate pack`")
    return lines, shards


def _check_split(train: ShardSet, test: ShardSet) -> None:
    """Raises UserError if a film is in both."""
    both = {train.read(i).source.sha256 for i in range(len(train))}
    for number in range(len(test)):
        source = test.read(number).source
        if source.sha256 in both:
            raise UserError(
                f"{test.directory}: {source.name} is in the training split too; run `curate pack`"
            )


def _ids(shards: ShardSet) -> list[str]:
    return [shards.read(number).id for number in range(len(shards))]


def _line(folder: Path, shards: ShardSet, read: int) -> str:
    total = len(shards.manifest["shards"])
    known = f" ({total - read} of them found whole before)" if read < total else ""
    return f"{folder}: {len(shards)} records in {total} shards{known}, all whole"
