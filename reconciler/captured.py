"""What the capture of an application's traffic adds to its proxy's view: where redirection leads,
who answers names, instances that are called by address, health checks from outside. Pure. See
facts/dataplane-wire.md 4.4 and 4.7.

A captured connection arrives at a passthrough listener, which hands it over to the listener of its
original destination; these are not bound. What has no listener goes where it was meant to go, or
nowhere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Any

from reconciler.model.resource import MESH, NAMESPACE, ZONE
from reconciler.model.spec import DataplaneSpec
from reconciler.vips.resolvable import mapped
from xds import names
from xds.memo import Key
from xds.view import (
    DirectCluster,
    DirectListener,
    DnsListener,
    DynamicConfigListener,
    EmptyCluster,
    PassthroughCluster,
    PassthroughListener,
    ProbeListener,
    ProbeRoute,
    UpstreamTls,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.context import MeshContext
    from reconciler.instances import Instances
    from reconciler.model.resource import MeshResource
    from reconciler.model.spec import MeshSpec, Probes
    from reconciler.view import ProxyTraits
    from xds.view import ClusterInput, ListenerInput, LocalCluster

Domains = tuple[tuple[str, tuple[str, ...]], ...]  # names and their addresses, sorted by name

SOURCE, SOURCE6 = "127.0.0.6", "::6"  # by which the rules know what comes from the proxy
ANY, ANY6 = "0.0.0.0", "::"  # noqa: S104 - all that was redirected
LOOPBACK = "127.0.0.1"
TTL_S = 30
SOCKET = "kuma-mesh-metric-config.sock"  # where agents look for documents; of this length at most:
SOCKET_PATH_MAX = 98
DNS_PATH = "/dns"
EVERY_SERVICE = "*"
INSTANCES = "="  # stands before a service for whoever depends on where its instances are
WORKLOAD = "kuma.io/workload"
NO_OUTBOUND = "self_transparentproxy_no_destination_outbound"

Parts = tuple[tuple["ClusterInput", ...], tuple["ListenerInput", ...]]


def is_inbound(spec: DataplaneSpec) -> bool:
    return spec.transparent is not None and spec.transparent.redirect_port_inbound != 0


def is_outbound(spec: DataplaneSpec) -> bool:
    return spec.transparent is not None and spec.transparent.redirect_port_outbound != 0


def source_towards(workload: str) -> str:
    """Of connections to an application; "" for any: on loopback nothing is redirected."""
    address = ip_address(workload)
    if address.is_loopback:
        return ""
    return SOURCE if isinstance(address, IPv4Address) else SOURCE6


# --- where redirection leads ---


def passthrough(spec: DataplaneSpec, mesh: MeshSpec, traits: ProxyTraits) -> Parts:
    """What no listener is for: outward to where it was meant to go, if the mesh lets it; inward to
    the application. With strict ports and mTLS inward there is no such way: what inbounds are for
    has listeners of its own, and an application's port, at whichever address of the host, is no way
    around its permissions.
    """
    transparent = spec.transparent
    clusters: list[ClusterInput] = []
    listeners: list[ListenerInput] = []
    if transparent is None:
        return (), ()
    families = ((ANY, SOURCE, _V4), *(((ANY6, SOURCE6, _V6),) if transparent.ipv6 else ()))
    for every, source, (outward, inward) in families:
        if transparent.redirect_port_outbound:
            to = outward if mesh.passthrough else NO_OUTBOUND
            clusters.append(PassthroughCluster(to) if mesh.passthrough else EmptyCluster(to))
            port = transparent.redirect_port_outbound
            listeners.append(PassthroughListener(outward, every, port, to))
        if transparent.redirect_port_inbound:
            shut = _is_strict(spec, mesh, traits)
            to = names.NO_DESTINATION_CLUSTER if shut else inward
            clusters.append(EmptyCluster(to) if shut else PassthroughCluster(to, source))
            listeners.append(
                PassthroughListener(
                    inward,
                    every,
                    transparent.redirect_port_inbound,
                    to,
                    inbound=True,
                    reuse_port=traits.reuse_port,
                )
            )
    return tuple(clusters), tuple(listeners)


_V4 = names.OUTBOUND_PASSTHROUGH, names.INBOUND_PASSTHROUGH
_V6 = names.OUTBOUND_PASSTHROUGH_V6, names.INBOUND_PASSTHROUGH_V6


def _is_strict(spec: DataplaneSpec, mesh: MeshSpec, traits: ProxyTraits) -> bool:
    strict = mesh.mtls is not None and not mesh.mtls.permissive
    return strict and traits.capture.strict_ports and bool(spec.inbounds)


# --- names ---


@dataclass(frozen=True, slots=True)
class Dns(Key):
    """Who answers the names of the mesh at a proxy: its agent, which asks Envoy for them on this
    port, or is told them as a document (`embedded`).
    """

    port: int
    ipv6: bool
    embedded: bool


def dns_of(spec: DataplaneSpec, traits: ProxyTraits) -> Dns | None:
    """None where nobody asks the proxy for names."""
    if not is_outbound(spec) or not traits.capture.dns_port:
        return None
    assert spec.transparent is not None
    capture = traits.capture
    embedded = capture.embedded_dns and bool(capture.workdir)
    return Dns(capture.dns_port, spec.transparent.ipv6, embedded)


def dns_listener(dns: Dns, domains: Domains) -> DnsListener:
    """Each name has an address of either family, whatever is captured: of the other one Envoy says
    that there is no such name, which some resolvers take for the name as a whole.
    """
    found = records(domains, ipv6=True)
    return DnsListener(names.DNS_LISTENER, LOOPBACK, dns.port, found, TTL_S)


def records(domains: Domains, *, ipv6: bool) -> Domains:
    """With the form of each IPv4 address as one of IPv6, for whoever asks for no other."""
    if not ipv6:
        return domains
    return tuple([(name, (*ips, *filter(None, map(mapped, ips)))) for name, ips in domains])


def dynamic_config(workdir: str, document: str) -> DynamicConfigListener:
    path = f"{workdir}/{SOCKET.removesuffix('.sock')}"[:SOCKET_PATH_MAX]
    found = f"{path}.sock"
    return DynamicConfigListener(names.DYNAMIC_CONFIG_LISTENER, found, ((DNS_PATH, document),))


def dns_document(domains: Domains, labels: tuple[tuple[str, str], ...], *, ipv6: bool) -> str:
    """As the agent's own DNS reads it."""
    listed = [{"name": name, "ips": ips} for name, ips in records(domains, ipv6=ipv6)]
    document: dict[str, Any] = {"records": listed, "ttl": TTL_S, "extraLabels": dict(labels)}
    return json.dumps(document, separators=(",", ":"))


