"""Values of secrets that change while commits come and go: each commit in force has its own."""

from __future__ import annotations

from reconciler.steps import global_state as g
from tests.support.global_plane import MISTAKE, Global, revision, timeout


def rejected(made: Global) -> str | None:
    return made.state.rejected.commit if made.state.rejected is not None else None


def test_changed_value_loads_the_commit_in_force_again() -> None:
    made = Global()
    made.publish(timeout(1))
    made.deliver(g.SecretsChanged())
    assert made.loads == ["c1", "c1"]
    made.deliver(g.Loaded(revision("c1", timeout(2), tree="with another value")))
    assert made.state.published is not None
    assert made.state.published.key.tree == "with another value"
    assert made.state.history == ("c1",)
    assert made.loads == ["c1", "c1"]


def test_nothing_is_loaded_before_there_is_a_commit() -> None:
    made = Global()
    made.deliver(g.SecretsChanged())
    assert made.loads == []


def test_change_during_a_load_is_looked_at_after_it() -> None:
    made = Global()
    made.publish(timeout(1))
    made.deliver(g.TipMoved("c2"))
    made.deliver(g.SecretsChanged())
    made.deliver(g.SecretsChanged())
    assert made.loads == ["c1", "c2"]
    made.deliver(g.Loaded(revision("c2", timeout(2))))
    assert made.loads == ["c1", "c2", "c2"]
    made.deliver(g.Unchanged("c2"))
    assert made.loads == ["c1", "c2", "c2"]


def test_rejected_commit_is_tried_again_after_the_one_in_force() -> None:
    """It may have been rejected for the very value that is there now."""
    made = Global()
    made.publish(timeout(1))
    made.deliver(g.TipMoved("c2"))
    made.deliver(g.LoadRejected("c2", (MISTAKE,)))
    made.deliver(g.SecretsChanged())
    assert made.loads == ["c1", "c2", "c1"]
    made.deliver(g.Loaded(revision("c1", timeout(2), tree="with another value")))
    assert rejected(made) == "c2"  # Nothing new is known of it yet.
    assert made.loads == ["c1", "c2", "c1", "c2"]
    made.deliver(g.Loaded(revision("c2", timeout(3))))
    assert rejected(made) is None
    assert made.state.published is not None
    assert made.state.published.commit == "c2"


def test_commit_that_is_gone_back_to_leaves_nothing_rejected() -> None:
    made = Global()
    made.publish(timeout(1))
    made.deliver(g.TipMoved("c2"))
    made.deliver(g.LoadRejected("c2", (MISTAKE,)))
    made.deliver(g.TipMoved("c1"))
    made.deliver(g.Unchanged("c1"))
    assert made.state.rejected is None


def test_value_that_the_commit_in_force_cannot_take_is_a_warning() -> None:
    """It was taken with another value, which stays in force."""
    made = Global()
    made.publish(timeout(1))
    before = made.state.published
    made.deliver(g.SecretsChanged())
    made.deliver(g.LoadRejected("c1", (MISTAKE,)))
    assert made.state.rejected is None
    assert made.state.published is not None
    assert before is not None
    assert made.state.published.resources is before.resources
    (warning,) = made.state.published.warnings
    assert str(warning).startswith("policies/t.yaml:3:5: MT001 warning: ")


def test_load_of_the_commit_in_force_that_fails_is_tried_again_with_the_next_look() -> None:
    made = Global()
    made.publish(timeout(1))
    made.deliver(g.SecretsChanged())
    made.deliver(g.LoadFailed("c1", "disk"))
    made.deliver(g.TipMoved("c1"))
    assert made.loads == ["c1", "c1", "c1"]


def test_load_of_the_commit_in_force_that_fails_is_tried_again_while_a_newer_one_is_rejected() -> (
    None
):
    made = Global()
    made.publish(timeout(1))
    made.deliver(g.TipMoved("c2"))
    made.deliver(g.LoadRejected("c2", (MISTAKE,)))
    made.deliver(g.SecretsChanged())
    made.deliver(g.LoadFailed("c1", "the CA changes once all proxies have the commit before"))
    made.deliver(g.LoadFailed("c2", "disk"))
    assert made.loads == ["c1", "c2", "c1", "c2"]
    made.deliver(g.RetryDue("c2"))
    made.deliver(g.Loaded(revision("c1", timeout(2), tree="with another value")))
    made.deliver(g.LoadRejected("c2", (MISTAKE,)))
    made.deliver(g.RetryDue("c2"))  # Each failure asks for one; it is in force by now.
    assert made.loads == ["c1", "c2", "c1", "c2", "c1", "c2"]
    assert made.state.published is not None
    assert made.state.published.key.tree == "with another value"
