"""What policies say of a destination as an egress sees it. Pure.

An egress knows connections and no callers: what holds there is what is said for all proxies of the
mesh (`targetRef` of kind Mesh, or any Dataplane), as in Kuma.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.destination import (
    Callers,
    Reader,
    applied_towards,
    cluster_applied,
    kept,
    listener_applied,
    shapes_clusters,
)
from reconciler.match import service_of
from reconciler.model.resource import ZONE, Labels, MeshResource, ResourceKey
from reconciler.model.spec import DataplaneSpec
from reconciler.policies import POLICIES
from reconciler.policies.hooks import EFFECTS
from reconciler.routes import service_tags
from xds.view import Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.context import MeshContext
    from reconciler.destination import Kept
    from reconciler.locality import Preferences
    from reconciler.model.spec import Tags
    from xds.hooks import Applied, Hooks

NO_ORDER: Mapping[str, Preferences] = {}
(PLACING,) = (effect for effect in EFFECTS if effect.locality is not None)


@dataclass(frozen=True, slots=True)
class Said:
    """`of_cluster`: of where calls leave the mesh; `of_chain`: what a call's hash is made of."""

    of_cluster: tuple[Applied, ...] = ()
    of_chain: tuple[Applied, ...] = ()


@dataclass(slots=True)
class Anybody:
    """Whoever calls, of one mesh and zone."""

    callers: Callers
    said: dict[Tags, Kept[Said]] = field(default_factory=dict)
    orders: dict[Tags, Kept[Preferences | None]] = field(default_factory=dict)
    placed: Mapping[str, Preferences] = field(default_factory=dict)  # the last


def anybody(context: MeshContext) -> Anybody:
    found: Anybody | None = context.cached.anybody
    if found is None:
        labels = Labels(((ZONE, context.place.zone),))
        key = ResourceKey("Dataplane", context.name, "")
        whoever = MeshResource(key, labels, "", DataplaneSpec("", "", (), ()))
        found = Anybody(Callers(whoever, {policy.kind: () for policy in POLICIES}))
        context.cached.anybody = found
    return found


def said(context: MeshContext, services: Sequence[str]) -> list[Said]:
    """Of each service outside of the mesh: the same object as long as it is the same."""
    asking, tags = anybody(context), list(map(service_tags, services))
    found = [kept(context, asking.callers, asking.said, each, _said) for each in tags]
    asking.said = dict(zip(tags, found, strict=True))  # Of no service that has gone.
    return [each.value for each in found]


def _said(reader: Reader, tags: Tags) -> Said:
    protocol = reader.protocol(service_of(tags)) or Protocol.TCP
    found = applied_towards(reader, tags, protocol, shapes_clusters).applied
    strategies = [each for each in found if _places(each.hooks)]
    return Said(cluster_applied(found), listener_applied(strategies))


def is_placed(context: MeshContext) -> bool:
    """Whether any policy could say in which order zones are called."""
    return len(context.resources[PLACING.kind]) > 0


def placed(context: MeshContext, services: Sequence[str]) -> Mapping[str, Preferences]:
    """In which order other zones are called, for services of which somebody says so. The same
    object as long as it is the same.
    """
    asking, tags = anybody(context), list(map(service_tags, services))
    known = [kept(context, asking.callers, asking.orders, each, _order) for each in tags]
    asking.orders = dict(zip(tags, known, strict=True))
    orders = ((name, each.value) for name, each in zip(services, known, strict=True))
    found = {name: order for name, order in orders if order is not None}
    if found != asking.placed:
        asking.placed = found
    return asking.placed


def _order(reader: Reader, tags: Tags) -> Preferences | None:
    found = applied_towards(reader, tags, Protocol.TCP, _places).wanted
    return replace(found, weighted=False) if found is not None and found.ranked else None


def _places(hooks: Hooks) -> bool:
    return hooks is PLACING.hooks
