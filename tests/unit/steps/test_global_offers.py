"""What zones are offered comes a few at a time: no turn of the loop grows with the number of zones,
nobody waits for ever, and what was overtaken is never sent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from unittest.mock import Mock

from reconciler.kds.manifest import matches, parse_manifest, versions_digest
from reconciler.kds.types import MANIFEST
from reconciler.kds.zone_node import zone_node
from reconciler.steps import global_down, global_slices
from reconciler.steps import global_state as g
from tests.support.global_plane import (
    TYPES,
    Global,
    ingress_entry,
    ingress_name,
    revision,
    timeout,
)
from xds.discovery import DeltaRequest

if TYPE_CHECKING:
    import pytest

    from reconciler.model.resource import MeshResource

ZONES = 100
NAMES = [f"zone-{number:03}" for number in range(ZONES)]


def timeouts(count: int, milliseconds: int = 1000) -> list[MeshResource]:
    first = timeout(milliseconds)
    return [replace(first, key=replace(first.key, name=f"t{i}")) for i in range(count)]


def fleet(*resources: MeshResource) -> Global:
    plane = Global()
    plane.publish(*resources)
    for name in NAMES:
        plane.connect(name)
    plane.sent.clear()
    plane.offers = False
    return plane


def turns(plane: Global) -> list[list[g.SendResponse]]:
    """What each turn sends, until nobody waits."""
    found = []
    while plane.state.due:
        effects = plane.once(g.OfferDue())
        assert (g.OfferSoon() in effects) == bool(plane.state.due)
        found.append([e for e in effects if isinstance(e, g.SendResponse)])
    return found


def work(sent: list[g.SendResponse]) -> int:
    return sum(len(e.response.resources) + len(e.response.removed) for e in sent)


def test_a_change_is_offered_to_a_hundred_zones_a_few_at_a_time_in_their_order() -> None:
    plane = fleet(timeout(1000))
    effects = plane.deliver(g.Loaded(revision("c2", timeout(2000))))
    assert [e for e in effects if isinstance(e, g.SendResponse)] == []
    assert effects[0] == g.RevisionInForce("c2")  # Written before any zone is told.
    found = turns(plane)
    assert len(found) >= ZONES / 5
    assert max(len(sent) for sent in found) <= 10  # A policy and the manifest for five zones.
    order = [e.session for sent in found for e in sent if e.response.type_url != MANIFEST]
    assert order == [f"{name}-down" for name in NAMES]
    assert turns(plane) == []


def test_no_turn_sends_more_than_its_work_but_for_one_response() -> None:
    plane = fleet(timeout(1000))
    plane.deliver(g.Loaded(revision("c2", *timeouts(70))))
    for sent in turns(plane):
        assert work(sent) <= global_slices.TURN_WORK + 70


def test_a_newer_revision_overtakes_the_one_that_was_not_offered_yet() -> None:
    plane = fleet(timeout(1000))
    plane.deliver(g.Loaded(revision("c2", timeout(2000))))
    early = {e.session for e in plane.once(g.OfferDue()) if isinstance(e, g.SendResponse)}
    assert 0 < len(early) < 10
    plane.deliver(g.Loaded(revision("c3", timeout(3000))))
    found = [e for sent in turns(plane) for e in sent]
    assert {e.session for e in found} == {f"{name}-down" for name in NAMES} - early
    manifests = [e.response for e in found if e.response.type_url == MANIFEST]
    assert {parse_manifest(r.resources[0].entry).revision for r in manifests} == {"c3"}
    plane.offers = True
    for name in NAMES:  # Those that were quicker follow when they have answered.
        plane.acknowledge(name)
        session = plane.state.sessions[f"{name}-down"]
        assert session.shown is not None
        assert session.shown.revision == "c3"
        assert all(s.holds(session.shown.types[t]) for t, s in session.senders.items())


def test_who_waited_longest_is_next_also_when_others_change_all_the_time() -> None:
    plane = fleet(timeout(1000))
    plane.deliver(g.Loaded(revision("c2", timeout(2000))))
    offered: list[str] = []
    for number in range(ZONES):
        offered += [e.session for e in plane.once(g.OfferDue()) if isinstance(e, g.SendResponse)]
        entry = ingress_entry("i", instances=number + 1)
        plane.zone_sends(NAMES[0], entry, nonce=str(number))
    assert {f"{name}-down" for name in NAMES} <= set(offered)


def test_the_manifest_is_not_sent_by_an_ack_while_a_type_is_owed() -> None:
    plane = Global()
    plane.publish(timeout(1000))
    plane.connect("east")
    plane.deliver(g.Loaded(revision("c2", timeout(1000))))
    waiting = plane.sent.pop("east-down")
    session = plane.state.sessions["east-down"]
    plane.offers = False
    plane.deliver(g.Loaded(revision("c3", timeout(1000))))
    # As it is when the work of a turn ended before this type.
    state, session, _ = global_slices.refreshed(plane.state, session)
    session = replace(session, owes=("MeshTimeout",))
    sessions = state.sessions.insert(session.id, session)
    plane.state = replace(state, sessions=sessions)
    plane.once(g.ZoneSubscribed("east-down", DeltaRequest(MANIFEST, nonce=waiting[0].nonce)))
    assert "east-down" not in plane.sent
    turns(plane)
    assert [r.type_url for r in plane.sent["east-down"]] == [MANIFEST]


def test_what_came_and_went_before_a_zones_turn_is_never_sent() -> None:
    plane = fleet()
    plane.zone_sends("zone-000", ingress_entry("a"), ingress_entry("b"))
    plane.zone_sends("zone-000", removed=("a",), nonce="2")
    plane.zone_sends("zone-000", ingress_entry("b", instances=2), nonce="3")
    found = [e for sent in turns(plane) for e in sent]
    assert {e.session for e in found} == {f"{name}-down" for name in NAMES[1:]}
    assert all(len(e.response.resources) == 1 and not e.response.removed for e in found)
    assert plane.held("zone-001", "ZoneIngress") == {f"{ingress_name('zone-000', 'b')}."}
    assert plane.state.told == ()


def test_what_is_told_of_zones_is_kept_for_no_longer_than_somebody_waits_for_it() -> None:
    plane = fleet()
    for number in range(50):
        plane.zone_sends("zone-000", ingress_entry("a", instances=number + 1), nonce=str(number))
        plane.once(g.OfferDue())
    assert len(plane.state.told) <= ZONES
    turns(plane)
    assert (plane.state.told, plane.state.due) == ((), {})


def test_a_new_zone_is_given_what_others_relay_in_parts_and_misses_no_change_meanwhile() -> None:
    plane = Global()
    plane.publish()
    plane.connect("west")
    names = [f"i{number}" for number in range(3 * global_slices.TURN_WORK)]
    plane.zone_sends("west", *map(ingress_entry, names))
    plane.offers = False
    plane.deliver(g.ZoneOpened("east-down", "east", True, "key-1", 0.0))
    plane.deliver(g.ZoneSubscribed("east-down", DeltaRequest("ZoneIngress")))
    plane.once(g.OfferDue())
    session = plane.state.sessions["east-down"]
    assert session.shown is None
    assert session.sifting is not None
    assert session.sifting.at <= global_slices.TURN_WORK
    plane.zone_sends("west", ingress_entry("new"), nonce="2", removed=("i0", names[-1]))
    (answer,) = (e for sent in turns(plane) for e in sent if e.session == "east-down")
    wanted = {f"{ingress_name('west', n)}." for n in (*names[1:-1], "new")}
    assert {r.name for r in answer.response.resources} == wanted


def test_a_stream_that_ended_while_it_waited_holds_nobody_up() -> None:
    plane = fleet(timeout(1000))
    plane.deliver(g.Loaded(revision("c2", timeout(2000))))
    plane.deliver(g.ZoneClosed("zone-000-down", 1.0))
    found = [e.session for sent in turns(plane) for e in sent]
    assert set(found) == {f"{name}-down" for name in NAMES[1:]}


def test_all_types_subscribed_before_the_slice_was_made_are_answered_once() -> None:
    plane = Global()
    plane.publish(timeout(1000))
    plane.offers = False
    plane.deliver(g.ZoneOpened("east-down", "east", True, "key-1", 0.0))
    for type_ in (*TYPES, "NoSuchType"):
        plane.deliver(g.ZoneSubscribed("east-down", DeltaRequest(type_)))
    assert plane.sent == {}
    found = [e.response for sent in turns(plane) for e in sent]
    assert sorted(r.type_url for r in found) == sorted((*TYPES, "NoSuchType"))
    assert found[-1].type_url == MANIFEST
    versions = {r.type_url: {e.name: e.version for e in r.resources} for r in found}
    said = parse_manifest(found[-1].resources[0].entry)
    assert matches(said, lambda type_: versions_digest(versions.get(type_, {})))


def test_a_manifest_that_is_asked_for_while_others_are_owed_comes_behind_them() -> None:
    plane = Global()
    plane.publish(*timeouts(global_slices.TURN_WORK))
    plane.offers = False
    node = zone_node("east", "east", "0")
    plane.deliver(g.ZoneOpened("east-down", "east", True, "key-1", 0.0))
    for type_ in ("Mesh", "MeshTimeout", "ZoneIngress"):
        plane.deliver(g.ZoneSubscribed("east-down", DeltaRequest(type_, node)))
    plane.once(g.OfferDue())
    assert plane.state.sessions["east-down"].owes == ("ZoneIngress",)
    plane.deliver(g.ZoneSubscribed("east-down", DeltaRequest(MANIFEST)))
    turns(plane)
    told = [response.type_url for response in plane.sent["east-down"]]
    assert told == ["Mesh", "MeshTimeout", "ZoneIngress", MANIFEST]


def test_what_a_turn_left_over_is_offered_with_the_next_revision_too() -> None:
    plane = Global()
    many = timeouts(global_slices.TURN_WORK)
    plane.publish(*many)
    plane.connect("west")
    plane.zone_sends("west", ingress_entry("a"))
    plane.connect("east", types=("MeshTimeout", "ZoneIngress", MANIFEST))
    plane.offers = False
    plane.zone_sends("west", ingress_entry("a", instances=2), nonce="2")
    plane.deliver(g.Loaded(revision("c2", *timeouts(global_slices.TURN_WORK, 2000))))
    plane.once(g.OfferDue())
    assert plane.state.sessions["east-down"].owes == ("ZoneIngress",)
    plane.deliver(g.Loaded(revision("c3", *timeouts(global_slices.TURN_WORK, 2000))))
    plane.sent.clear()
    turns(plane)
    assert [r.type_url for r in plane.sent["east-down"]] == ["ZoneIngress", MANIFEST]


def test_an_answer_of_a_zone_is_taken_by_a_few_new_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field of session and state is written again with each of them: 5 us, and 46 types times
    40 zones answer when a global starts.
    """
    plane = fleet(timeout(1000))
    plane.deliver(g.Loaded(revision("c2", timeout(2000))))
    turns(plane)
    made = Mock(side_effect=replace)
    monkeypatch.setattr(global_down, "replace", made)
    monkeypatch.setattr(global_slices, "replace", made)
    plane.acknowledge(NAMES[0])
    assert 0 < made.call_count <= 2 * 3, "of two types: asked, offered, kept"
