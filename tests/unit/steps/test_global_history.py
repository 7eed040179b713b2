"""Which commit may follow the one in force: its descendants, and what an operator accepts."""

from __future__ import annotations

from reconciler.arrival import global_outcome
from reconciler.problems import Position, Problem, Severity
from reconciler.steps import global_state as g
from reconciler.steps.global_zones import refusal
from tests.support.global_plane import Global, revision, timeout

MISTAKE = Problem(Position("policies/t.yaml", 3, 5), "MT001", "not a duration; write 5s")
HELD = g.Held("x", "a")


def held_plane() -> Global:
    """`a` is in force, `x` does not descend from it."""
    plane = Global()
    plane.publish(timeout(1000), commit="a")
    plane.deliver(g.TipMoved("x"))
    plane.deliver(g.LoadHeld("x", "a"))
    return plane


def load_of(plane: Global) -> g.Load:
    (found,) = [effect for effect in plane.effects if isinstance(effect, g.Load)]
    return found


def in_force(plane: Global) -> str | None:
    return plane.state.published.commit if plane.state.published else None


def restarted(in_force: str | None, accepted: str | None = None) -> Global:
    plane = Global()
    plane.deliver(g.Restored({}, in_force, accepted))
    return plane


def test_every_commit_must_descend_from_the_one_in_force() -> None:
    plane = Global()
    plane.deliver(g.TipMoved("a"))
    assert load_of(plane).after is None  # Nothing was ever in force.
    plane.deliver(g.Loaded(revision("a")))
    plane.deliver(g.TipMoved("b"))
    assert load_of(plane).after == "a"
    plane.deliver(g.LoadRejected("b", (MISTAKE,)))
    plane.deliver(g.TipMoved("c"))
    assert load_of(plane).after == "a"  # What was never in force binds nobody.


def test_held_commit_changes_nothing_and_both_are_told() -> None:
    plane = held_plane()
    assert (in_force(plane), plane.state.held) == ("a", HELD)
    assert g.Note("revision.held", {"commit": "x", "in_force": "a"}) in plane.effects
    found = global_outcome(plane.state, "x")
    assert found.outcome == "held"
    assert "reconciler accept x" in found.message
    assert "the newest one is held" in global_outcome(plane.state, "other").message


def test_descendant_of_the_one_in_force_ends_the_holding() -> None:
    plane = held_plane()
    plane.deliver(g.TipMoved("b"))
    assert plane.state.held is None
    plane.deliver(g.Loaded(revision("b")))
    assert in_force(plane) == "b"


def test_accepted_commit_is_loaded_like_any_other_and_once() -> None:
    plane = held_plane()
    plane.deliver(g.Accepted("x"))
    assert plane.effects[0] == g.KeepAccepted("x")  # On disk before anything else.
    assert load_of(plane) == g.Load("x", g.ReconcileKey("a", "settings"), None)
    plane.deliver(g.Loaded(revision("x")))
    assert in_force(plane) == "x"
    assert g.KeepAccepted(None) in plane.effects
    plane.deliver(g.TipMoved("y"))
    assert load_of(plane).after == "x"
    plane.deliver(g.LoadHeld("y", "x"))
    plane.deliver(g.TipMoved("x"))
    plane.deliver(g.Unchanged("x"))
    plane.deliver(g.TipMoved("y"))
    assert load_of(plane).after == "x"


def test_accepted_commit_with_a_mistake_is_rejected_all_the_same() -> None:
    plane = held_plane()
    plane.deliver(g.Accepted("x"))
    plane.deliver(g.LoadRejected("x", (MISTAKE,)))
    assert (in_force(plane), plane.state.rejected) == ("a", g.Rejected("x", (MISTAKE,)))


def test_what_is_not_held_cannot_be_accepted() -> None:
    plane = held_plane()
    for commit in ("a", "b", "other"):
        assert plane.deliver(g.Accepted(commit)) == ()
    plane.deliver(g.TipMoved("b"))
    assert plane.deliver(g.Accepted("x")) == ()  # It is not the newest any more.


