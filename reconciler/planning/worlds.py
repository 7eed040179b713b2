"""A zone on either side of a change: its state, and what each of its proxies would run. Pure.

Policies are taken as the zone gets them over KDS (names with their hash, the origin label), so that
precedence and names are those of the zone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.external import with_placeholders
from reconciler.kds.names import wire_name
from reconciler.membership import not_a_member
from reconciler.model.resource import (
    DISPLAY_NAME,
    ORIGIN,
    Labels,
    MeshResource,
    ResourceKey,
    canonical_json,
)
from reconciler.model.spec import DataplaneSpec, ZoneEgressSpec, ZoneIngressSpec
from reconciler.node_capture import USUAL
from reconciler.offers import advertises, available_services, tag_string
from reconciler.offline import as_written
from reconciler.registration import node_id
from reconciler.standing import as_carried
from reconciler.state import EMPTY, MeshState, ResourceDiff, apply
from reconciler.view import ProxyTraits, ViewResult, ingress_view, mesh_context, sidecar_view
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.context import MeshContext
    from reconciler.model.spec import AvailableService
    from reconciler.planning.fleet import ZoneFleet


EGRESS_ADDRESS = "192.0.2.1"  # of nobody (RFC 5737)


def as_in_zone(resource: MeshResource) -> MeshResource:
    """A resource of the repository as a zone holds it."""
    key, labels = resource.key, dict(resource.labels.pairs)
    name = wire_name(key.type, key.mesh, key.name, resource.labels)
    labels[ORIGIN] = "global"
    if name != key.name and not labels.get(DISPLAY_NAME):
        labels[DISPLAY_NAME] = key.name
    carried = as_carried(resource)
    return replace(carried, key=replace(key, name=name), labels=Labels.of(labels))


@dataclass(frozen=True, slots=True)
class Policies:
    """Of one side: as zones hold them, and the repository's own resource of each."""

    state: MeshState
    written: Mapping[ResourceKey, MeshResource]

    def mesh(self, name: str) -> MeshResource | None:
        return self.state.get(ResourceKey("Mesh", "", name))


def policies_of(resources: Iterable[MeshResource], before: Policies | None = None) -> Policies:
    """What is the same on both sides is the same object."""
    old = before.state if before is not None else EMPTY
    written_before = before.written if before is not None else {}
    known = {id(resource): old.by_key[key] for key, resource in written_before.items()}
    written: dict[ResourceKey, MeshResource] = {}
    held: list[MeshResource] = []
    for resource in resources:
        held.append(known.get(id(resource)) or as_in_zone(resource))
        written[held[-1].key] = resource
    gone = [key for key in old.by_key if key not in written]
    put = [r for r in held if old.by_key.get(r.key) is not r]
    return Policies(apply(old, ResourceDiff(tuple(put), tuple(gone))), written)


@dataclass(slots=True)
class ZoneWorld:
    """One zone under one side's policies. Contexts are made when asked for; those of the other side
    are followed from `before`, which costs what the change costs.
    """

    zone: str
    state: MeshState
    names: Mapping[str, str]  # host names stand for the addresses that only their zone can look up
    before: ZoneWorld | None = None
    _contexts: dict[str, MeshContext | None] = field(default_factory=dict)

    def context(self, mesh: str) -> MeshContext | None:
        """None: there is no such mesh."""
        if mesh not in self._contexts:
            previous = self.before.context(mesh) if self.before is not None else None
            try:
                found = mesh_context(self.state, mesh, self.zone, frozenset(), self.names, previous)
            except KeyError:
                found = None
            self._contexts[mesh] = found
        return self._contexts[mesh]

    def view(self, proxy: MeshResource) -> ViewResult | None:
        """None where its mesh is gone: it keeps what it has, and gets no more."""
        if proxy.key.type == "ZoneIngress":
            traits = ProxyTraits(node_id=node_id("", proxy.key.name))
            return ingress_view(self.state, proxy, self.zone, frozenset(), traits, self.names)
        held = self.state.get(proxy.key)
        context = self.context(proxy.key.mesh)
        if context is None or held is None:
            return None
        traits = ProxyTraits(node_id=node_id(proxy.key.mesh, proxy.key.name), capture=USUAL)
        return sidecar_view(context, held, traits)


