"""Streams of a zone end with what let it in; a zone that is taken out of the repository is
forgotten, and one that is switched off is not waited for.
"""

from __future__ import annotations

from dataclasses import replace

from reconciler.arrival import global_outcome
from reconciler.ca import keys
from reconciler.decode import mesh_resource
from reconciler.kds.admin import AdminKind
from reconciler.kds.admission import Proof
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.repository_settings import decode_settings
from reconciler.steps import global_state as g
from tests.support.global_plane import Global, ingress_entry, named_by, revision
from xds.discovery import DeltaResponse

PROOF = Proof("zone-token:east", token_id="t-1", kid="1", expires=100.0)
LISTED = decode_settings({"kds": {"tokenless": [{"zone": "east", "from": "10.0.0.0/8"}]}})


def secret(name: str, value: str) -> MeshResource:
    data = keys.secret_data(value.encode())
    return mesh_resource(ResourceKey("GlobalSecret", "", name), Labels(), data)


PUBLIC = secret("zone-token-signing-public-key-1", "a key")


def zone(name: str, *, on: bool = True) -> MeshResource:
    return mesh_resource(ResourceKey("Zone", "", name), Labels(), {"enabled": on})


def commit(plane: Global, name: str, *resources: MeshResource) -> None:
    plane.deliver(g.TipMoved(name))
    plane.deliver(g.Loaded(revision(name, *resources)))


def opened(plane: Global, session: str, proof: Proof, name: str = "east") -> None:
    plane.deliver(g.ZoneOpened(session, name, True, proof.identity, 0.0, (), proof))


def closings(plane: Global) -> dict[str, tuple[int, str]]:
    found = (e for e in plane.effects if isinstance(e, g.CloseSession))
    return {e.session: (e.code, e.message) for e in found}


def test_stream_ends_when_its_token_does() -> None:
    plane = Global()
    commit(plane, "c1", PUBLIC)
    opened(plane, "one", PROOF)
    assert g.WakeAt(100.0) in plane.effects
    opened(plane, "two", replace(PROOF, token_id="t-2", expires=200.0))
    plane.deliver(g.Tick(99.9))
    assert closings(plane) == {}
    plane.deliver(g.Tick(100.0))
    assert list(closings(plane)) == ["one"]
    code, text = closings(plane)["one"]
    assert code == 16  # UNAUTHENTICATED
    assert "has expired; issue a join file" in text


def test_stream_ends_with_the_revision_that_revokes_its_token() -> None:
    plane = Global()
    commit(plane, "c1", PUBLIC)
    opened(plane, "one", PROOF)
    opened(plane, "two", replace(PROOF, token_id="t-2"))
    commit(plane, "c2", PUBLIC, secret("zone-token-revocations", "t-2"))
    assert list(closings(plane)) == ["two"]
    assert "is revoked" in closings(plane)["two"][1]


def test_streams_end_with_the_key_that_signed_for_them() -> None:
    plane = Global()
    commit(plane, "c1", PUBLIC)
    opened(plane, "one", PROOF)
    commit(plane, "c2", secret("zone-token-signing-public-key-2", "another"))
    assert list(closings(plane)) == ["one"]


def test_zone_without_a_token_stays_as_long_as_it_is_listed() -> None:
    plane = Global()
    plane.deliver(g.TipMoved("c1"))
    plane.deliver(g.Loaded(replace(revision("c1"), settings=LISTED)))
    opened(plane, "one", Proof("address:10.0.0.1", address="10.0.0.1"))
    plane.deliver(g.TipMoved("c2"))
    plane.deliver(g.Loaded(replace(revision("c2"), settings=LISTED)))
    assert closings(plane) == {}
    commit(plane, "c3")
    assert "kds.tokenless" in closings(plane)["one"][1]


def two_zones(*resources: MeshResource) -> Global:
    plane = Global()
    commit(plane, "c1", *resources)
    for name in ("east", "west"):
        plane.connect(name)
    plane.zone_sends("east", ingress_entry("in"))
    plane.acknowledge("west")
    return plane


def test_zone_that_is_taken_out_of_the_repository_is_forgotten() -> None:
    plane = two_zones(zone("east"))
    commit(plane, "c2")
    assert set(closings(plane)) == {"east-down", "east-up"}
    code, text = closings(plane)["east-up"]
    assert code == 14  # UNAVAILABLE, never OK: a real zone would fall silent
    assert "revoke its token to keep it out" in text
    assert "east" not in plane.state.zones
    (kept,) = (e for e in plane.effects if isinstance(e, g.KeepRelayed))
    assert (kept.zone, kept.put, len(kept.drop)) == ("east", (), 1)
    assert "ZoneIngress" in plane.acknowledge("west")
    assert plane.held("west", "ZoneIngress") == set()
    plane.deliver(g.ZoneClosed("east-up", 1.0))  # Its streams end a moment later.
    assert "east" not in plane.state.zones
    plane.connect("east")
    assert set(plane.state.zones) == {"east", "west"}


