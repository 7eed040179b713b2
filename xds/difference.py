"""What differs between two mappings of resources, found once for all peers that go the same way.

The proxies of a service share their clusters and endpoints: each of them holds the same mapping,
and each is to hold the same other one. Mappings never change (`snapshot`), so that two of them
differ by what they did before. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from xds.snapshot import Composed

if TYPE_CHECKING:
    from xds.resource import XdsResource
    from xds.snapshot import Resources

NAMES_KEPT = 8192  # in mappings that are remembered; as many again of a generation before


@dataclass(frozen=True, slots=True)
class Difference:
    """`put` is what is new, has another version or is sent by force. Both in order of names."""

    put: tuple[XdsResource, ...]
    removed: tuple[str, ...]


def difference(before: Resources, after: Resources, force: frozenset[str]) -> Difference:
    """`force` names are put although their version is the same, if they are there."""
    changed = {
        name: resource
        for name, resource in after.items()
        if (known := before.get(name)) is not resource
        and (known is None or known.version != resource.version)
    }
    for name in force:
        if name in after:
            changed[name] = after[name]
    put = tuple(changed[name] for name in sorted(changed))
    return Difference(put, tuple(sorted(before.keys() - after.keys())))


class Differences:
    """Remembered by the identity of both mappings, which live as long as that."""

    def __init__(self, names: int = NAMES_KEPT) -> None:
        self.found = 0  # not remembered
        self._limit = names
        self._names = 0
        self._young: dict[_At, _Kept] = {}
        self._old: dict[_At, _Kept] = {}

    def between(self, before: Resources, after: Resources, force: frozenset[str]) -> Difference:
        if isinstance(before, Composed) and isinstance(after, Composed):
            own = after.own
            if before.own is own and force.isdisjoint(own):  # Then it is all in what they share.
                before, after = before.shared, after.shared
        at = (id(before), id(after), force)
        kept = self._young.get(at) or self._old.get(at)
        if kept is not None:
            return kept[0]
        self.found += 1
        found = difference(before, after, force)
        size = len(before) + len(after)
        if size > self._limit:
            return found
        if self._names + size > self._limit:
            self._old, self._young, self._names = self._young, {}, 0
        self._young[at] = (found, before, after)
        self._names += size
        return found

    def __len__(self) -> int:
        """Names in the mappings that are remembered."""
        kept = (*self._young.values(), *self._old.values())
        return sum(len(before) + len(after) for _, before, after in kept)


if TYPE_CHECKING:
    _At = tuple[int, int, frozenset[str]]
    _Kept = tuple[Difference, Resources, Resources]
