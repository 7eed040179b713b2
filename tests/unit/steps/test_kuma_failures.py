"""KDS failures that Kuma had (facts/anchors.md 3.1), each as a test of both roles where both apply.

Those that need a transport (#16326, #15042 with #14486, #16373) stand in tests/protocol; the zone's
identity in its payload (#17456) is all of test_global_claims.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.arrival import global_outcome
from reconciler.kds.codec import CarriedResource, encode_carried
from reconciler.kds.manifest import ConvergenceReport, encode_report
from reconciler.kds.names import hashed_name
from reconciler.kds.types import GLOBAL_TO_ZONE_TYPES, MANIFEST, REPORT
from reconciler.kds.zone_node import FEATURES, zone_node
from reconciler.model.resource import DISPLAY_NAME, ORIGIN, ZONE, Labels, canonical_json
from reconciler.steps import global_state as g
from reconciler.steps import zone_state as z
from reconciler.steps.global_presence import REACK_S as GLOBAL_REACK_S
from reconciler.steps.zone_global import REACK_S, redial_least_s
from tests.support.global_plane import Global, ingress_entry, timeout
from tests.support.zone import MESH, Zone, dataplane, zone
from xds.discovery import DeltaRequest, DeltaResponse

if TYPE_CHECKING:
    from xds.resource import XdsResource

KUMA = [name for name in FEATURES if name != "revision-manifest"]


def two_zones() -> Global:
    plane = Global()
    plane.publish(timeout(1000))
    plane.connect("east")
    plane.connect("west")
    return plane


def carried(type_: str, name: str, data: Any, mesh: str = "default", **labels: str) -> XdsResource:
    return encode_carried(CarriedResource(type_, mesh, name, labels, canonical_json(data)))


def owned(plane: Global, name: str) -> set[str]:
    return {r.display_name for r in plane.state.zones[name].owned.by_key.values()}


def from_global(made: Zone, type_: str, *resources: XdsResource, nonce: str = "1") -> str | None:
    """What the zone answers it with; None is an ACK."""
    response = DeltaResponse(type_, nonce, resources)
    effects = made.deliver(z.GlobalResponse("g", response, made.now))
    assert not [e for e in effects if isinstance(e, z.LeaveGlobal)]
    (answer,) = (e for e in effects if isinstance(e, z.ToGlobalRequest))
    return answer.request.error


def following_kuma() -> Zone:
    """A zone of a real Kuma global: it has no manifests."""
    made = zone()
    made.deliver(z.GlobalConnected("g"))
    from_global(made, MANIFEST)
    mesh = carried("Mesh", "default", {}, "", **{ORIGIN: "global"})
    assert from_global(made, "Mesh", mesh) is None
    (note,) = (e for e in made.effects if isinstance(e, z.Note))
    assert (note.event, note.fields["types"]) == ("policies.in_force", ["Mesh"])
    return made


# --- #17738: a lost write tore the stream down, and the zone was believed to be current ---


def test_17738_what_was_sent_on_a_stream_that_broke_is_sent_again_on_the_next() -> None:
    plane = two_zones()
    plane.publish(timeout(2000), commit="c2")
    plane.sent.clear()  # Nothing of it arrived.
    plane.deliver(g.ZoneClosed("east-down", 1.0))
    plane.deliver(g.ZoneOpened("east-down", "east", True, "key-1", 2.0))
    told = DeltaRequest("MeshTimeout", zone_node("east", "east", "0"))
    plane.deliver(g.ZoneSubscribed("east-down", told))
    (response,) = plane.sent["east-down"]
    assert len(response.resources) == 1


def test_17738_a_zone_believes_nothing_of_the_stream_before() -> None:
    made = zone()
    made.connect(dataplane("web-1", "web"))
    for session in ("g1", "g2"):
        made.deliver(z.GlobalConnected(session))
        ask = DeltaRequest("Dataplane", subscribe=("*",))
        effects = made.deliver(z.GlobalRequest(session, ask))
        (sent,) = (e for e in effects if isinstance(e, z.ToGlobalResponse))
        assert len(sent.response.resources) == 1  # Never acknowledged.


# --- #18077: a name that Kubernetes cannot hold stopped delivery in both directions ---

NAMES = ("x" * 300, "UPPER", "with/slash", "ünïcödé", "a..b", "sp ace")


@pytest.mark.parametrize("name", NAMES)
def test_18077_a_name_of_any_kind_stops_no_delivery_from_a_zone(name: str) -> None:
    plane = two_zones()
    networking = {"networking": {"address": "10.0.0.1"}}
    entries = []
    for display in (name, "web-1"):
        wire = hashed_name("default", display, Labels.of({ZONE: "east"}))
        entries.append(carried("Dataplane", wire, networking, **{DISPLAY_NAME: display}))
    plane.zone_says("east", DeltaResponse("Dataplane", "1", tuple(entries)))
    assert not [e for e in plane.effects if isinstance(e, g.CloseSession)]
    assert "web-1" in owned(plane, "east")
    removed = tuple(
        f"{hashed_name('default', name, Labels.of({ZONE: 'east'}))}.default" for _ in "a"
    )
    plane.zone_says("east", DeltaResponse("Dataplane", "2", (), removed))
    assert owned(plane, "east") == {"web-1"}


@pytest.mark.parametrize("name", NAMES)
def test_18077_a_name_of_any_kind_stops_no_delivery_to_a_zone(name: str) -> None:
    plane = two_zones()
    odd = replace(timeout(1), key=replace(timeout(1).key, name=name))
    plane.publish(odd, timeout(2000), commit="c2")
    assert plane.acknowledge("east") == ["MeshTimeout", MANIFEST]
    made = following_kuma()
    spec = json.loads(timeout(1000).body)
    both = [carried("MeshTimeout", n, spec, **{ORIGIN: "global"}) for n in (name, "t")]
    assert from_global(made, "MeshTimeout", *both) is None
    assert {r.key.name for r in made.state.policy.of("MeshTimeout")} == {name, "t"}


# --- PR #18208: a resource without an origin collided on every create, for ever ---


def test_18208_a_resource_without_an_origin_is_the_zones_that_sends_it() -> None:
    plane = two_zones()
    wire = hashed_name("default", "web-1", Labels.of({ZONE: "east"}))
    bare = carried("Dataplane", wire, {"networking": {"address": "10.0.0.1"}})
    for nonce in ("1", "2"):
        plane.zone_says("east", DeltaResponse("Dataplane", nonce, (bare,)))
        (answer,) = (e for e in plane.effects if isinstance(e, g.SendRequest))
        assert answer.request.error is None
    (held,) = plane.state.zones["east"].owned.by_key.values()
    assert (held.labels.get(ORIGIN), held.labels.get(ZONE)) == ("zone", "east")


def test_18208_a_resource_without_an_origin_is_refused_by_a_zone_and_nothing_else_is() -> None:
    made = following_kuma()
    spec = json.loads(timeout(1000).body)
    bare = carried("MeshTimeout", "bare", spec)
    good = carried("MeshTimeout", "good", spec, **{ORIGIN: "global"})
    for nonce in ("1", "2", "3"):
        assert "bare" in str(from_global(made, "MeshTimeout", bare, good, nonce=nonce))
    assert {r.key.name for r in made.state.policy.of("MeshTimeout")} == {"good"}


def test_18208_what_was_refused_leaves_in_force_what_stood_under_its_name() -> None:
    """Type by type, nothing else holds it back: without a deny everybody would be allowed. It goes
    when the global says that it is gone.
    """
    made = following_kuma()
    spec = json.loads(timeout(1000).body)
    good = carried("MeshTimeout", "t", spec, **{ORIGIN: "global"})
    assert from_global(made, "MeshTimeout", good) is None
    held = made.state.policy.of("MeshTimeout")
    made.deliver(z.GlobalDisconnected("g", "UNAVAILABLE"))
    made.deliver(z.GlobalConnected("g"))
    from_global(made, MANIFEST)
    mesh = carried("Mesh", "default", {}, "", **{ORIGIN: "global"})
    assert from_global(made, "Mesh", mesh) is None
    bare = carried("MeshTimeout", "t", spec)
    for nonce in ("1", "2"):
        assert "t.default" in str(from_global(made, "MeshTimeout", bare, nonce=nonce))
        assert made.state.policy.of("MeshTimeout") == held
    gone = DeltaResponse("MeshTimeout", "3", (), ("t.default",))
    made.deliver(z.GlobalResponse("g", gone, made.now))
    assert not made.state.policy.of("MeshTimeout")


# --- #16940: services of another zone were taken for garbage of this one ---


def test_16940_what_another_zone_relayed_stays_when_everything_here_goes() -> None:
    made = following_kuma()
    labels = {ORIGIN: "global", ZONE: "west", DISPLAY_NAME: "web", "kuma.io/managed-by": "x"}
    spec = {"ports": [{"port": 80}], "selector": {"dataplaneTags": {"kuma.io/service": "web"}}}
    service = carried("MeshService", "web-of-west", spec, **labels)
    assert from_global(made, "MeshService", service) is None
    stream = made.connect(dataplane("web-1", "web"))
    made.lose(stream)
    made.tick(3600)
    assert [r.key.name for r in made.state.relayed.of("MeshService")] == ["web-of-west"]
    assert [r.key.name for r in made.state.merged.of("MeshService")] == ["web-of-west"]
    ask = DeltaRequest("MeshService", subscribe=("*",))
    effects = made.deliver(z.GlobalRequest("g", ask))
    told = [e.response.resources for e in effects if isinstance(e, z.ToGlobalResponse)]
    assert told == [()]  # And never sent up as this zone's own.


# --- #13624: connected, health checks answered, and nothing was delivered until a restart ---


def test_13624_a_zone_is_current_by_what_it_reports_not_by_its_stream() -> None:
    plane = two_zones()
    for name in ("east", "west"):
        report = encode_report(name, ConvergenceReport("c1"))
        plane.zone_says(name, DeltaResponse(REPORT, "1", (report,)))
    assert global_outcome(plane.state, "c1").outcome == "arrived"
    plane.publish(timeout(2000), commit="c2")  # Sent, and nothing comes back.
    found = global_outcome(plane.state, "c2")
    assert (found.outcome, len(found.details)) == ("pending", 2)
    assert "has revision c1 in force" in found.details[0]


def test_13624_a_zone_gives_a_kuma_global_time_to_see_the_end_of_the_session_before() -> None:
    made = following_kuma()
    assert redial_least_s(made.state) == 5.0
    made.deliver(z.GlobalDisconnected("g", "gone"))
    made.deliver(z.GlobalConnected("g2"))  # Broken before it said what it is.
    made.deliver(z.GlobalDisconnected("g2", "gone"))
    assert redial_least_s(made.state) == 5.0


def test_13624_a_zone_tells_a_kuma_global_its_last_answers_again() -> None:
    made = following_kuma()
    made.tick(REACK_S - 1)
    assert not [e for e in made.effects if isinstance(e, z.ToGlobalRequest)]
    for _ in range(2):
        made.tick(REACK_S)
        again = [e.request for e in made.effects if isinstance(e, z.ToGlobalRequest)]
        assert [(r.type_url, r.nonce, r.subscribe) for r in again] == [
            ("Mesh", "1", ()),
            (MANIFEST, "1", ()),
        ]
        assert any(isinstance(e, z.WakeAt) for e in made.effects)
    made.deliver(z.GlobalDisconnected("g", "gone"))
    made.tick(REACK_S)
    assert not [e for e in made.effects if isinstance(e, z.ToGlobalRequest)]


def test_13624_the_global_tells_a_kuma_zone_its_last_answers_again() -> None:
    plane = Global()
    plane.publish(timeout(1000))
    plane.connect("ours")
    plane.connect("kuma", features=KUMA)
    for name in ("ours", "kuma"):
        plane.zone_sends(name, ingress_entry("in"))
    plane.deliver(g.Tick(GLOBAL_REACK_S - 1))
    assert list(plane.effects) == []
    for round_ in (1, 2):
        plane.deliver(g.Tick(GLOBAL_REACK_S * round_))
        again = [e for e in plane.effects if isinstance(e, g.SendRequest)]
        assert [(e.session, e.request.type_url, e.request.nonce) for e in again] == [
            ("kuma-up", "ZoneIngress", "1")
        ]


def test_13624_a_repeated_answer_releases_nothing_twice() -> None:
    """The global's side of the guard: an answer told again counts for no response in flight."""
    plane = two_zones()
    plane.publish(timeout(2000), commit="c2")
    sent = len(plane.sent["east-down"])
    old = DeltaRequest("MeshTimeout", nonce="2")  # Of the first response of the type.
    for _ in range(3):
        plane.deliver(g.ZoneSubscribed("east-down", old))
    assert len(plane.sent["east-down"]) == sent


