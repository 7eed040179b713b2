"""What differs between mappings of resources, and between sets of their names, found once for all
peers that go the same way.

The proxies of a service share their clusters and endpoints, and whoever calls everything holds
thousands of both: each of them holds the same mapping, asks for the same names, and is to hold the
same other mapping. Mappings never change (`snapshot`), so that two of them differ by what they did
before. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

from xds.snapshot import NO_RESOURCES, Composed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from xds.resource import XdsResource
    from xds.snapshot import Resources

NAMES_KEPT = (
    65_536  # in mappings and sets that are remembered; as many again of a generation before
)
FEW = 48  # names that are looked at sooner than remembered
NO_NAMES: frozenset[str] = frozenset()

Value = TypeVar("Value")
_name = attrgetter("name")


@dataclass(frozen=True, slots=True)
class Difference:
    """`put` is what is new, has another version or is sent by force. Both in order of names."""

    put: tuple[XdsResource, ...]
    removed: tuple[str, ...]


NO_DIFFERENCE = Difference((), ())
NOTHING_YET = Composed(NO_RESOURCES, NO_RESOURCES)


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


class Recent(Generic[Value]):
    """Values by the identity of what they were made of, which lives as long as that: until others
    take its room, or `forget`.
    """

    def __init__(self, names: int = NAMES_KEPT) -> None:
        _REMEMBERING.add(self)
        self.found = 0  # not remembered
        self._limit = names
        self._names = 0
        self._young: dict[tuple[object, ...], tuple[Value, tuple[Collection[object], ...]]] = {}
        self._old: dict[tuple[object, ...], tuple[Value, tuple[Collection[object], ...]]] = {}

    def get(
        self, make: Callable[..., Value], *of: Collection[object], more: frozenset[str] = NO_NAMES
    ) -> Value:
        """`make` of all of them; `more` counts by its value."""
        at = (make, *map(id, of), more)
        kept = self._young.get(at) or self._old.get(at)
        if kept is not None:
            return kept[0]
        self.found += 1
        value = make(*of, more)
        size = sum(map(len, of))
        if size > self._limit:
            return value
        if self._names + size > self._limit:
            self._old, self._young, self._names = self._young, {}, 0
        self._young[at] = (value, of)
        self._names += size
        return value

    def forget(self) -> None:
        self._young, self._old, self._names = {}, {}, 0

    def __len__(self) -> int:
        """Names in what is remembered."""
        kept = (*self._young.values(), *self._old.values())
        return sum(len(each) for _, of in kept for each in of)


_REMEMBERING: WeakSet[Recent[Any]] = WeakSet()


def forget() -> bool:
    """All that is remembered, once nobody is on a way that others go, too. It holds what no peer
    has any more: of a thousand clusters that changed, a few megabytes a change. Whether there was
    something.
    """
    held = [each for each in _REMEMBERING if each]
    for each in held:
        each.forget()
    return bool(held)


class Differences(Recent[Difference]):
    """Of mappings with fewer than `few` names each: to look at them costs less than to remember."""

    def __init__(self, names: int = NAMES_KEPT, few: int = FEW) -> None:
        super().__init__(names)
        self.few = few

    def between(self, before: Resources, after: Resources, force: frozenset[str]) -> Difference:
        if not isinstance(after, Composed):
            return self._of_two(before, after, force)
        if not before:
            before = NOTHING_YET
        if not isinstance(before, Composed):
            return difference(before, after, force)  # What one proxy brought.
        own = after.own
        if before.own is own and force.isdisjoint(own):
            return self._of_two(before.shared, after.shared, force)  # It is all in there.
        if any(name in after.shared for name in before.own) or any(
            name in before.shared for name in own
        ):
            return difference(before, after, force)  # Of one name both halves tell.
        return _both(
            difference(before.own, own, force.intersection(own)),
            self._of_two(before.shared, after.shared, force.difference(own)),
        )

    def _of_two(self, before: Resources, after: Resources, force: frozenset[str]) -> Difference:
        if before is after and not force:
            return NO_DIFFERENCE
        if len(before) < self.few and len(after) < self.few:
            return difference(before, after, force)
        return self.get(difference, before, after, more=force)


def _both(own: Difference, shared: Difference) -> Difference:
    if not (own.put or own.removed):
        return shared
    if not (shared.put or shared.removed):
        return own
    put = tuple(sorted((*own.put, *shared.put), key=_name))
    return Difference(put, tuple(sorted((*own.removed, *shared.removed))))


class Names:
    """Sets of names and what is asked of them: large ones are the same objects for all peers."""

    def __init__(self, names: int = NAMES_KEPT) -> None:
        self._sets: Recent[frozenset[str]] = Recent(names)
        self._scopes: Recent[Resources] = Recent(names)
        self._limit = names
        self._kept = 0
        self._known: dict[frozenset[str], frozenset[str]] = {}

    def one(self, names: frozenset[str]) -> frozenset[str]:
        """The one object for these names."""
        if len(names) < FEW:
            return names or NO_NAMES
        found = self._known.get(names)
        if found is None:
            if self._kept + len(names) > self._limit:
                self._known, self._kept = {}, 0
            found = self._known[names] = names
            self._kept += len(names)
        return found

    def missing(self, want: Collection[str], held: Collection[str]) -> frozenset[str]:
        """Those of `want` that `held` is without; both sets of names or mappings by name."""
        if want is held or not want:
            return NO_NAMES
        if isinstance(want, Composed) and isinstance(held, Composed):
            own = []
            if want.own is not held.own:
                own = [name for name in want.own if name not in held]
            if want.shared is held.shared:
                return frozenset(own) if own else NO_NAMES
            shared = self.missing(want.shared, held.shared)
            if shared:
                shared = shared.difference(held.own) or NO_NAMES
            return shared.union(own) if own else shared
        if len(want) < FEW:
            return _missing(want, held, NO_NAMES)
        return self._sets.get(_missing, want, held)

    def of(self, resources: tuple[XdsResource, ...]) -> frozenset[str]:
        """Their names."""
        if len(resources) < FEW:
            return frozenset(map(_name, resources))
        return self._sets.get(self._names_of, resources)

    def _names_of(self, resources: tuple[XdsResource, ...], _more: object) -> frozenset[str]:
        return self.one(frozenset(map(_name, resources)))

    def union(self, names: frozenset[str], more: frozenset[str]) -> frozenset[str]:
        if not names:
            return self.one(more)
        if len(names) < FEW:
            return self.one(names | more)
        return self._sets.get(self._union, names, more=more)

    def _union(self, names: frozenset[str], more: frozenset[str]) -> frozenset[str]:
        return names if more <= names else self.one(names | more)

    def without(self, names: frozenset[str], gone: frozenset[str]) -> frozenset[str]:
        if len(names) < FEW:
            return names - gone or NO_NAMES
        return self._sets.get(self._without, names, more=gone)

    def _without(self, names: frozenset[str], gone: frozenset[str]) -> frozenset[str]:
        return self.one(names - gone)

    def scope(self, resources: Resources, names: frozenset[str]) -> Resources:
        """The resources of these names: all of them as they are where that is so."""
        if not self.missing(resources, names):
            return resources
        if len(resources) < FEW:
            return _scope(resources, names, NO_NAMES)
        return self._scopes.get(_scope, resources, names)

    def kept(self, want: Resources, sent: Resources, keep: frozenset[str]) -> Resources:
        """`want`, and what was sent of names to keep: the same mapping for all that go this way."""
        return self._scopes.get(_kept, want, sent, more=keep)


def _kept(want: Resources, sent: Resources, keep: frozenset[str]) -> Resources:
    kept = {name: sent[name] for name in keep if name in sent and name not in want}
    return {**want, **kept} if kept else want


def _missing(want: Collection[str], held: Collection[str], _more: frozenset[str]) -> frozenset[str]:
    return frozenset([name for name in want if name not in held]) or NO_NAMES


def _scope(resources: Resources, names: frozenset[str], _more: frozenset[str]) -> Resources:
    return {name: resource for name, resource in resources.items() if name in names}
