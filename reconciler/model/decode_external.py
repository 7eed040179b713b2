"""Services outside of the mesh as typed specs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.decode import (
    DecodeError,
    fields_of,
    flag_of,
    list_of,
    number_of,
    source_of,
    tags_of,
    text_of,
)
from reconciler.model.resource import SERVICE
from reconciler.model.spec import (
    CaSource,
    ExternalServiceSpec,
    ExternalTlsSpec,
    MeshExternalServiceSpec,
)

if TYPE_CHECKING:
    from reconciler.model.decode import Fields

UNREADABLE = CaSource()  # named, and nothing that a zone may read
PORT_MAX = 65_535
UNIX = "unix://"  # sockets of a host that nobody names
VERSIONS = {"TLS10": "TLSv1_0", "TLS11": "TLSv1_1", "TLS12": "TLSv1_2", "TLS13": "TLSv1_3"}


def decode_external_service(data: Fields) -> ExternalServiceSpec:
    networking = fields_of(data.get("networking"), "networking")
    host, port = _split(text_of(networking.get("address"), "networking.address"))
    tags = tags_of(data.get("tags"), "tags")
    if not dict(tags).get(SERVICE):
        raise DecodeError("tags", f"{SERVICE} is missing")
    unnamed = flag_of(networking.get("disableHostDNSEntry"), "networking.disableHostDNSEntry")
    return ExternalServiceSpec(host, port, tags, _tls(networking), named=not unnamed)


def _split(address: str) -> tuple[str, int]:
    """Kuma takes one without any: it has no endpoint."""
    if not address:
        return "", 0
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) <= PORT_MAX:
        raise DecodeError("networking.address", "must be host and port, such as example.com:443")
    return host, int(port)


def _tls(networking: Fields) -> ExternalTlsSpec | None:
    path = "networking.tls"
    tls = fields_of(networking.get("tls"), path)
    if not flag_of(tls.get("enabled"), f"{path}.enabled"):
        return None
    skip = flag_of(tls.get("skipHostnameVerification"), f"{path}.skipHostnameVerification")
    return ExternalTlsSpec(
        ca=named_source(tls.get("caCert"), f"{path}.caCert"),
        cert=named_source(tls.get("clientCert"), f"{path}.clientCert"),
        key=named_source(tls.get("clientKey"), f"{path}.clientKey"),
        server_name=text_of(tls.get("serverName"), f"{path}.serverName"),
        any_name=skip,
        allow_renegotiation=flag_of(tls.get("allowRenegotiation"), f"{path}.allowRenegotiation"),
    )


def named_source(value: object, path: str) -> CaSource | None:
    """None: none is named. A file would be one of every control plane's disk: it is not read."""
    return None if value is None else source_of(value, path) or UNREADABLE


# --- MeshExternalService ---


def decode_mesh_external_service(data: Fields) -> MeshExternalServiceSpec:
    match = fields_of(data.get("match"), "match")
    found: list[tuple[str, int, int]] = []
    for index, item in enumerate(list_of(data.get("endpoints"), "endpoints")):
        path = f"endpoints[{index}]"
        fields = fields_of(item, path)
        address = text_of(fields.get("address"), f"{path}.address")
        port = number_of(fields.get("port"), f"{path}.port")
        priority = number_of(fields.get("priority"), f"{path}.priority")
        if address and not address.startswith(UNIX) and 0 < port <= PORT_MAX:
            found.append((address, port, priority))
    return MeshExternalServiceSpec(
        port=number_of(match.get("port"), "match.port"),
        protocol=text_of(match.get("protocol"), "match.protocol") or "tcp",
        endpoints=tuple(found),
        tls=_verified(fields_of(data.get("tls"), "tls")),
    )


def _verified(tls: Fields) -> ExternalTlsSpec | None:
    """By mode: SkipSAN takes any name, SkipCA any certificate, SkipAll shows none of its own."""
    if not flag_of(tls.get("enabled"), "tls.enabled"):
        return None
    path, version = "tls.verification", fields_of(tls.get("version"), "tls.version")
    given = fields_of(tls.get("verification"), path)
    mode = text_of(given.get("mode"), f"{path}.mode") or "Secured"
    of_nobody, any_name = mode in ("SkipCA", "SkipAll"), mode in ("SkipSAN", "SkipAll")
    own = mode != "SkipAll"
    sans = [fields_of(item, path) for item in list_of(given.get("subjectAltNames"), path)]
    return ExternalTlsSpec(
        ca=None if of_nobody else named_source(given.get("caCert"), f"{path}.caCert"),
        cert=named_source(given.get("clientCert"), f"{path}.clientCert") if own else None,
        key=named_source(given.get("clientKey"), f"{path}.clientKey") if own else None,
        server_name="" if any_name else text_of(given.get("serverName"), f"{path}.serverName"),
        sans=tuple(
            (text_of(s.get("type"), path).lower(), text_of(s.get("value"), path)) for s in sans
        ),
        any_name=any_name,
        system_ca=not of_nobody,
        allow_renegotiation=flag_of(tls.get("allowRenegotiation"), "tls.allowRenegotiation"),
        least=VERSIONS.get(text_of(version.get("min"), "tls.version.min"), ""),
        most=VERSIONS.get(text_of(version.get("max"), "tls.version.max"), ""),
    )
