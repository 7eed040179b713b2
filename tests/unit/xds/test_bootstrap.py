"""The bootstrap document: node metadata as tools read it, addresses, SANs, the token."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from xds.bootstrap import BootstrapInput, bootstrap, bootstrap_document

SIDECAR = BootstrapInput(
    mesh="default",
    name="web-1",
    cluster="web",
    xds_host="127.0.0.1",
    xds_port=5679,
    ca_pem="-----BEGIN CERTIFICATE-----",
    token="a.b.c",
    dns_port=15054,
    readiness_port=9902,
    workdir="/var/lib/web-1",
    features=("feature-delta-grpc",),
    resource_json='{"type":"Dataplane"}',
    metadata={"version": {"kumaDp": {"version": "2.14.3"}}, "dynamicMetadata": {"a": "b"}},
)


def test_node_metadata_has_flat_keys_and_ports_as_strings() -> None:
    assert bootstrap_document(SIDECAR)["node"] == {
        "id": "default.web-1",
        "cluster": "web",
        "metadata": {
            "version": {"kumaDp": {"version": "2.14.3"}},
            "dynamicMetadata": {"a": "b"},
            "features": ["feature-delta-grpc"],
            "workdir": "/var/lib/web-1",
            "metricsCertPath": "",
            "metricsKeyPath": "",
            "systemCaPath": "",
            "spireAgent.socketPath": "",
            "ipv6Enabled": False,
            "dataplane.resource": '{"type":"Dataplane"}',
            "dataplane.proxyType": "dataplane",
            "dataplane.dns.port": "15054",
            "dataplane.readinessReporter.port": "9902",
            "dataplane.admin.port": "9901",
            "dataplane.admin.address": "127.0.0.1",
            "dataplane.admin.socketPath": "/var/lib/web-1/kuma-envoy-admin.sock",
        },
    }


def test_zone_proxy_has_no_mesh_in_its_id() -> None:
    ingress = replace(SIDECAR, mesh="", name="ing.1", cluster="ingress", proxy_type="ingress")
    node = json.loads(bootstrap(ingress))["node"]
    assert (node["id"], node["cluster"]) == (".ing.1", "ingress")


def test_admin_listens_on_a_private_socket_in_the_workdir_and_on_loopback_without_one() -> None:
    with_workdir = json.loads(bootstrap(SIDECAR))["admin"]["address"]
    assert with_workdir == {"pipe": {"path": "/var/lib/web-1/kuma-envoy-admin.sock", "mode": 0o600}}
    without = json.loads(bootstrap(replace(SIDECAR, workdir="", admin_port=9911)))
    assert without["admin"]["address"] == {
        "socketAddress": {"address": "127.0.0.1", "portValue": 9911}
    }
    assert "dataplane.admin.socketPath" not in without["node"]["metadata"]


def test_socket_paths_fit_a_unix_socket_address() -> None:
    long = replace(SIDECAR, workdir="/" + "w" * 200)
    path = json.loads(bootstrap(long))["admin"]["address"]["pipe"]["path"]
    assert path.endswith(".sock")
    assert len(path) < 108


@pytest.mark.parametrize(
    ("host", "kind", "address"),
    [
        ("10.0.0.1", "STATIC", "10.0.0.1"),
        ("[fd00::1]", "STATIC", "fd00::1"),
        ("cp.example", "LOGICAL_DNS", "cp.example"),
    ],
)
def test_control_plane_is_reached_and_verified_by_the_host_the_proxy_named(
    host: str, kind: str, address: str
) -> None:
    document = json.loads(bootstrap(replace(SIDECAR, xds_host=host)))
    (cluster,) = document["staticResources"]["clusters"]
    endpoint = cluster["loadAssignment"]["endpoints"][0]["lbEndpoints"][0]["endpoint"]
    assert cluster["type"] == kind
    assert cluster.get("dnsLookupFamily") == ("ALL" if kind == "LOGICAL_DNS" else None)
    assert endpoint["address"]["socketAddress"] == {"address": address, "portValue": 5679}
    (secret,) = document["staticResources"]["secrets"]
    assert [san["matcher"] for san in secret["validationContext"]["matchTypedSubjectAltNames"]] == [
        {"exact": address},
        {"exact": address},
    ]


def test_token_is_sent_raw_and_ads_is_delta_without_a_time_limit() -> None:
    dynamic = json.loads(bootstrap(SIDECAR))["dynamicResources"]
    assert dynamic["adsConfig"]["apiType"] == "DELTA_GRPC"
    assert dynamic["adsConfig"]["grpcServices"] == [
        {
            "envoyGrpc": {"clusterName": "ads_cluster"},
            "initialMetadata": [{"key": "authorization", "value": "a.b.c"}],
        }
    ]
    assert dynamic["cdsConfig"]["initialFetchTimeout"] == "0s"
    assert dynamic["ldsConfig"]["initialFetchTimeout"] == "0s"


def test_no_token_no_header() -> None:
    dynamic = json.loads(bootstrap(replace(SIDECAR, token="")))["dynamicResources"]
    assert "initialMetadata" not in dynamic["adsConfig"]["grpcServices"][0]


def test_access_log_sink_exists_only_where_it_is_used() -> None:
    names = [
        [c["name"] for c in json.loads(bootstrap(given))["staticResources"]["clusters"]]
        for given in (SIDECAR, replace(SIDECAR, access_log_sink=True))
    ]
    assert names == [["ads_cluster"], ["ads_cluster", "access_log_sink"]]


def test_equal_inputs_give_equal_text() -> None:
    other_order = {key: SIDECAR.metadata[key] for key in sorted(SIDECAR.metadata, reverse=True)}
    assert bootstrap(SIDECAR) == bootstrap(replace(SIDECAR, metadata=other_order))
