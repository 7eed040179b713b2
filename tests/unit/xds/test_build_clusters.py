"""Shapes of clusters and secrets against the sheet, read back by the library's own parser."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.support import xds_inputs as inputs
from tests.support.xds_inputs import CA, IDENTITY, UPSTREAM, timeout
from xds.build.clusters import build_cluster
from xds.build.secrets import ca_secret, identity_secret
from xds.hooks import Applied, Hooks
from xds.readable import readable
from xds.resource import CLUSTER, SECRET
from xds.view import (
    ClusterInput,
    EdsCluster,
    LocalCluster,
    PassthroughCluster,
    PipeCluster,
    Protocol,
)
from xds.wire import entry_body

if TYPE_CHECKING:
    from envoy_data_plane.envoy.extensions.upstreams.http.v3 import HttpProtocolOptions

ADS = {"ads": {}, "resourceApiVersion": "V3"}
TRACK = {"thresholds": [{"trackRemaining": True}]}
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def built(argument: ClusterInput) -> dict[str, Any]:
    """A copy: tests take it apart, and what is readable is kept for others."""
    return cast("dict[str, Any]", deepcopy(readable(build_cluster(argument))))


def options_of(cluster: dict[str, Any]) -> dict[str, Any]:
    found = dict(cluster["typedExtensionProtocolOptions"][OPTIONS])
    assert found.pop("@type") == f"type.googleapis.com/{OPTIONS}"
    return found


def test_outbound_cluster_with_mtls_has_the_shape_of_the_sheet() -> None:
    cluster = built(EdsCluster("backend", Protocol.TCP, UPSTREAM))
    socket = cluster.pop("transportSocket")
    options = options_of(cluster)
    cluster.pop("typedExtensionProtocolOptions")
    assert cluster == {
        "name": "backend",
        "type": "EDS",
        "edsClusterConfig": {"edsConfig": ADS},
        "connectTimeout": "5s",
        "circuitBreakers": TRACK,
    }
    assert options == {"explicitHttpConfig": {"http2ProtocolOptions": {}}}  # TCP services too
    context = socket["typedConfig"]
    assert socket["name"] == "envoy.transport_sockets.tls"
    assert context["sni"] == "backend{mesh=default}"
    assert context["commonTlsContext"] == {
        "alpnProtocols": ["kuma"],
        "tlsCertificateSdsSecretConfigs": [{"name": IDENTITY, "sdsConfig": ADS}],
        "combinedValidationContext": {
            "defaultValidationContext": {
                "matchTypedSubjectAltNames": [
                    {"sanType": "URI", "matcher": {"exact": "spiffe://default/backend"}}
                ]
            },
            "validationContextSdsSecretConfig": {"name": CA, "sdsConfig": ADS},
        },
    }


def test_detection_ejects_who_is_not_reached_and_nobody_for_an_answer() -> None:
    """No number of 5xx counts, all hosts may be out, and then all are tried; a ping goes ahead of a
    call on a silent connection, and none on one that is idle.
    """
    cluster = built(EdsCluster("backend", Protocol.TCP, UPSTREAM, detection=True))
    assert cluster["outlierDetection"] == {
        "splitExternalLocalOriginErrors": True,
        "consecutiveLocalOriginFailure": 3,
        "interval": "1s",
        "baseEjectionTime": "20s",
        "maxEjectionTime": "30s",
        "maxEjectionPercent": 100,
        "enforcingConsecutive5Xx": 0,
        "enforcingSuccessRate": 0,
        "enforcingLocalOriginSuccessRate": 0,
    }
    assert cluster["commonLbConfig"] == {
        "healthyPanicThreshold": {"value": 1.0},
        "updateMergeWindow": "0.100s",
    }
    http2 = options_of(cluster)["explicitHttpConfig"]["http2ProtocolOptions"]
    assert http2 == {"connectionKeepalive": {"connectionIdleInterval": "1s", "timeout": "1s"}}


def test_without_mtls_the_cluster_has_no_transport_socket() -> None:
    assert "transportSocket" not in built(EdsCluster("backend", Protocol.HTTP, None))


def test_a_server_may_be_any_of_several_identities() -> None:
    uris = ("spiffe://default/a", "spiffe://default/b")
    cluster = built(EdsCluster("backend", Protocol.HTTP, replace(UPSTREAM, san_uris=uris)))
    common = cluster["transportSocket"]["typedConfig"]["commonTlsContext"]
    validation = common["combinedValidationContext"]["defaultValidationContext"]
    matchers = [each["matcher"]["exact"] for each in validation["matchTypedSubjectAltNames"]]
    assert tuple(matchers) == uris


def test_ingress_cluster_has_nothing_but_endpoints_and_subsets() -> None:
    argument = EdsCluster(
        "default:backend",
        Protocol.TCP,
        None,
        http2_upstream=False,
        circuit_breakers=False,
        subset_keys=(("version",),),
    )
    assert built(argument) == {
        "name": "default:backend",
        "altStatName": "default_backend",
        "type": "EDS",
        "edsClusterConfig": {"edsConfig": ADS},
        "connectTimeout": "5s",
        "lbSubsetConfig": {
            "fallbackPolicy": "ANY_ENDPOINT",
            "subsetSelectors": [{"keys": ["version"], "fallbackPolicy": "NO_FALLBACK"}],
        },
    }
    assert "lbSubsetConfig" not in built(replace(argument, subset_keys=()))


@pytest.mark.parametrize(
    ("protocol", "explicit"),
    [
        (Protocol.HTTP, "httpProtocolOptions"),
        (Protocol.HTTP2, "http2ProtocolOptions"),
        (Protocol.GRPC, "http2ProtocolOptions"),
    ],
)
def test_local_cluster_speaks_the_applications_protocol(protocol: Protocol, explicit: str) -> None:
    cluster = built(LocalCluster("localhost:8080", "127.0.0.1", 8080, protocol))
    assert options_of(cluster) == {
        "commonHttpProtocolOptions": {
            "idleTimeout": "7200s",
            "maxConnectionDuration": "0s",
            "maxStreamDuration": "0s",
        },
        "explicitHttpConfig": {explicit: {}},
    }


def test_local_tcp_cluster_has_the_shape_of_the_sheet() -> None:
    address = {"socketAddress": {"address": "127.0.0.1", "portValue": 8080}}
    assert built(LocalCluster("localhost:8080", "127.0.0.1", 8080, Protocol.TCP)) == {
        "name": "localhost:8080",
        "altStatName": "localhost_8080",
        "type": "STATIC",
        "connectTimeout": "10s",
        "circuitBreakers": TRACK,
        "loadAssignment": {
            "clusterName": "localhost:8080",
            "endpoints": [{"lbEndpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def test_passthrough_and_pipe() -> None:
    passthrough = built(PassthroughCluster("outbound:passthrough:ipv4"))
    assert (passthrough["type"], passthrough["lbPolicy"]) == ("ORIGINAL_DST", "CLUSTER_PROVIDED")
    pipe = built(PipeCluster("kuma:envoy:admin", "/tmp/admin.sock"))
    (group,) = pipe["loadAssignment"]["endpoints"]
    assert group["lbEndpoints"] == [
        {"endpoint": {"address": {"pipe": {"path": "/tmp/admin.sock"}}}}
    ]
    assert pipe["altStatName"] == "kuma_envoy_admin"


def _idle(options: HttpProtocolOptions, conf: timedelta) -> None:
    from envoy_data_plane.envoy.config.core.v3 import HttpProtocolOptions as Common

    options.common_http_protocol_options = Common(idle_timeout=conf)


def test_policies_change_the_fresh_messages_in_order() -> None:
    idle = Applied(Hooks(policy="idle", on_protocol_options=_idle), timedelta(seconds=9))
    applied = (timeout(3), timeout(4), idle)
    cluster = built(EdsCluster("backend", Protocol.HTTP, None, applied=applied))
    assert cluster["connectTimeout"] == "4s"
    assert options_of(cluster)["commonHttpProtocolOptions"] == {"idleTimeout": "9s"}
    bare = LocalCluster("localhost:8080", "127.0.0.1", 8080, Protocol.TCP, (idle,))
    assert "typedExtensionProtocolOptions" not in built(bare)  # nothing to set options on


@pytest.mark.parametrize("argument", inputs.EVERY_CLUSTER)
def test_the_resource_is_named_typed_and_versioned_by_its_body(argument: ClusterInput) -> None:
    made = build_cluster(argument)
    assert made == build_cluster(replace(argument))
    assert made.name == argument.name
    assert entry_body(made.entry)[0] == CLUSTER


def test_secrets_carry_material_and_no_matchers() -> None:
    identity = identity_secret(IDENTITY, b"CHAIN", b"KEY")
    ca = ca_secret(CA, b"CA")
    assert [entry_body(s.entry)[0] for s in (identity, ca)] == [SECRET, SECRET]
    assert readable(identity) == {
        "name": IDENTITY,
        "tlsCertificate": {
            "certificateChain": {"inlineBytes": "Q0hBSU4="},
            "privateKey": {"inlineBytes": "S0VZ"},
        },
    }
    assert readable(ca) == {
        "name": CA,
        "validationContext": {"trustedCa": {"inlineBytes": "Q0E="}},
    }
