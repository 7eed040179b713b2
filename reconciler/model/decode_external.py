"""Services outside of the mesh as typed specs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.model.decode import DecodeError, fields_of, flag_of, source_of, tags_of, text_of
from reconciler.model.resource import SERVICE
from reconciler.model.spec import CaSource, ExternalServiceSpec, ExternalTlsSpec

if TYPE_CHECKING:
    from reconciler.model.decode import Fields

UNREADABLE = CaSource()  # named, and nothing that a zone may read
PORT_MAX = 65_535


def decode_external_service(data: Fields) -> ExternalServiceSpec:
    networking = fields_of(data.get("networking"), "networking")
    host, port = _split(text_of(networking.get("address"), "networking.address"))
    tags = tags_of(data.get("tags"), "tags")
    if not dict(tags).get(SERVICE):
        raise DecodeError("tags", f"{SERVICE} is missing")
    return ExternalServiceSpec(host, port, tags, _tls(networking))


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
