"""Proxies' own resources as typed specs: Dataplane, ZoneIngress, ZoneEgress. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.decode import (
    fields_of,
    flag_of,
    list_of,
    number_of,
    tags_of,
    text_of,
)
from reconciler.model.spec import (
    AvailableService,
    DataplaneSpec,
    Destination,
    Inbound,
    InboundState,
    Outbound,
    ProbeEndpoint,
    Probes,
    ReachableBackend,
    RefDestination,
    TagDestination,
    TransparentProxying,
    ZoneEgressSpec,
    ZoneIngressSpec,
)

if TYPE_CHECKING:
    from reconciler.model.decode import Fields


# --- Dataplane ---


def decode_dataplane(data: Fields) -> DataplaneSpec:
    networking = fields_of(data.get("networking"), "networking")
    address = text_of(networking.get("address"), "networking.address")
    advertised = text_of(networking.get("advertisedAddress"), "networking.advertisedAddress")
    gateway = networking.get("gateway")
    return DataplaneSpec(
        address=address,
        advertised_address=advertised or address,
        inbounds=tuple(
            _inbound(fields_of(item, path), path, address, advertised)
            for path, item in _numbered(networking, "inbound")
        ),
        outbounds=tuple(
            _outbound(fields_of(item, path), path)
            for path, item in _numbered(networking, "outbound")
        ),
        gateway=gateway is not None,
        gateway_tags=tags_of(fields_of(gateway, "networking.gateway").get("tags"), "gateway.tags"),
        admin_port=_admin_port(networking),
        transparent=transparent_of(networking),
        probes=probes_of(data),
    )


def _numbered(networking: Fields, name: str) -> list[tuple[str, object]]:
    path = f"networking.{name}"
    return [(f"{path}[{i}]", item) for i, item in enumerate(list_of(networking.get(name), path))]


def _admin_port(networking: Fields) -> int:
    admin = fields_of(networking.get("admin"), "networking.admin")
    return number_of(admin.get("port"), "networking.admin.port")


def _inbound(data: Fields, path: str, dataplane_address: str, advertised: str) -> Inbound:
    """Addresses as Kuma derives them: the workload is at serviceAddress, else where the sidecar
    listens.
    """
    address = text_of(data.get("address"), f"{path}.address") or dataplane_address
    port = number_of(data.get("port"), f"{path}.port")
    tags = tags_of(data.get("tags"), f"{path}.tags")
    health = fields_of(data.get("health"), f"{path}.health")
    state = text_of(data.get("state"), f"{path}.state") or InboundState.READY
    ready = flag_of(health.get("ready"), f"{path}.health.ready", default="health" not in data)
    protocol = text_of(data.get("protocol"), f"{path}.protocol")
    return Inbound(
        name=text_of(data.get("name"), f"{path}.name") or str(port),
        address=address,
        port=port,
        workload_address=text_of(data.get("serviceAddress"), f"{path}.serviceAddress") or address,
        workload_port=number_of(data.get("servicePort"), f"{path}.servicePort") or port,
        advertised_address=advertised or address,
        tags=tags,
        protocol=protocol or dict(tags).get("kuma.io/protocol", "tcp"),
        healthy=state == InboundState.READY and ready,
        probed="serviceProbe" in data,
        ignored=state == InboundState.IGNORED,
    )


def _outbound(data: Fields, path: str) -> Outbound:
    return Outbound(
        address=text_of(data.get("address"), f"{path}.address") or "127.0.0.1",
        port=number_of(data.get("port"), f"{path}.port"),
        destination=_destination(data, path),
    )


def _destination(data: Fields, path: str) -> Destination:
    if data.get("backendRef") is None:
        return TagDestination(tags_of(data.get("tags"), f"{path}.tags"))
    ref = fields_of(data["backendRef"], f"{path}.backendRef")
    return RefDestination(
        kind=text_of(ref.get("kind"), f"{path}.backendRef.kind"),
        name=text_of(ref.get("name"), f"{path}.backendRef.name"),
        port=number_of(ref.get("port"), f"{path}.backendRef.port"),
        labels=tags_of(ref.get("labels"), f"{path}.backendRef.labels"),
    )


def transparent_of(networking: Fields) -> TransparentProxying | None:
    """None where nothing is captured: then nothing that is said of it counts."""
    path = "networking.transparentProxying"
    data = fields_of(networking.get("transparentProxying"), path)
    inbound = number_of(data.get("redirectPortInbound"), f"{path}.redirectPortInbound")
    outbound = number_of(data.get("redirectPortOutbound"), f"{path}.redirectPortOutbound")
    if not inbound and not outbound:
        return None
    return TransparentProxying(
        inbound,
        outbound,
        ipv6=data.get("ipFamilyMode") not in (IPV4_ONLY, "IPv4"),
        reachable_services=_texts(data, "reachableServices", path),
        reachable_backends=_reachable(data, path),
        direct_access=_texts(data, "directAccessServices", path),
    )


IPV4_ONLY = 2  # the number of the family mode in messages


def _texts(data: Fields, name: str, path: str) -> tuple[str, ...]:
    return tuple(text_of(each, f"{path}.{name}") for each in list_of(data.get(name), path))


def _reachable(data: Fields, path: str) -> tuple[ReachableBackend, ...] | None:
    if data.get("reachableBackends") is None:
        return None
    path = f"{path}.reachableBackends"
    refs = list_of(fields_of(data["reachableBackends"], path).get("refs"), f"{path}.refs")
    return tuple(_backend(fields_of(ref, f"{path}.refs"), f"{path}.refs") for ref in refs)


def _backend(ref: Fields, path: str) -> ReachableBackend:
    return ReachableBackend(
        kind=text_of(ref.get("kind"), f"{path}.kind"),
        name=text_of(ref.get("name"), f"{path}.name"),
        namespace=text_of(ref.get("namespace"), f"{path}.namespace"),
        port=number_of(ref.get("port"), f"{path}.port"),
        labels=tags_of(ref.get("labels"), f"{path}.labels"),
    )


def probes_of(data: Fields) -> Probes | None:
    probes = fields_of(data.get("probes"), "probes")
    port = number_of(probes.get("port"), "probes.port")
    if not port:
        return None
    endpoints = list_of(probes.get("endpoints"), "probes.endpoints")
    found = (fields_of(endpoint, "probes.endpoints") for endpoint in endpoints)
    return Probes(port, tuple(_probe(endpoint) for endpoint in found))


def _probe(endpoint: Fields) -> ProbeEndpoint:
    path = "probes.endpoints"
    return ProbeEndpoint(
        number_of(endpoint.get("inboundPort"), f"{path}.inboundPort"),
        text_of(endpoint.get("inboundPath"), f"{path}.inboundPath"),
        text_of(endpoint.get("path"), f"{path}.path"),
    )


# --- ZoneIngress and ZoneEgress ---


def decode_zone_ingress(data: Fields) -> ZoneIngressSpec:
    networking = fields_of(data.get("networking"), "networking")
    services = list_of(data.get("availableServices"), "availableServices")
    return ZoneIngressSpec(
        zone=text_of(data.get("zone"), "zone"),
        address=text_of(networking.get("address"), "networking.address"),
        port=number_of(networking.get("port"), "networking.port"),
        advertised_address=text_of(networking.get("advertisedAddress"), "networking"),
        advertised_port=number_of(networking.get("advertisedPort"), "networking.advertisedPort"),
        available_services=tuple(
            _service(fields_of(item, f"availableServices[{i}]"), f"availableServices[{i}]")
            for i, item in enumerate(services)
        ),
        admin_port=_admin_port(networking),
    )


def decode_zone_egress(data: Fields) -> ZoneEgressSpec:
    networking = fields_of(data.get("networking"), "networking")
    return ZoneEgressSpec(
        zone=text_of(data.get("zone"), "zone"),
        address=text_of(networking.get("address"), "networking.address"),
        port=number_of(networking.get("port"), "networking.port"),
        admin_port=_admin_port(networking),
    )


def _service(data: Fields, path: str) -> AvailableService:
    return AvailableService(
        mesh=text_of(data.get("mesh"), f"{path}.mesh"),
        tags=tags_of(data.get("tags"), f"{path}.tags"),
        instances=number_of(data.get("instances"), f"{path}.instances"),
        external=flag_of(data.get("externalService"), f"{path}.externalService"),
    )