def test_acceptance_ends_when_the_branch_goes_elsewhere() -> None:
    plane = held_plane()
    plane.deliver(g.Accepted("x"))
    plane.deliver(g.LoadFailed("x", "disk"))
    plane.deliver(g.TipMoved("y"))
    assert plane.effects[0] == g.KeepAccepted(None)
    plane.deliver(g.LoadHeld("y", "a"))
    plane.deliver(g.TipMoved("x"))
    assert load_of(plane).after == "a"


def test_hold_of_a_commit_that_was_overtaken_while_it_loaded_is_not_told() -> None:
    plane = Global()
    plane.publish(commit="a")
    plane.deliver(g.TipMoved("x"))
    plane.deliver(g.TipMoved("b"))
    plane.deliver(g.LoadHeld("x", "a"))
    assert plane.state.held is None
    assert load_of(plane).commit == "b"


def test_restart_loads_what_was_in_force_before_what_is_newest() -> None:
    plane = restarted("good")
    plane.deliver(g.TipMoved("bad"))
    assert plane.loads == ["good"]
    plane.deliver(g.Loaded(revision("good", timeout(1000))))
    assert load_of(plane) == g.Load("bad", g.ReconcileKey("good", "settings"), "good")
    plane.deliver(g.LoadRejected("bad", (MISTAKE,)))
    plane.connect("east")
    assert len(plane.held("east", "MeshTimeout")) == 1


def test_restart_holds_again_and_keeps_what_was_accepted() -> None:
    plane = restarted("a")
    plane.deliver(g.TipMoved("x"))
    plane.deliver(g.Loaded(revision("a")))
    assert load_of(plane).after == "a"
    plane = restarted("a", accepted="x")
    plane.deliver(g.TipMoved("x"))
    plane.deliver(g.Loaded(revision("a")))
    assert load_of(plane).after is None


def test_restart_where_the_old_commit_is_gone_gives_zones_nothing_and_says_why() -> None:
    plane = restarted("gone")
    plane.deliver(g.TipMoved("x"))
    plane.deliver(g.LoadRejected("gone", (MISTAKE,)))
    plane.deliver(g.LoadHeld("x", "gone"))
    refused = refusal(plane.state, "east", "key")
    assert refused is not None
    assert "commit x is held and waits for `reconciler accept`" in refused[1]
    plane.deliver(g.Accepted("x"))
    plane.deliver(g.Loaded(revision("x")))
    assert refusal(plane.state, "east", "key") is None


def test_zones_are_told_the_mistake_that_keeps_a_first_commit_out_and_no_warning() -> None:
    plane = restarted("x")
    plane.deliver(g.TipMoved("x"))
    warning = Problem(Position("a.yaml", 1), "DOC014", "it loses", Severity.WARNING)
    plane.deliver(g.LoadRejected("x", (warning, MISTAKE)))
    refused = refusal(plane.state, "east", "key")
    assert refused is not None
    assert str(MISTAKE) in refused[1]
    assert "DOC014" not in refused[1]


def test_unread_revision_beside_a_bad_tip_is_tried_again() -> None:
    plane = restarted("good")
    plane.deliver(g.TipMoved("bad"))
    plane.deliver(g.LoadFailed("good", "disk"))
    plane.deliver(g.LoadRejected("bad", (MISTAKE,)))
    assert plane.loads == ["good", "bad"]  # The disk is as it was a moment ago.
    assert plane.state.load_error == "disk"
    plane.deliver(g.RetryDue("bad"))
    assert plane.loads == ["good", "bad", "good"]
    plane.deliver(g.Loaded(revision("good")))
    assert in_force(plane) == "good"
    plane.deliver(g.LoadRejected("bad", (MISTAKE,)))
    assert plane.deliver(g.RetryDue("bad")) == ()
    assert "disk" not in str(plane.state.load_error)


def test_retry_that_comes_during_a_load_waits_for_its_end() -> None:
    plane = restarted("good")
    plane.deliver(g.TipMoved("bad"))
    plane.deliver(g.LoadFailed("good", "disk"))
    assert plane.deliver(g.RetryDue("bad")) == ()
    plane.deliver(g.LoadRejected("bad", (MISTAKE,)))
    assert plane.loads == ["good", "bad", "good"]
