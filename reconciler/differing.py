"""What two contexts of a mesh, one made from the other, see differently. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.captured import EVERY_SERVICE, INSTANCES
from reconciler.match import TOWARDS, Shelf
from reconciler.model.resource import SERVICE, ResourceKey
from reconciler.outward import EVERY, NAMES
from reconciler.real import REAL_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.context import MeshContext

SERVICES_MAX = 256  # services that are compared one by one after a change
MOMENTS_MAX = 8  # earlier contexts of which is known what differs


@dataclass(frozen=True, slots=True)
class Differing:
    """What two contexts of a mesh see differently: a proxy that is none of these, and whose view
    depends on none of these services, has the same view in both.
    """

    services: frozenset[str] = frozenset()
    proxies: frozenset[ResourceKey] = frozenset()

    def concerns(self, services: tuple[str, ...]) -> bool:
        """Whether it is about any of what a view depends on."""
        if not self.services:
            return False
        return EVERY in services or not self.services.isdisjoint(services)


def since(before: MeshContext, told: Differing | None) -> Mapping[object, frozenset[str]]:
    """The newest first."""
    if told is None:
        return {}
    earlier = [(at, services | told.services) for at, services in before.since.items()]
    return dict([(before.moment, told.services), *earlier[: MOMENTS_MAX - 1]])


def seen(
    before: MeshContext, after: MeshContext, services: frozenset[str]
) -> tuple[frozenset[str], bool] | None:
    """Of these services those that differ, and whether any protocol does; None: too many to say.

    The name of a kind stands for whoever looked for one of it.
    """
    if len(services) > SERVICES_MAX:
        return None
    pairs = [(before.service(name), after.service(name)) for name in services]
    differ = frozenset(was.name for was, now in pairs if was != now)
    if before.reals is not after.reals:
        ours, theirs = before.reals.destination, after.reals.destination
        differ |= {name for name in services if ours(name) != theirs(name)}
        differ |= services.intersection(REAL_KINDS)
    if before.names.resolvable is not after.names.resolvable:
        differ |= {NAMES}
    had, has = before.topology.instances, after.topology.instances
    moved = {INSTANCES + name for name in services if had.get(name) is not has.get(name)}
    if moved:
        differ |= moved | {INSTANCES + EVERY_SERVICE}
    others = (
        was.protocol is not now.protocol or was.external != now.external for was, now in pairs
    )
    return differ, any(others)


def differing(
    shelves: set[Shelf], services: frozenset[str], proxies: frozenset[ResourceKey]
) -> Differing | None:
    """`shelves`: of policies for whole classes of proxies, that have changed."""
    of_services = [(TOWARDS, kind) for kind in (SERVICE, *REAL_KINDS)]
    named = {shelf[2] for shelf in shelves if shelf[:2] in of_services}
    return Differing(services | named, proxies) if len(named) == len(shelves) else None
