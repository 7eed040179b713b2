"""Plain JSON data as typed specs, for the kinds that are no policies. Pure.

The data has passed the kind's schema, or came over the wire: what cannot be understood is a
DecodeError with the path in the document, never a guess.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import cast

from reconciler.model.spec import (
    AvailableService,
    CaBackend,
    CaSource,
    DataplaneSpec,
    Destination,
    Inbound,
    InboundState,
    MeshSpec,
    Outbound,
    RefDestination,
    TagDestination,
    Tags,
    TransparentProxying,
    ZoneEgressSpec,
    ZoneIngressSpec,
    ZoneSpec,
)

Fields = Mapping[str, object]
DAY_S = 86400
CERTIFICATE_S = DAY_S
CA_LIFETIME_S = 10 * 365 * DAY_S
RSA_BITS = 2048
LIFETIME_MAX_S = 100 * 365 * DAY_S
_LIFETIME = re.compile(r"([0-9]{1,1000})(ms|y|w|d|h|m|s)")
_LIFETIME_S = {
    "y": 365 * DAY_S,
    "w": 7 * DAY_S,
    "d": DAY_S,
    "h": 3600,
    "m": 60,
    "s": 1,
    "ms": 0.001,
}


class DecodeError(ValueError):
    """`path` is dotted, from the top of the spec."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


def fields_of(value: object, path: str) -> Fields:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise DecodeError(path, "must be an object")
    return cast("Fields", value)


def list_of(value: object, path: str) -> Sequence[object]:
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise DecodeError(path, "must be a list")
    return value


def text_of(value: object, path: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DecodeError(path, "must be a string")
    return value


def number_of(value: object, path: str) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise DecodeError(path, "must be a whole number")
    return value


def flag_of(value: object, path: str, *, default: bool = False) -> bool:
    if value is None:
        return default
    if not isinstance(value, bool):
        raise DecodeError(path, "must be true or false")
    return value


def tags_of(value: object, path: str) -> Tags:
    found = fields_of(value, path)
    return tuple(sorted((key, text_of(text, f"{path}.{key}")) for key, text in found.items()))


# --- Mesh and Zone ---


def decode_mesh(data: Fields) -> MeshSpec:
    mtls = fields_of(data.get("mtls"), "mtls")
    backends = tuple(
        _backend(fields_of(item, f"mtls.backends[{i}]"), f"mtls.backends[{i}]")
        for i, item in enumerate(list_of(mtls.get("backends"), "mtls.backends"))
    )
    enabled = text_of(mtls.get("enabledBackend"), "mtls.enabledBackend")
    found = next((backend for backend in backends if enabled and backend.name == enabled), None)
    if enabled and found is None:
        raise DecodeError("mtls.enabledBackend", f'no backend is named "{enabled}"')
    routing = fields_of(data.get("routing"), "routing")
    networking = fields_of(data.get("networking"), "networking")
    outbound = fields_of(networking.get("outbound"), "networking.outbound")
    services = fields_of(data.get("meshServices"), "meshServices")
    skipped = list_of(data.get("skipCreatingInitialPolicies"), "skipCreatingInitialPolicies")
    return MeshSpec(
        mtls=found,
        backends=backends,
        locality_aware=flag_of(routing.get("localityAwareLoadBalancing"), "routing"),
        zone_egress=flag_of(routing.get("zoneEgress"), "routing.zoneEgress"),
        outside_forbidden=flag_of(routing.get("defaultForbidMeshExternalServiceAccess"), "routing"),
        passthrough=flag_of(outbound.get("passthrough"), "networking.outbound", default=True),
        mesh_services_mode=_mode(services.get("mode")),
        skip_initial_policies=tuple(text_of(x, "skipCreatingInitialPolicies") for x in skipped),
    )


def _mode(value: object) -> str:
    """A number that no word stands for is Kuma's way, too, to say the default."""
    return value if isinstance(value, str) and value else "Disabled"


def _backend(data: Fields, path: str) -> CaBackend:
    rotation = fields_of(fields_of(data.get("dpCert"), path).get("rotation"), path)
    own = fields_of(data.get("conf"), path)
    conf = fields_of(own.get("caCert"), f"{path}.conf.caCert")
    certificate_s = lifetime_s(rotation.get("expiration"), f"{path}.dpCert.rotation.expiration")
    ca_s = lifetime_s(conf.get("expiration"), f"{path}.conf.caCert.expiration")
    return CaBackend(
        name=text_of(data.get("name"), f"{path}.name"),
        type=text_of(data.get("type"), f"{path}.type"),
        permissive=data.get("mode") == "PERMISSIVE",
        certificate_s=certificate_s or CERTIFICATE_S,
        rsa_bits=_rsa_bits(conf, f"{path}.conf.caCert.RSAbits"),
        ca_lifetime_s=ca_s or CA_LIFETIME_S,
        cert=source_of(own.get("cert"), f"{path}.conf.cert"),
        key=source_of(own.get("key"), f"{path}.conf.key"),
    )


def source_of(value: object, path: str) -> CaSource | None:
    """A Kuma data source. None for a file, too: it would be one of the disk of every control plane,
    and what comes over the wire does not choose which of them are read.
    """
    found = fields_of(value, path)
    if found.get("inlineString") is not None:  # Of several, Kuma takes the last of its message.
        return CaSource(inline=text_of(found["inlineString"], path).encode())
    if found.get("inline") is not None:
        text = text_of(found["inline"], path).replace("\n", "").replace("\r", "")
        try:
            return CaSource(inline=base64.b64decode(text, validate=True))
        except binascii.Error as error:
            raise DecodeError(f"{path}.inline", "must be base64") from error
    if found.get("file") is not None:
        return None
    name = text_of(found.get("secret"), f"{path}.secret")
    return CaSource(name) if name else None


def _rsa_bits(conf: Fields, path: str) -> int:
    """`conf` travels as a protobuf Struct, whose numbers are all floats; in quotes is one, too."""
    bits = conf.get("RSAbits")
    if isinstance(bits, str) and bits.strip().isdecimal():
        return int(bits) or RSA_BITS
    if isinstance(bits, float) and bits.is_integer():
        return int(bits) or RSA_BITS
    return number_of(bits, path) or RSA_BITS


def lifetime_s(value: object, path: str) -> int:
    """A number with one unit of y, w, d, h, m, s, ms, or "0"; 0 when absent. Not over 100 years:
    what a certificate can say ends somewhere.
    """
    text = text_of(value, path)
    if text != "" and not is_lifetime(text):
        raise DecodeError(path, f'"{text}" is not a lifetime such as 24h or 10d')
    return min(seconds_of(text), LIFETIME_MAX_S)


def seconds_of(lifetime: str) -> int:
    found = _LIFETIME.fullmatch(lifetime)
    return int(int(found[1]) * _LIFETIME_S[found[2]]) if found else 0


def is_lifetime(value: object) -> bool:
    return isinstance(value, str) and (value == "0" or _LIFETIME.fullmatch(value) is not None)


def decode_zone(data: Fields) -> ZoneSpec:
    return ZoneSpec(enabled=flag_of(data.get("enabled"), "enabled", default=True))


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
        transparent=_transparent(networking),
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


def _transparent(networking: Fields) -> TransparentProxying | None:
    path = "networking.transparentProxying"
    data = fields_of(networking.get("transparentProxying"), path)
    inbound = number_of(data.get("redirectPortInbound"), f"{path}.redirectPortInbound")
    outbound = number_of(data.get("redirectPortOutbound"), f"{path}.redirectPortOutbound")
    return TransparentProxying(inbound, outbound) if inbound and outbound else None


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