def document_labels(dataplane: MeshResource) -> tuple[tuple[str, str], ...]:
    """What the agent adds to its own metrics; sorted."""
    held = dataplane.labels
    found = {
        "mesh": dataplane.key.mesh or held.get(MESH),
        "kuma_io_zone": held.get(ZONE),
        "kuma_workload": held.get(WORKLOAD),
        "k8s_kuma_io_namespace": held.get(NAMESPACE),
    }
    return tuple(sorted((key, value) for key, value in found.items() if value))


# --- instances that are called by their own addresses ---


def direct_services(context: MeshContext, spec: DataplaneSpec) -> tuple[str, ...]:
    """Sorted."""
    wanted = spec.transparent.direct_access if spec.transparent is not None else ()
    if not is_outbound(spec) or not wanted:
        return ()
    if EVERY_SERVICE in wanted:
        return tuple(sorted(context.topology.instances))
    return tuple(sorted(set(wanted)))


def direct_depends(spec: DataplaneSpec) -> tuple[str, ...]:
    """What stands among the services of such a proxy; sorted."""
    wanted = spec.transparent.direct_access if spec.transparent is not None else ()
    return tuple(sorted({INSTANCES + service for service in wanted}))


def direct(
    context: MeshContext,
    dataplane: MeshResource,
    found: Iterable[tuple[str, Instances]],
    taken: frozenset[tuple[str, int]],
) -> Parts:
    """A listener for each instance of these services but the proxy's own; they share one cluster,
    which trusts whoever is of the mesh.
    """
    places = sorted(set(_places(context, dataplane, found)) - taken)
    cluster = names.DIRECT_ACCESS_CLUSTER
    listeners = [
        DirectListener(names.direct_access_listener_name(*place), *place, cluster)
        for place in places
    ]
    return (DirectCluster(cluster, _anybody(context)),), tuple(listeners)


def _places(
    context: MeshContext, dataplane: MeshResource, found: Iterable[tuple[str, Instances]]
) -> Iterator[tuple[str, int]]:
    for service, instances in found:
        for other, _ in instances.values():
            assert isinstance(other.spec, DataplaneSpec)
            for inbound in other.spec.inbounds if other.key != dataplane.key else ():
                address = context.resolve(inbound.address)
                if inbound.service == service and address is not None:
                    yield address, inbound.port


def _anybody(context: MeshContext) -> UpstreamTls | None:
    if context.spec.mtls is None:
        return None
    return UpstreamTls(
        sni="",
        san_uris=(),
        identity_secret=names.identity_secret_name(context.name),
        ca_secret=names.ca_secret_name(context.name),
        san_uri_prefixes=(names.spiffe_prefix(context.name),),
    )


# --- health checks from outside ---


def probe_listener(
    probes: Probes,
    address: str,
    clusters: Mapping[str, LocalCluster],
    traits: ProxyTraits,
    *,
    is_captured: bool,
) -> ProbeListener:
    """`clusters`: of the proxy's inbounds. An application without one is redirected to."""
    by_port: dict[int, str] = {}
    for name in sorted(clusters):
        by_port.setdefault(clusters[name].port, name)
    routes = {
        _path(each.path): ProbeRoute(
            _path(each.path),
            _path(each.inbound_path),
            by_port.get(each.inbound_port, ""),
            0 if each.inbound_port in by_port else each.inbound_port,
        )
        for each in reversed(probes.endpoints)
    }
    return ProbeListener(
        names.PROBE_LISTENER,
        address,
        probes.port,
        tuple([routes[path] for path in sorted(routes)]),
        is_captured,
        traits.reuse_port,
    )


def _path(url: str) -> str:
    return url.partition("?")[0].partition("#")[0] or "/"
