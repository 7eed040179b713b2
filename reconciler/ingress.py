"""The zone ingress: one SNI for each way another zone may ask for a service of this zone. Pure.

It passes TLS through without terminating it, to local instances, and to the zone's own egresses for
what is outside of the mesh and reached from here alone. SNIs come from what the zone
offers, combined with the subsets that MeshHTTPRoute backends and VirtualOutbounds name: both ends
compute them from the same policies.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.instances import without_service
from reconciler.match import is_effective, service_of
from reconciler.model.resource import SERVICE, ZONE, MeshResource, canonical_json
from reconciler.model.spec import PolicySpec, Tags
from reconciler.offers import available_services, external_offers
from reconciler.policies.mesh_http_route import POLICY, BackendRef, MirrorRef, RouteRule
from reconciler.real import MESH_SERVICE, MULTI_ZONE, NO_REALS
from reconciler.real_services import inside
from reconciler.topology import Topology, egress_targets, ingress_topology, merged_by_address
from reconciler.vips.claims import subsets as named_subsets
from reconciler.vips.claims import virtuals
from xds import names
from xds.view import EdsCluster, Endpoint, Endpoints, Protocol, SniChain, SniListener

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.collection import Collection
    from reconciler.instances import Place
    from reconciler.real import RealDestination, Reals
    from reconciler.real_services import RealServices
    from reconciler.state import MeshState

MESHES_KEPT = 64

Offer = tuple[str, str]  # mesh, service


def offered(state: MeshState, place: Place) -> tuple[Offer, ...]:
    """The services this zone's ingress passes on, sorted."""
    services = available_services(state, place.zone, place.absent)
    return tuple(sorted({(s.mesh, service_of(s.tags)) for s in services}))


def topologies(state: MeshState, offers: Iterable[Offer], place: Place) -> dict[str, Topology]:
    """Local instances, by mesh."""
    meshes = sorted({mesh for mesh, _ in offers})
    return {mesh: ingress_topology(state.of("Dataplane", mesh), place) for mesh in meshes}


def subsets(state: MeshState, found: Mapping[Offer, Endpoints]) -> dict[Offer, tuple[Tags, ...]]:
    """The tag sets under which each service that is `found` may be asked for, the bare service
    first.
    """
    asked: dict[Offer, set[Tags]] = {offer: {()} for offer in found}
    for route in state.of(POLICY.kind):
        if is_effective(route):
            for ref in backends(route):
                offer = route.key.mesh, ref.name
                if ref.kind == "MeshServiceSubset" and offer in asked:
                    asked[offer].add(ref.tags.pairs)
    virtual = {mesh: virtuals(state.of("VirtualOutbound", mesh)) for mesh, _ in found}
    for (mesh, service), instances in found.items():
        for instance in instances.endpoints if virtual[mesh] else ():
            tags = tuple(sorted(((SERVICE, service), *instance.tags)))
            asked[mesh, service].update(named_subsets(virtual[mesh], tags))
    return {offer: tuple(sorted(tag_sets)) for offer, tag_sets in asked.items()}


def backends(route: MeshResource) -> Iterator[BackendRef]:
    """All that a MeshHTTPRoute leads to."""
    assert isinstance(route.spec, PolicySpec)
    for item in route.spec.to:
        for rule in item.conf if isinstance(item.conf, tuple) else ():
            assert isinstance(rule, RouteRule)
            yield from rule.backends or ()
            yield from (f.backend for f in rule.filters or () if isinstance(f, MirrorRef))


def ingress_cluster(offer: Offer, tag_sets: tuple[Tags, ...]) -> EdsCluster:
    keys = {tuple(sorted(key for key, _ in tags)) for tags in tag_sets if tags}
    return EdsCluster(
        name=names.ingress_cluster_name(*offer),
        protocol=Protocol.TCP,
        tls=None,
        http2_upstream=False,
        circuit_breakers=False,
        subset_keys=tuple(sorted(keys)),
    )


def endpoints(offer: Offer, topology: Topology) -> Endpoints:
    """Each instance with its own tags: subsets choose among them."""
    mesh, service = offer
    return Endpoints(names.ingress_cluster_name(mesh, service), topology.service(service).endpoints)


