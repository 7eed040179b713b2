"""Shapes of what leads out of the mesh, read back by the library's own parser."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.support.xds_inputs import ENDED, OUTSIDE, OUTSIDE_CA, OUTSIDE_IDENTITY, SNI_LISTENER
from xds.build.clusters import build_cluster
from xds.build.listeners import build_listener
from xds.build.routes import envoy_routes
from xds.build.secrets import placeholder
from xds.external import ExternalEndpoint, ExternalTls
from xds.message import encode
from xds.readable import readable
from xds.route import MatchKind, PathMatch, Rewrite, Route, RouteMatch, WeightedCluster
from xds.view import ExternalCluster, Protocol

ADS = {"ads": {}, "resourceApiVersion": "V3"}
MATCH = {
    "kuma.io/external-service-name": "pay",
    "kuma.io/protocol": "http",
    "kuma.io/zone": "east",
    "version": "v1",
}


def built(*endpoints: ExternalEndpoint, protocol: Protocol = Protocol.HTTP) -> dict[str, Any]:
    found = readable(build_cluster(ExternalCluster("outside", protocol, endpoints)))
    return cast("dict[str, Any]", deepcopy(found))


def tls_of(cluster: dict[str, Any]) -> dict[str, Any]:
    (match,) = cluster["transportSocketMatches"]
    return cast("dict[str, Any]", match["transportSocket"]["typedConfig"])


def test_names_are_looked_up_by_the_proxy_and_addresses_are_taken_as_they_are() -> None:
    named, plain = OUTSIDE[1], OUTSIDE[2]
    by_name = built(named)
    assert (by_name["type"], by_name["dnsLookupFamily"]) == ("STRICT_DNS", "V4_PREFERRED")
    by_address = built(plain)
    assert by_address["type"] == "STATIC"
    assert "dnsLookupFamily" not in by_address
    assert built(named, plain)["type"] == "STRICT_DNS"  # An address is a name that is known.


def test_each_endpoint_says_its_host_its_place_and_what_its_tls_is_found_by() -> None:
    (found,) = built(replace(OUTSIDE[0], zone="east", subzone="rack", name="pay"))[
        "loadAssignment"
    ]["endpoints"]
    assert found["locality"] == {"zone": "east", "subZone": "rack"}
    assert found["priority"] == 1
    (endpoint,) = found["lbEndpoints"]
    assert endpoint["endpoint"] == {
        "address": {"socketAddress": {"address": "pay.example", "portValue": 443}},
        "hostname": "pay.example",
    }
    assert endpoint["metadata"]["filterMetadata"]["envoy.transport_socket_match"] == MATCH
    assert endpoint["loadBalancingWeight"] == 1


def test_tls_has_its_own_secrets_by_sds_and_verifies_the_name() -> None:
    cluster = built(replace(OUTSIDE[0], zone="east"))
    (match,) = cluster["transportSocketMatches"]
    assert (match["name"], match["match"]) == ("pay", MATCH)
    tls = tls_of(cluster)
    common = tls["commonTlsContext"]
    assert (tls["sni"], tls["allowRenegotiation"]) == ("pay.example", True)
    assert common["tlsCertificateSdsSecretConfigs"] == [
        {"name": OUTSIDE_IDENTITY, "sdsConfig": ADS}
    ]
    combined = common["combinedValidationContext"]
    assert combined["validationContextSdsSecretConfig"] == {"name": OUTSIDE_CA, "sdsConfig": ADS}
    assert combined["defaultValidationContext"]["matchTypedSubjectAltNames"] == [
        {"sanType": kind, "matcher": {how: value}}
        for how, value in (("exact", "pay.example"), ("prefix", "pay."))
        for kind in ("DNS", "IP_ADDRESS")
    ]
    assert common["tlsParams"] == {
        "tlsMinimumProtocolVersion": "TLSv1_2",
        "tlsMaximumProtocolVersion": "TLSv1_3",
    }


def test_cas_of_the_host_are_a_file_there() -> None:
    tls = ExternalTls("pay.example", ca_file="/etc/ssl/ca.pem", sans=(("exact", "pay.example"),))
    common = tls_of(built(ExternalEndpoint("pay.example", 443, tls=tls, name="pay")))
    context = common["commonTlsContext"]["validationContext"]
    assert context["trustedCa"] == {"filename": "/etc/ssl/ca.pem"}
    assert len(context["matchTypedSubjectAltNames"]) == 2


def test_without_a_ca_nobody_is_verified() -> None:
    found = tls_of(built(OUTSIDE[1]))
    assert found["sni"] == "pay.example"
    assert "validationContext" not in found.get("commonTlsContext", {})
    assert "combinedValidationContext" not in found.get("commonTlsContext", {})


@pytest.mark.parametrize(
    ("protocol", "options"),
    [
        (Protocol.HTTP, {"httpProtocolOptions": {}}),
        (Protocol.HTTP2, {"http2ProtocolOptions": {}}),
        (Protocol.GRPC, {"http2ProtocolOptions": {}}),
        (Protocol.TCP, None),
    ],
)
def test_it_is_spoken_to_as_its_protocol_says(
    protocol: Protocol, options: dict[str, object] | None
) -> None:
    found = built(OUTSIDE[2], protocol=protocol).get("typedExtensionProtocolOptions", {})
    assert [each["explicitHttpConfig"] for each in found.values()] == ([options] if options else [])


def test_the_mesh_ends_in_a_chain_of_its_own_and_the_host_is_that_of_the_endpoint() -> None:
    listener = cast(
        "dict[str, Any]", readable(build_listener(replace(SNI_LISTENER, ended=ENDED[1:2])))
    )
    *passed, chain = listener["filterChains"]
    assert [c["filterChainMatch"]["serverNames"] for c in passed] == [
        [each.sni] for each in SNI_LISTENER.chains
    ]
    assert (chain["name"], chain["filterChainMatch"]) == (
        "http_default",
        {"transportProtocol": "tls", "serverNames": ["http{mesh=default}"]},
    )
    assert chain["transportSocket"]["typedConfig"]["requireClientCertificate"] is True
    (manager,) = (f["typedConfig"] for f in chain["filters"])
    assert manager["httpFilters"][0]["name"] == "envoy.filters.http.rbac"
    config = manager["routeConfig"]
    assert config["name"] == "outbound:http"
    assert config["requestHeadersToRemove"] == ["x-kuma-tags"]
    (route,) = config["virtualHosts"][0]["routes"]
    assert route["route"]["autoHostRewrite"] is True
    assert route["route"]["cluster"] == "outside"


def test_tcp_goes_on_behind_the_filter_that_authorises() -> None:
    listener = cast(
        "dict[str, Any]", readable(build_listener(replace(SNI_LISTENER, ended=ENDED[2:])))
    )
    filters = listener["filterChains"][-1]["filters"]
    assert [f["name"] for f in filters] == [
        "envoy.filters.network.rbac",
        "envoy.filters.network.tcp_proxy",
    ]


def test_a_host_that_a_route_names_stands_before_that_of_the_endpoint() -> None:
    match = RouteMatch(path=PathMatch(MatchKind.PREFIX, "/"))
    route = Route("r", match, (WeightedCluster("outside", 1),), host_of_endpoint=True)
    (found,) = envoy_routes(route)
    assert found.route is not None
    assert found.route.auto_host_rewrite is True
    (found,) = envoy_routes(replace(route, filters=(Rewrite("other.example", None),)))
    assert found.route is not None
    assert found.route.auto_host_rewrite is None
    assert found.route.host_rewrite_literal == "other.example"
    assert encode(found)


def test_of_several_who_is_not_reached_is_left_out() -> None:
    both = ExternalCluster("outside", Protocol.HTTP, OUTSIDE[:2])
    made = cast("dict[str, Any]", readable(build_cluster(replace(both, detection=True))))
    assert made["outlierDetection"]["splitExternalLocalOriginErrors"] is True
    assert made["commonLbConfig"]["healthyPanicThreshold"] == {"value": 1.0}
    assert "outlierDetection" not in cast("dict[str, Any]", readable(build_cluster(both)))


@pytest.mark.parametrize(
    ("name", "field"), [(OUTSIDE_IDENTITY, "tlsCertificate"), (OUTSIDE_CA, "validationContext")]
)
def test_what_is_not_shown_is_of_the_same_kind(name: str, field: str) -> None:
    found = placeholder(name, b"left out")
    assert field in cast("dict[str, Any]", readable(found))
