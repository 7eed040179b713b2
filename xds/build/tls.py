"""TLS contexts of mutual TLS between proxies, with certificates by SDS on the ADS stream."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.core.v3 import (
    AggregatedConfigSource,
    ApiVersion,
    ConfigSource,
    DataSource,
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
    TlsParameters,
    TlsParametersTlsProtocol,
    UpstreamTlsContext,
)
from envoy_data_plane.envoy.type.matcher.v3 import StringMatcher

from xds.external import EXACT
from xds.message import PARTS, any_of, new, part

if TYPE_CHECKING:
    from xds.external import ExternalTls
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
    matchers = [
        *(new(StringMatcher, exact=uri) for uri in tls.san_uris),
        *(new(StringMatcher, prefix=prefix) for prefix in tls.san_uri_prefixes),
    ]
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


@lru_cache(PARTS)
def external_socket(tls: ExternalTls) -> TransportSocket:
    """The client's side of TLS that is not the mesh's."""
    context = new(
        UpstreamTlsContext,
        sni=tls.sni,
        allow_renegotiation=tls.allow_renegotiation,
        common_tls_context=_external(tls),
    )
    return part(new(TransportSocket, name=TLS_SOCKET, typed_config=any_of(context)))


def _external(tls: ExternalTls) -> CommonTlsContext:
    context = new(CommonTlsContext)
    if tls.identity_secret:
        identity = new(SdsSecretConfig, name=tls.identity_secret, sds_config=ads())
        context.tls_certificate_sds_secret_configs = [identity]
    validation = new(CertificateValidationContext, match_typed_subject_alt_names=_sans(tls.sans))
    if tls.ca_secret:
        context.combined_validation_context = new(
            CommonTlsContextCombinedCertificateValidationContext,
            default_validation_context=validation,
            validation_context_sds_secret_config=new(
                SdsSecretConfig, name=tls.ca_secret, sds_config=ads()
            ),
        )
    elif tls.ca_file:
        validation.trusted_ca = new(DataSource, filename=tls.ca_file)
        context.validation_context = validation
    if tls.least or tls.most:
        versions = TlsParametersTlsProtocol
        context.tls_params = new(
            TlsParameters,
            tls_minimum_protocol_version=versions[tls.least] if tls.least else versions.TLS_AUTO,
            tls_maximum_protocol_version=versions[tls.most] if tls.most else versions.TLS_AUTO,
        )
    return context


def _sans(wanted: tuple[tuple[str, str], ...]) -> list[SubjectAltNameMatcher]:
    """Envoy compares names and addresses apart."""
    return [
        new(
            SubjectAltNameMatcher,
            san_type=kind,
            matcher=new(StringMatcher, exact=value)
            if how == EXACT
            else new(StringMatcher, prefix=value),
        )
        for how, value in wanted
        for kind in (SubjectAltNameMatcherSanType.DNS, SubjectAltNameMatcherSanType.IP_ADDRESS)
    ]
