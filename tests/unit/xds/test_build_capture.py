"""Shapes of transparent proxying against the sheet (4.1, 4.2, 4.4, 10.3)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.support.xds_inputs import ANY_OF_MESH, DNS, STRICT, inbound, outbound, route, timeout
from xds import names
from xds.build.clusters import build_cluster
from xds.build.listeners import build_listener
from xds.readable import readable
from xds.view import (
    ClusterInput,
    DirectCluster,
    DirectListener,
    DynamicConfigListener,
    EmptyCluster,
    ListenerInput,
    LocalCluster,
    PassthroughCluster,
    PassthroughListener,
    ProbeListener,
    Protocol,
    UpstreamTls,
    tcp_place,
)

Json = dict[str, Any]
PROBE = ProbeListener("x", "127.0.0.1", 15054, (), captured=False, reuse_port=True)
SOCKET = {"socketAddress": {"address": "0.0.0.0", "portValue": 15001}}


def cluster(argument: ClusterInput) -> Json:
    return cast("Json", deepcopy(readable(build_cluster(argument))))


def listener(argument: ListenerInput) -> Json:
    return cast("Json", deepcopy(readable(build_listener(argument))))


def leads_to(chain: Json) -> tuple[str, str]:
    (proxy,) = chain["filters"]
    return proxy["typedConfig"]["statPrefix"], proxy["typedConfig"]["cluster"]


# --- clusters ---


@pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.TCP])
def test_an_application_is_connected_from_the_address_that_redirection_knows(
    protocol: Protocol,
) -> None:
    """From any port of it; all else is as without."""
    plain = LocalCluster("localhost:8080", "10.0.0.1", 8080, protocol, (timeout(3),))
    found = cluster(replace(plain, source="127.0.0.6"))
    bound = found.pop("upstreamBindConfig")
    assert bound == {"sourceAddress": {"address": "127.0.0.6", "portValue": 0}}
    assert found == cluster(plain)


def test_passthrough_clusters_go_to_the_original_destination() -> None:
    common = {
        "type": "ORIGINAL_DST",
        "lbPolicy": "CLUSTER_PROVIDED",
        "connectTimeout": "5s",
        "circuitBreakers": {"thresholds": [{"trackRemaining": True}]},
    }
    assert cluster(PassthroughCluster(names.OUTBOUND_PASSTHROUGH)) == {
        "name": "outbound:passthrough:ipv4",
        "altStatName": "outbound_passthrough_ipv4",
        **common,
    }
    assert cluster(PassthroughCluster(names.INBOUND_PASSTHROUGH_V6, "::6")) == {
        "name": "inbound:passthrough:ipv6",
        "altStatName": "inbound_passthrough_ipv6",
        "upstreamBindConfig": {"sourceAddress": {"address": "::6", "portValue": 0}},
        **common,
    }


def test_direct_access_is_to_anybody_of_the_mesh_and_to_nobody_else() -> None:
    """Which service has an address is not known: no SNI, and any identity of the mesh."""
    found = cluster(DirectCluster(names.DIRECT_ACCESS_CLUSTER, ANY_OF_MESH))
    context = found.pop("transportSocket")["typedConfig"]
    assert found == {
        "name": "direct_access",
        "type": "ORIGINAL_DST",
        "lbPolicy": "CLUSTER_PROVIDED",
        "connectTimeout": "5s",
        "circuitBreakers": {"thresholds": [{"trackRemaining": True}]},
    }
    assert "sni" not in context
    common = context["commonTlsContext"]
    assert common["alpnProtocols"] == ["kuma"]
    assert common["combinedValidationContext"]["defaultValidationContext"] == {
        "matchTypedSubjectAltNames": [
            {"sanType": "URI", "matcher": {"prefix": "spiffe://default/"}},
        ]
    }
    (identity,) = common["tlsCertificateSdsSecretConfigs"]
    assert identity["name"] == names.identity_secret_name("default")
    assert "transportSocket" not in cluster(DirectCluster("direct_access", None))


def test_exact_identities_and_prefixes_are_asked_together() -> None:
    both = UpstreamTls("s", ("spiffe://a/b",), "i", "c", san_uri_prefixes=("spiffe://d/",))
    context = cluster(DirectCluster("x", both))["transportSocket"]["typedConfig"]
    validation = context["commonTlsContext"]["combinedValidationContext"]
    matchers = validation["defaultValidationContext"]["matchTypedSubjectAltNames"]
    assert [each["matcher"] for each in matchers] == [
        {"exact": "spiffe://a/b"},
        {"prefix": "spiffe://d/"},
    ]


def test_a_cluster_without_destination() -> None:
    assert cluster(EmptyCluster(names.NO_DESTINATION_CLUSTER)) == {
        "name": "self_transparentproxy_no_destination_inbound",
        "altStatName": "self_transparentproxy_no_destination_inbound",
        "type": "STATIC",
        "connectTimeout": "5s",
        "circuitBreakers": {"thresholds": [{"trackRemaining": True}]},
    }


# --- listeners ---


def test_captured_listeners_do_not_bind() -> None:
    """All else is as of those that do; an outbound says nothing of reusing its port either way."""
    inward, outward = inbound(Protocol.HTTP, STRICT), outbound(Protocol.HTTP, (route(),))
    for argument in (inward, outward):
        assert "bindToPort" not in listener(argument)
        captured = listener(replace(argument, captured=True))
        assert captured.pop("bindToPort") is False
        assert captured == listener(argument)
    assert "enableReusePort" not in listener(replace(outward, captured=True))


def test_passthrough_outbound() -> None:
    """Its statistics are its own also where what it leads to is nothing."""
    name = names.OUTBOUND_PASSTHROUGH
    found = listener(PassthroughListener(name, "0.0.0.0", 15001, name))
    (chain,) = found.pop("filterChains")
    assert found == {
        "name": name,
        "address": SOCKET,
        "trafficDirection": "OUTBOUND",
        "useOriginalDst": True,
    }
    assert "filterChainMatch" not in chain
    assert leads_to(chain) == ("outbound_passthrough_ipv4", name)
    shut = PassthroughListener(name, "0.0.0.0", 15001, names.NO_DESTINATION_CLUSTER)
    (chain,) = listener(shut)["filterChains"]
    assert leads_to(chain) == ("outbound_passthrough_ipv4", names.NO_DESTINATION_CLUSTER)


@pytest.mark.parametrize("reuse", [True, False])
def test_passthrough_inbound(reuse: bool) -> None:
    name = names.INBOUND_PASSTHROUGH
    argument = PassthroughListener(name, "0.0.0.0", 15001, name, inbound=True, reuse_port=reuse)
    found = listener(argument)
    (chain,) = found.pop("filterChains")
    assert found == {
        "name": name,
        "address": SOCKET,
        "trafficDirection": "INBOUND",
        "enableReusePort": reuse,
        "useOriginalDst": True,
    }
    assert "filterChainMatch" not in chain
    assert leads_to(chain) == ("inbound_passthrough_ipv4", name)


def test_direct_access_listener() -> None:
    name = names.direct_access_listener_name("192.168.0.2", 1234)
    found = listener(DirectListener(name, "192.168.0.2", 1234, names.DIRECT_ACCESS_CLUSTER))
    (chain,) = found.pop("filterChains")
    assert found == {
        "name": "direct_access_192.168.0.2:1234",
        "address": {"socketAddress": {"address": "192.168.0.2", "portValue": 1234}},
        "trafficDirection": "OUTBOUND",
        "bindToPort": False,
    }
    assert leads_to(chain) == ("direct_access_192_168_0_2_1234", "direct_access")
    bound = listener(DirectListener(name, "192.168.0.2", 1234, "direct_access", captured=False))
    assert "bindToPort" not in bound


def test_names_of_captured_proxies_are_no_services() -> None:
    for name in (
        names.OUTBOUND_PASSTHROUGH_V6,
        names.INBOUND_PASSTHROUGH_V6,
        names.NO_DESTINATION_CLUSTER,
        names.DIRECT_ACCESS_CLUSTER,
    ):
        assert names.is_own_cluster(name)
    assert names.direct_access_listener_name("fd00::1", 80) == "direct_access_fd00::1:80"


def test_two_take_the_same_place_by_tcp_alone() -> None:
    assert tcp_place(PROBE) == ("127.0.0.1", 15054)
    assert tcp_place(replace(DNS, port=15054)) is None
    assert tcp_place(DynamicConfigListener("x", "/run/x.sock", ())) is None
