"""Overviews: a resource and what is known of it now."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.kds.proxy_insight import Subscription
from reconciler.rest.catalogue import Times
from reconciler.rest.form import body_of
from reconciler.rest.zone_catalogue import of_zone
from tests.support.rest import ask, catalogue, insight_of, made, names, zone_catalogue
from tests.support.zone import START

PROXY = {"networking": {"address": "10.0.0.1", "inbound": [{"port": 80, "tags": {"a": "b"}}]}}
ONLINE = Subscription("cp", START)


def a_proxy(name: str, **labels: str) -> Any:
    return made("Dataplane", name, PROXY, **labels)


def test_a_proxy_and_its_insight_are_one_answer_under_the_identifier_of_the_proxy() -> None:
    web = a_proxy("web", zone="east")
    shown = catalogue(
        made("Mesh", "default"),
        web,
        insight_of(web, ONLINE, backend="ca-1"),
        times_of=lambda _catalogue, resource: Times(START, START if resource is web else None),
    )
    status, found = ask(shown, "/meshes/default/dataplanes/web/_overview")
    insight = found.pop("dataplaneInsight")
    assert (status, found) == (
        200,
        {
            "type": "DataplaneOverview",
            "mesh": "default",
            "name": "web",
            "creationTime": "2027-01-15T08:00:00Z",
            "modificationTime": "2027-01-15T08:00:00Z",
            "labels": {"kuma.io/zone": "east", "kuma.io/mesh": "default"},
            "kri": "kri_dp_default_east__web_",
            "dataplane": PROXY,
        },
    )
    assert insight["mTLS"]["issuedBackend"] == "ca-1"
    (stream,) = insight["subscriptions"]
    assert stream["connectTime"] == "2027-01-15T08:00:00Z"
    assert "disconnectTime" not in stream


def test_who_never_came_has_no_insight() -> None:
    shown = catalogue(made("Mesh", "default"), a_proxy("web"))
    _, found = ask(shown, "/meshes/default/dataplanes/web/_overview")
    assert found["dataplane"] == PROXY
    assert "dataplaneInsight" not in found


@pytest.mark.parametrize(
    ("type_", "member", "lists", "one"),
    [
        (
            "Zone",
            "zone",
            ["/zones/_overview", "/zones+insights"],
            ["/zones/x/_overview", "/zones+insights/x"],
        ),
        (
            "ZoneIngress",
            "zoneIngress",
            ["/zoneingresses/_overview", "/zone-ingresses/_overview", "/zoneingresses+insights"],
            [
                "/zoneingresses/x/_overview",
                "/zone-ingresses/x/_overview",
                "/zoneingresses+insights/x",
            ],
        ),
        (
            "ZoneEgress",
            "zoneEgress",
            ["/zoneegresses/_overview", "/zoneegressoverviews"],
            ["/zoneegresses/x/_overview", "/zoneegressoverviews/x"],
        ),
        (
            "Dataplane",
            "dataplane",
            [
                "/dataplanes/_overview",
                "/dataplanes+insights",
                "/meshes/default/dataplanes/_overview",
                "/meshes/default/dataplanes+insights",
            ],
            [
                "/meshes/default/dataplanes/x/_overview",
                "/meshes/default/dataplanes+insights/x",
            ],
        ),
    ],
)
def test_every_spelling_answers_the_same(
    type_: str, member: str, lists: list[str], one: list[str]
) -> None:
    data = {} if type_ == "Zone" else {"networking": {"address": "10.0.0.1", "port": 10001}}
    shown = catalogue(made("Mesh", "default"), made(type_, "x", data))
    for path in one:
        status, found = ask(shown, path)
        assert (status, found["type"], found[member]) == (200, f"{type_}Overview", data), path
    for path in lists:
        status, listed = ask(shown, path)
        assert (status, listed) == (200, {"total": 1, "items": [found], "next": None}), path


def test_a_zone_is_there_even_when_it_says_nothing() -> None:
    """kumactl 2.14.3 ends with a fault without the object."""
    _, found = ask(catalogue(made("Zone", "east")), "/zones/_overview")
    assert found["items"][0]["zone"] == {}


def test_what_is_not_there_is_404() -> None:
    shown = catalogue(made("Mesh", "default"))
    for path in ("/meshes/default/dataplanes/web/_overview", "/zones/west/_overview"):
        status, found = ask(shown, path)
        assert (status, found["title"]) == (404, "Could not retrieve a resource"), path
    for path in ("/meshes/other/dataplanes/_overview", "/meshes/other/dataplanes/web/_overview"):
        status, found = ask(shown, path)
        assert (status, found["title"]) == (404, "Failed to retrieve Mesh"), path
    assert names(shown, "/dataplanes/_overview") == []


def test_only_a_page_is_joined_with_its_insights(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(resource: Any) -> str:
        read.append(f"{resource.key.type} {resource.key.name}")
        return body_of(resource)

    monkeypatch.setattr("reconciler.rest.overview.body_of", counted)
    proxies = [a_proxy(f"p{number}") for number in range(4)]
    insights = [insight_of(proxy, ONLINE) for proxy in proxies]
    shown = catalogue(made("Mesh", "default"), *proxies, *insights)
    _, found = ask(shown, "/meshes/default/dataplanes/_overview?size=1&offset=2")
    assert read == ["Dataplane p2", "DataplaneInsight p2"]
    assert (found["total"], found["next"]) == (
        4,
        "http://cp/meshes/default/dataplanes/_overview?offset=3&size=1",
    )


def test_a_zone_shows_its_own_proxies_as_they_are_now() -> None:
    _, found = ask(zone_catalogue(), "/dataplanes/_overview")
    assert [item["name"] for item in found["items"]] == ["backend-1", "backend-2", "web-0"]
    for item in found["items"]:
        (stream,) = item["dataplaneInsight"]["subscriptions"]
        assert stream["controlPlaneInstanceId"] == "east-1"
        assert int(stream["status"]["total"]["responsesSent"]) > 0
    _, raw = ask(zone_catalogue(), "/meshes/default/dataplane-insights/web-0")
    assert raw["subscriptions"] == found["items"][2]["dataplaneInsight"]["subscriptions"]
    assert ask(zone_catalogue(), "/meshes/default/dataplane-insights/other")[0] == 404
    assert names(zone_catalogue(), "/zone-ingress-insights") == []


def test_a_zone_shows_itself_and_its_way_to_the_global() -> None:
    shown = zone_catalogue()
    (item,) = ask(shown, "/zones/_overview")[1]["items"]
    assert (item["name"], item["zone"]) == ("east", {})
    assert "zoneInsight" not in item  # It was never connected.
    assert shown.zone_state is not None
    zone = shown.zone_state
    for until in (None, START + 2):
        link = replace(zone.link, since=START, until=until)
        later = _zone_again(replace(zone, link=link))
        _, found = ask(later, "/zones/east/_overview")
        (stream,) = found["zoneInsight"]["subscriptions"]
        assert stream["connectTime"] == "2027-01-15T08:00:00Z"
        assert stream.get("disconnectTime") == ("2027-01-15T08:00:02Z" if until else None)
        assert stream["zoneInstanceId"] == "east-1"
        assert '"store"' in stream["config"]  # kumactl reads it
        assert names(later, "/zone-insights") == ["east"]


def _zone_again(state: Any) -> Any:
    return of_zone(state, hostname="h", now=START, items_max=10)