def to_egresses(state: MeshState, place: Place, inside: Iterable[Offer]) -> dict[Offer, Endpoints]:
    """Services outside of the mesh that this zone alone reaches: they are at its egresses. Those
    that are `inside` are not among them.
    """
    found: dict[Offer, set[Endpoint]] = {}
    targets = egress_targets(state.of("ZoneEgress"), place)
    for each in external_offers(state, place):
        offer, tags = (each.mesh, service_of(each.tags)), without_service(each.tags)
        if offer not in inside:
            ways = {Endpoint(*target, 1, tags, place.zone) for target in targets}
            found.setdefault(offer, set()).update(ways)
    return {
        offer: Endpoints(names.ingress_cluster_name(*offer), merged_by_address(ways))
        for offer, ways in found.items()
    }


# --- real resources ---


def real_services(state: MeshState, place: Place) -> dict[str, RealServices]:
    """By mesh, those of this zone, and the MeshMultiZoneServices that one of them is of."""
    meshes = state.collections("MeshService").keys() | state.collections(MULTI_ZONE).keys()
    found: dict[str, RealServices] = {}
    for mesh in sorted(meshes):
        kinds = state.collection("MeshService", mesh), state.collection(MULTI_ZONE, mesh)
        reals = _own_reals(*kinds, place.zone)
        if len(reals.by_key):
            dataplanes = state.collection("Dataplane", mesh)
            instances = ingress_topology(dataplanes, place).instances
            found[mesh] = inside(reals, (instances, dataplanes), place)
    return found


@lru_cache(maxsize=MESHES_KEPT)
def _own_reals(services: Collection, multi: Collection, zone: str) -> Reals:
    ours = [r for r in services if r.labels.get(ZONE) in (None, "", zone)]
    found, _ = NO_REALS.followed((None, resource) for resource in (*ours, *multi))
    return found


def real_clusters(
    services: Mapping[str, RealServices],
) -> Iterator[tuple[EdsCluster, Endpoints, tuple[SniChain, ...]]]:
    """For each port of each resource: where calls go, and the names under which they may come."""
    for found in services.values():
        for real in found.reals.by_key.values():
            for name in real.names if real.key.type == MESH_SERVICE or real.members else ():
                service, to = found.service(name), found.reals.destination(name)
                if service is not None and to is not None and to.real is real:
                    endpoints = Endpoints(name, merged_by_address(service.endpoints))
                    yield real_cluster(name), endpoints, real_chains(to, name)


def real_chains(to: RealDestination, name: str) -> tuple[SniChain, ...]:
    """One for each name under which clients ask for it, sorted."""
    snis = {sni for sni in (to.hash_sni, to.kri_sni) if sni is not None}
    return tuple(SniChain(sni, name) for sni in sorted(snis))


def real_cluster(name: str) -> EdsCluster:
    return EdsCluster(
        name=name, protocol=Protocol.TCP, tls=None, http2_upstream=False, circuit_breakers=False
    )


def listener(
    at: tuple[str, int], chains: tuple[SniChain, ...], *, idle_body: str, reuse_port: bool
) -> SniListener:
    address, port = at
    return SniListener(
        name=names.inbound_listener_name(address, port),
        address=address,
        port=port,
        chains=chains,
        idle_body=idle_body,
        reuse_port=reuse_port,
    )


def chains(
    ways: dict[Offer, tuple[Tags, ...]], more: Iterable[SniChain] = ()
) -> tuple[SniChain, ...]:
    """One for each distinct SNI, sorted by it.

    Envoy compares server names in lower case, and refuses the whole listener when two of them are
    then equal: of those the first by name stays, so that one service cannot close the zone.
    """
    found: dict[str, SniChain] = {}
    for (mesh, service), tag_sets in sorted(ways.items()):
        for tags in tag_sets:
            chain = ingress_chain((mesh, service), tags)
            found.setdefault(chain.sni.lower(), chain)
    for chain in more:
        found.setdefault(chain.sni.lower(), chain)
    return tuple(sorted(found.values(), key=lambda chain: chain.sni))


def ingress_chain(offer: Offer, tags: Tags) -> SniChain:
    """The way to these instances of a service; an egress asks for them by the same name."""
    mesh, service = offer
    sni = names.tag_sni(tuple(sorted(((SERVICE, service), *tags))), mesh)
    return SniChain(sni, names.ingress_cluster_name(mesh, service), tags)


def idle_answer(node_id: str, zone: str) -> str:
    """What a connection gets while there is nothing to route."""
    return canonical_json({"proxy": node_id, "zone": zone})
