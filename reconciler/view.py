"""What one proxy should run: from mesh resources to the `ProxyView` that `xds` builds. Pure.

Called by the zone step for every proxy a change may touch, and by `render` and `plan` offline.
Equal inputs give equal views; everything in a view is sorted. Which policies shaped which xDS
resource stands beside the view (`Origins`), never inside: it must not make equal views differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from reconciler import captured
from reconciler import egress as egress_parts
from reconciler import ingress as ingress_parts
from reconciler.admin import admin_clusters, admin_listener
from reconciler.context import mesh_context as mesh_context  # part of this module's interface
from reconciler.destination import Origin
from reconciler.inbound import Inward, inward_of, refitted
from reconciler.instances import NOBODY, Instances, Place, resolver
from reconciler.model.resource import ZONE
from reconciler.model.spec import (
    DataplaneSpec,
    ZoneEgressSpec,
    ZoneIngressSpec,
)
from reconciler.node_capture import NOTHING, CaptureTraits
from reconciler.outward import Outward, by_name, ways_of
from reconciler.policies import POLICIES
from reconciler.policies.hooks import EFFECTS
from reconciler.real import REAL_KINDS
from xds import names
from xds.copying import replace
from xds.view import (
    AdminTls,
    ClusterInput,
    Endpoints,
    Half,
    ListenerInput,
    ProxyView,
    SniChain,
    tcp_place,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.context import MeshContext, Selected
    from reconciler.external import OutsideSecret
    from reconciler.inbound import Chosen
    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.outward import Ways
    from reconciler.state import MeshState, ResourceDiff

Origins = Mapping[tuple[str, str], Origin]  # (type URL, xDS name) -> policies that shaped it

Part = TypeVar("Part")

_Called = tuple[tuple[str, Instances], ...]  # services, and their instances


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyTraits:
    """What a view depends on beside resources: what the running Envoy said of itself."""

    node_id: str
    admin_pipe: str | None = None  # unix socket of Envoy's admin interface, on the proxy's host
    admin_address: str = ""  # of Envoy's admin interface without a pipe
    admin_port: int = 0  # 0: no admin listener
    admin_tls: AdminTls | None = None  # None: nobody gets at more than /ready
    readiness_port: int = 0  # 0: Envoy's own admin interface answers /ready
    reuse_port: bool = True
    system_ca: str = ""  # a file of its host with the CAs that are trusted there
    capture: CaptureTraits = NOTHING


@dataclass(frozen=True, slots=True)
class ViewResult:
    """`shaped`: the policies that shaped each half. `services`: those of the mesh that it depends
    on, and no others; sorted. `outside`: secrets of the view for services outside of the mesh.
    `identities`: of an egress, the meshes it needs a certificate of.
    """

    view: ProxyView
    shaped: tuple[Origins, ...]
    services: tuple[str, ...] = ()
    outside: tuple[OutsideSecret, ...] = ()
    identities: tuple[str, ...] = ()
    made: _Made | None = field(default=None, repr=False, compare=False)  # of a sidecar

    @property
    def origins(self) -> Origins:
        return {place: origin for half in self.shaped for place, origin in half.items()}


@dataclass(slots=True, eq=False)
class _Made:
    """What a view was put together from; the view holds the very halves."""

    basis: _Basis
    secrets: tuple[str, ...]  # beside those of its way out
    chosen: Chosen
    inward: Inward
    outward: Outward
    direct: _Called


@dataclass(slots=True, eq=False)
class _Basis:
    """Where any of this is another, a view is made from nothing."""

    dataplane: MeshResource
    mesh: MeshResource
    resolved: Mapping[str, str]
    traits: ProxyTraits

    @property
    def spec(self) -> DataplaneSpec:
        assert isinstance(self.dataplane.spec, DataplaneSpec)
        return self.dataplane.spec

    def holds(self, context: MeshContext, dataplane: MeshResource, traits: ProxyTraits) -> bool:
        """Traits may be made anew; all else is shared for as long as it is the same."""
        return (
            self.dataplane is dataplane
            and self.mesh is context.mesh
            and self.resolved is context.place.resolved
            and (self.traits is traits or self.traits == traits)
        )


@dataclass(slots=True)
class _Parts:
    """Collects the parts of one view; a cluster that several routes use is there once."""

    clusters: dict[str, ClusterInput] = field(default_factory=dict)
    endpoints: dict[str, Endpoints] = field(default_factory=dict)
    listeners: dict[str, ListenerInput] = field(default_factory=dict)
    origins: dict[tuple[str, str], Origin] = field(default_factory=dict)

    def add(self, parts: captured.Parts) -> None:
        clusters, listeners = parts
        self.clusters |= {cluster.name: cluster for cluster in clusters}
        self.listeners |= {listener.name: listener for listener in listeners}

    def half(self) -> Half:
        return Half(by_name(self.clusters), by_name(self.endpoints), by_name(self.listeners))

    def result(self, node_id: str) -> ViewResult:
        return ViewResult(ProxyView(node_id, self.half(), ()), (self.origins,))


# --- sidecars ---


def sidecar_view(context: MeshContext, dataplane: MeshResource, traits: ProxyTraits) -> ViewResult:
    """The view of a sidecar (or delegated gateway) of the context's mesh; the same object as long
    as all that it is made of is.
    """
    selected = context.selected(dataplane)
    chosen, outward = selected.hosts.at(context), _outward(context, selected, traits)
    direct = _direct(context, dataplane)
    known: ViewResult | None = context.cached.views.get(dataplane.key)
    before = known.made if known is not None else None
    if known is None or before is None or not before.basis.holds(context, dataplane, traits):
        basis = _Basis(dataplane, context.mesh, context.place.resolved, traits)
        inward = inward_of(context, dataplane, chosen, reuse_port=traits.reuse_port)
        own = _own(context, basis, inward, outward, direct)
        base = _secrets(context)
    elif before.chosen is chosen and before.outward is outward and before.direct == direct:
        return known
    else:
        basis, base = before.basis, before.secrets
        inward, own = before.inward, known.view.own
        if before.chosen is not chosen:
            inward, own = _followed(context, before, own, chosen, outward)
        if before.direct != direct or _is_another(context, basis, before.outward, outward, direct):
            own = _own(context, basis, inward, outward, direct).after(own)
    secrets = tuple(sorted((*base, *(each.name for each in outward.secrets))))
    if known is not None and known.view.secrets == secrets:
        secrets = known.view.secrets
    view = ProxyView(traits.node_id, own, secrets, outward.half)
    made = _Made(basis, base, chosen, inward, outward, direct)
    shaped, services = (inward.origins, outward.origins), outward.services
    depends = captured.direct_depends(basis.spec)
    if depends:
        services = tuple(sorted((*services, *depends)))
    found = ViewResult(view, shaped, services, outward.secrets, made=made)
    context.cached.views[dataplane.key] = found
    return found


def _followed(
    context: MeshContext, before: _Made, own: Half, chosen: Chosen, outward: Outward
) -> tuple[Inward, Half]:
    """Other policies for its inbounds; `own` is its half of before. It listens where it did, which
    is up to the Dataplane alone.
    """
    basis, inward = before.basis, refitted(context, before.inward, chosen)
    if inward is not None:
        return inward, _with(own, before.inward, inward)
    reuse_port = basis.traits.reuse_port
    inward = inward_of(context, basis.dataplane, chosen, reuse_port=reuse_port)
    return inward, _own(context, basis, inward, outward, before.direct).after(own)


def _with(own: Half, was: Inward, now: Inward) -> Half:
    """With the same inbounds as they are now."""
    clusters, listeners = own.clusters, own.listeners
    if was.clusters is not now.clusters:
        clusters = tuple([now.clusters.get(c.name, c) for c in clusters])
    if was.listeners is not now.listeners:
        listeners = tuple([now.listeners.get(x.name, x) for x in listeners])
    if clusters is own.clusters and listeners is own.listeners:
        return own
    return Half(clusters, (), listeners)


def _secrets(context: MeshContext) -> tuple[str, ...]:
    if not context.spec.mtls:
        return ()
    mesh = context.name
    return tuple(sorted((names.identity_secret_name(mesh), names.ca_secret_name(mesh))))


def sidecar_ahead(
    context: MeshContext, dataplane: MeshResource, traits: ProxyTraits, limit: int
) -> Half | None:
    """A part of what `sidecar_view` will compute, of `limit` outbounds; with the last part the half
    that many proxies share.
    """
    ways = _ways(context.selected(dataplane), traits)
    return ways.at(context).half if ways.ahead(context, limit) else None


def _ways(selected: Selected, traits: ProxyTraits) -> Ways:
    """Those of a captured proxy with whoever answers its names; the last ones are remembered."""
    ways = selected.ways
    if ways.exits.reach is None:
        return ways
    for said, known in selected.named:
        if said == traits.capture:
            return known
    spec = selected.dataplane.spec
    assert isinstance(spec, DataplaneSpec)
    exits = replace(ways.exits, dns=captured.dns_of(spec, traits))
    found = ways_of(ways.callers, exits)
    selected.named[:] = [(traits.capture, found)]
    return found


def _outward(context: MeshContext, selected: Selected, traits: ProxyTraits) -> Outward:
    """The way out; of one that is captured without the places where the proxy itself is called."""
    spec, ways = selected.dataplane.spec, _ways(selected, traits)
    assert isinstance(spec, DataplaneSpec)
    found = ways.at(context)
    if ways.exits.reach is None:
        return found
    own = frozenset((inbound.address, inbound.port) for inbound in spec.inbounds)
    if not found.places.isdisjoint(own):
        ways = ways_of(ways.callers, replace(ways.exits, taken=own))
        found = ways.at(context)
        selected.held[:] = [ways]
    return found


def _direct(context: MeshContext, dataplane: MeshResource) -> _Called:
    """Services whose instances are called by address, each with those that there are."""
    spec = dataplane.spec
    assert isinstance(spec, DataplaneSpec)
    services = captured.direct_services(context, spec)
    held = context.topology.instances
    return tuple([(service, held.get(service, NOBODY)) for service in services])


def _is_another(
    context: MeshContext, basis: _Basis, was: Outward, now: Outward, direct: _Called
) -> bool:
    """What of the way out stands among what is a proxy's own: names, in a document for its agent,
    and places that outbounds have before anybody else.
    """
    if was.domains is not now.domains:
        dns = captured.dns_of(basis.spec, basis.traits)
        if dns is not None and dns.embedded:
            return True
    if was.places is now.places:
        return False
    admin = context.resolve(basis.spec.address) or "", basis.traits.admin_port
    if (admin in was.places) is not (admin in now.places):
        return True
    return bool(direct) and was.places != now.places


def _own(
    context: MeshContext, basis: _Basis, inward: Inward, outward: Outward, direct: _Called
) -> Half:
    """All of a proxy but its way out."""
    dataplane, traits, spec = basis.dataplane, basis.traits, basis.spec
    parts = _Parts({**inward.clusters}, {}, {**inward.listeners})
    address = context.resolve(spec.address)
    parts.add(captured.passthrough(spec, context.spec, traits))
    if direct:
        parts.add(captured.direct(context, dataplane, direct, outward.places))
    dns = captured.dns_of(spec, traits)
    if dns is not None and dns.embedded:
        labels = captured.document_labels(dataplane)
        document = captured.dns_document(outward.domains, labels, ipv6=dns.ipv6)
        parts.add(((), (captured.dynamic_config(traits.capture.workdir, document),)))
    if spec.probes is not None and address is not None and not traits.capture.probe_proxy:
        is_captured = captured.is_inbound(spec)
        probes = captured.probe_listener(
            spec.probes, address, inward.clusters, traits, is_captured=is_captured
        )
        parts.add(((), (probes,)))
    _add_admin(parts, traits, address, outward.places)
    return parts.half()


def _add_admin(
    parts: _Parts,
    traits: ProxyTraits,
    address: str | None,
    taken: frozenset[tuple[str, int]] = frozenset(),
) -> None:
    """Last of all: a place that another listener has is that one's, or Envoy would refuse both.

    `address`: the proxy's own; None while its name has none. `taken`: beside those of `parts`.
    """
    parts.clusters |= {cluster.name: cluster for cluster in admin_clusters(traits, address)}
    listener = admin_listener(traits, address)
    if listener is None:
        return
    taken = taken.union(filter(None, map(tcp_place, parts.listeners.values())))
    if tcp_place(listener) not in taken:
        parts.listeners[listener.name] = listener


# --- zone ingress ---


def ingress_view(
    state: MeshState,
    ingress: MeshResource,
    zone: str,
    absent: frozenset[ResourceKey],
    traits: ProxyTraits,
    resolved: Mapping[str, str] | None = None,
) -> ViewResult:
    """The view of an ingress of `zone`: every service the zone offers, of every mesh."""
    spec = ingress.spec
    assert isinstance(spec, ZoneIngressSpec)
    place = Place(zone, absent, resolved or {})
    offers = ingress_parts.offered(state, place)
    outside = ingress_parts.to_egresses(state, place, offers)
    topologies = ingress_parts.topologies(state, offers, place)
    inside = {offer: ingress_parts.endpoints(offer, topologies[offer[0]]) for offer in offers}
    found = {**inside, **outside}
    ways = ingress_parts.subsets(state, found)
    parts = _Parts()
    address = resolver(place.resolved)(spec.address)
    for offer, tag_sets in ways.items():
        cluster = ingress_parts.ingress_cluster(offer, tag_sets)
        parts.clusters[cluster.name], parts.endpoints[cluster.name] = cluster, found[offer]
    more: list[SniChain] = []
    real = ingress_parts.real_services(state, place)
    for cluster, endpoints, chains in ingress_parts.real_clusters(real):
        parts.clusters[cluster.name], parts.endpoints[cluster.name] = cluster, endpoints
        more += chains
    if address is not None:
        listener = ingress_parts.listener(
            (address, spec.port),
            ingress_parts.chains(ways, more),
            idle_body=ingress_parts.idle_answer(traits.node_id, zone),
            reuse_port=traits.reuse_port,
        )
        parts.listeners[listener.name] = listener
    _add_admin(parts, traits, address)
    return parts.result(traits.node_id)


def egress_view(
    contexts: Iterable[MeshContext],
    egress: MeshResource,
    zone: str,
    traits: ProxyTraits,
    resolved: Mapping[str, str] | None = None,
    certified: Iterable[str] = (),
) -> ViewResult:
    """The view of an egress of `zone`: every service of other zones, of the meshes `by_egress`, and
    services outside of the meshes that it has a certificate of (`certified`).
    """
    spec = egress.spec
    assert isinstance(spec, ZoneEgressSpec)
    ways = egress_parts.ways(contexts, certified, traits.system_ca)
    parts = _Parts()
    address = resolver(resolved or {})(spec.address)
    if address is not None:
        listener = ingress_parts.listener(
            (address, spec.port),
            ways.chains,
            idle_body=ingress_parts.idle_answer(traits.node_id, zone),
            reuse_port=traits.reuse_port,
        )
        parts.listeners[listener.name] = replace(listener, ended=ways.ended)
    _add_admin(parts, traits, address)
    held = {n for c in ways.ended for n in (c.tls.identity_secret, c.tls.ca_secret)}
    secrets = tuple(sorted((*held, *(secret.name for secret in ways.secrets))))
    view = ProxyView(traits.node_id, parts.half(), secrets, ways.half)
    return ViewResult(view, (), outside=ways.secrets, identities=ways.wanted)


# --- what a change touches ---


@dataclass(frozen=True, slots=True)
class Reach:
    """The meshes whose contexts a change makes stale, those whose certificates may be from another
    CA, and whether zone proxies may look different: all, or egresses.
    """

    meshes: frozenset[str] = frozenset()
    all_meshes: bool = False
    ingresses: bool = False
    certificates: frozenset[str] = frozenset()
    egresses: bool = False

    def __or__(self, other: Reach) -> Reach:
        return Reach(
            self.meshes | other.meshes,
            self.all_meshes or other.all_meshes,
            self.ingresses or other.ingresses,
            self.certificates | other.certificates,
            self.egresses or other.egresses,
        )


def touched_meshes(change: ResourceDiff, state: MeshState, zone: str = "") -> Reach:
    """What must be looked at again after a change; `state` before or after it.

    A zone's own ingresses (`zone`) are endpoints of nobody in it. A removed or changed ingress of
    another zone may have offered services of any mesh, and any mesh may go through an egress.
    """
    keys = [(r.key, r) for r in change.put] + [(k, state.get(k)) for k in change.drop]
    relevant = [(key, resource) for key, resource in keys if key.type in _SHAPING]
    own = [k for k, r in relevant if k.type != "MeshService" or _is_of(r, zone)]
    meshes = {
        key.name if key.type == "Mesh" else key.mesh
        for key, _ in relevant
        if key.type not in ("ZoneIngress", "ZoneEgress", "HostnameGenerator")
    }
    remote = any(
        key.type in ("ZoneEgress", "HostnameGenerator")
        or (key.type == "ZoneIngress" and not _is_own(resource, zone))
        for key, resource in relevant
    )
    return Reach(
        frozenset(meshes),
        remote,
        any(key.type in _INGRESS for key in own),
        frozenset(key.mesh for key, _ in relevant if key.type == "Secret"),
        any(key.type in _EGRESS for key in own),
    )


def _is_own(resource: MeshResource | None, zone: str) -> bool:
    spec = resource.spec if resource is not None else None
    return isinstance(spec, ZoneIngressSpec) and bool(zone) and spec.zone in ("", zone)


def _is_of(resource: MeshResource | None, zone: str) -> bool:
    """Whether what is of one zone is of this one."""
    return resource is None or not zone or resource.labels.get(ZONE) in (None, "", zone)


# Secrets: a new CA means new certificates, which are asked for when a view is built.
_SHAPING = frozenset(
    (
        *("Mesh", "Dataplane", "ZoneIngress", "ZoneEgress", "MeshZoneAddress", "Secret"),
        *REAL_KINDS,
        "ExternalService",
        *("VirtualOutbound", "HostnameGenerator"),
        *(policy.kind for policy in POLICIES),
    )
)
_INGRESS = frozenset(
    (
        *("Mesh", "Dataplane", "ZoneIngress", "MeshHTTPRoute", "MeshService"),
        *("MeshMultiZoneService", "MeshExternalService", "ZoneEgress", "ExternalService", "Secret"),
        *("MeshTrafficPermission", "VirtualOutbound"),
    )
)
_EGRESS = frozenset(  # beside these: what is said of a destination holds where calls leave
    effect.kind for effect in EFFECTS if effect.on_outbound and effect.hooks.shape_clusters
)
