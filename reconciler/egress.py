"""The zone egress: one SNI for each way this zone's sidecars may ask for a service of another zone.
Pure.

It passes TLS through without terminating it, to the ingresses of other zones; only what goes out of
the mesh from here ends here (`reconciler.egress_outside`). What it passes on of one mesh (`Beyond`)
is kept beside what it was computed from and followed: a service that changes is one assignment,
whatever else there is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import attrgetter, is_
from typing import TYPE_CHECKING

from reconciler.egress_outside import outside, reachable, trusting
from reconciler.egress_policies import NO_ORDER, is_placed, placed
from reconciler.ingress import (
    backends,
    ingress_chain,
    ingress_cluster,
    real_chains,
    real_cluster,
)
from reconciler.instances import without_service
from reconciler.locality import assignment
from reconciler.match import is_effective
from reconciler.model.resource import ZONE
from reconciler.outward import by_name
from reconciler.policies.mesh_http_route import POLICY
from reconciler.real import NO_REALS
from reconciler.real_services import NO_WAYS
from reconciler.topology import differing
from reconciler.vips.claims import subsets, virtuals
from xds import names
from xds.view import Endpoint, Endpoints, Half

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.collection import Collection
    from reconciler.context import MeshContext
    from reconciler.egress_outside import Outside
    from reconciler.external import External, OutsideSecret
    from reconciler.instances import Target
    from reconciler.locality import Preferences
    from reconciler.model.resource import MeshResource
    from reconciler.model.spec import AvailableService, Tags
    from reconciler.real import Reals
    from reconciler.real_services import Ways
    from reconciler.topology import Offers, Services
    from xds.view import EdsCluster, EndedChain, SniChain

TagSets = tuple["Tags", ...]
NO_TAGS: TagSets = ((),)
WAYS_KEPT = 4  # egresses of a zone share one; one more for each moment that some of them still see


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
    virtual: Collection | None = None
    externals: Mapping[str, External] | None = None
    inside: frozenset[str] = frozenset()  # those of which the mesh has a service of its own
    asked: Mapping[str, TagSets] = field(default_factory=dict)  # further subsets, by service
    tagged: Mapping[str, Passed] = field(default_factory=dict)  # what `remote` comes to
    real: tuple[Reals, Ways] = (NO_REALS, NO_WAYS)
    resources: Mapping[str, Passed] = field(default_factory=dict)  # what `real` comes to
    services: Mapping[str, Passed] = field(default_factory=dict)
    silent: frozenset[Target] = frozenset()  # of `remote` and `real`
    wanted: Mapping[str, Preferences] = field(default_factory=dict)  # by service, if policies say


NOTHING_BEYOND = Beyond()


def beyond(context: MeshContext) -> Beyond:
    """The same object as long as it is the same."""
    if not context.spec.by_egress:
        return NOTHING_BEYOND
    before: Beyond = context.cached.beyond or NOTHING_BEYOND
    remote, routes = context.topology.remote, context.resources[POLICY.kind]
    virtual = context.resources["VirtualOutbound"]
    real, externals = (context.reals, context.real.into.ways), context.topology.externals
    inside, silent = _inside(context), context.place.silent
    wanted = _wanted(context, remote)
    placed_alike = before.silent == silent and before.wanted is wanted
    real_alike = placed_alike and all(map(is_, before.real, real))
    asked_alike = before.routes is routes and before.virtual is virtual
    same = asked_alike and before.externals is externals and before.inside == inside
    if same and real_alike and before.remote == remote:
        return before
    asked = before.asked if asked_alike and not virtual else _asked(routes, virtual, remote)
    tagged = _tagged(context, before, asked, wanted)
    resources = before.resources
    if not real_alike:
        resources = _resources(context, before.resources, wanted)
    found = context.cached.beyond = Beyond(
        remote=remote,
        routes=routes,
        virtual=virtual,
        externals=externals,
        inside=inside,
        asked=asked,
        tagged=tagged,
        real=real,
        resources=resources,
        services={**tagged, **resources},
        silent=silent,
        wanted=wanted,
    )
    return found


def _inside(context: MeshContext) -> frozenset[str]:
    found = context.topology
    return frozenset([name for name in found.externals if found.service(name).external is None])


def _wanted(
    context: MeshContext, remote: tuple[tuple[Target, Offers], ...]
) -> Mapping[str, Preferences]:
    """The same object as long as it is the same."""
    if not is_placed(context):
        return NO_ORDER
    names = {name for _, offers in remote for name in offers} | set(context.reals.named)
    return placed(context, sorted(names))


def _tagged(
    context: MeshContext,
    before: Beyond,
    asked: Mapping[str, TagSets],
    wanted: Mapping[str, Preferences],
) -> Mapping[str, Passed]:
    """What other zones offer by tags. Where the ways are the same, only what is offered otherwise
    is looked at, and what else may be asked for, or be outside of the mesh.
    """
    remote, externals = context.topology.remote, context.topology.externals
    targets = [target for target, _ in remote]
    known = before.tagged if targets == [target for target, _ in before.remote] else {}
    names = differing(before.remote, remote) if known else {n for _, o in remote for n in o}
    pairs: tuple[tuple[Mapping[str, object], Mapping[str, object]], ...] = (
        (before.asked, asked),
        (before.externals or {}, externals),
        (before.wanted, wanted),
    )
    for was, now in pairs:
        if was is not now:
            names |= {n for n in was.keys() | now.keys() if was.get(n) != now.get(n)}
    names |= before.inside ^ _inside(context)
    turned = before.silent ^ context.place.silent
    names |= {n for target, offers in remote if target in turned for n in offers}
    services = dict(known)
    for name in names:
        offered = _passed_on(context, name, tuple([offers.get(name, ()) for _, offers in remote]))
        tag_sets, was_passed = asked.get(name, NO_TAGS), known.get(name)
        if not any(offered):
            services.pop(name, None)
        elif was_passed is None or was_passed.tag_sets != tag_sets:
            cluster, chains = _passed(context, name, tag_sets)
            endpoints = _endpoints(context, name, targets, offered, wanted.get(name))
            services[name] = Passed(offered, tag_sets, cluster, endpoints, chains)
        else:
            endpoints = _endpoints(context, name, targets, offered, wanted.get(name))
            if was_passed.offered != offered or was_passed.endpoints != endpoints:
                services[name] = replace(was_passed, offered=offered, endpoints=endpoints)
    if services.keys() == known.keys():
        return services
    return {name: services[name] for name in sorted(services)}


def _resources(
    context: MeshContext, before: Mapping[str, Passed], wanted: Mapping[str, Preferences]
) -> dict[str, Passed]:
    """MeshServices of other zones, and MeshMultiZoneServices with one of them."""
    services: dict[str, Passed] = {}
    for name in sorted(context.reals.named):
        to, found = context.reals.destination(name), context.real.elsewhere(name)
        if to is None or not found:
            continue
        endpoints = assignment(name, found, wanted.get(name))
        cluster = replace(real_cluster(name), detection=context.detects)
        chains, was = real_chains(to, name), before.get(name)
        made = Passed((), NO_TAGS, cluster, endpoints, chains)
        services[name] = was if was is not None and _alike(was, made) else made
    return services


def _alike(one: Passed, other: Passed) -> bool:
    same = one.cluster == other.cluster and one.endpoints == other.endpoints
    return same and one.chains == other.chains


def _passed_on(
    context: MeshContext, name: str, offered: tuple[Services, ...]
) -> tuple[Services, ...]:
    """A service outside of the mesh goes to another zone if it is reached from there alone."""
    if not any(offer.external for offers in offered for offer in offers):
        return offered
    external = context.topology.service(name).external
    if external is not None and not reachable(external, context.place.zone):
        return offered
    return tuple([tuple([o for o in offers if not o.external]) for offers in offered])


def _asked(
    routes: Iterable[MeshResource],
    virtual: Iterable[MeshResource],
    remote: tuple[tuple[Target, Offers], ...],
) -> dict[str, TagSets]:
    """The tag sets under which services may be asked for, the bare service first."""
    found: dict[str, set[Tags]] = {}
    for route in routes:
        for ref in backends(route) if is_effective(route) else ():
            if ref.kind == "MeshServiceSubset":
                found.setdefault(ref.name, {()}).add(ref.tags.pairs)
    named = virtuals(virtual)
    for _, offers in remote if named else ():
        for name, services in offers.items():
            tag_sets = (tags for each in services for tags in subsets(named, each.tags))
            found.setdefault(name, {()}).update(tag_sets)
    return {name: tuple(sorted(tag_sets)) for name, tag_sets in found.items()}


def _passed(
    context: MeshContext, name: str, tag_sets: TagSets
) -> tuple[EdsCluster, tuple[SniChain, ...]]:
    offer = context.name, name
    cluster = replace(ingress_cluster(offer, tag_sets), detection=context.detects)
    return cluster, tuple([ingress_chain(offer, tags) for tags in tag_sets])


def _endpoints(
    context: MeshContext,
    name: str,
    targets: list[Target],
    offered: tuple[Services, ...],
    wanted: Preferences | None,
) -> Endpoints:
    mesh, silent = context.name, context.place.silent
    found = (
        _endpoint(target, offer, mesh, healthy=target not in silent)
        for target, offers in zip(targets, offered, strict=True)
        for offer in offers
        if offer.instances
    )
    return assignment(names.ingress_cluster_name(mesh, name), found, wanted)


def _endpoint(target: Target, offer: AvailableService, mesh: str, *, healthy: bool) -> Endpoint:
    """As Kuma's: the mesh is one of its tags."""
    tags = tuple(sorted((*without_service(offer.tags), ("mesh", mesh))))
    home = dict(offer.tags).get(ZONE)
    return Endpoint(*target, offer.instances, tags, home, healthy=healthy)


