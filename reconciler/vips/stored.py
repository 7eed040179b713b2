"""Allocations as the text that a zone keeps. Pure.

What is not as it was written is refused: whoever reads it (`zone_cp.plane`) says so, and has other
addresses given, that nobody can remember.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import TYPE_CHECKING, Any

from reconciler.model.resource import canonical_json
from reconciler.vips.allocation import Allocations, Pools, Released, scope_of
from reconciler.vips.entries import Entry, EntryKind

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = 1
_KINDS = {str(int(kind)): kind for kind in EntryKind}


class DamagedAllocations(ValueError):
    """The text is not one that was written."""


def text_of(found: Allocations) -> str:
    """Canonical: equal allocations have the same text."""
    return _sealed(
        {
            "version": VERSION,
            "pools": _pools(found.pools),
            "skipped": found.skipped,
            "held": {
                mesh: {_key(entry): address for entry, address in found.of(mesh).items()}
                for mesh in found.meshes
            },
            "released": sorted(
                [back.owner[0], _key(back.owner[1]), address, back.since]
                for (_, address), back in found.released.items()
            ),
        }
    )


def _sealed(body: Mapping[str, object]) -> str:
    """With the digest, whose name sorts first, in front."""
    text = canonical_json(body)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{{"digest":"{digest}",{text[1:]}'


def _pools(pools: Pools) -> dict[str, str]:
    names = ("legacy", "mesh_service", "external", "multi_zone")
    return {name: str(getattr(pools, name)) for name in names}


def _key(entry: Entry) -> str:
    return f"{int(entry.kind)}:{entry.name}"


def allocations_of(text: str) -> Allocations:
    """Raises DamagedAllocations."""
    try:
        data = json.loads(text)
        version = data["version"]
        if version != VERSION:
            raise DamagedAllocations(f"they are of version {version}, and {VERSION} is read here")
        found = _read(data)
    except DamagedAllocations:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise DamagedAllocations(f"they cannot be read: {error!r}") from error
    if text_of(found) != text:
        raise DamagedAllocations("they are not as they were written")
    return found


def _read(data: Mapping[str, Any]) -> Allocations:
    held = {
        mesh: {_entry(key): _text(address) for key, address in addresses.items()}
        for mesh, addresses in data["held"].items()
    }
    released: dict[tuple[str, str], Released] = {}
    for mesh, key, address, since in data["released"]:
        if not math.isfinite(since):
            raise DamagedAllocations(f"{since} is no time")
        entry = _entry(key)
        released[scope_of(mesh, entry.kind), _text(address)] = Released((mesh, entry), since)
    skipped = data["skipped"]
    if type(skipped) is not int or skipped < 0:
        raise DamagedAllocations(f"{skipped!r} is no number of addresses")
    return Allocations.restored(Pools.of(**data["pools"]), held, released, skipped)


def _entry(key: str) -> Entry:
    kind, _, name = key.partition(":")
    return Entry(_KINDS[kind], name)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise DamagedAllocations(f"{value!r} is no address")
    return value
