"""What the global knows of a zone's presence, and when it tries again what it could not read."""

from __future__ import annotations

from reconciler.steps import global_state as g
from tests.support.global_plane import Global


def test_zone_is_connected_while_it_has_a_stream_and_again_when_it_is_back() -> None:
    plane = Global()
    plane.publish()
    plane.connect("east")
    since: list[float | None] = []
    for event in (
        g.ZoneClosed("east-up", 1.0),
        g.ZoneClosed("east-down", 2.0),
        g.ZoneOpened("east-down", "east", True, "key-1", 3.0),
    ):
        plane.deliver(event)
        since.append(plane.state.zones["east"].disconnected_at)
    assert since == [None, 2.0, None]


def test_commit_that_could_not_be_read_is_not_read_again_at_once() -> None:
    """The disk is as it was a moment ago; the next look at the tip tries again."""
    plane = Global()
    plane.publish()
    plane.deliver(g.TipMoved("c2"))
    plane.deliver(g.LoadFailed("c2", "disk"))
    assert plane.loads == ["c1", "c2"]
