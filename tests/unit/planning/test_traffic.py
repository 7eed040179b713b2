"""What a plan says of calls between services is what they find, case by case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconciler.planning.plan import plan
from reconciler.planning.text import by_text, edge_text, effect_text
from reconciler.status.document import Inventory
from tests.support.planned import (
    ALL,
    EAST,
    EVERYBODY,
    NONE,
    NOT_V1,
    NOT_V2,
    V2,
    WEBS,
    fleet,
    mesh,
    offer,
    permission,
    planned,
    route,
    service,
    told,
)
from tests.support.plans import Document, dataplane, loaded

if TYPE_CHECKING:
    from reconciler.planning.edges import EdgeChange


def shown(edge: EdgeChange) -> tuple[str, str, str, str, bool, bool]:
    return (
        edge.caller, edge.service, edge.before.name, edge.after.name, edge.opens, edge.closes,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("base", "head", "expected", "level"),
    [
        (ALL, NOT_V1, ("OPEN", "PARTLY", False, True), "high"),
        (NOT_V1, ALL, ("PARTLY", "OPEN", True, False), "medium"),
        (NOT_V1, NONE, ("PARTLY", "DENIED", False, True), "high"),
        (NONE, NOT_V1, ("DENIED", "PARTLY", True, False), "medium"),
        (NOT_V1, NOT_V2, ("PARTLY", "PARTLY", True, True), "high"),
    ],
)
def test_what_is_open_for_some_callers_is_not_told_as_open(
    base: Document, head: Document, expected: tuple[object, ...], level: str
) -> None:
    found = planned([mesh(), base], [mesh(), head], EAST)
    assert [shown(edge) for edge in found.edges] == [("web", "backend", *expected)]
    assert found.risk.level == level


def test_nothing_is_told_where_the_same_callers_stay_shut_out() -> None:
    """The listener is another all the same."""
    again = permission("p", (EVERYBODY, "Deny"), (V2, "Allow"))
    found = planned([mesh(), NOT_V1], [mesh(), again], EAST)
    assert found.edges == ()


def test_what_some_instances_deny_is_open_for_some() -> None:
    team = {"kind": "Dataplane", "labels": {"team": "a"}}
    some = permission("some", (EVERYBODY, "Deny"), top=team)
    found = planned([mesh(), ALL], [mesh(), ALL, some], EAST)
    assert [shown(edge) for edge in found.edges] == [
        ("web", "backend", "OPEN", "PARTLY", False, True)
    ]
    assert "x web → backend in default: open → open for some" in edge_text(found.edges[0])
    assert "MeshTrafficPermission default/some (2.yaml:1:1)" in by_text(
        found.edges[0].origins, found
    )


def test_one_that_is_shut_out_is_not_outweighed_by_many() -> None:
    third = dataplane("web-3", "10.0.1.6", "web", ["backend"], tags={"version": "v3"})
    proxies = {"east": [*EAST["east"], third]}
    for head in (NOT_V1, NOT_V2):
        (edge,) = planned([mesh(), ALL], [mesh(), head], proxies).edges
        assert edge.after.name == "PARTLY"


def test_in_its_zone_a_way_without_mtls_stays_open() -> None:
    found = planned([mesh(), ALL], [mesh(mode=""), ALL], EAST)
    assert [shown(edge) for edge in found.edges] == [
        ("web", "backend", "OPEN", "PLAIN", False, False)
    ]


# --- ways to other zones ---

ACROSS = {
    "east": fleet("east", *WEBS),
    "west": fleet(
        "west",
        dataplane("backend-3", "10.0.2.4", "backend"),
        dataplane("other-1", "10.0.2.5", "other"),
    ),
}
EXCLUSIVE: dict[str, Any] = {"meshServices": {"mode": "Exclusive"}}


def test_a_mesh_that_is_no_longer_advertised_is_out_of_reach_elsewhere() -> None:
    found = planned([mesh(), ALL], [mesh(**EXCLUSIVE), ALL], ACROSS)
    assert [(*shown(edge), edge.pairs) for edge in found.edges] == [
        ("web", "backend", "OPEN", "NO_ENDPOINT", False, True, (("east", "west"),))
    ]
    back = planned([mesh(**EXCLUSIVE), ALL], [mesh(), ALL], ACROSS)
    assert [shown(edge) for edge in back.edges] == [
        ("web", "backend", "NO_ENDPOINT", "OPEN", True, False)
    ]


def test_a_mesh_that_is_advertised_again_leaves_others_as_they_are() -> None:
    """Its zones offer its services beside those that they offered before, each once."""
    more = {**ALL, "mesh": "more"}
    east = told("east", {("default", "web"): ["db"], ("more", "web"): ["backend"]}, [])
    west = told(
        "west",
        {("default", "db"): (), ("more", "backend"): ()},
        [offer("more", "backend", "west")],
    )
    base = loaded([mesh(**EXCLUSIVE), ALL, mesh("more"), more])
    found = plan(base, loaded([mesh(), ALL, mesh("more"), more]), [east, west])
    assert [(edge.mesh, *shown(edge)) for edge in found.edges] == [
        ("default", "web", "db", "NO_ENDPOINT", "OPEN", True, False)
    ]
    assert {effect.mesh for zone in found.zones for effect in zone.effects} == {"", "default"}


def test_a_mesh_that_goes_takes_the_ways_along_and_leaves_its_proxies() -> None:
    east = told("east", {("default", "web"): ["db"]}, [])
    west = told("west", {("default", "db"): ()}, [offer("default", "db", "west")])
    found = plan(loaded([mesh(), ALL]), loaded([mesh("more")]), [east, west])
    assert [shown(edge) for edge in found.edges] == [("web", "db", "OPEN", "NONE", False, True)]
    assert [e.left for e in found.zones[0].effects if not e.ingress] == ["the mesh default is gone"]
    assert "keeps what it has and gets no more" in effect_text(found.zones[0].effects[0])
    assert found.zones[1].effects[-1].ingress


def test_without_mtls_no_other_zone_is_reached() -> None:
    found = planned([mesh(), ALL], [mesh(mode=""), ALL], ACROSS)
    assert [shown(edge) for edge in found.edges] == [
        ("web", "backend", "OPEN", "NO_ENDPOINT", False, True)
    ]


def test_a_zone_without_an_ingress_is_not_reached() -> None:
    west = [dataplane("backend-3", "10.0.2.4", "backend")]
    found = planned([mesh(), ALL], [mesh(), NONE], {**EAST, "west": west})
    assert [edge.pairs for edge in found.edges] == [(("east", "east"),)]


# --- routes ---


def part(**tags: str) -> Document:
    return {"kind": "MeshServiceSubset", "name": "backend", "tags": tags}


OTHER = route(service("other"))
CANARY = {
    "east": fleet(
        "east",
        *WEBS,
        dataplane("backend-1", "10.0.1.4", "backend", tags={"version": "v1"}),
        dataplane("backend-2", "10.0.1.5", "backend", tags={"version": "v2"}),
    )
}


def test_a_route_to_another_service_opens_its_way_and_closes_the_old_one() -> None:
    found = planned([mesh(), ALL], [mesh(), ALL, OTHER], ACROSS)
    assert [(*shown(edge), edge.pairs) for edge in found.edges] == [
        ("web", "backend", "OPEN", "NONE", False, True, (("east", "west"),)),
        ("web", "other", "NONE", "OPEN", True, False, (("east", "west"),)),
    ]
    assert (found.risk.closed, found.risk.opened) == (1, 1)


def test_a_service_that_is_split_is_called_by_the_same_as_before() -> None:
    split = route(part(version="v1"), part(version="v2"))
    found = planned([mesh(), ALL], [mesh(), ALL, split], CANARY)
    assert [(edge.subset, *shown(edge)[2:]) for edge in found.edges] == [
        ((), "OPEN", "NONE", False, False),
        ((("version", "v1"),), "NONE", "OPEN", False, False),
        ((("version", "v2"),), "NONE", "OPEN", False, False),
    ]
    assert found.risk.level == "medium"
    assert "~ web → backend{version=v1} in default: no route → open" in edge_text(found.edges[1])


def test_a_split_with_a_part_that_is_not_there_closes_a_way() -> None:
    split = route(part(version="v1"), part(version="v9"))
    found = planned([mesh(), ALL], [mesh(), ALL, split], CANARY)
    assert [(edge.subset, edge.closes) for edge in found.edges if edge.closes] == [((), True)]


def test_only_instances_of_the_part_have_a_say() -> None:
    """v2 shuts everybody out; calls of v1 do not notice."""
    split = route(part(version="v1"))
    top = {"kind": "MeshSubset", "tags": {"version": "v2", "kuma.io/service": "backend"}}
    found = planned(
        [mesh(), ALL, split],
        [mesh(), ALL, split, permission("shut", (EVERYBODY, "Deny"), top=top)],
        CANARY,
    )
    assert found.edges == ()
    assert found.zones[0].touched == 1


# --- what Envoy does with it ---


def test_only_listeners_and_clusters_that_were_there_drain() -> None:
    found = planned([mesh(), ALL], [mesh(), ALL, OTHER], ACROSS)
    assert found.risk.drained == 2 * 2  # of each caller, its listener and the cluster that goes
    near = planned(
        [mesh(), ALL],
        [mesh(routing={"localityAwareLoadBalancing": True}), ALL],
        {**EAST, "west": ACROSS["west"]},
    )
    assert (near.risk.touched, near.risk.drained) == (2, 0)


def test_what_goes_is_told_with_the_policies_that_shaped_it() -> None:
    found = planned([mesh(), ALL, OTHER], [mesh(), ALL], ACROSS)
    gone = [
        change.origins
        for effect in found.zones[0].effects
        for change in effect.changes
        if change.sort == "removed" and change.type == "Cluster"
    ]
    assert len(gone) == 2
    assert all(gone)


def test_addresses_of_a_class_are_not_shown_as_if_they_were_real() -> None:
    found = planned([mesh(), ALL], [mesh(), NONE], EAST)
    names = {c.name for effect in found.zones[0].effects for c in effect.changes}
    assert names == {"inbound:<address>:8080"}


def test_proxies_of_a_mesh_that_neither_side_has_are_none_of_the_change() -> None:
    east = told("east", {("default", "web"): (), ("far", "far"): ()}, [])
    found = plan(loaded([mesh(), ALL]), loaded([mesh(), NONE]), [east])
    assert [(e.mesh, e.left) for e in found.zones[0].effects] == [("default", "")]


def test_proxies_that_are_named_are_each_looked_at() -> None:
    """Also those that are alike but for their names."""
    backends = [dataplane(f"backend-{n}", f"10.0.1.{n + 3}", "backend") for n in (1, 2)]
    shut = permission("shut", (EVERYBODY, "Deny"), top={"kind": "Dataplane", "name": "backend-2"})
    proxies = {"east": fleet("east", *WEBS, *backends)}
    found = planned([mesh(), ALL], [mesh(), ALL, shut], proxies, Inventory.FULL)
    assert [shown(edge) for edge in found.edges] == [
        ("web", "backend", "OPEN", "PARTLY", False, True)
    ]
    assert found.zones[0].touched == 1


def test_a_way_that_stays_shut_is_not_told_for_another_reason() -> None:
    assert planned([mesh(), NONE], [mesh(**EXCLUSIVE), NONE], ACROSS).edges == ()


def test_of_a_zone_that_tells_of_no_proxies_its_offers_count() -> None:
    east = told("east", {("default", "web"): ["backend"]}, [])
    west = told("west", {}, [offer("default", name, "west") for name in ("backend", "other")])
    found = plan(loaded([mesh(), ALL]), loaded([mesh(), ALL, OTHER]), [east, west])
    assert [shown(edge)[1:] for edge in found.edges] == [
        ("backend", "OPEN", "NONE", False, True),
        ("other", "NONE", "OPEN", True, False),
    ]


# --- out of the mesh ---

PAY: Document = {
    "type": "ExternalService",
    "mesh": "default",
    "name": "pay",
    "tags": {"kuma.io/service": "pay"},
    "networking": {"address": "pay.example:443"},
}
LEAVING = mesh(routing={"zoneEgress": True})
PAYING = {"east": [dataplane("web-1", "10.0.1.4", "web", ["pay"])]}


def test_a_service_outside_that_goes_is_out_of_reach() -> None:
    for of in (mesh(), LEAVING):
        found = planned([of, ALL, PAY], [of, ALL], PAYING)
        assert [(e.service, e.after.name, e.closes) for e in found.edges] == [
            ("pay", "NO_ENDPOINT", True)
        ]


def test_who_may_leave_by_an_egress_is_told() -> None:
    found = planned([LEAVING, ALL, PAY], [LEAVING, NONE, PAY], PAYING)
    assert [shown(edge) for edge in found.edges] == [("web", "pay", "OPEN", "DENIED", False, True)]


def test_by_itself_a_proxy_may_always_leave() -> None:
    assert planned([mesh(), ALL, PAY], [mesh(), NONE, PAY], PAYING).edges == ()


def test_a_service_outside_whose_certificate_cannot_be_read_is_out_of_reach() -> None:
    tls = {"enabled": True, "caCert": {"file": "/etc/ca.pem"}}
    unread = PAY | {"networking": {"address": "pay.example:443", "tls": tls}}
    (edge,) = planned([mesh(), ALL, PAY], [mesh(), ALL, unread], PAYING).edges
    assert (edge.before.name, edge.after.name) == ("PLAIN", "NO_ENDPOINT")
