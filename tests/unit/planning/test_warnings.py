"""What a plan warns of, and what it leaves in peace."""

from __future__ import annotations

from typing import Any

from reconciler.planning.plan import plan
from reconciler.planning.text import by_text
from reconciler.status.document import Inventory
from tests.support.planned import (
    ALL,
    EAST,
    EVERYBODY,
    NONE,
    mesh,
    permission,
    planned,
    route,
    service,
    told,
)
from tests.support.plans import Document, dataplane, loaded

BASE = [mesh(), ALL]


def timeout(name: str, target: Document, **more: Any) -> Document:
    spec = {
        "targetRef": target,
        "to": [{"targetRef": EVERYBODY, "default": {"idleTimeout": "1s"}}],
    }
    return {"type": "MeshTimeout", "mesh": "default", "name": name, "spec": spec, **more}


NOBODY = timeout("nobody", {"kind": "MeshSubset", "tags": {"version": "v9"}})
LABELLED = timeout("labelled", {"kind": "Dataplane", "labels": {"team": "z"}})
NAMED = timeout("named", {"kind": "Dataplane", "name": "web-9"})


def codes(
    base: list[Document],
    head: list[Document],
    proxies: dict[str, list[Document]] = EAST,
    inventory: Inventory = Inventory.CLASSES,
) -> list[str]:
    return [p.code for p in planned(base, head, proxies, inventory).warnings]


def test_a_policy_that_selects_nobody_is_told_once_it_is_new() -> None:
    assert codes(BASE, [*BASE, NOBODY]) == ["PLN001"]
    assert codes(BASE, [*BASE, LABELLED]) == ["PLN001"]
    assert codes([*BASE, NOBODY], [mesh(mode="PERMISSIVE"), ALL, NOBODY]) == []


def test_names_are_asked_for_where_zones_tell_them() -> None:
    assert codes(BASE, [*BASE, NAMED]) == []
    assert codes(BASE, [*BASE, NAMED], inventory=Inventory.FULL) == ["PLN001"]


def test_nothing_is_told_where_proxies_are_not_known() -> None:
    assert codes(BASE, [*BASE, NOBODY], {**EAST, "west": []}) == []
    other = {**NOBODY, "mesh": "more"}
    assert codes([*BASE, mesh("more")], [*BASE, mesh("more"), other]) == []


def test_a_policy_that_is_not_in_force_need_select_nobody() -> None:
    shadow = {**NOBODY, "labels": {"kuma.io/effect": "shadow"}}
    assert codes(BASE, [*BASE, shadow]) == []


TOP = {"kind": "MeshSubset", "tags": {"kuma.io/service": "backend"}}
WEB = {"kind": "MeshSubset", "tags": {"kuma.io/service": "web"}}


def test_a_service_that_nobody_may_call_is_told_at_the_policy_that_decides() -> None:
    shut = permission("a", (EVERYBODY, "Deny"), top=TOP)
    (warning,) = planned(BASE, [*BASE, shut], EAST).warnings
    assert (warning.code, warning.at.path) == ("PLN002", "2.yaml")


def test_what_was_so_before_is_not_told_again() -> None:
    assert codes([mesh(), NONE], [mesh(mode="PERMISSIVE"), NONE]) == []


def test_a_service_that_somebody_may_call_is_in_peace() -> None:
    more = dataplane("app-1", "10.0.1.8", "app", ["backend"])
    only = permission("p", (EVERYBODY, "Deny"), (WEB, "Allow"))
    assert codes(BASE, [mesh(), only], {"east": [*EAST["east"], more]}) == []


CANARY = route(service("backend-v2"), name="b", path="/v2")


def test_a_route_to_where_no_endpoint_is_is_told_where_it_stands() -> None:
    others = [route(service("backend"), name=name, path=f"/{name}") for name in ("a", "c")]
    for head in ([*BASE, CANARY, *others], [*BASE, *others, CANARY]):
        (warning,) = planned([*BASE, *others], head, EAST).warnings
        assert (warning.code, warning.at.path) == ("PLN003", f"{head.index(CANARY)}.yaml")
    assert codes([*BASE, CANARY], [mesh(mode="PERMISSIVE"), ALL, CANARY]) == []


def test_what_an_outbound_asks_for_is_no_routes_doing() -> None:
    east = told("east", {("default", "web"): ["db"]}, [])
    head = loaded([mesh(), ALL, route(service("web"), path="/v2", target="db")])
    assert [p.code for p in plan(loaded([mesh("more")]), head, [east]).warnings] == []


def test_nobody_waits_for_what_is_mirrored() -> None:
    copied = {"backendRef": service("backend-v2")}
    mirror = {"type": "RequestMirror", "requestMirror": copied}
    assert codes(BASE, [*BASE, route(service("backend"), filters=[mirror])]) == []


# --- whose doing it is ---


def test_what_a_policy_that_goes_did_is_told_with_its_place() -> None:
    found = planned([mesh(skipCreatingInitialPolicies=["*"]), ALL], [mesh()], EAST)
    (edge,) = found.edges
    assert by_text(edge.origins, found) == "  by MeshTrafficPermission default/p (1.yaml:1:1)"


def test_a_shadow_policy_is_looked_at_where_the_change_is_about_it() -> None:
    shadow = {**NONE, "name": "a", "labels": {"kuma.io/effect": "shadow"}}
    found = planned(BASE, [*BASE, shadow], EAST)
    assert found.shadow is not None
    assert [edge.after.name for edge in found.shadow.edges] == ["DENIED"]
    assert found.shadow.warnings == ()
    again = planned([*BASE, shadow], [mesh(mode="PERMISSIVE"), ALL, shadow], EAST)
    assert again.shadow is None


def test_what_drains_is_counted_for_every_proxy() -> None:
    proxies = [dataplane(f"web-{n}", f"10.0.1.{n + 2}", "web", ["backend"]) for n in range(3)]
    found = planned(BASE, [mesh(), NONE], {"east": proxies})
    assert (found.risk.touched, found.risk.drained) == (3, 3)
