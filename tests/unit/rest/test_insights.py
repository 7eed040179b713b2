"""Insights of meshes and services, and the counters of everything."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.kds.insight_facts import NOTHING, InsightFacts, facts_of
from reconciler.kds.proxy_insight import Subscription, said_by
from reconciler.kds.stats import Counts
from reconciler.rest.proxy_status import proxy_status
from tests.support.rest import (
    ask,
    catalogue,
    global_catalogue,
    insight_of,
    made,
    names,
    zone_catalogue,
)
from tests.support.zone import START

BEGAN = "2027-01-15T08:00:00Z"
VERSIONS = {"version": {"kumaDp": {"version": "2.14.3"}, "envoy": {"version": "1.38.2"}}}
ONLINE = Subscription("cp", START, said=said_by(VERSIONS))
ENDED = Subscription("cp", START, START + 9, said=said_by(VERSIONS))


def proxy(
    name: str, *inbounds: dict[str, Any], gateway: str | None = None, mesh: str = "default"
) -> Any:
    networking: dict[str, Any] = {"address": "10.0.0.1"}
    if gateway is None:
        found = [
            {"port": 80, "tags": {"kuma.io/service": name}, **more} for more in inbounds or ({},)
        ]
        networking["inbound"] = found
    else:
        networking["gateway"] = {"tags": {"kuma.io/service": name}}
        if gateway:
            networking["gateway"]["type"] = gateway
    return made("Dataplane", name, {"networking": networking}, mesh=mesh)


SICK: dict[str, Any] = {"health": {}}
WELL: dict[str, Any] = {"health": {"ready": True}}
AWAY: dict[str, Any] = {"state": "NotReady"}
CONNECTED = InsightFacts(online=True)


@pytest.mark.parametrize(
    ("base", "facts", "type_", "status"),
    [
        (proxy("a"), CONNECTED, "standard", "online"),
        (proxy("a"), NOTHING, "standard", "offline"),
        (proxy("a", WELL, WELL), CONNECTED, "standard", "online"),
        (proxy("a", WELL, SICK), CONNECTED, "standard", "partiallyDegraded"),
        (proxy("a", WELL, AWAY), CONNECTED, "standard", "partiallyDegraded"),
        (proxy("a", SICK, AWAY), CONNECTED, "standard", "offline"),
        (proxy("a", {"state": "Ignored"}), CONNECTED, "standard", "online"),
        (proxy("a", gateway=""), CONNECTED, "gatewayDelegated", "online"),
        (proxy("a", gateway="BUILTIN"), CONNECTED, "gatewayBuiltin", "online"),
        (proxy("a", gateway="BUILTIN"), NOTHING, "gatewayBuiltin", "offline"),
    ],
)
def test_a_proxy_counts_by_its_stream_and_its_inbounds(
    base: Any, facts: InsightFacts, type_: str, status: str
) -> None:
    found = proxy_status(base, facts)
    assert (found.type, found.status) == (type_, status)


@pytest.mark.parametrize(("state", "status"), [({}, "online"), ({"state": "NotReady"}, "offline")])
def test_listeners_count_as_inbounds(state: dict[str, str], status: str) -> None:
    networking = {"address": "10.0.0.1", "listeners": [{"type": "ZoneIngress", "port": 1, **state}]}
    base = made("Dataplane", "a", {"networking": networking})
    assert proxy_status(base, CONNECTED).status == status


def test_facts_of_an_insight_are_those_of_its_newest_word() -> None:
    counted = Subscription("cp", START + 20, counts={"cds": Counts(1)}, counted_at=START + 30)
    insight = insight_of(proxy("a"), ENDED, counted, backend="ca-1")
    assert facts_of(insight) == InsightFacts(
        online=True,
        began=START,
        changed=START + 30,
        kuma_dp="2.14.3",
        envoy="1.38.2",
        issued="ca-1",
        supported=("ca-1",),
    )
    newer = said_by({"version": {"kumaDp": {"version": "2.15.0"}}})
    both = insight_of(proxy("a"), ENDED, Subscription("cp", START + 20, said=newer))
    assert facts_of(both).kuma_dp == "2.15.0"
    assert facts_of(insight_of(proxy("a"), ENDED)).online is False
    assert facts_of(insight_of(proxy("a"), ENDED)).changed == START + 9
    assert facts_of(None) is NOTHING


def test_facts_of_zones_and_zone_proxies_come_from_their_documents() -> None:
    stream = {
        "connectTime": "2027-01-15T08:00:00Z",
        "status": {"lastUpdateTime": "2027-01-15T08:00:07.5Z"},
    }
    zone = made("ZoneInsight", "east", {"subscriptions": [stream]})
    assert facts_of(zone) == InsightFacts(online=True, began=START, changed=START + 7.5)
    ended = {**stream, "disconnectTime": "2027-01-15T08:00:08Z"}
    egress = made("ZoneEgressInsight", "e", {"subscriptions": [ended]})
    assert facts_of(egress) == InsightFacts(online=False, began=START, changed=START + 8)


def a_mesh_of_four() -> Any:
    """One well, one half well, a gateway, and one that never came; in another mesh, one more."""
    web, half = proxy("web"), proxy("half", WELL, SICK)
    edge, late = proxy("edge", gateway=""), proxy("late")
    pay = {"tags": {"kuma.io/service": "pay"}, "networking": {"address": "pay.example:443"}}
    services = {
        "web": service("online", online=1),
        "half": service("partially_degraded", online=1),
        "edge": service("online", "gateway_delegated", online=1),
        "late": service("offline", offline=1),
    }
    return catalogue(
        made("Mesh", "default"),
        made("Mesh", "other"),
        *(web, half, edge, late, proxy("far", mesh="other")),
        insight_of(web, ONLINE, backend="ca-1"),
        insight_of(half, ONLINE, backend="ca-1"),
        insight_of(edge, ONLINE),
        made("ServiceInsight", "all-services-default", {"services": services}),
        made("ExternalService", "pay", pay),
        made("MeshTimeout", "t"),
        made("MeshTimeout", "u"),
        made("TrafficRoute", "r"),
        made("HostnameGenerator", "h"),
        made("Secret", "s", {"data": "eA=="}),
    )


def service(status: str, type_: str = "internal", **counts: int) -> dict[str, Any]:
    return {
        "status": status,
        "serviceType": type_,
        "dataplanes": {"total": 1, "online": 0, "offline": 0, **counts},
        "issuedBackends": {"ca-1": 1} if type_ == "internal" and counts.get("online") else {},
        "addressPort": "x.mesh:80",
        "zones": ["east"],
    }


def test_a_mesh_counts_its_proxies_policies_versions_and_services() -> None:
    status, found = ask(a_mesh_of_four(), "/mesh-insights/default")
    online, late = {"total": 3, "online": 2, "partiallyDegraded": 1}, {"total": 1, "offline": 1}
    issued = {"ca-1": {"total": 2, "online": 1, "partiallyDegraded": 1}}
    times = {"creationTime": "0001-01-01T00:00:00Z", "modificationTime": "0001-01-01T00:00:00Z"}
    assert (status, found) == (
        200,
        {
            "type": "MeshInsight",
            "name": "default",
            **times,
            "dataplanes": {"total": 4, "online": 2, "offline": 1, "partiallyDegraded": 1},
            "dataplanesByType": {
                "standard": {"total": 3, "online": 1, "offline": 1, "partiallyDegraded": 1},
                "gateway": {"total": 1, "online": 1},
                "gatewayBuiltin": {},
                "gatewayDelegated": {"total": 1, "online": 1},
            },
            "policies": {"MeshTimeout": {"total": 2}, "TrafficRoute": {"total": 1}},
            "dpVersions": {
                "kumaDp": {"2.14.3": online, "unknown": late},
                "envoy": {"1.38.2": online, "unknown": late},
            },
            "mTLS": {"issuedBackends": issued, "supportedBackends": issued},
            "services": {"total": 5, "internal": 4, "external": 1},
            "resources": {
                "Dataplane": {"total": 4},
                "ExternalService": {"total": 1},
                "MeshTimeout": {"total": 2},
                "TrafficRoute": {"total": 1},
            },
        },
    )


def test_every_mesh_has_an_insight_even_an_empty_one() -> None:
    shown = a_mesh_of_four()
    assert names(shown, "/mesh-insights") == ["default", "other"]
    assert names(shown, "/mesh-insights?name=oth") == ["other"]
    assert ask(shown, "/mesh-insights/none")[0] == 404
    empty = catalogue(made("Mesh", "m"))
    assert ask(empty, "/mesh-insights/m")[1]["dataplanes"] == {}  # kumactl looks into it


def test_a_zone_has_no_insights_of_meshes() -> None:
    assert names(zone_catalogue(), "/mesh-insights") == []
    assert ask(zone_catalogue(), "/mesh-insights/default")[0] == 404


def test_services_are_listed_one_by_one_with_what_is_not_zero() -> None:
    shown = a_mesh_of_four()
    for path in ("/service-insights", "/meshes/default/service-insights"):
        _, found = ask(shown, path)
        by_name = {item["name"]: item for item in found["items"]}
        assert list(by_name) == ["edge", "half", "late", "pay", "web"]
        assert by_name["web"] == {
            "type": "ServiceInsight",
            "mesh": "default",
            "name": "web",
            "creationTime": "0001-01-01T00:00:00Z",
            "modificationTime": "0001-01-01T00:00:00Z",
            "status": "online",
            "dataplanes": {"total": 1, "online": 1},
            "issuedBackends": {"ca-1": 1},
            "addressPort": "x.mesh:80",
            "zones": ["east"],
        }
        assert by_name["edge"]["serviceType"] == "gateway_delegated"
        assert "addressPort" not in by_name["edge"]
        assert by_name["pay"]["dataplanes"] == {}  # kumactl looks into it
        assert (by_name["pay"]["status"], by_name["pay"]["serviceType"]) == (
            "not_available",
            "external",
        )
        assert by_name["pay"]["addressPort"] == "pay.example:443"
    assert names(shown, "/meshes/other/service-insights") == []


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("type=external", ["pay"]),
        ("type=gateway_delegated,external", ["edge", "pay"]),
        ("type=gateway_builtin", []),
        ("type=", ["edge", "half", "late", "pay", "web"]),
        ("name=a", ["half", "late", "pay"]),
        ("name=a&type=internal", ["half", "late"]),
        ("size=2&offset=1", ["half", "late"]),
    ],
)
def test_services_are_filtered_and_paged(query: str, found: list[str]) -> None:
    assert names(a_mesh_of_four(), f"/meshes/default/service-insights?{query}") == found


def test_services_of_an_unknown_type_are_refused() -> None:
    status, found = ask(a_mesh_of_four(), "/service-insights?type=internal,other")
    assert (status, found["invalid_parameters"][0]["field"]) == (400, "type")


def test_a_service_that_nobody_has_is_404() -> None:
    """Kuma answers 200 with empty counters, for every name."""
    shown = a_mesh_of_four()
    assert ask(shown, "/meshes/default/service-insights/web")[1]["status"] == "online"
    for path in ("/meshes/default/service-insights/none", "/meshes/none/service-insights/web"):
        assert ask(shown, path)[0] == 404
    assert ask(shown, "/meshes/none/service-insights")[1]["title"] == "Failed to retrieve Mesh"


def test_a_zone_reads_each_service_that_it_lists() -> None:
    """It has them under the name that travels, which nobody asks for."""
    services = {"services": {"web": service("online")}}
    told = made("ServiceInsight", "all-services-default-abc", services)
    shown = catalogue(made("Mesh", "default"), told, mode="zone", zone="east")
    (item,) = ask(shown, "/service-insights")[1]["items"]
    assert ask(shown, "/meshes/default/service-insights/web") == (200, item)


def test_a_zone_counts_what_it_holds() -> None:
    _, found = ask(zone_catalogue(), "/global-insight")
    assert found["dataplanes"]["standard"] == {
        "total": 3,
        "online": 3,
        "offline": 0,
        "partiallyDegraded": 0,
    }
    assert found["meshes"] == {"total": 1}
    assert found["policies"]["total"] > 0


def test_a_mesh_of_meshservices_alone_has_only_gateways_by_tag() -> None:
    pay = {"tags": {"kuma.io/service": "pay"}, "networking": {"address": "a:1"}}
    mesh = made("Mesh", "default", {"meshServices": {"mode": "Exclusive"}})
    edge = {**service("online"), "serviceType": "gateway_delegated"}
    told = made("ServiceInsight", "s", {"services": {"web": service("online"), "edge": edge}})
    shown = catalogue(mesh, told, made("ExternalService", "pay", pay))
    assert names(shown, "/service-insights") == ["edge"]


def test_everything_is_counted_with_its_zeros() -> None:
    _, found = ask(a_mesh_of_four(), "/global-insight")
    none = {"total": 0, "online": 0, "offline": 0, "partiallyDegraded": 0}
    one = {**none, "total": 1, "online": 1}
    assert found == {
        "createdAt": "2027-01-15T08:00:00Z",
        "dataplanes": {
            "standard": {"total": 4, "online": 1, "offline": 2, "partiallyDegraded": 1},
            "gatewayBuiltin": none,
            "gatewayDelegated": one,
        },
        "meshes": {"total": 2},
        "policies": {"total": 3},
        "resources": {
            "Dataplane": {"total": 5},
            "ExternalService": {"total": 1},
            "HostnameGenerator": {"total": 1},
            "MeshTimeout": {"total": 2},
            "TrafficRoute": {"total": 1},
        },
        "services": {
            "external": {"total": 1},
            "internal": {"total": 3, "online": 1, "offline": 1, "partiallyDegraded": 1},
            "gatewayBuiltin": none,
            "gatewayDelegated": one,
        },
        "zones": {
            "controlPlanes": {"online": 0, "total": 0},
            "zoneIngresses": {"online": 0, "total": 0},
            "zoneEgresses": {"online": 0, "total": 0},
        },
    }


def test_zones_count_once_they_came() -> None:
    ended = {
        "subscriptions": [
            {"connectTime": "2027-01-15T08:00:00Z", "disconnectTime": "2027-01-15T08:00:01Z"}
        ]
    }
    live = {"subscriptions": [{"connectTime": "2027-01-15T08:00:00Z"}]}
    shown = catalogue(
        made("Zone", "declared"),
        made("ZoneInsight", "east", live),
        made("ZoneInsight", "west", ended),
        made("ZoneIngressInsight", "i", live),
        made("ZoneEgressInsight", "e", ended),
    )
    assert ask(shown, "/global-insight")[1]["zones"] == {
        "controlPlanes": {"online": 1, "total": 2},
        "zoneIngresses": {"online": 1, "total": 1},
        "zoneEgresses": {"online": 0, "total": 1},
    }


def test_the_older_counters_are_of_types_without_a_mesh() -> None:
    status, found = ask(global_catalogue(), "/global-insights")
    assert (status, found["type"]) == (200, "GlobalInsights")
    assert {name: count["total"] for name, count in found["resources"].items()} == {
        "GlobalSecret": 0,  # nobody's to see
        "HostnameGenerator": 1,
        "Mesh": 1,
        "Zone": 1,
        "ZoneEgress": 1,
        "ZoneIngress": 1,
    }


def test_a_connected_zone_has_an_insight_at_the_global() -> None:
    _, found = ask(global_catalogue(), "/zone-insights/east")
    (stream,) = found["subscriptions"]
    assert "responsesRejected" not in stream["status"]["total"]  # what is zero is left out
    assert names(global_catalogue(), "/zones/_overview") == ["east"]
