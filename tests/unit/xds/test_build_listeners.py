"""Shapes of listeners against the sheet, read back by the library's own parser."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.support import xds_inputs as inputs
from tests.support.xds_inputs import (
    HTTP_RBAC,
    NETWORK_RBAC,
    PERMISSIVE,
    STRICT,
    inbound,
    outbound,
    route,
    timeout,
    to,
)
from xds import names
from xds.build.inbound import inbound_listener, inbound_shape
from xds.build.listeners import build_listener
from xds.hooks import Applied, Hooks
from xds.message import encode
from xds.readable import readable
from xds.resource import LISTENER
from xds.view import (
    AdminListener,
    DownstreamTls,
    InboundListener,
    ListenerInput,
    OutboundListener,
    PassthroughListener,
    Protocol,
    SniListener,
)
from xds.wire import resource

if TYPE_CHECKING:
    from xds.message import Form

Json = dict[str, Any]
WEBSOCKETS = {
    "upgradeConfigs": [{"upgradeType": "websocket"}],
    "http2ProtocolOptions": {"allowConnect": True},
}


def built(argument: ListenerInput) -> Json:
    """A copy: tests take it apart, and what is readable is kept for others."""
    return cast("Json", deepcopy(readable(build_listener(argument))))


def names_of(chain: Json) -> list[str]:
    return [each["name"].rpartition(".")[2] for each in chain["filters"]]


def config(chain: Json) -> Json:
    """The terminal filter: HTTP connection manager or TCP proxy."""
    return cast("Json", chain["filters"][-1]["typedConfig"])


def http_filters(chain: Json) -> list[str]:
    return [each["name"].rpartition(".")[2] for each in config(chain)["httpFilters"]]


def only_chain(listener: Json) -> Json:
    (chain,) = listener["filterChains"]
    return cast("Json", chain)


# --- inbound ---


def test_strict_http_inbound_has_the_shape_of_the_sheet() -> None:
    listener = built(inbound(Protocol.HTTP, STRICT, HTTP_RBAC))
    chain = only_chain(listener)
    assert "filterChainMatch" not in chain
    assert listener["trafficDirection"] == "INBOUND"
    assert listener["enableReusePort"] is True
    tags = listener["metadata"]["filterMetadata"]["io.kuma.tags"]
    assert tags == dict(inputs.TAGS, **{"kuma.io/service": "backend"})
    assert http_filters(chain) == ["rbac", "router"]
    hcm = {k: v for k, v in config(chain).items() if k not in ("httpFilters", "@type")}
    ranges = hcm.pop("internalAddressConfig")["cidrRanges"]
    assert [f"{r['addressPrefix']}/{r['prefixLen']}" for r in ranges] == [
        "10.0.0.0/8",
        "192.168.0.0/16",
        "172.16.0.0/12",
        "fc00::/7",
        "fd00::/8",
        "127.0.0.1/32",
        "::1/128",
    ]
    assert hcm == {
        "statPrefix": "localhost_8080",
        "routeConfig": {
            "name": "inbound:backend",
            "validateClusters": False,
            "requestHeadersToRemove": ["x-kuma-tags"],
            "virtualHosts": [
                {
                    "name": "backend",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "route": {"cluster": "localhost:8080", "timeout": "0s"},
                        }
                    ],
                }
            ],
        },
        "forwardClientCertDetails": "SANITIZE_SET",
        "setCurrentClientCertDetails": {"uri": True},
        "streamIdleTimeout": "3600s",
        "commonHttpProtocolOptions": {"idleTimeout": "7200s"},
        "normalizePath": True,
        **WEBSOCKETS,
    }


def test_mesh_tls_requires_a_client_certificate_of_the_mesh() -> None:
    socket = only_chain(built(inbound(Protocol.HTTP, STRICT)))["transportSocket"]["typedConfig"]
    common = socket["commonTlsContext"]
    ads = {"ads": {}, "resourceApiVersion": "V3"}
    assert socket["requireClientCertificate"] is True
    assert common["tlsCertificateSdsSecretConfigs"] == [
        {"name": "identity_cert:secret:default", "sdsConfig": ads}
    ]
    combined = common["combinedValidationContext"]
    assert combined["validationContextSdsSecretConfig"] == {
        "name": "mesh_ca:secret:default",
        "sdsConfig": ads,
    }
    assert combined["defaultValidationContext"]["matchTypedSubjectAltNames"] == [
        {"sanType": "URI", "matcher": {"prefix": "spiffe://default/"}}
    ]
    assert "alpnProtocols" not in common


def test_tcp_inbound_is_a_tcp_proxy_behind_what_policies_put_first() -> None:
    chain = only_chain(built(inbound(Protocol.TCP, STRICT, NETWORK_RBAC)))
    assert names_of(chain) == ["rbac", "tcp_proxy"]
    proxy = config(chain)
    proxy.pop("@type")
    assert proxy == {
        "statPrefix": "localhost_8080",
        "cluster": "localhost:8080",
        "idleTimeout": "7200s",
    }


@pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.TCP])
def test_without_mtls_the_inbound_terminates_no_tls(protocol: Protocol) -> None:
    listener = built(inbound(protocol, None))
    assert "transportSocket" not in only_chain(listener)
    assert "listenerFilters" not in listener


@pytest.mark.parametrize("protocol", [Protocol.HTTP, Protocol.TCP])
def test_permissive_authorises_and_terminates_only_mesh_tls(protocol: Protocol) -> None:
    """Plaintext, foreign TLS, mesh TLS; neither of the first two may meet RBAC, which would deny
    it.
    """
    rbac = HTTP_RBAC if protocol.is_http else NETWORK_RBAC
    listener = built(inbound(protocol, PERMISSIVE, timeout(5), rbac))
    plain, foreign, mesh = listener["filterChains"]
    assert [f["name"] for f in listener["listenerFilters"]] == [
        "envoy.filters.listener.tls_inspector"
    ]
    assert plain["filterChainMatch"] == {"transportProtocol": "raw_buffer"}
    assert foreign["filterChainMatch"] == {"transportProtocol": "tls"}
    assert mesh["filterChainMatch"] == {
        "transportProtocol": "tls",
        "applicationProtocols": ["kuma"],
    }
    assert ["transportSocket" in chain for chain in (plain, foreign, mesh)] == [False, False, True]
    assert not any("rbac" in repr(chain) for chain in (plain, foreign))
    ends = [chain["filters"][-1]["name"].rpartition(".")[2] for chain in (plain, foreign, mesh)]
    spoken = "http_connection_manager" if protocol.is_http else "tcp_proxy"
    assert ends == [spoken, "tcp_proxy", spoken]
    assert names_of(foreign) == ["tcp_proxy"]
    assert "rbac" in (http_filters(mesh) if protocol.is_http else names_of(mesh))
    other = config(plain)["streamIdleTimeout" if protocol.is_http else "idleTimeout"]
    assert other == "5s"  # other policies reach the plaintext chain too


@pytest.mark.parametrize(
    "argument", [each for each in inputs.EVERY_LISTENER if isinstance(each, InboundListener)]
)
@pytest.mark.parametrize("address", ["10.0.0.7", "fd00::7"])
def test_an_assembled_inbound_is_the_one_built_whole(
    argument: InboundListener, address: str
) -> None:
    made = replace(argument, name=f"inbound:{address}", address=address, port=65535)
    assert build_listener(made) == resource(LISTENER, made.name, encode(inbound_listener(made)))


def test_instances_of_a_service_share_all_but_name_and_address() -> None:
    seen: list[InboundListener] = []

    def shape(argument: InboundListener) -> Form:
        seen.append(argument)
        return inbound_shape(argument)

    first = inbound(Protocol.HTTP, STRICT, HTTP_RBAC)
    for address in ("10.0.0.1", "10.0.0.2"):
        build_listener(replace(first, name=f"inbound:{address}", address=address), shape)
    assert seen[0] == seen[1] == replace(first, name="", address="", port=0)


def test_a_policy_that_reads_the_listener_gets_the_whole_of_it() -> None:
    def refuse(argument: InboundListener) -> Form:
        raise AssertionError(argument)

    build_listener(inbound(Protocol.HTTP, STRICT, timeout(5)), refuse)


def test_reuse_port_is_said_explicitly_either_way() -> None:
    listener = built(replace(inbound(Protocol.TCP, None), reuse_port=False))
    assert listener["enableReusePort"] is False


# --- outbound ---


def test_http_outbound_has_the_shape_of_the_sheet() -> None:
    listener = built(outbound(Protocol.HTTP, (route(),)))
    hcm = config(only_chain(listener))
    assert listener["trafficDirection"] == "OUTBOUND"
    assert "enableReusePort" not in listener
    assert listener["metadata"]["filterMetadata"]["io.kuma.tags"] == dict(inputs.BACKEND)
    assert hcm["statPrefix"] == "backend"
    assert hcm["normalizePath"] is True
    assert "forwardClientCertDetails" not in hcm
    assert hcm["routeConfig"] == {
        "name": "outbound:backend",
        "validateClusters": False,
        "virtualHosts": [
            {
                "name": "backend",
                "domains": ["*"],
                "routes": [
                    {
                        "name": "r",
                        "match": {"prefix": "/"},
                        "route": {"cluster": "backend", "timeout": "0s"},
                    }
                ],
            }
        ],
    }


def test_a_routes_own_conf_stands_against_that_of_the_destination() -> None:
    """A policy on the MeshHTTPRoute is more specific than one on the service."""
    listener = built(outbound(Protocol.HTTP, (route(applied=(timeout(7),)),), timeout(15)))
    (found,) = config(only_chain(listener))["routeConfig"]["virtualHosts"][0]["routes"]
    assert found["route"]["timeout"] == "7s"


@pytest.mark.parametrize("protocol", [p for p in Protocol if p.is_http])
def test_both_ends_pass_websockets_on_but_not_in_grpc(protocol: Protocol) -> None:
    for listener in (built(inbound(protocol, STRICT)), built(outbound(protocol, (route(),)))):
        hcm = config(only_chain(listener))
        found = {name: hcm[name] for name in WEBSOCKETS if name in hcm}
        assert found == ({} if protocol is Protocol.GRPC else WEBSOCKETS)


@pytest.mark.parametrize("tls", [None, STRICT, PERMISSIVE])
def test_callers_of_a_probed_inbound_that_is_not_ready_connect_anew(
    tls: DownstreamTls | None,
) -> None:
    """Envoy winds up the connections of a filter chain that is another one, and of no other."""
    argument = inbound(Protocol.HTTP, tls)
    well, ill = built(argument), built(replace(argument, ready=False))
    for before, after in zip(well["filterChains"], ill["filterChains"], strict=True):
        is_http = config(before)["@type"].endswith("HttpConnectionManager")
        assert (after != before) == is_http
        after.pop("metadata", None)
        assert after == before
    assert well == ill  # and nothing else: the listener stays bound as it is
    tcp = inbound(Protocol.TCP, tls)
    assert built(replace(tcp, ready=False)) == built(tcp)


def test_tcp_outbound_uses_one_cluster_or_a_split() -> None:
    single = config(only_chain(built(outbound(Protocol.TCP, (route(),)))))
    assert (single["statPrefix"], single["cluster"]) == ("backend", "backend")
    split = config(only_chain(built(outbound(Protocol.TCP, (route(clusters=to("a", "b")),)))))
    assert split["weightedClusters"]["clusters"] == [
        {"name": "a", "weight": 1},
        {"name": "b", "weight": 1},
    ]


@pytest.mark.parametrize("made", [inbound(Protocol.GRPC, STRICT), outbound(Protocol.GRPC, ())])
def test_grpc_is_counted_by_method(made: ListenerInput) -> None:
    assert http_filters(only_chain(built(made))) == ["grpc_stats", "router"]


# --- ingress ---


def test_ingress_routes_by_sni_without_terminating_tls() -> None:
    listener = built(inputs.SNI_LISTENER)
    assert [f["name"] for f in listener["listenerFilters"]] == [
        "envoy.filters.listener.tls_inspector"
    ]
    chains = listener["filterChains"]
    assert [c["filterChainMatch"] for c in chains] == [
        {"transportProtocol": "tls", "serverNames": [chain.sni]} for chain in inputs.CHAINS
    ]
    assert not any("transportSocket" in chain for chain in chains)
    subset, whole = map(config, chains)
    assert subset["metadataMatch"] == {"filterMetadata": {"envoy.lb": {"version": "v1"}}}
    assert "metadataMatch" not in whole
    assert (whole["statPrefix"], whole["cluster"]) == ("default_backend", "default:backend")


def test_idle_ingress_answers_by_itself() -> None:
    """Envoy refuses a listener without chains."""
    idle = SniListener("inbound:1.1.1.1:10001", "1.1.1.1", 10001, (), idle_body='{"zone":"east"}')
    chain = only_chain(built(idle))
    assert names_of(chain) == ["direct_response"]
    assert config(chain)["response"] == {"inlineString": '{"zone":"east"}'}


# --- passthrough, admin ---


def test_passthrough_goes_where_the_connection_was_meant_to() -> None:
    name = names.OUTBOUND_PASSTHROUGH
    listener = built(PassthroughListener(name, "0.0.0.0", 15001, name))
    assert listener["useOriginalDst"] is True
    assert config(only_chain(listener))["cluster"] == name


def test_the_admin_listener_knows_one_path() -> None:
    """It is reachable from anywhere: nothing else of Envoy's admin interface may be."""
    listener = built(AdminListener(names.ADMIN_LISTENER, "10.0.0.1", 9901, names.ADMIN_CLUSTER))
    hcm = config(only_chain(listener))
    (host,) = hcm["routeConfig"]["virtualHosts"]
    assert [r["match"] for r in host["routes"]] == [{"path": "/ready"}]
    assert hcm["normalizePath"] is True
    ranges = hcm["internalAddressConfig"]["cidrRanges"]
    assert [r["addressPrefix"] for r in ranges] == ["127.0.0.1", "::1"]


