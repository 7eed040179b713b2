"""Git side: what is in force after good, bad and unread commits. Zone side: who is let in, what
each is sent, and that what a zone sends is its own and stays when it goes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from reconciler.kds.manifest import ConvergenceReport, encode_report
from reconciler.kds.types import REPORT
from reconciler.model.resource import ZONE
from reconciler.steps import global_state as g
from reconciler.steps.global_down import TYPES_MAX
from reconciler.steps.global_zones import refusal
from tests.support.global_plane import MISTAKE, Global, ingress_entry, revision, timeout
from xds.delta_sender import MESSAGE_MAX
from xds.discovery import DeltaRequest, DeltaResponse

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource

# --- Git ---


def test_burst_of_commits_loads_one_at_a_time_and_converges_on_the_last() -> None:
    plane = Global()
    for commit in ("c1", "c2", "c3", "c4"):
        plane.deliver(g.TipMoved(commit))
    assert plane.loads == ["c1"]
    plane.deliver(g.Loaded(revision("c1")))
    assert plane.loads == ["c1", "c4"]
    plane.deliver(g.Loaded(revision("c4")))
    assert plane.state.published is not None
    assert plane.state.published.commit == "c4"
    assert plane.loads == ["c1", "c4"]


def test_mistake_leaves_the_revision_in_force_and_its_problems_known() -> None:
    plane = Global()
    plane.publish(timeout(1000))
    plane.connect("east")
    plane.deliver(g.TipMoved("bad"))
    plane.deliver(g.LoadRejected("bad", (MISTAKE,)))
    assert plane.state.published is not None
    assert plane.state.published.commit == "c1"
    assert plane.state.rejected == g.Rejected("bad", (MISTAKE,))
    assert plane.acknowledge("east") == []
    plane.deliver(g.TipMoved("c2"))
    plane.deliver(g.Loaded(revision("c2", timeout(1000))))
    assert plane.state.rejected is None


def test_unread_commit_is_tried_again_at_the_next_look() -> None:
    plane = Global()
    plane.publish()
    plane.deliver(g.TipMoved("c2"))
    plane.deliver(g.LoadFailed("c2", "disk"))
    assert plane.state.published is not None
    assert plane.state.published.commit == "c1"
    plane.deliver(g.TipMoved("c2"))
    assert plane.loads == ["c1", "c2", "c2"]


def test_unread_commit_is_told_until_one_is_read_whatever_the_repository_answers() -> None:
    plane = Global()
    plane.publish()
    plane.deliver(g.TipMoved("c2"))
    plane.deliver(g.LoadFailed("c2", "disk"))
    plane.deliver(g.FetchFailed("away"))
    plane.deliver(g.FetchRecovered())
    assert (plane.state.fetch_error, plane.state.load_error) == (None, "disk")
    plane.publish(commit="c2")
    assert plane.state.load_error is None


def test_commit_without_policy_changes_sends_the_manifest_alone() -> None:
    plane = Global()
    plane.publish(timeout(1000))
    plane.connect("east")
    plane.deliver(g.TipMoved("c2"))
    plane.deliver(g.Unchanged("c2"))
    assert plane.acknowledge("east") == ["RevisionManifest"]


def test_change_of_one_policy_sends_its_type_and_the_manifest_last() -> None:
    plane = Global()
    plane.publish(timeout(1000))
    plane.connect("east")
    plane.publish(timeout(2000), commit="c2")
    assert plane.acknowledge("east") == ["MeshTimeout", "RevisionManifest"]


# --- who is let in ---


def test_zones_wait_until_there_is_something_to_say() -> None:
    """Absence is not emptiness: a zone told "no policies" would open what they close."""
    plane = Global()
    refused = refusal(plane.state, "east", "key-1")
    assert refused is not None
    assert refused[0] == 14  # UNAVAILABLE: come again
    plane.deliver(g.TipMoved("bad"))
    plane.deliver(g.LoadRejected("bad", (MISTAKE,)))
    refused = refusal(plane.state, "east", "key-1")
    assert refused is not None
    assert "policies/t.yaml:3:5" in refused[1]
    plane.publish()
    assert refusal(plane.state, "east", "key-1") is None


def test_zone_name_is_held_by_one_identity_while_it_is_connected() -> None:
    plane = Global()
    plane.publish()
    plane.connect("east", identity="key-1")
    assert refusal(plane.state, "east", "key-1") is None
    refused = refusal(plane.state, "east", "key-2")
    assert refused is not None
    assert refused[0] == 7  # PERMISSION_DENIED
    for session in ("east-down", "east-up"):
        plane.deliver(g.ZoneClosed(session, 1.0))
    assert refusal(plane.state, "east", "key-2") is None


# --- what zones send ---


def two_zones() -> Global:
    plane = Global()
    plane.publish()
    plane.connect("east")
    plane.connect("west")
    return plane


def test_ingress_goes_to_every_other_zone_and_never_back() -> None:
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("in"))
    assert plane.acknowledge("west") == ["ZoneIngress"]
    assert plane.acknowledge("east") == []
    assert len(plane.held("west", "ZoneIngress")) == 1


def test_zone_that_goes_keeps_its_ingress_with_the_others() -> None:
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("in"))
    plane.acknowledge("west")
    for session in ("east-down", "east-up"):
        plane.deliver(g.ZoneClosed(session, 1.0))
    assert plane.acknowledge("west") == []
    assert len(plane.held("west", "ZoneIngress")) == 1
    assert plane.state.zones["east"].disconnected_at == 1.0


def test_ingress_claiming_another_zone_is_refused_and_travels_nowhere() -> None:
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("in", claims="west"))
    (answer,) = (e for e in plane.effects if isinstance(e, g.SendRequest))
    assert answer.request.error is not None
    assert 'claims zone "west"' in answer.request.error
    assert plane.acknowledge("west") == []


def test_refused_resource_leaves_what_was_accepted_under_its_name() -> None:
    """Also on a new stream, whose first response is otherwise the whole truth."""
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("in"))
    plane.deliver(g.ZoneClosed("east-up", 1.0))
    plane.deliver(g.ZoneOpened("east-up", "east", False, "key-1", 2.0))
    plane.zone_sends("east", ingress_entry("in", claims="west"), ingress_entry("second"))
    names = {r.display_name for r in plane.state.zones["east"].owned.by_key.values()}
    assert names == {"in", "second"}


def test_first_response_of_a_stream_drops_what_it_does_not_name() -> None:
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("in"), ingress_entry("old"))
    plane.deliver(g.ZoneClosed("east-up", 1.0))
    plane.deliver(g.ZoneOpened("east-up", "east", False, "key-1", 2.0))
    plane.zone_sends("east", ingress_entry("in"))
    names = {r.display_name for r in plane.state.zones["east"].owned.by_key.values()}
    assert names == {"in"}


def test_lost_inventory_is_no_deletion() -> None:
    """What status refs said before a restart stands in until the zone speaks for itself."""
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("in"))
    owned = tuple(plane.state.zones["east"].owned.by_key.values())
    assert all(r.labels.get(ZONE) == "east" for r in owned)
    again = Global()
    again.deliver(g.StatusRefsRead({"east": owned}))
    again.publish()
    again.connect("west")
    assert again.held("west", "ZoneIngress") == plane.held("west", "ZoneIngress")
    again.connect("east")
    assert again.acknowledge("west") == []
    again.zone_sends("east", ingress_entry("in"))
    assert again.acknowledge("west") == []
    assert not again.state.zones["east"].remembered


def kept(plane: Global) -> dict[str, tuple[MeshResource, ...]]:
    """The disk after what the last event wrote."""
    writes = [e for e in plane.effects if isinstance(e, g.KeepRelayed)]
    return {write.zone: write.put for write in writes}


def test_what_a_zone_relays_outlives_the_global_without_any_status_ref() -> None:
    """A zone that comes back first would be told that the others' ingresses are gone."""
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("in"))
    again = Global()
    again.deliver(g.Restored(kept(plane)))
    again.deliver(g.StatusRefsRead({}))
    again.publish()
    again.connect("west")
    assert again.held("west", "ZoneIngress") == plane.held("west", "ZoneIngress") != set()


