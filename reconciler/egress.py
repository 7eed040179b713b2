"""The zone egress: one SNI for each way this zone's sidecars may ask for a service of another zone.
Pure.

It passes TLS through without terminating it, to the ingresses of other zones and to nothing else.
What it passes on of one mesh (`Beyond`) is kept beside what it was computed from and followed: a
service that changes is one assignment, whatever else there is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import is_
from typing import TYPE_CHECKING

from reconciler.ingress import (
    backends,
    ingress_chain,
    ingress_cluster,
    real_chains,
    real_cluster,
)
from reconciler.instances import without_service
from reconciler.match import is_effective
from reconciler.model.resource import ZONE
from reconciler.policies.mesh_http_route import POLICY
from reconciler.real import NO_REALS
from reconciler.real_services import NO_WAYS
from reconciler.topology import merged_by_address
from xds import names
from xds.view import Endpoint, Endpoints, Half

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.collection import Collection
    from reconciler.context import MeshContext
    from reconciler.model.resource import MeshResource
    from reconciler.model.spec import Tags
    from reconciler.real import Reals
    from reconciler.real_services import Ways
    from reconciler.topology import Offers, Services, Target
    from xds.view import EdsCluster, SniChain

TagSets = tuple["Tags", ...]
NO_TAGS: TagSets = ((),)
HALVES_KEPT = (
    4  # egresses of a zone share one; one more for each moment that some of them still see
)


@dataclass(frozen=True, slots=True, eq=False)
class Passed:
    """A service of other zones. `offered`: by each way into other zones."""

    offered: tuple[Services, ...]
    tag_sets: TagSets
    cluster: EdsCluster
    endpoints: Endpoints
    chains: tuple[SniChain, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Beyond:
    """What is passed on of one mesh, by service in the order of their names."""

    remote: tuple[tuple[Target, Offers], ...] = ()
    routes: Collection | None = None
    asked: Mapping[str, TagSets] = field(default_factory=dict)  # further subsets, by service
    real: tuple[Reals, Ways] = (NO_REALS, NO_WAYS)
    resources: Mapping[str, Passed] = field(default_factory=dict)  # what `real` comes to
    services: Mapping[str, Passed] = field(default_factory=dict)


def beyond(context: MeshContext) -> Beyond:
    """The same object as long as it is the same."""
    before: Beyond = context.cached.beyond or Beyond()
    remote, routes = context.topology.remote, context.resources[POLICY.kind]
    real = context.reals, context.real.into.ways
    if before.routes is routes and before.remote == remote and all(map(is_, before.real, real)):
        return before
    asked = before.asked if before.routes is routes else _asked(routes)
    targets = [target for target, _ in remote]
    known = before.services if targets == [target for target, _ in before.remote] else {}
    services: dict[str, Passed] = {}
    for name in sorted({name for _, offers in remote for name in offers}):
        offered = tuple([offers.get(name, ()) for _, offers in remote])
        tag_sets, was = asked.get(name, NO_TAGS), known.get(name)
        if was is None or was.tag_sets != tag_sets:
            services[name] = _passed(context, name, targets, offered, tag_sets)
        elif was.offered != offered:
            endpoints = _endpoints(context.name, name, targets, offered)
            services[name] = replace(was, offered=offered, endpoints=endpoints)
        else:
            services[name] = was
    same = all(map(is_, before.real, real))
    resources = before.resources if same else _resources(context, before.resources)
    services |= resources
    found = context.cached.beyond = Beyond(remote, routes, asked, real, resources, services)
    return found


def _resources(context: MeshContext, before: Mapping[str, Passed]) -> dict[str, Passed]:
    """MeshServices of other zones, and MeshMultiZoneServices with one of them."""
    services: dict[str, Passed] = {}
    for name in sorted(context.reals.named):
        to, found = context.reals.destination(name), context.real.elsewhere(name)
        if to is None or not found:
            continue
        endpoints = Endpoints(name, merged_by_address(found))
        cluster = replace(real_cluster(name), detection=context.detects)
        chains, was = real_chains(to, name), before.get(name)
        made = Passed((), NO_TAGS, cluster, endpoints, chains)
        services[name] = was if was is not None and _alike(was, made) else made
    return services


def _alike(one: Passed, other: Passed) -> bool:
    same = one.cluster == other.cluster and one.endpoints == other.endpoints
    return same and one.chains == other.chains


def _asked(routes: Iterable[MeshResource]) -> dict[str, TagSets]:
    """The tag sets under which services may be asked for, the bare service first."""
    found: dict[str, set[Tags]] = {}
    for route in routes:
        for ref in backends(route) if is_effective(route) else ():
            if ref.kind == "MeshServiceSubset":
                found.setdefault(ref.name, {()}).add(ref.tags.pairs)
    return {name: tuple(sorted(tag_sets)) for name, tag_sets in found.items()}


def _passed(
    context: MeshContext,
    name: str,
    targets: list[Target],
    offered: tuple[Services, ...],
    tag_sets: TagSets,
) -> Passed:
    mesh, detection = context.name, context.detects
    return Passed(
        offered=offered,
        tag_sets=tag_sets,
        cluster=replace(ingress_cluster((mesh, name), tag_sets), detection=detection),
        endpoints=_endpoints(mesh, name, targets, offered),
        chains=tuple([ingress_chain((mesh, name), tags) for tags in tag_sets]),
    )


def _endpoints(
    mesh: str, name: str, targets: list[Target], offered: tuple[Services, ...]
) -> Endpoints:
    found = merged_by_address(
        _endpoint(target, offer.tags, offer.instances, mesh)
        for target, offers in zip(targets, offered, strict=True)
        for offer in offers
        if offer.instances
    )
    return Endpoints(names.ingress_cluster_name(mesh, name), found)


def _endpoint(target: Target, tags: Tags, instances: int, mesh: str) -> Endpoint:
    """As Kuma's: the mesh is one of its tags."""
    home = dict(tags).get(ZONE)
    return Endpoint(
        *target, instances, tuple(sorted((*without_service(tags), ("mesh", mesh)))), home
    )


@lru_cache(maxsize=HALVES_KEPT)
def half(found: tuple[Beyond, ...]) -> Half:
    """Clusters and endpoints of all meshes: the same for all egresses of a zone."""
    passed = [each for one in found for each in one.services.values()]
    passed.sort(key=lambda each: each.cluster.name)
    return Half(tuple([p.cluster for p in passed]), tuple([p.endpoints for p in passed]))


def chains(found: tuple[Beyond, ...]) -> tuple[SniChain, ...]:
    """One for each distinct server name in lower case, sorted; see `ingress.chains`."""
    by_name: dict[str, SniChain] = {}
    for one in found:
        for passed in one.services.values():
            for chain in passed.chains:
                by_name.setdefault(chain.sni.lower(), chain)
    return tuple(sorted(by_name.values(), key=lambda chain: chain.sni))
