"""What `wait` answers for a commit: where it has arrived, and who refused it."""

from __future__ import annotations

from reconciler.arrival import global_outcome
from reconciler.global_status import zone_row
from reconciler.kds.manifest import ConvergenceReport, Rejection, encode_report
from reconciler.kds.names import hashed_name
from reconciler.kds.types import REPORT, STATUS
from reconciler.model.resource import Labels
from reconciler.problems import Position, Problem
from reconciler.steps import global_state as g
from reconciler.steps.global_git import behind
from tests.support.global_plane import Global, timeout
from xds.discovery import DeltaRequest, DeltaResponse


def connected() -> Global:
    """One zone that has c1, and is sent c2."""
    plane = Global()
    plane.publish()
    plane.connect("east")
    report(plane, ConvergenceReport("c1"))
    plane.publish(timeout(1000), commit="c2")
    return plane


def report(plane: Global, found: ConvergenceReport) -> None:
    frame = encode_report("east", found)
    plane.deliver(g.ZonePublished("east-up", DeltaResponse(REPORT, "1", (frame,))))


def test_commit_is_pending_until_every_proxy_has_it() -> None:
    plane = connected()
    assert global_outcome(plane.state, "c2").outcome == "pending"
    report(plane, ConvergenceReport("c2", total=2, acked=1, pending=1))
    assert global_outcome(plane.state, "c2").outcome == "pending"
    report(plane, ConvergenceReport("c2", total=2, acked=2))
    assert global_outcome(plane.state, "c2").outcome == "arrived"


def test_commit_that_a_zone_cannot_take_is_rejected_in_its_words() -> None:
    """It would stay pending for ever: nothing of it comes into force there."""
    plane = connected()
    response = next(r for r in plane.sent["east-down"] if r.type_url == "MeshTimeout")
    nack = DeltaRequest("MeshTimeout", nonce=response.nonce, error="t: no such field")
    plane.deliver(g.ZoneSubscribed("east-down", nack))
    found = global_outcome(plane.state, "c2")
    assert found.outcome == "rejected"
    assert found.details == ("zone east rejected MeshTimeout: t: no such field",)


def test_commit_that_a_proxy_rejects_is_rejected_with_its_name() -> None:
    plane = connected()
    refused = Rejection("default", "default.web-1", "Listener", "no filter")
    report(plane, ConvergenceReport("c2", total=1, rejected=1, rejections=(refused,)))
    found = global_outcome(plane.state, "c2")
    assert found.outcome == "rejected"
    assert "default.web-1: no filter" in found.details[0]


def test_timeout_of_a_commit_says_what_stands_in_its_way() -> None:
    plane = connected()
    assert global_outcome(plane.state, "c3").details == ()
    plane.deliver(g.FetchFailed("no route to host"))
    found = global_outcome(plane.state, "c3")
    assert (found.outcome, found.details) == ("pending", ("no route to host",))
    plane.deliver(g.FetchRecovered())
    problem = Problem(Position("a.yaml", 3, 1), "MT004", "sets no timeout")
    plane.deliver(g.TipMoved("c4"))
    plane.deliver(g.LoadRejected("c4", (problem,)))
    found = global_outcome(plane.state, "c3")
    assert found.outcome == "pending"
    assert "the newest commit c4 has problems" in found.message
    assert found.details == (str(problem),)


def test_commit_gone_back_to_has_not_arrived_where_the_undone_one_is_in_force() -> None:
    """c2 was forced out of the branch: the zone that still has it does not have c1."""
    plane = connected()
    report(plane, ConvergenceReport("c2", total=1, acked=1))
    plane.publish(commit="c1")
    assert global_outcome(plane.state, "c1").outcome == "pending"
    report(plane, ConvergenceReport("c1", total=1, acked=1))
    assert global_outcome(plane.state, "c1").outcome == "arrived"


KUMA = ["hash-suffix", "optional-top-level-target-ref"]
KUMA_TYPES = ("Mesh", "MeshTimeout", "ZoneIngress")


def kuma() -> Global:
    """A zone of Kuma that has c1, and is sent c2: it reports nothing, and says so."""
    plane = Global()
    plane.publish()
    plane.connect("kz", types=KUMA_TYPES, features=KUMA)
    plane.zone_says("kz", DeltaResponse(STATUS, "1"))
    plane.publish(timeout(1000), commit="c2")
    return plane


def test_zone_of_kuma_has_a_commit_when_it_acknowledged_all_of_it() -> None:
    plane = kuma()
    found = global_outcome(plane.state, "c2")
    assert (found.outcome, found.details) == (
        "pending",
        ("zone kz has acknowledged c1 so far",),
    )
    assert behind(plane.state) == ("kz",)
    assert plane.acknowledge("kz") == ["MeshTimeout"]
    found = global_outcome(plane.state, "c2")
    assert (found.outcome, found.message) == ("arrived", "1 zones of Kuma have taken it")
    assert "of its proxies a zone of Kuma does not tell" in found.details[0]
    assert zone_row(plane.state, "kz")["revision"] == "c2"
    assert behind(plane.state) == ()


def test_commit_without_anything_for_a_zone_of_kuma_has_arrived_there_at_once() -> None:
    """Nothing is sent that it could acknowledge."""
    plane = kuma()
    plane.acknowledge("kz")
    plane.publish(timeout(1000), commit="c3")
    assert plane.acknowledge("kz") == []
    assert global_outcome(plane.state, "c3").outcome == "arrived"


def test_commit_that_a_zone_of_kuma_refuses_is_rejected_in_its_words() -> None:
    plane = kuma()
    response = next(r for r in plane.sent["kz-down"] if r.type_url == "MeshTimeout")
    nack = DeltaRequest("MeshTimeout", nonce=response.nonce, error="spec.to[0]: must be set")
    plane.deliver(g.ZoneSubscribed("kz-down", nack))
    found = global_outcome(plane.state, "c2")
    assert found.outcome == "rejected"
    name = hashed_name("default", "t", Labels())
    text = f"zone kz rejected MeshTimeout: spec.to[0]: must be set (sent: {name}.default)"
    assert found.details == (text,)


def test_zone_of_kuma_that_comes_back_has_what_it_acknowledges_then() -> None:
    """It may have lost what it had: that of its last connection does not count."""
    plane = kuma()
    plane.acknowledge("kz")
    plane.deliver(g.ZoneClosed("kz-down", 1.0))
    plane.deliver(g.ZoneClosed("kz-up", 1.0))
    plane.deliver(g.ZoneOpened("again", "kz", True, "key-1", 2.0))
    assert plane.state.zones["kz"].took == ""