# --- for all ---


@pytest.mark.parametrize("made", [inbound(Protocol.HTTP, None), outbound(Protocol.HTTP, ())])
def test_the_router_is_last_whatever_policies_add(made: InboundListener | OutboundListener) -> None:
    """Envoy refuses a chain that ends otherwise; a policy that appends is our fault, said here."""
    wrong = Applied(Hooks(policy="wrong", on_http_filters=lambda f, _: f.append(f.pop(0))), "")
    assert built(replace(made, applied=(HTTP_RBAC,)))
    with pytest.raises(AssertionError, match="router"):
        build_listener(replace(made, applied=(HTTP_RBAC, wrong)))


def test_network_filters_of_policies_stand_before_http_too() -> None:
    chain = only_chain(built(inbound(Protocol.HTTP, STRICT, NETWORK_RBAC)))
    assert names_of(chain) == ["rbac", "http_connection_manager"]


@pytest.mark.parametrize("argument", inputs.EVERY_LISTENER)
def test_equal_arguments_give_equal_bytes(argument: ListenerInput) -> None:
    assert build_listener(argument) == build_listener(replace(argument))


def test_listener_hooks_see_the_whole_listener() -> None:
    seen: list[tuple[str, int]] = []
    hook = Hooks(
        policy="seer", on_listener=lambda x, _: seen.append((x.name, len(x.filter_chains)))
    )
    build_listener(inbound(Protocol.HTTP, PERMISSIVE, Applied(hook, "")))
    assert seen == [("inbound:127.0.0.1:18080", 3)]