def test_an_ingress_is_written_before_anyone_hears_of_it() -> None:
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("in"))
    kinds = [type(e) for e in plane.effects]
    assert kinds.index(g.KeepRelayed) < kinds.index(g.SendResponse)


def test_an_ingress_that_is_withdrawn_is_forgotten_on_disk() -> None:
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("in"))
    ((_, (resource,)),) = kept(plane).items()
    plane.zone_sends("east", nonce="2", removed=(resource.display_name,))
    (write,) = (e for e in plane.effects if isinstance(e, g.KeepRelayed))
    assert write.drop == (resource.key,)


def test_a_status_ref_says_more_than_our_disk_and_its_zone_more_than_both() -> None:
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("in", instances=1))
    disk = kept(plane)
    plane.zone_sends("east", ingress_entry("in", instances=2), nonce="2")
    ref = kept(plane)
    again = Global()
    again.deliver(g.Restored(disk))
    again.deliver(g.StatusRefsRead(ref))
    (found,) = again.state.zones["east"].relayed.by_key.values()
    assert '"instances":2' in found.body
    again.publish()
    again.connect("east")
    again.zone_sends("east", ingress_entry("in", instances=3))
    again.deliver(g.StatusRefsRead(ref))
    (found,) = again.state.zones["east"].relayed.by_key.values()
    assert '"instances":3' in found.body


