"""A zone that speaks in the name of another is refused and reported, wherever it says it; what it
says of itself is taken beside it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.kds.codec import CarriedResource, encode_carried
from reconciler.kds.names import hashed_name
from reconciler.model.resource import DISPLAY_NAME, ZONE, Labels, canonical_json
from reconciler.steps import global_state as g
from tests.support.global_plane import Global, ingress_entry, ingress_name
from xds.discovery import DeltaResponse

if TYPE_CHECKING:
    from xds.resource import XdsResource


def entry(
    type_: str, mesh: str, name: str, data: dict[str, Any], *, zone: str = "east", **labels: str
) -> XdsResource:
    """As `zone` names it."""
    wire = hashed_name(mesh, name, Labels.of({ZONE: zone}))
    told = {DISPLAY_NAME: name, **labels}
    return encode_carried(CarriedResource(type_, mesh, wire, told, canonical_json(data)))


def dataplane(name: str, tags: dict[str, str], **more: Any) -> XdsResource:
    inbound = {"port": 80, "tags": {"kuma.io/service": "backend", **tags}}
    networking = {"address": "10.0.0.1", "inbound": [inbound], **more}
    return entry("Dataplane", "default", name, {"networking": networking})


def ingress(**more: Any) -> XdsResource:
    networking = {"address": "10.0.0.1", "port": 10001}
    return entry("ZoneIngress", "", "in", {"networking": networking, **more})


def two_zones() -> Global:
    plane = Global()
    plane.publish()
    plane.connect("east")
    plane.connect("west")
    return plane


def answer(plane: Global) -> str | None:
    """What the last response of a zone was answered with; None is an ACK."""
    (sent,) = (e for e in plane.effects if isinstance(e, g.SendRequest))
    return sent.request.error


def reported(plane: Global) -> list[object]:
    notes = (e for e in plane.effects if isinstance(e, g.Note))
    return [note.fields["name"] for note in notes if note.event == "zone.claim_refused"]


SERVICE = {"tags": {"kuma.io/service": "backend", ZONE: "west"}, "instances": 1, "mesh": "default"}
GATEWAY = {"tags": {"kuma.io/service": "edge", ZONE: "west"}}
CLAIMS = {
    "label": entry("ZoneEgress", "", "out", {"networking": {}}, **{ZONE: "west"}),
    "ZoneIngress.zone": ingress(zone="west"),
    "ZoneIngress service tag": ingress(availableServices=[SERVICE]),
    "ZoneEgress.zone": entry("ZoneEgress", "", "out", {"zone": "west", "networking": {}}),
    "Dataplane inbound tag": dataplane("dp", {ZONE: "west"}),
    "Dataplane gateway tag": dataplane("dp", {}, gateway=GATEWAY),
    "name": entry("ZoneEgress", "", "out", {"networking": {}}, zone="west"),
}
TYPES = {"label": "ZoneEgress", "name": "ZoneEgress"}


@pytest.mark.parametrize("place", CLAIMS)
def test_zone_that_claims_another_is_refused_and_reported(place: str) -> None:
    plane, found = two_zones(), CLAIMS[place]
    type_ = TYPES.get(place) or place.partition(" ")[0].partition(".")[0]
    plane.zone_says("east", DeltaResponse(type_, "1", (found,)))
    told = answer(plane)
    assert told is not None
    assert 'claims zone "west", but it came from zone "east"' in told
    assert reported(plane) == [found.name]
    record = plane.state.zones["east"]
    assert record.claims == 1
    assert 'claims zone "west"' in record.refused[type_][found.name]
    assert not record.owned.by_key
    assert plane.acknowledge("west") == []


def test_what_was_refused_is_shown_until_it_is_cured() -> None:
    plane = two_zones()
    plane.zone_says("east", DeltaResponse("ZoneIngress", "1", (ingress(zone="west"),)))
    plane.zone_says("east", DeltaResponse("ZoneIngress", "2", (ingress(zone="east"),)))
    assert answer(plane) is None
    record = plane.state.zones["east"]
    assert (dict(record.refused), record.claims) == ({}, 1)
    assert plane.acknowledge("west") == ["ZoneIngress"]


def test_neighbours_of_a_refused_claim_are_taken() -> None:
    plane = two_zones()
    good, bad = dataplane("good", {ZONE: "east"}), dataplane("bad", {ZONE: "west"})
    plane.zone_says("east", DeltaResponse("Dataplane", "1", (good, bad)))
    owned = plane.state.zones["east"].owned.by_key
    assert [r.display_name for r in owned.values()] == ["good"]


def test_payload_without_a_zone_is_given_the_one_that_sent_it() -> None:
    plane = two_zones()
    plane.zone_says("east", DeltaResponse("ZoneIngress", "1", (ingress(),)))
    (found,) = plane.state.zones["east"].owned.by_key.values()
    assert (found.labels.get(ZONE), '"zone":"east"' in found.body) == ("east", True)


def test_nothing_of_one_zone_can_be_removed_by_another() -> None:
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("in"))
    plane.acknowledge("west")
    name = f"{ingress_name('east', 'in')}."
    plane.zone_says("west", DeltaResponse("ZoneIngress", "1", (), (name,)))
    plane.zone_says("west", DeltaResponse("ZoneIngress", "2", (), (name,)))
    assert len(plane.state.zones["east"].owned.by_key) == 1
    assert len(plane.held("west", "ZoneIngress")) == 1


def test_name_that_no_zone_gave_says_what_it_should_be() -> None:
    plane = two_zones()
    body = canonical_json({"networking": {"address": "10.0.0.1", "port": 1}})
    plain = encode_carried(CarriedResource("ZoneIngress", "", "in", {DISPLAY_NAME: "in"}, body))
    plane.zone_says("east", DeltaResponse("ZoneIngress", "1", (plain,)))
    assert ingress_name("east", "in") in str(answer(plane))
    assert reported(plane) == []


def test_two_zones_that_leave_their_names_to_chance_do_not_share_one() -> None:
    """A name without any zone in its hash is taken once: the first keeps it."""
    plane = two_zones()
    plane.connect("north")
    body = canonical_json({"networking": {"address": "10.0.0.1", "port": 1}})
    name = hashed_name("", "in", Labels())
    same = encode_carried(CarriedResource("ZoneIngress", "", name, {DISPLAY_NAME: "in"}, body))
    plane.zone_says("east", DeltaResponse("ZoneIngress", "1", (same,)))
    plane.acknowledge("north")
    plane.zone_says("west", DeltaResponse("ZoneIngress", "1", (same,)))
    assert 'taken by a resource of zone "east"' in str(answer(plane))
    assert plane.acknowledge("north") == []


# --- zones whose names have no hash ---


def legacy(plane: Global, zone: str) -> None:
    """A peer without the header feature hash-suffix."""
    session = f"{zone}-up"
    plane.deliver(g.ZoneClosed(session, 1.0))
    plane.deliver(g.ZoneOpened(session, zone, False, "key-1", 2.0, ()))


def plain(name: str) -> XdsResource:
    body = canonical_json({"networking": {"address": "10.0.0.1", "port": 1}})
    return encode_carried(CarriedResource("ZoneIngress", "", name, {}, body))


def test_names_without_a_hash_are_kept_apart_by_their_zone() -> None:
    plane = two_zones()
    plane.connect("north")
    for zone in ("east", "west"):
        legacy(plane, zone)
        plane.zone_says(zone, DeltaResponse("ZoneIngress", "1", (plain("in"),)))
        assert answer(plane) is None
        (key,) = plane.state.zones[zone].owned.by_key
        assert key.name == f"{zone}.in"
    plane.acknowledge("north")
    assert len(plane.held("north", "ZoneIngress")) == 2
    plane.zone_says("east", DeltaResponse("ZoneIngress", "2", (), ("in.",)))
    assert plane.acknowledge("north") == ["ZoneIngress"]
    assert len(plane.held("north", "ZoneIngress")) == 1


def test_prefix_of_another_zone_in_a_name_without_hash_leads_nowhere() -> None:
    plane = two_zones()
    legacy(plane, "west")
    plane.zone_says("west", DeltaResponse("ZoneIngress", "1", (plain("east.in"),)))
    (key,) = plane.state.zones["west"].owned.by_key
    assert key.name == "west.east.in"


def refused(plane: Global, zone: str = "east") -> dict[str, set[str]]:
    held = plane.state.zones[zone].refused
    return {type_: set(found) for type_, found in held.items()}


def test_what_was_refused_and_is_removed_is_shown_no_longer() -> None:
    plane = two_zones()
    claim = entry("ZoneIngress", "", "in", {"zone": "west", "networking": {}})
    name = f"{hashed_name('', 'in', Labels.of({ZONE: 'east'}))}."
    plane.zone_says("east", DeltaResponse("ZoneIngress", "1", (claim,)))
    assert refused(plane) == {"ZoneIngress": {name}}
    plane.zone_says("east", DeltaResponse("ZoneIngress", "2", (), (name,)))
    assert refused(plane) == {}


def test_what_a_zone_without_hashes_cures_is_shown_no_longer() -> None:
    plane = Global()
    plane.publish()
    plane.deliver(g.ZoneOpened("east-up", "east", False, "key-1", 0.0, features=()))
    for nonce, tags in (("1", {ZONE: "west"}), ("2", {})):
        inbound = {"port": 80, "tags": {"kuma.io/service": "backend", **tags}}
        data = {"networking": {"address": "10.0.0.1", "inbound": [inbound]}}
        made = CarriedResource("Dataplane", "default", "web", {}, canonical_json(data))
        plane.zone_says("east", DeltaResponse("Dataplane", nonce, (encode_carried(made),)))
        assert bool(refused(plane)) == (nonce == "1")


def test_a_refused_resource_keeps_what_was_accepted_whatever_its_frame_is_called() -> None:
    """Kuma does not look at the name of the frame either."""
    plane = two_zones()
    plane.zone_says("east", DeltaResponse("Dataplane", "1", (dataplane("web", {}),)))
    plane.deliver(g.ZoneClosed("east-up", 1.0))
    plane.deliver(g.ZoneOpened("east-up", "east", False, "key-1", 2.0))
    unnamed = replace(dataplane("web", {ZONE: "west"}), name="")
    others = replace(dataplane("api", {ZONE: "west"}), name="")
    plane.zone_says("east", DeltaResponse("Dataplane", "1", (unnamed, others)))
    assert len(plane.state.zones["east"].owned.of("Dataplane")) == 1
    assert len(refused(plane)["Dataplane"]) == 2


def test_whose_names_are_is_not_looked_for_among_all_zones_for_each_of_thousands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plane = Global()
    plane.publish()
    for number in range(100):
        plane.connect(f"zone-{number}")
    hashed: list[str] = []

    def counting(mesh: str, display: str, labels: Labels) -> str:
        hashed.append(display)
        return hashed_name(mesh, display, labels)

    monkeypatch.setattr("reconciler.kds.receive.hashed_name", counting)
    wrong = [entry("Dataplane", "default", f"d{i}", {}, zone="nobody") for i in range(500)]
    plane.zone_says("zone-0", DeltaResponse("Dataplane", "1", tuple(wrong)))
    assert len(hashed) < 500 * 5