def zone_worlds(
    fleet: ZoneFleet, ingresses: Ingresses, base: Policies, change: ResourceDiff
) -> tuple[ZoneWorld, ZoneWorld]:
    """The zone as it is, and as it would be with the change."""
    proxies = fleet.proxies
    names = as_written((*proxies, *ingresses.before))
    first = with_placeholders(
        apply(base.state, ResourceDiff((*proxies, *ingresses.before, _egress(fleet.zone))))
    )
    second = with_placeholders(
        apply(first, ResourceDiff((*change.put, *ingresses.after), change.drop))
    )
    before = ZoneWorld(fleet.zone, first, names)
    return before, ZoneWorld(fleet.zone, second, names, before)


def _egress(zone: str) -> MeshResource:
    """Stands for those of the zone, of which no status ref tells: that there is one is taken for
    granted.
    """
    key = ResourceKey("ZoneEgress", "", f"{zone} egress")
    return MeshResource(key, Labels(), "{}", ZoneEgressSpec(zone, EGRESS_ADDRESS, 10_002))


@dataclass(frozen=True, slots=True)
class Ingresses:
    """Of all zones, on either side."""

    before: tuple[MeshResource, ...]
    after: tuple[MeshResource, ...]


def ingresses_of(fleets: Iterable[ZoneFleet], base: Policies, head: Policies) -> Ingresses:
    """Zones offer the services of a mesh as long as it is there and advertises them."""
    was, now = (_advertising(side) for side in (base, head))
    before: list[MeshResource] = []
    after: list[MeshResource] = []
    for fleet in fleets:
        before += fleet.ingresses
        offered: tuple[AvailableService, ...] = ()
        if now - was:
            state = apply(head.state, ResourceDiff(fleet.proxies))
            found = available_services(state, fleet.zone, frozenset())
            offered = tuple(service for service in found if service.mesh in now - was)
        after += [_offering(ingress, now, offered) for ingress in fleet.ingresses]
    return Ingresses(tuple(before), tuple(after))


def _advertising(side: Policies) -> frozenset[str]:
    return frozenset(mesh.key.name for mesh in side.state.of("Mesh") if advertises(mesh))


def _offering(
    ingress: MeshResource, meshes: frozenset[str], more: tuple[AvailableService, ...]
) -> MeshResource:
    """With the services of these meshes, and more."""
    spec = ingress.spec
    assert isinstance(spec, ZoneIngressSpec)
    kept = tuple(service for service in spec.available_services if service.mesh in meshes)
    if len(kept) == len(spec.available_services) and not more:
        return ingress
    services = tuple(sorted((*kept, *more), key=lambda s: (s.mesh, tag_string(s.tags))))
    body = {**json.loads(ingress.body), "availableServices": [_data(each) for each in services]}
    changed = replace(spec, available_services=services)
    return replace(ingress, spec=changed, body=canonical_json(body))


def _data(service: AvailableService) -> dict[str, object]:
    found = {"mesh": service.mesh, "tags": dict(service.tags), "instances": service.instances}
    return found | ({"externalService": True} if service.external else {})


def refused(
    fleet: ZoneFleet, base: Policies, head: Policies
) -> Iterator[tuple[str, str, int, str]]:
    """Mesh, services, how many proxies, and why: whom a Mesh that changes would not take again, and
    would have taken before. A proxy that is connected stays; when it or its zone restarts, it is
    out.
    """
    for group in fleet.groups:
        mesh, old = head.mesh(group.mesh), base.mesh(group.mesh)
        if mesh is None or mesh is old:
            continue
        reason = not_a_member(mesh, group.members[0])
        if reason is not None and (old is None or not_a_member(old, group.members[0]) is None):
            yield group.mesh, group.title, len(group.members), reason


def dataplane(resource: MeshResource) -> DataplaneSpec:
    assert isinstance(resource.spec, DataplaneSpec)
    return resource.spec