def test_what_a_status_ref_corrects_is_corrected_on_disk() -> None:
    """Otherwise the next start, without the ref, sends callers to an ingress that is gone."""
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("moved"))
    disk = kept(plane)
    (gone,) = disk["east"]
    plane.zone_sends("east", ingress_entry("in"), nonce="2")
    again = Global()
    again.deliver(g.Restored(disk))
    again.deliver(g.StatusRefsRead(kept(plane)))
    (write,) = (e for e in again.effects if isinstance(e, g.KeepRelayed))
    assert (write.zone, write.drop) == ("east", (gone.key,))
    assert [r.display_name for r in write.put] == ["in"]
    again = Global()
    again.deliver(g.Restored(kept(plane)))
    again.deliver(g.StatusRefsRead(kept(plane)))
    assert kept(again) == {}


def test_a_status_ref_without_an_ingress_withdraws_nothing() -> None:
    plane = two_zones()
    plane.zone_sends("east", ingress_entry("in"))
    again = Global()
    again.deliver(g.Restored(kept(plane)))
    again.deliver(g.StatusRefsRead({"east": ()}))
    assert len(again.state.zones["east"].relayed.by_key) == 1


def test_type_that_was_not_asked_for_ends_the_stream() -> None:
    plane = two_zones()
    plane.deliver(g.ZonePublished("east-up", DeltaResponse("Mesh", "1")))
    (closing,) = (e for e in plane.effects if isinstance(e, g.CloseSession))
    assert closing.code == 3  # INVALID_ARGUMENT


def test_rejection_of_a_zone_is_kept_and_told() -> None:
    plane = two_zones()
    plane.publish(timeout(1000), commit="c2")
    response = next(r for r in plane.sent["east-down"] if r.type_url == "MeshTimeout")
    nack = DeltaRequest("MeshTimeout", nonce=response.nonce, error="no such field")
    plane.deliver(g.ZoneSubscribed("east-down", nack))
    assert plane.state.zones["east"].rejected["MeshTimeout"] == "no such field"
    assert any(isinstance(e, g.Note) and e.event == "zone.rejected" for e in plane.effects)


def nack(plane: Global, message: str) -> None:
    """East refuses the MeshTimeout that it was just sent."""
    response = next(r for r in plane.sent["east-down"] if r.type_url == "MeshTimeout")
    request = DeltaRequest("MeshTimeout", nonce=response.nonce, error=message)
    plane.deliver(g.ZoneSubscribed("east-down", request))


def test_rejection_is_forgotten_once_something_else_was_sent() -> None:
    """Otherwise status would show a fault that was cured long ago."""
    plane = two_zones()
    plane.publish(timeout(1000), commit="c2")
    nack(plane, "no such field")
    plane.acknowledge("east")
    plane.publish(timeout(1000), commit="c3")  # The same policy: still refused.
    plane.acknowledge("east")
    assert dict(plane.state.zones["east"].rejected) == {"MeshTimeout": "no such field"}
    plane.publish(timeout(2000), commit="c4")
    assert plane.acknowledge("east") == ["MeshTimeout", "RevisionManifest"]
    assert dict(plane.state.zones["east"].rejected) == {}


def test_new_connection_starts_without_the_rejections_and_the_report_of_the_last() -> None:
    plane = two_zones()
    plane.publish(timeout(1000), commit="c2")
    nack(plane, "x" * 10_000)
    report = encode_report("east", ConvergenceReport("c2"))
    plane.deliver(g.ZonePublished("east-up", DeltaResponse(REPORT, "1", (report,))))
    east = plane.state.zones["east"]
    assert len(east.rejected["MeshTimeout"]) == MESSAGE_MAX
    assert east.report == ConvergenceReport("c2")
    for session in ("east-down", "east-up"):
        plane.deliver(g.ZoneClosed(session, 1.0))
    plane.connect("east")
    east = plane.state.zones["east"]
    assert dict(east.rejected) == {}
    assert east.report is None


def test_stream_that_asks_for_ever_more_types_is_ended() -> None:
    plane = two_zones()
    for number in range(TYPES_MAX + 1):
        plane.deliver(g.ZoneSubscribed("east-down", DeltaRequest(f"Type{number}")))
    (closing,) = (e for e in plane.effects if isinstance(e, g.CloseSession))
    assert closing.code == 8  # RESOURCE_EXHAUSTED
    assert len(plane.state.sessions["east-down"].senders) == TYPES_MAX


def test_events_of_a_stream_that_is_gone_change_nothing() -> None:
    plane = two_zones()
    before = plane.state
    plane.deliver(g.ZonePublished("north-up", DeltaResponse("ZoneIngress", "1")))
    plane.deliver(g.ZoneSubscribed("north-down", DeltaRequest("Mesh")))
    plane.deliver(g.ZoneClosed("north-up", 1.0))
    assert replace(plane.state) == before
