"""Ingresses of other zones that have stopped answering: what proxies and operators are told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, ResourceKey
from reconciler.rest.zone_config import computed
from reconciler.steps import zone_state as z
from reconciler.steps.zone_reachability import targets, warnings
from tests.support.mesh import a_mesh, a_mesh_service, an_ingress, offers
from tests.support.zone import START, Zone, dataplane, settings
from xds.readable import readable
from xds.resource import ENDPOINT

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource

DATA = {"data": "b25l"}
WEST, NORTH = ("203.0.113.1", 10001), ("203.0.113.2", 10001)
CA = [
    mesh_resource(ResourceKey("Secret", "default", f"default.ca-builtin-{what}-ca"), Labels(), DATA)
    for what in ("cert", "key")
]
THERE = (
    an_ingress("west", offers("web", 2, zone="west"), offers("api", zone="west")),
    an_ingress("north", offers("web", 1, zone="north"), address=NORTH[0]),
)
WEST_BACKEND = a_mesh_service(
    "web",
    {"kuma.io/zone": "west", "kuma.io/origin": "global"},
    spec={"ports": [{"port": 80, "targetPort": 8080, "appProtocol": "http"}]},
)
EGRESS = {
    "type": "ZoneEgress",
    "name": "egress",
    "networking": {"address": "10.8.0.1", "port": 10002},
}


def a_zone(*relayed: MeshResource, mesh: MeshResource | None = None) -> Zone:
    made = Zone(z.ZoneState(settings=settings()))
    policy = (mesh or a_mesh(), *CA)
    made.deliver(z.Restored(START, policy, relayed=relayed or THERE, revision="c1"))
    return made


def told(made: Zone, silent: dict[tuple[str, int], float]) -> list[tuple[str, object]]:
    """What is logged of it."""
    made.now += 1.0
    found = made.deliver(z.IngressesAsked(silent, made.now))
    made.tick(1.0)
    return [
        (e.event, e.fields["address"])
        for e in found
        if isinstance(e, z.Note) and e.event.startswith("ingress.")
    ]


def health(made: Zone, node: str, cluster: str) -> dict[str, bool]:
    """By address, whether it is told to be well."""
    snapshot = made.state.proxies[node].snapshot
    assert snapshot is not None
    found: Any = readable(snapshot.of(ENDPOINT)[cluster])
    return {
        e["endpoint"]["address"]["socketAddress"]["address"]: e.get("healthStatus") != "UNHEALTHY"
        for group in found["endpoints"]
        for e in group["lbEndpoints"]
    }


def test_what_leads_to_a_silent_ingress_stays_and_is_told_to_be_unhealthy() -> None:
    made = a_zone()
    made.connect(dataplane("caller", "caller", "web", "api"))
    assert told(made, {WEST: START}) == [("ingress.silent", "203.0.113.1:10001")]
    assert health(made, "default.caller", "web") == {WEST[0]: False, NORTH[0]: True}
    assert health(made, "default.caller", "api") == {WEST[0]: False}  # Used: there is no other.
    shown = computed(made.state, ResourceKey("Dataplane", "default", "caller"), with_shadow=False)
    assert shown is not None
    assert json.dumps(shown).count('"healthStatus": "UNHEALTHY"') == 2  # As it was computed.
    assert told(made, {}) == [("ingress.answers", "203.0.113.1:10001")]
    assert health(made, "default.caller", "web") == {WEST[0]: True, NORTH[0]: True}


def test_only_assignments_that_lead_there_are_sent_anew() -> None:
    made = a_zone()
    stream = made.connect(dataplane("caller", "caller", "web", "api"))
    made.acknowledge_all(stream)
    made.sent.clear()
    told(made, {NORTH: START})
    sent = [r for response in made.sent.get(stream, ()) for r in response.resources]
    assert [r.name for r in sent] == ["web"]
    made.sent.clear()
    assert made.deliver(z.IngressesAsked({NORTH: START}, made.now)) == []


def test_real_services_of_the_zone_behind_it_are_told_too() -> None:
    made = a_zone(*THERE, WEST_BACKEND)
    document = dataplane("caller", "caller")
    ref = {"kind": "MeshService", "labels": {"kuma.io/zone": "west"}, "port": 80}
    document["networking"]["outbound"] = [{"port": 10001, "backendRef": ref}]
    made.connect(document)
    snapshot = made.state.proxies["default.caller"].snapshot
    assert snapshot is not None
    (cluster,) = snapshot.of(ENDPOINT)
    assert health(made, "default.caller", cluster) == {WEST[0]: True}
    told(made, {WEST: START})
    assert health(made, "default.caller", cluster) == {WEST[0]: False}
    told(made, {})
    assert health(made, "default.caller", cluster) == {WEST[0]: True}


def test_an_egress_is_told_and_those_who_go_by_it_are_not() -> None:
    made = a_zone(mesh=a_mesh(zone_egress=True))
    made.connect(EGRESS)
    caller = made.connect(dataplane("caller", "caller", "web"))
    made.acknowledge_all(caller)
    made.sent.clear()
    told(made, {WEST: START})
    assert health(made, ".egress", "default:web") == {WEST[0]: False, NORTH[0]: True}
    assert health(made, ".egress", "default:api") == {WEST[0]: False}
    assert caller not in made.sent
    told(made, {})
    assert health(made, ".egress", "default:web") == {WEST[0]: True, NORTH[0]: True}


def test_real_services_behind_an_egress_are_told_there() -> None:
    made = a_zone(*THERE, WEST_BACKEND, mesh=a_mesh(zone_egress=True))
    made.connect(EGRESS)
    snapshot = made.state.proxies[".egress"].snapshot
    assert snapshot is not None
    (cluster,) = (name for name in snapshot.of(ENDPOINT) if name.endswith("_msvc_80"))
    told(made, {WEST: START})
    assert health(made, ".egress", cluster) == {WEST[0]: False}
    told(made, {})
    assert health(made, ".egress", cluster) == {WEST[0]: True}


def test_one_that_has_gone_is_not_said_to_answer() -> None:
    made = a_zone(THERE[1])
    told(made, {WEST: START})
    assert told(made, {}) == []


def test_ingresses_of_other_zones_are_asked_where_they_advertise_each_address_once() -> None:
    again = an_ingress("west", offers("web", zone="west"), name="behind-the-same-balancer")
    idle = an_ingress("south", address="203.0.113.9")
    own = an_ingress("east", offers("web", zone="east"), address="203.0.113.8")
    assert targets(a_zone(*THERE, again, idle, own).state) == {WEST: "west", NORTH: "north"}


def test_whom_exclusive_meshes_enter_by_is_asked_though_it_offers_nothing() -> None:
    idle = an_ingress("south", address="203.0.113.9")
    made = a_zone(idle, mesh=a_mesh(mesh_services_mode="Exclusive"))
    assert targets(made.state) == {("203.0.113.9", 10001): "south"}


def test_a_mesh_zone_address_of_another_zone_is_asked() -> None:
    def at(zone: str, address: str) -> MeshResource:
        key = ResourceKey("MeshZoneAddress", "default", zone)
        return mesh_resource(
            key, Labels((("kuma.io/zone", zone),)), {"address": address, "port": 10001}
        )

    made = a_zone(at("west", "198.51.100.1"), at("east", "198.51.100.2"))
    assert targets(made.state) == {("198.51.100.1", 10001): "west"}


def test_without_mtls_nobody_is_asked() -> None:
    assert targets(a_zone(mesh=a_mesh(mtls=None)).state) == {}


def test_a_name_is_asked_where_it_leads() -> None:
    made = a_zone(an_ingress("west", offers("web", zone="west"), address="gate.example"))
    assert targets(made.state) == {}
    made.deliver(z.Resolved({"gate.example": "192.0.2.4"}, made.now))
    assert targets(made.state) == {("192.0.2.4", 10001): "west"}


@pytest.mark.parametrize(
    ("address", "written"), [("203.0.113.1", "203.0.113.1:10001"), ("fd00::1", "[fd00::1]:10001")]
)
def test_status_says_which_zone_how_long_and_what_to_do(address: str, written: str) -> None:
    made = a_zone(an_ingress("west", offers("web", zone="west"), address=address))
    told(made, {(address, 10001): START, ("192.0.2.77", 1): START})  # The second is nobody's.
    (text,) = warnings(made.state, START + 12.4)
    assert text.startswith(f"the ingress of zone west at {written} has not answered for 12 s: ")
    assert "look at that ingress" in text
