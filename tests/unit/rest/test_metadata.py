"""What a control plane says of itself and of its kinds: compared with facts/http-api.md."""

from __future__ import annotations

import json
from dataclasses import replace

from reconciler.decode import mesh_resource
from reconciler.fleet import CLUSTER_ID
from reconciler.model.resource import Labels, ResourceKey
from reconciler.rest.callers import ANONYMOUS
from reconciler.rest.zone_catalogue import of_zone
from reconciler.state import from_resources
from tests.support.rest import BOSS, ask, catalogue, global_catalogue, zone_catalogue
from tests.support.zone import zone

# facts/http-api.md 5.2: to, from, rules, whether `from` counts as rules.
LISTS = {
    "MeshAccessLog MeshCircuitBreaker MeshRateLimit MeshTimeout": "TTTT",
    "MeshFaultInjection": "TTTF",
    "MeshTLS": "FTTT",
    "MeshTrafficPermission": "FTTF",
    "MeshHealthCheck MeshHTTPRoute MeshTCPRoute MeshLoadBalancingStrategy MeshRetry": "TFFF",
    "MeshMetric MeshPassthrough MeshProxyPatch MeshTrace": "FFFF",
}
BY_POLICY = {name: lists for names, lists in LISTS.items() for name in names.split()}
PLURALS = {
    "MeshHTTPRoute": "Mesh HTTP Routes",
    "MeshTCPRoute": "Mesh TCP Routes",
    "MeshTLS": "Mesh TLSes",
    "MeshOpenTelemetryBackend": "Mesh OpenTelemetry Backends",
    "MeshIdentity": "Mesh Identities",
    "MeshLoadBalancingStrategy": "Mesh Load Balancing Strategies",
    "MeshProxyPatch": "Mesh Proxy Patches",
    "MeshRetry": "Mesh Retries",
    "MeshZoneAddress": "Mesh Zone Addresses",
    "Mesh": "Meshes",
    "Retry": "Retries",
    "ZoneEgress": "Zone Egresses",
    "ZoneIngress": "Zone Ingresses",
    "MeshTimeout": "Mesh Timeouts",
}
NOT_FEDERATED = {
    *("Dataplane", "DataplaneInsight", "MeshInsight", "MeshService", "MeshZoneAddress"),
    *("ServiceInsight", "Workload", "Zone", "ZoneEgress", "ZoneEgressInsight", "ZoneIngress"),
    *("ZoneIngressInsight", "ZoneInsight"),
}


def test_there_are_53_kinds_sorted_each_with_all_it_says() -> None:
    _, found = ask(catalogue(), "/_resources")
    kinds = found["resources"]
    names = [kind["name"] for kind in kinds]
    assert len(names) == 53
    assert names == sorted(names)
    assert "Config" not in names
    for kind in kinds:
        assert kind.keys() - {"policy"} == {
            *("includeInFederation", "name", "path", "pluralDisplayName", "readOnly", "scope"),
            *("shortName", "singularDisplayName"),
        }
        assert kind["includeInFederation"] is (kind["name"] not in NOT_FEDERATED), kind["name"]
        assert kind["readOnly"] is True
    by_name = {kind["name"]: kind for kind in kinds}
    assert {name: by_name[name]["pluralDisplayName"] for name in PLURALS} == PLURALS
    assert by_name["MeshTLS"]["singularDisplayName"] == "Mesh TLS"
    assert (by_name["Mesh"]["scope"], by_name["Mesh"]["shortName"]) == ("Global", "m")
    assert (by_name["Retry"]["scope"], by_name["Retry"]["shortName"]) == ("Mesh", "")


def test_each_policy_says_which_lists_it_has() -> None:
    _, found = ask(catalogue(), "/_resources")
    policies = {kind["name"]: kind["policy"] for kind in found["resources"] if "policy" in kind}
    assert len(policies) == 29
    fields = ("hasToTargetRef", "hasFromTargetRef", "hasRulesTargetRef", "isFromAsRules")
    for name, policy in policies.items():
        lists = "".join("T" if policy[field] else "F" for field in fields)
        assert lists == BY_POLICY.get(name, "FFFF"), name
        assert policy["isTargetRef"] is (name in BY_POLICY)


def test_there_are_29_policies_sorted() -> None:
    _, found = ask(catalogue(), "/policies")
    policies = found["policies"]
    assert [policy["name"] for policy in policies] == sorted(policy["name"] for policy in policies)
    assert len(policies) == 29
    by_name = {policy["name"]: policy for policy in policies}
    assert by_name["MeshTLS"] == {
        "name": "MeshTLS",
        "readOnly": True,
        "path": "meshtlses",
        "singularDisplayName": "Mesh TLS",
        "pluralDisplayName": "Mesh TLSes",
        "isExperimental": False,
        "isTargetRefBased": True,
        "isInbound": True,
        "isOutbound": False,
    }
    assert by_name["TrafficRoute"]["isTargetRefBased"] is False
    assert by_name["MeshRetry"]["isOutbound"] is True


def test_the_index_says_kuma_and_the_version_spoken() -> None:
    shown = replace(global_catalogue(), instance="g-1")
    status, found = ask(shown, "/", ANONYMOUS)
    assert status == 200
    assert found | {"clusterId": ""} == {
        "product": "Kuma",
        "version": "2.14.3",
        "hostname": "global.example",
        "instanceId": "g-1",
        "clusterId": "",
        "gui": "",
    }


def test_the_index_names_the_fleet_where_it_is_known() -> None:
    config = mesh_resource(ResourceKey("Config", "", CLUSTER_ID), Labels(), {"config": "fleet-1"})
    state = replace(zone().state, merged=from_resources((config,)))
    shown = of_zone(state, hostname="h", now=0.0, items_max=1)
    assert ask(shown, "/", ANONYMOUS)[1]["clusterId"] == "fleet-1"


def test_a_caller_learns_who_they_are() -> None:
    assert ask(catalogue(), "/who-am-i", BOSS)[1] == {
        "name": "boss",
        "groups": ["mesh-system:admin", "mesh-system:authenticated"],
    }


def test_the_configuration_has_what_readers_look_for_and_no_secret() -> None:
    _, found = ask(global_catalogue(), "/config")
    assert (found["mode"], found["store"], found["apiServer"]["readOnly"]) == (
        "global",
        {"type": "git"},
        True,
    )
    assert found["gitops"]["repository"] == "https://git.example/mesh.git"
    assert found["gitops"]["revision"] == "c1"
    _, found = ask(zone_catalogue(), "/config")
    assert (found["mode"], found["multizone"]) == ("zone", {"zone": {"name": "east"}})
    assert json.dumps(found).count("token") == 0
