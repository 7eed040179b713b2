"""Lists: filters, pages, the way to the next one, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.support.rest import ask, catalogue, made, names

if TYPE_CHECKING:
    from reconciler.rest.catalogue import Catalogue

TIMEOUTS = "/meshes/default/meshtimeouts"


def timeouts(count: int, **more: Any) -> Catalogue:
    policies = (made("MeshTimeout", f"t{number}") for number in range(count))
    return catalogue(made("Mesh", "default"), *policies, **more)


def test_a_list_without_a_size_is_whole() -> None:
    """Kuma cuts it at 100; kumactl asks for no second page."""
    status, found = ask(timeouts(250), TIMEOUTS)
    assert (status, found["total"], len(found["items"]), found["next"]) == (200, 250, 250, None)


def test_a_list_over_the_limit_of_the_server_has_a_next_page() -> None:
    _, found = ask(timeouts(5, items_max=3), TIMEOUTS)
    assert len(found["items"]) == 3
    assert found["next"] == f"http://cp{TIMEOUTS}?offset=3&size=3"


def test_pages_together_are_the_list() -> None:
    shown = timeouts(5)
    target, found = f"{TIMEOUTS}?size=2", []
    while target:
        _, page = ask(shown, target)
        assert page["total"] == 5
        found += [item["name"] for item in page["items"]]
        target = (page["next"] or "").removeprefix("http://cp")
    assert found == ["t0", "t1", "t2", "t3", "t4"]


def test_the_last_page_says_so_also_when_it_is_full() -> None:
    assert ask(timeouts(4), f"{TIMEOUTS}?size=2&offset=2")[1]["next"] is None


def test_past_the_end_there_is_nothing_but_the_total() -> None:
    status, found = ask(timeouts(3), f"{TIMEOUTS}?offset=10")
    assert (status, found) == (200, {"total": 3, "items": [], "next": None})


def test_the_way_to_the_next_page_keeps_everything_else_sorted() -> None:
    _, found = ask(timeouts(3), f"{TIMEOUTS}?size=1&name=t&filter%5Blabels.kuma.io/mesh%5D=default")
    assert found["next"] == (
        f"http://cp{TIMEOUTS}?filter%5Blabels.kuma.io%2Fmesh%5D=default&name=t&offset=1&size=1"
    )


@pytest.mark.parametrize("size", ["0", "-1", "1001", "x", "", "1.5", "٣", "9" * 30])
def test_a_size_that_is_none_is_refused(size: str) -> None:
    status, found = ask(timeouts(1), f"{TIMEOUTS}?size={size}")
    assert (status, found["status"], found["title"]) == (400, 400, "Could not retrieve resources")
    assert found["detail"].startswith("Invalid page size")
    assert found["details"] == found["detail"]
    assert found["invalid_parameters"] == [{"field": "size", "reason": "Invalid format"}]
    assert found["causes"] == [{"field": "size", "message": "Invalid format"}]


@pytest.mark.parametrize("offset", ["-1", "x", "", "2147483648", "9" * 30])
def test_an_offset_that_is_none_is_refused(offset: str) -> None:
    status, found = ask(timeouts(1), f"{TIMEOUTS}?offset={offset}")
    assert status == 400
    assert found["invalid_parameters"][0]["field"] == "offset"


def test_the_largest_size_and_offset_are_taken() -> None:
    assert ask(timeouts(1), f"{TIMEOUTS}?size=1000&offset=2147483647")[0] == 200


def test_of_a_parameter_given_twice_the_last_one_counts() -> None:
    assert names(timeouts(3), f"{TIMEOUTS}?size=3&size=1") == ["t0"]


def test_a_name_is_looked_for_within_names() -> None:
    shown = catalogue(made("Mesh", "default"), made("MeshTimeout", "web"), made("MeshTimeout", "a"))
    assert names(shown, f"{TIMEOUTS}?name=e") == ["web"]
    assert ask(shown, f"{TIMEOUTS}?name=e")[1]["total"] == 1


def test_labels_must_all_be_there_exactly() -> None:
    shown = catalogue(
        made("Mesh", "default"),
        made("MeshTimeout", "a", team="red", env="x"),
        made("MeshTimeout", "b", team="redder", env="x"),
    )
    assert names(shown, f"{TIMEOUTS}?filter[labels.kuma.io/team]=red") == ["a"]
    both = "filter[labels.kuma.io/team]=red&filter[labels.kuma.io/env]=y"
    assert names(shown, f"{TIMEOUTS}?{both}") == []
    assert names(shown, f"{TIMEOUTS}?filter[labels.kuma.io/mesh]=default") == ["a", "b"]
    last = "filter[labels.kuma.io/env]=y&filter[labels.kuma.io/env]=x"
    assert names(shown, f"{TIMEOUTS}?{last}") == ["a", "b"]


@pytest.mark.parametrize(
    "given", ["filter[name]=x", "filter[labels.a]b=x", "filter[labels.]=x", "filter[labels.a=x"]
)
def test_another_filter_is_refused_with_its_place(given: str) -> None:
    status, found = ask(timeouts(1), f"{TIMEOUTS}?{given}")
    parameter = given.rpartition("=")[0]
    assert (status, found["title"]) == (400, "Bad Request")
    field = f"/meshes/{{mesh}}/meshtimeouts.{parameter}"
    assert found["invalid_parameters"][0]["field"] == field


def proxy(name: str, *inbounds: dict[str, str], **networking: object) -> Any:
    found = [{"port": 80 + at, "tags": tags} for at, tags in enumerate(inbounds)]
    data = {"networking": {"address": "10.0.0.1", "inbound": found, **networking}}
    return made("Dataplane", name, data)


def proxies() -> Catalogue:
    gateway = {"tags": {"kuma.io/service": "edge"}}
    return catalogue(
        made("Mesh", "default"),
        proxy("web", {"kuma.io/service": "web-api", "v": "1"}, {"kuma.io/service": "admin"}),
        proxy("delegated", gateway=gateway),
        proxy("builtin", gateway={**gateway, "type": "BUILTIN"}),
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tag=kuma.io/service:web", ["web"]),  # a part of the value
        ("tag=kuma.io/service:*", ["builtin", "delegated", "web"]),
        ("tag=kuma.io/service:web&tag=v:1", ["web"]),
        ("tag=kuma.io/service:admin&tag=v:1", []),  # on one inbound
        ("tag=kuma.io/service:edge", ["builtin", "delegated"]),
        ("tag=nonsense", ["builtin", "delegated", "web"]),
        ("gateway=true", ["builtin", "delegated"]),
        ("gateway=false", ["web"]),
        ("gateway=builtin", ["builtin"]),
        ("gateway=delegated", ["delegated"]),
        ("gateway=false&ingress=true", ["web"]),  # kumactl sends it
    ],
)
@pytest.mark.parametrize("path", ["/meshes/default/dataplanes", "/dataplanes/_overview"])
def test_proxies_are_found_by_tag_and_gateway(path: str, query: str, found: list[str]) -> None:
    assert names(proxies(), f"{path}?{query}") == found


def test_another_kind_of_gateway_is_refused() -> None:
    status, found = ask(proxies(), "/dataplanes?gateway=maybe")
    assert (status, found["invalid_parameters"][0]["field"]) == (400, "gateway")


def test_external_services_are_found_by_tag() -> None:
    tags = {"kuma.io/service": "pay"}
    pay = made("ExternalService", "pay", {"tags": tags, "networking": {"address": "a:1"}})
    shown = catalogue(made("Mesh", "default"), pay)
    assert names(shown, "/external-services?tag=kuma.io/service:pay") == ["pay"]
    assert names(shown, "/external-services?tag=kuma.io/service:x") == []
