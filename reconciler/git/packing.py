"""Keeps a mirror of ours small: few packs instead of one for every fetch. Blocking.

A zone that pushes its status every ten seconds makes 8,640 commits a day, and each is a pack in the
mirror of the global. Objects no ref leads to are kept: a revision in force may have been
force-pushed away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pygit2

from reconciler.git.library import open_bare

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOOSE_MAX = 2000
SAMPLE = "17"  # objects spread evenly over 256 folders: one tells of all, as for `git gc --auto`
INDEX_MAGIC = b"\xfftOc\x00\x00\x00\x02"
INDEX_FANOUT_END = 8 + 256 * 4
OID_BYTES = 20


def is_scattered(folder: Path, packs_max: int) -> bool:
    """More packs than that, or many loose objects."""
    objects = folder / "objects"
    packs = sum(1 for _ in (objects / "pack").glob("*.pack"))
    loose = sum(1 for _ in (objects / SAMPLE).glob("*"))
    return packs > packs_max or loose * 256 > LOOSE_MAX


def pack(folder: Path) -> None:
    """Join loose objects and small packs into one, then remove them. Whoever reads meanwhile, and
    finds a pack gone, opens the repository again. Raises what `UNREADABLE` names.
    """
    objects = folder / "objects"
    packs = sorted((objects / "pack").glob("*.pack"), key=lambda path: path.stat().st_size)
    small = packs[: joined_count([path.stat().st_size for path in packs])]
    loose = list(objects.glob("[0-9a-f][0-9a-f]/*"))
    oids = {path.parent.name + path.name for path in loose}
    for path in small:
        oids.update(_listed(path.with_suffix(".idx")))
    with open_bare(folder) as repository:
        builder = pygit2.PackBuilder(repository)
        builder.set_threads(1)
        for oid in sorted(oids):
            builder.add(pygit2.Oid(hex=oid))
        builder.write()
    if len(list((objects / "pack").glob("*.pack"))) == len(packs):
        return  # one of them held the same already
    for path in small:
        path.with_suffix(".idx").unlink(missing_ok=True)  # first: without it the pack is not read
        path.unlink(missing_ok=True)
    for path in loose:
        path.unlink(missing_ok=True)


def joined_count(sizes: list[int]) -> int:
    """How many of these packs, smallest first, become one: those left are each twice as large as
    all below them, so that an object is written again a few times only, however long this goes on.
    """
    count, below = 0, 0
    for position, size in enumerate(sizes):
        if size < 2 * below:
            count = position + 1
        below += size
    return count


def _listed(index: Path) -> Iterator[str]:
    """Ids of the objects of a pack. Raises ValueError for an index of another version."""
    body = index.read_bytes()
    if not body.startswith(INDEX_MAGIC):
        raise ValueError(f"{index} is no pack index of version 2")
    count = int.from_bytes(body[INDEX_FANOUT_END - 4 : INDEX_FANOUT_END], "big")
    for number in range(count):
        start = INDEX_FANOUT_END + number * OID_BYTES
        yield body[start : start + OID_BYTES].hex()
