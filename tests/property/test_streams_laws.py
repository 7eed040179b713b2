"""What the global keeps of a zone's open streams is what a search among all of them finds."""

from __future__ import annotations

from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.steps import global_state as g
from tests.support.global_plane import Global

ZONES = ("east", "north", "west")
# A stream that opens (number, zone, downward), one that closes, zones of the next revision.
Happens: TypeAlias = "tuple[int, str, bool] | int | frozenset[str]"
HAPPENS: st.SearchStrategy[Happens] = (
    st.tuples(st.integers(0, 9), st.sampled_from(ZONES), st.booleans())
    | st.integers(0, 9)
    | st.frozensets(st.sampled_from(ZONES))
)


def declared(zones: frozenset[str]) -> list[MeshResource]:
    keys = [ResourceKey("Zone", "", name) for name in sorted(zones)]
    return [mesh_resource(key, Labels(), {"enabled": True}) for key in keys]


@given(st.lists(HAPPENS, max_size=25))
def test_the_streams_of_a_zone_are_those_that_a_search_finds(happens: list[Happens]) -> None:
    plane = Global()
    plane.publish(*declared(frozenset(ZONES)))
    for at, each in enumerate(happens):
        match each:
            case (number, str(zone), bool(downward)):
                if f"s{number}" not in plane.state.sessions:
                    opened = g.ZoneOpened(f"s{number}", zone, downward, "key-1", float(at))
                    plane.deliver(opened)
            case int(number):
                plane.deliver(g.ZoneClosed(f"s{number}", float(at)))
            case _:
                assert isinstance(each, frozenset)
                plane.publish(*declared(each), commit=f"c{at}")
        state = plane.state
        found = list(state.sessions.values())
        for zone in ZONES:
            mine = sorted((s for s in found if s.zone == zone), key=lambda s: s.opened_at)
            assert list(state.streams_of(zone)) == mine
            record = state.zones.get(zone)
            if record is not None and record.connected_at is not None:
                assert (record.disconnected_at is None) is bool(mine)