def test_admin_streams_of_a_zone_that_is_forgotten_are_ended() -> None:
    plane = Global()
    plane.publish(zone("east"))
    plane.connect("east")
    plane.deliver(g.AdminOpened("a", "east", AdminKind.STATS, 1.0, Proof("east")))
    plane.publish(commit="c2")
    assert "a" in [e.session for e in plane.effects if isinstance(e, g.CloseSession)]


def test_zone_that_never_stood_in_the_repository_is_not_forgotten_by_it() -> None:
    plane = two_zones()
    commit(plane, "c2")
    assert closings(plane) == {}
    assert set(plane.state.zones) == {"east", "west"}


def test_zone_that_is_switched_off_stays_connected_and_gives_nothing() -> None:
    plane = two_zones(zone("east"))
    commit(plane, "c2", zone("east", on=False))
    assert closings(plane) == {}
    plane.acknowledge("west")
    assert plane.held("west", "ZoneIngress") == set()
    assert "Mesh" in plane.state.sessions["east-down"].senders


def outcome(plane: Global) -> str:
    found = global_outcome(plane.state, plane.state.history[-1])
    return f"{found.outcome}: {'; '.join(found.details)}"


def test_zone_that_is_gone_for_good_is_waited_for_until_it_is_switched_off() -> None:
    plane = two_zones()
    for session in ("east-up", "east-down", "west-up", "west-down"):
        plane.deliver(g.ZoneClosed(session, 1.0))
    assert "east is not connected; if it is gone for good, set its Zone" in outcome(plane)
    commit(plane, "c2", zone("east", on=False), zone("west"))
    assert "west is not connected" in outcome(plane)
    assert "east" not in outcome(plane)
    commit(plane, "c3", zone("east", on=False), zone("west", on=False))
    assert outcome(plane).startswith("arrived")


def test_zone_that_is_switched_off_and_there_is_waited_for() -> None:
    plane = two_zones()
    commit(plane, "c2", zone("east", on=False))
    assert "east has not reported yet" in outcome(plane)


# --- streams that overlap ---


def overlapping() -> Global:
    """The zone is back on a second stream before the end of the first was seen."""
    plane = two_zones()
    plane.zone_sends("west", ingress_entry("a"))
    plane.deliver(g.ZoneOpened("west-up-2", "west", False, "key-1", 5.0))
    return plane


def says_late(plane: Global, name: str) -> None:
    entry = named_by("west", ingress_entry(name))
    plane.deliver(g.ZonePublished("west-up", DeltaResponse("ZoneIngress", "7", (entry,)), 6.0))


def test_what_comes_late_on_an_old_stream_does_not_count_against_the_new_one() -> None:
    plane = overlapping()
    entry = named_by("west", ingress_entry("b"))
    plane.deliver(g.ZonePublished("west-up-2", DeltaResponse("ZoneIngress", "1", (entry,)), 5.5))
    says_late(plane, "late")
    assert [r.display_name for r in plane.state.zones["west"].owned.of("ZoneIngress")] == ["b"]
    code, text = closings(plane)["west-up"]
    assert code == 1  # CANCELLED: whoever is still there comes back and says all of it.
    assert "a newer stream" in text


def test_an_old_stream_counts_until_the_new_one_has_said_all() -> None:
    plane = overlapping()
    says_late(plane, "late")
    assert len(plane.state.zones["west"].owned.of("ZoneIngress")) == 2
    assert "west-up" not in closings(plane)


def test_control_plane_that_another_of_its_name_came_beside_says_everything_anew() -> None:
    """Two of one name and network: what the second told stood, and stayed when it was gone."""
    plane = two_zones()
    plane.deliver(g.ZoneOpened("second", "east", False, "key-1", 1.0))
    plane.deliver(g.ZonePublished("second", DeltaResponse("ZoneIngress", "1")))
    assert plane.state.zones["east"].owned.of("ZoneIngress") == ()
    plane.deliver(g.ZoneClosed("second", 2.0))
    code, text = closings(plane)["east-up"]
    assert code == 1  # CANCELLED, never OK: a real zone would fall silent
    assert "another stream" in text
    plane.deliver(g.ZoneClosed("east-up", 3.0))
    assert closings(plane) == {}
