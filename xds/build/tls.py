"""TLS contexts of mutual TLS between proxies, with certificates by SDS on the ADS stream."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.core.v3 import (
    AggregatedConfigSource,
    ApiVersion,
    ConfigSource,
    TransportSocket,
)
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import (
    CertificateValidationContext,
    CommonTlsContext,
    CommonTlsContextCombinedCertificateValidationContext,
    DownstreamTlsContext,
    SdsSecretConfig,
    SubjectAltNameMatcher,
    SubjectAltNameMatcherSanType,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from xds.message import PARTS, any_of, new, part

if TYPE_CHECKING:
    from xds.view import DownstreamTls, UpstreamTls

TLS_SOCKET = "envoy.transport_sockets.tls"


@cache
def ads() -> ConfigSource:
    """Where EDS and SDS come from: the same ADS stream."""
    found = new(ConfigSource, ads=new(AggregatedConfigSource), resource_api_version=ApiVersion.V3)
    return part(found)


@lru_cache(PARTS)
def downstream_socket(tls: DownstreamTls) -> TransportSocket:
    """The server's side: a client certificate of the mesh is required."""
    matchers = [new(StringMatcher, prefix=prefix) for prefix in tls.san_uri_prefixes]
    context = new(
        DownstreamTlsContext,
        require_client_certificate=True,
        common_tls_context=_common(tls.identity_secret, tls.ca_secret, matchers, ()),
    )
    return part(new(TransportSocket, name=TLS_SOCKET, typed_config=any_of(context)))


@lru_cache(PARTS)
def upstream_socket(tls: UpstreamTls) -> TransportSocket:
    """The client's side: SNI names the service, and the server must be that service."""
    matchers = [new(StringMatcher, exact=uri) for uri in tls.san_uris]
    context = new(
        UpstreamTlsContext,
        sni=tls.sni,
        common_tls_context=_common(tls.identity_secret, tls.ca_secret, matchers, tls.alpn),
    )
    return part(new(TransportSocket, name=TLS_SOCKET, typed_config=any_of(context)))


def _common(
    identity: str, ca: str, matchers: list[StringMatcher], alpn: tuple[str, ...]
) -> CommonTlsContext:
    sans = [
        new(SubjectAltNameMatcher, san_type=SubjectAltNameMatcherSanType.URI, matcher=matcher)
        for matcher in matchers
    ]
    return new(
        CommonTlsContext,
        tls_certificate_sds_secret_configs=[new(SdsSecretConfig, name=identity, sds_config=ads())],
        combined_validation_context=new(
            CommonTlsContextCombinedCertificateValidationContext,
            default_validation_context=new(
                CertificateValidationContext, match_typed_subject_alt_names=sans
            ),
            validation_context_sds_secret_config=new(SdsSecretConfig, name=ca, sds_config=ads()),
        ),
        alpn_protocols=list(alpn),
    )
