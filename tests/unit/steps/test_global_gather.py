"""A global that lost its store gathers before it relays: absence is not emptiness (design 1)."""

from __future__ import annotations

from reconciler.steps import global_state as g
from tests.support.global_plane import Global, ingress_entry, timeout


def lost() -> Global:
    made = Global()
    made.deliver(g.Restored({}, lost=True))
    made.publish(timeout(1000))
    return made


def is_gathering(plane: Global) -> bool:
    return plane.state.gathering


def test_zone_that_connects_first_is_not_told_that_there_are_no_others() -> None:
    plane = lost()
    plane.connect("east")
    plane.zone_sends("east", ingress_entry("in"))
    plane.acknowledge("east")
    assert plane.state.sessions["east-down"].counts.keys() == {
        "Mesh",
        "MeshTimeout",
        "RevisionManifest",
    }
    plane.connect("west")
    plane.zone_sends("west", ingress_entry("out"))
    assert "ZoneIngress" not in plane.acknowledge("east")
    plane.deliver(g.Tick(64.9))
    assert "ZoneIngress" not in plane.acknowledge("east")
    plane.deliver(g.Tick(65.0))
    (told,) = [r for r in plane.sent["east-down"] if r.type_url == "ZoneIngress"]
    assert (len(told.resources), told.removed) == (1, ())
    assert "ZoneIngress" in plane.acknowledge("west")


def test_policies_do_not_wait_for_other_zones() -> None:
    plane = lost()
    plane.connect("east")
    assert plane.held("east", "MeshTimeout")
    plane.publish(timeout(2000), commit="c2")
    assert "MeshTimeout" in plane.acknowledge("east")


def test_time_begins_with_the_first_zone_and_not_anew_with_each() -> None:
    plane = lost()
    plane.deliver(g.Tick(1000.0))
    assert is_gathering(plane)
    plane.deliver(g.ZoneOpened("east-down", "east", True, "key", 1000.0))
    assert g.WakeAt(1065.0) in plane.effects
    plane.deliver(g.ZoneOpened("west-down", "west", True, "key", 1020.0))
    plane.deliver(g.Tick(1065.0))
    assert not is_gathering(plane)
    assert g.KeepMadeGood() in plane.effects


def test_what_is_known_from_status_refs_goes_out_in_the_end_though_its_zone_stays_away() -> None:
    plane = Global()
    plane.deliver(g.Restored({}, lost=True))
    other = Global()
    other.publish()
    other.connect("west")
    other.zone_sends("west", ingress_entry("out"))
    written = tuple(other.state.zones["west"].relayed.all())
    plane.deliver(g.StatusRefsRead({"west": written}))
    plane.publish()
    plane.connect("east")
    plane.deliver(g.Tick(65.0))
    (told,) = [r for r in plane.sent["east-down"] if r.type_url == "ZoneIngress"]
    assert len(told.resources) == 1


def test_global_that_lost_nothing_relays_at_once() -> None:
    plane = Global()
    plane.deliver(g.Restored({}))
    plane.publish()
    plane.connect("east")
    assert "ZoneIngress" in plane.state.sessions["east-down"].senders
    plane.deliver(g.Tick(1000.0))
    assert g.KeepMadeGood() not in plane.effects
