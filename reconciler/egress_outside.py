"""The way out of the mesh at a zone egress: the mesh's TLS ends there, whoever may not call is
turned away, and what was inside goes on to a service outside of the mesh. Pure.

Only what may be reached from this zone is let out here; what another zone alone may reach goes on
to that zone's ingress and its egress (`reconciler.egress`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.egress_policies import said
from reconciler.inbound import about_inbounds, downstream_tls
from reconciler.match import INBOUNDS, selections, wanted
from reconciler.model.resource import SERVICE, ZONE, Labels, MeshResource, ResourceKey
from reconciler.model.spec import DataplaneSpec, Inbound
from reconciler.model.targetref import DataplaneRef
from reconciler.policies.effect import InboundPlace
from reconciler.policies.hooks import EFFECTS
from reconciler.policies.mesh_traffic_permission import POLICY as PERMISSION
from xds import names
from xds.hooks import Applied
from xds.view import EndedChain, ExternalCluster

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.context import MeshContext
    from reconciler.external import External, OutsideSecret
    from reconciler.match import PolicyIndex, Selection
    from reconciler.model.spec import Tags
    from reconciler.policies.effect import Effect

KEPT = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class Outside:
    """What is let out of one mesh, by name of the service; and what it was computed from."""

    clusters: tuple[ExternalCluster, ...] = ()
    chains: tuple[EndedChain, ...] = ()
    secrets: tuple[OutsideSecret, ...] = ()
    basis: tuple[object, ...] = field(default=())


def outside(context: MeshContext, asked: Mapping[str, tuple[Tags, ...]]) -> Outside:
    """`asked`: further tag sets by which services may be asked for. The same object as long as it
    is the same.
    """
    found = tuple(_let_out(context)) if context.spec.by_egress else ()
    further = tuple(context.outside[name] for name in sorted(context.outside))
    policies = said(context, [each.name for each in (*found, *further)])
    basis = (context.mesh, asked, context.index[PERMISSION.kind], *found, *further, *policies)
    before: Outside = context.cached.outside or Outside()
    if len(before.basis) == len(basis) and all(map(_is, before.basis, basis)):
        return before
    clusters = [
        *[_cluster(context, names.ingress_cluster_name(context.name, e.name), e) for e in found],
        *[_cluster(context, each.name, each) for each in further],
    ]
    chains = [
        *[_chain(context, each, asked.get(each.name, ((),))) for each in found],
        *[_real_chain(context, each) for each in further],
    ]
    made = Outside(
        tuple([replace(c, applied=p.of_cluster) for c, p in zip(clusters, policies, strict=True)]),
        tuple(
            [
                replace(c, applied=(*c.applied, *p.of_chain))
                for c, p in zip(chains, policies, strict=True)
            ]
        ),
        tuple(secret for each in (*found, *further) for secret in each.secrets),
        basis,
    )
    context.cached.outside = made
    return made


def _is(one: object, other: object) -> bool:
    return one is other


def reachable(external: External, zone: str) -> bool:
    """From this zone, by one of its resources."""
    return any(dict(tags).get(ZONE) in (None, zone) for tags in external.offers)


def _let_out(context: MeshContext) -> Iterator[External]:
    zone = context.place.zone
    for name in sorted(context.topology.externals):
        external = context.topology.service(name).external
        if external is not None and reachable(external, zone):
            yield _within(external, zone)


@lru_cache(maxsize=KEPT)
def _within(external: External, zone: str) -> External:
    return external.within(zone)


def _cluster(context: MeshContext, name: str, external: External) -> ExternalCluster:
    """Where there is another endpoint, who is not reached is left out for a while."""
    detection = context.detection and len(external.endpoints) > 1
    return ExternalCluster(name, external.protocol, external.endpoints, detection=detection)


def trusting(cluster: ExternalCluster, system_ca: str) -> ExternalCluster:
    """On a host with that file of CAs; without one nobody could be verified there."""
    asking = [e.tls is not None and bool(e.tls.ca_file) for e in cluster.endpoints]
    if not any(asking):
        return cluster
    kept = [
        replace(e, tls=replace(e.tls, ca_file=system_ca)) if asks and e.tls is not None else e
        for e, asks in zip(cluster.endpoints, asking, strict=True)
        if system_ca or not asks
    ]
    return replace(cluster, endpoints=tuple(kept))


def _chain(context: MeshContext, external: External, tag_sets: tuple[Tags, ...]) -> EndedChain:
    mesh, name = context.name, external.name
    tls = downstream_tls(context)
    assert tls is not None
    snis = (names.tag_sni(tuple(sorted(((SERVICE, name), *tags))), mesh) for tags in tag_sets)
    return EndedChain(
        name=names.egress_chain_name(name, mesh),
        snis=tuple(sorted(snis)),
        cluster=names.ingress_cluster_name(mesh, name),
        protocol=external.protocol,
        service=name,
        tls=tls,
        applied=_permissions(context, external),
    )


def _real_chain(context: MeshContext, external: External) -> EndedChain:
    """Of a MeshExternalService: for everybody, or for nobody, as the mesh says."""
    tls, http = downstream_tls(context), external.protocol.is_http
    assert tls is not None
    applied: tuple[Applied, ...] = ()
    if context.spec.outside_forbidden:
        effect = _permitting()
        assert effect.on_inbound is not None
        place = InboundPlace("" if http else external.name, http, mtls=True)
        denial = effect.on_inbound(None, place)
        applied = (Applied(effect.hooks, denial),) if denial is not None else ()
    return EndedChain(
        name=external.name,
        snis=external.snis,
        cluster=external.name,
        protocol=external.protocol,
        service=external.name,
        tls=tls,
        applied=applied,
    )


def _permitting() -> Effect:
    (effect,) = (each for each in EFFECTS if each.kind == PERMISSION.kind)
    return effect


def _permissions(context: MeshContext, external: External) -> tuple[Applied, ...]:
    """Who may call. A service with several sets of tags has a filter for each that differs: a call
    must pass all of them.
    """
    effect = _permitting()
    assert effect.on_inbound is not None
    asked = _as_inbounds(context.name, external.name, external.offers, str(external.protocol))
    chosen = _about(context.index[PERMISSION.kind], asked)
    http, found = external.protocol.is_http, dict[Applied, None]()
    place = InboundPlace("" if http else external.name, http, mtls=True)
    for index in range(len(external.offers)):
        those = tuple(s for s in chosen if index in s.inbounds)
        conf = context.inbound_conf(effect, those, index)
        value = effect.on_inbound(conf.value if conf is not None else None, place)
        if value is not None:
            found[Applied(effect.hooks, value)] = None
    return tuple(found)


def _about(index: PolicyIndex, asked: MeshResource) -> tuple[Selection, ...]:
    """A policy for Dataplanes says nothing of what is none."""
    may = [ranked for shelf in (INBOUNDS, *sorted(wanted(asked))) for ranked in index.at(shelf)]
    found = (s for s in selections(may, asked) if not isinstance(s.spec.target, DataplaneRef))
    return about_inbounds(tuple(found))


@lru_cache(maxsize=KEPT)
def _as_inbounds(mesh: str, name: str, offers: tuple[Tags, ...], protocol: str) -> MeshResource:
    """The service as policies select inbounds: by their tags."""
    inbounds = tuple(
        Inbound(str(at), "", 0, "", 0, "", tags, protocol, healthy=True)
        for at, tags in enumerate(offers)
    )
    key = ResourceKey("ExternalService", mesh, name)
    return MeshResource(key, Labels(), "", DataplaneSpec("", "", inbounds, ()))
