"""SDS secrets from PEM: what the TLS contexts refer to by name."""

from __future__ import annotations

from envoy_data_plane.envoy.config.core.v3 import DataSource
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    Secret,
    TlsCertificate,
)

from xds.message import encode, new
from xds.names import EXTERNAL_IDENTITY, IDENTITY
from xds.resource import SECRET, XdsResource
from xds.wire import resource


def identity_secret(name: str, chain_pem: bytes, key_pem: bytes) -> XdsResource:
    """A workload's certificate chain and private key."""
    certificate = new(
        TlsCertificate,
        certificate_chain=new(DataSource, inline_bytes=chain_pem),
        private_key=new(DataSource, inline_bytes=key_pem),
    )
    return resource(SECRET, name, encode(new(Secret, name=name, tls_certificate=certificate)))


def placeholder(name: str, text: bytes = b"") -> XdsResource:
    """The secret of a name whose content is not to be shown; which of the two the name tells."""
    is_identity = name.startswith((IDENTITY, EXTERNAL_IDENTITY))
    return identity_secret(name, text, text) if is_identity else ca_secret(name, text)


def ca_secret(name: str, pem: bytes) -> XdsResource:
    """The CA certificates peers are verified with; matchers stand in the TLS contexts."""
    context = new(CertificateValidationContext, trusted_ca=new(DataSource, inline_bytes=pem))
    return resource(SECRET, name, encode(new(Secret, name=name, validation_context=context)))