# --- #9455: other zones saw resources deleted for seconds ---


def test_9455_a_zone_that_comes_back_slowly_takes_nothing_from_the_others() -> None:
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("in"))
    plane.acknowledge("west")
    for session in ("east-up", "east-down"):
        plane.deliver(g.ZoneClosed(session, 1.0))
    plane.connect("east")
    plane.zone_says("east", DeltaResponse("Dataplane", "1"))  # Other types come first.
    plane.zone_sends("east", ingress_entry("in"), nonce="2")
    assert plane.acknowledge("west") == []


def test_9455_a_global_that_comes_back_shows_what_it_knew() -> None:
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("in"))
    (kept,) = (e for e in plane.effects if isinstance(e, g.KeepRelayed))
    again = Global()
    again.deliver(g.Restored({"east": kept.put}))
    again.publish(timeout(1000))
    again.connect("west")
    assert again.held("west", "ZoneIngress") == plane.held("west", "ZoneIngress") != set()


def test_9455_a_zone_keeps_what_others_gave_while_its_global_is_away() -> None:
    made = following_kuma()
    spec = {"networking": {"address": "10.0.0.9", "port": 1}, "zone": "west"}
    ingress = carried("ZoneIngress", "in", spec, "", **{ORIGIN: "global", ZONE: "west"})
    from_global(made, "ZoneIngress", ingress)
    made.deliver(z.GlobalDisconnected("g", "away"))
    made.tick(3600)
    made.deliver(z.GlobalConnected("g"))
    for type_ in GLOBAL_TO_ZONE_TYPES[:3]:
        assert type_ != "ZoneIngress"
    assert [r.key.name for r in made.state.relayed.of("ZoneIngress")] == ["in"]
    assert MESH.key in made.state.merged.by_key
