"""What a zone offers to the others: the services its ingresses advertise. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.instances import inbounds_of, is_local
from reconciler.model.resource import PROTOCOL, ZONE, MeshResource, ResourceKey
from reconciler.model.spec import AvailableService, ExternalServiceSpec, MeshSpec, Tags
from reconciler.topology import by_egress, egress_targets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.instances import Place
    from reconciler.state import MeshState


def available_services(
    state: MeshState, zone: str, absent: frozenset[ResourceKey]
) -> tuple[AvailableService, ...]:
    """What this zone offers to the others, sorted; what its ingresses advertise.

    One entry for each distinct tag set, with the number of its healthy instances.
    """
    counts: Counter[tuple[str, Tags]] = Counter()
    for dataplanes in state.collections("Dataplane").values():
        for dataplane in dataplanes:
            if dataplane.key not in absent:
                counts.update(advertised(dataplane, zone))
    return offers_of(state, counts)


def offers_of(
    state: MeshState, counts: Mapping[tuple[str, Tags], int]
) -> tuple[AvailableService, ...]:
    """The same from the instances of each mesh and tag set; meshes that advertise none do not."""
    meshes = {m.key.name for m in state.of("Mesh") if advertises(m)}
    ordered = sorted(
        (found for found in counts if found[0] in meshes),
        key=lambda found: (found[0], tag_string(found[1])),
    )
    return tuple(AvailableService(mesh, tags, counts[mesh, tags]) for mesh, tags in ordered)


def external_offers(state: MeshState, place: Place) -> tuple[AvailableService, ...]:
    """Services outside of the mesh that this zone alone reaches, as long as it has an egress: other
    zones reach them by its ingress. A service of the mesh by the same name goes before.
    """
    asking = [m for m in by_egress(state) if len(state.collection("ExternalService", m))]
    if not asking or not egress_targets(state.of("ZoneEgress"), place):
        return ()
    counts: Counter[tuple[str, Tags]] = Counter()
    for mesh in asking:
        for resource in state.collection("ExternalService", mesh):
            spec = resource.spec
            if isinstance(spec, ExternalServiceSpec) and dict(spec.tags).get(ZONE) == place.zone:
                counts[mesh, spec.tags] += 1
    return tuple(replace(found, external=True) for found in offers_of(state, counts))


def advertised(dataplane: MeshResource, zone: str) -> list[tuple[str, Tags]]:
    """What a Dataplane whose endpoints are in adds to: mesh and tags of its healthy inbounds."""
    if not is_local(dataplane, zone):
        return []
    return [
        (dataplane.key.mesh, _advertised(inbound.tags, inbound.protocol, zone))
        for inbound in inbounds_of(dataplane)
        if inbound.healthy and inbound.service
    ]


@lru_cache(maxsize=4096)
def tag_string(tags: Tags) -> str:
    """`k=v` pairs, comma-separated, by key: Kuma's canonical form."""
    return ",".join(f"{key}={value}" for key, value in sorted(tags))


def advertises(mesh: MeshResource) -> bool:
    """An Exclusive mesh advertises by MeshService resources instead."""
    return isinstance(mesh.spec, MeshSpec) and mesh.spec.mesh_services_mode != "Exclusive"


@lru_cache(maxsize=4096)
def _advertised(tags: Tags, protocol: str, zone: str) -> Tags:
    """An inbound's tags with its zone, and with its protocol if only the field names it.

    Other zones learn a service's protocol from these tags alone.
    """
    spoken = {PROTOCOL: protocol} if protocol != "tcp" else {}
    return tuple(sorted({**spoken, **dict(tags), ZONE: zone}.items()))
