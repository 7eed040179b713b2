"""The Dataplanes of a zone as instances of services: who is local, where others connect. Pure.

Addresses that are names come resolved in `resolved` (EDS cannot carry names); a name that is not
there contributes no endpoint until it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from rpds import HashTrieMap

from reconciler.model.proxy_rules import is_ip
from reconciler.model.resource import SERVICE, ZONE, MeshResource, ResourceKey
from reconciler.model.spec import DataplaneSpec, Inbound, Tags
from xds.view import Endpoint

if TYPE_CHECKING:
    from reconciler.collection import Difference

Resolve = Callable[[str], str | None]
Target = tuple[str, int]  # address, never a name, and port of a zone proxy
Instance = tuple[MeshResource, bool]  # a Dataplane, and whether its endpoints are in
Instances: TypeAlias = "HashTrieMap[ResourceKey, Instance]"

NOBODY: Instances = HashTrieMap()


@dataclass(frozen=True, slots=True)
class Place:
    """From where the mesh is looked at. `absent`: Dataplanes whose endpoints are out for now.
    `affinity`: the tags and labels that say how near an instance is to its callers. `silent`: where
    ingresses of other zones do not answer just now.
    """

    zone: str
    absent: frozenset[ResourceKey] = frozenset()
    resolved: Mapping[str, str] = field(default_factory=dict)
    affinity: frozenset[str] = frozenset()
    silent: frozenset[Target] = frozenset()


def instances_followed(
    instances: HashTrieMap[str, Instances],
    dataplanes: Iterable[Difference],
    place: Place,
) -> tuple[HashTrieMap[str, Instances], set[str]]:
    """Instances by service after a change, and the services that the change is about."""
    services: set[str] = set()
    for before, after in dataplanes:
        had, has = _services_of(before, place.zone), _services_of(after, place.zone)
        if before is not None:
            for name in had - has:
                left = instances[name].discard(before.key)
                instances = instances.insert(name, left) if len(left) else instances.remove(name)
        if after is not None:
            entry = after, after.key not in place.absent
            for name in has:
                held = instances.get(name, NOBODY).insert(after.key, entry)
                instances = instances.insert(name, held)
        services |= had | has
    return instances, services


def _services_of(dataplane: MeshResource | None, zone: str) -> frozenset[str]:
    if dataplane is None or not is_local(dataplane, zone):
        return frozenset()
    return frozenset(inbound.service for inbound in inbounds_of(dataplane) if inbound.service)


def is_local(dataplane: MeshResource, zone: str) -> bool:
    return dataplane.labels.get(ZONE) in (None, zone)


def inbounds_of(dataplane: MeshResource) -> tuple[Inbound, ...]:
    return dataplane.spec.inbounds if isinstance(dataplane.spec, DataplaneSpec) else ()


def local_endpoint(
    inbound: Inbound,
    dataplane: MeshResource,
    weight: int,
    resolve: Resolve,
    affinity: frozenset[str] = frozenset(),
) -> Endpoint | None:
    address = resolve(inbound.advertised_address)
    if address is None:
        return None
    zone = dict(inbound.tags).get(ZONE) or dataplane.labels.get(ZONE)
    tags, labels = without_service(inbound.tags), dataplane.labels.pairs
    near = tuple([pair for pair in labels if pair[0] in affinity]) if affinity else ()
    return Endpoint(address, inbound.port, weight, tags, zone, labels=near)


def without_service(tags: Tags) -> Tags:
    return tuple(pair for pair in tags if pair[0] != SERVICE)


def resolver(resolved: Mapping[str, str]) -> Resolve:
    """Addresses pass; names become their address, or None."""

    def resolve(address: str) -> str | None:
        return address if is_ip(address) else resolved.get(address)

    return resolve