@dataclass(frozen=True, slots=True)
class WaysOut:
    """All that egresses of a zone have in common. `wanted`: meshes whose TLS ends at an egress, for
    which it needs a certificate.
    """

    half: Half
    chains: tuple[SniChain, ...]
    ended: tuple[EndedChain, ...]
    secrets: tuple[OutsideSecret, ...]
    wanted: tuple[str, ...]


def ways(contexts: Iterable[MeshContext], certified: Iterable[str], system_ca: str = "") -> WaysOut:
    """Of these meshes; out of the mesh for those that are `certified` alone. `system_ca`: the file
    with the CAs that the host trusts.
    """
    found = tuple([(context.name, beyond(context), context) for context in contexts])
    out = [(name, outside(context, passing.asked)) for name, passing, context in found]
    return _ways(
        tuple([passing for _, passing, _ in found]),
        tuple([each for name, each in out if name in certified]),
        tuple([name for name, each in out if each.chains]),
        system_ca,
    )


@lru_cache(maxsize=WAYS_KEPT)
def _ways(
    passing: tuple[Beyond, ...], out: tuple[Outside, ...], wanted: tuple[str, ...], system_ca: str
) -> WaysOut:
    """The same object for all egresses that have the same."""
    passed = [each for one in passing for each in one.services.values()]
    clusters = {each.cluster.name: each.cluster for each in passed}
    outside = {c.name: trusting(c, system_ca) for one in out for c in one.clusters}
    endpoints = sorted((each.endpoints for each in passed), key=attrgetter("cluster"))
    ended = _distinct(chain for one in out for chain in one.chains)
    taken = {sni.lower() for chain in ended for sni in chain.snis}
    return WaysOut(
        Half(by_name({**clusters, **outside}), tuple(endpoints)),
        _chains(passed, taken),
        ended,
        tuple(secret for one in out for secret in one.secrets),
        wanted,
    )


def _chains(passed: Iterable[Passed], taken: set[str]) -> tuple[SniChain, ...]:
    """One for each distinct server name in lower case, sorted; see `ingress.chains`."""
    found: dict[str, SniChain] = {}
    for each in passed:
        for chain in each.chains:
            if chain.sni.lower() not in taken:
                found.setdefault(chain.sni.lower(), chain)
    return tuple(sorted(found.values(), key=attrgetter("sni")))


def _distinct(chains: Iterable[EndedChain]) -> tuple[EndedChain, ...]:
    """As `_chains`; a name that another one has is left out."""
    taken: set[str] = set()
    found: list[EndedChain] = []
    for chain in sorted(chains, key=attrgetter("name")):
        snis = tuple(sni for sni in chain.snis if sni.lower() not in taken)
        taken |= {sni.lower() for sni in snis}
        if snis:
            found.append(replace(chain, snis=snis) if snis != chain.snis else chain)
    return tuple(found)
