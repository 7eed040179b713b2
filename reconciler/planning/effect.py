"""What a change does to the Envoys of a zone: which proxies get another configuration, and which of
its resources. Pure.

What Envoy does with it is told, too: a listener that changes drains the connections it had, and so
does a cluster; endpoints come and go without.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.planning.changes import Sort
from reconciler.planning.worlds import dataplane
from xds.build.secrets import placeholder
from xds.resource import CLUSTER, ENDPOINT, LISTENER
from xds.snapshot import EMPTY
from xds.translate import Builders, translate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.planning.fleet import Group, ZoneFleet
    from reconciler.planning.worlds import ZoneWorld
    from reconciler.view import ViewResult
    from xds.resource import XdsResource
    from xds.snapshot import Snapshot

TYPES = (LISTENER, CLUSTER, ENDPOINT)
DRAINING = frozenset((LISTENER, CLUSTER))


@dataclass(frozen=True, slots=True)
class XdsChange:
    """`name` has `<address>` for a proxy's own that is not known. `origins`: the policies that
    shape it, on the side that has it.
    """

    sort: Sort
    type_url: str
    name: str
    before: XdsResource | None
    after: XdsResource | None
    origins: tuple[ResourceKey, ...] = ()

    @property
    def type(self) -> str:
        return self.type_url.rpartition(".")[2]

    @property
    def drains(self) -> bool:
        """Whether connections that were open are drained."""
        return self.type_url in DRAINING and self.sort is not Sort.ADDED


@dataclass(frozen=True, slots=True)
class GroupEffect:
    """`proxies`: how many of the group get these changes; `left`: why they are left as they
    are.
    """

    zone: str
    mesh: str
    title: str
    proxies: int
    of: int
    changes: tuple[XdsChange, ...] = ()
    left: str = ""
    ingress: bool = False


@dataclass(slots=True)
class Views:
    """What each proxy runs on either side; the first side is computed before the second."""

    before: dict[ResourceKey, ViewResult | None] = field(default_factory=dict)
    after: dict[ResourceKey, ViewResult | None] = field(default_factory=dict)


def representatives(group: Group) -> tuple[MeshResource, ...]:
    """Of a class one stands for all; named proxies may be selected each by its name."""
    return group.members if group.named else group.members[:1]


def views_of(fleet: ZoneFleet, worlds: tuple[ZoneWorld, ZoneWorld]) -> Views:
    found = Views()
    proxies = [proxy for group in fleet.groups for proxy in representatives(group)]
    proxies += fleet.ingresses
    for world, side in zip(worlds, (found.before, found.after), strict=True):
        for proxy in proxies:
            side[proxy.key] = world.view(proxy)
    return found


def group_effects(fleet: ZoneFleet, views: Views, builders: Builders) -> Iterator[GroupEffect]:
    for group in fleet.groups:
        by_change: dict[tuple[XdsChange, ...], int] = {}
        left = 0
        for proxy in representatives(group):
            weight = 1 if group.named else len(group.members)
            before, after = views.before[proxy.key], views.after[proxy.key]
            if after is None and before is not None:
                left += weight
                continue
            unknown = "" if group.named else dataplane(proxy).address
            found = xds_changes(before, after, builders, unknown)
            if found:
                by_change[found] = by_change.get(found, 0) + weight
        total = len(group.members)
        if left:
            reason = f"the mesh {group.mesh} is gone"
            yield GroupEffect(fleet.zone, group.mesh, group.title, left, total, left=reason)
        for changes, count in by_change.items():
            yield GroupEffect(fleet.zone, group.mesh, group.title, count, total, changes)
    for ingress in fleet.ingresses:
        found = xds_changes(views.before[ingress.key], views.after[ingress.key], builders)
        if found:
            title = f"zone ingress {ingress.display_name}"
            yield GroupEffect(fleet.zone, "", title, 1, 1, found, ingress=True)


def xds_changes(
    before: ViewResult | None, after: ViewResult | None, builders: Builders, unknown: str = ""
) -> tuple[XdsChange, ...]:
    """In the order of TYPES, by name. `unknown`: an address that only stands for a real one."""
    if before is after:
        return ()
    if before is not None and after is not None and before.view.equals(after.view):
        return ()
    old, new = snapshot_of(before, builders), snapshot_of(after, builders)
    origins_before = before.origins if before is not None else {}
    origins_after = after.origins if after is not None else {}
    found: list[XdsChange] = []
    for type_url in TYPES:
        had, has = old.of(type_url), new.of(type_url)
        for name in sorted(had.keys() | has.keys()):
            was, now = had.get(name), has.get(name)
            if was is not None and now is not None and was.version == now.version:
                continue
            sort = Sort.ADDED if was is None else Sort.REMOVED if now is None else Sort.CHANGED
            origins = (origins_after if now is not None else origins_before).get(
                (type_url, name), ()
            )
            shown = name.replace(unknown, "<address>") if unknown else name
            found.append(XdsChange(sort, type_url, shown, was, now, origins))
    return tuple(found)


def snapshot_of(result: ViewResult | None, builders: Builders) -> Snapshot:
    """With secrets that say only how they are called."""
    if result is None:
        return EMPTY
    secrets = {name: placeholder(name) for name in result.view.secrets}
    return translate(result.view, secrets, builders)


def touched(effects: Iterable[GroupEffect]) -> int:
    """Proxies that get another configuration, or no more any."""
    return sum(effect.proxies for effect in effects)
