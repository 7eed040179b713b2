"""Laws of what zones are offered: whatever comes first (a commit, an answer, a turn of offering),
however little is done in a turn, every zone ends with the newest and has at most one response of a
type in flight.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.state import EMPTY, from_resources
from reconciler.steps import global_slices
from reconciler.steps import global_state as g
from tests.support.global_plane import MESH, TYPES, Global, revision, timeout
from tests.support.slices import sliced
from xds.discovery import DeltaRequest, DeltaResponse

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource

Content = dict[str, int]  # milliseconds by name of a MeshTimeout


def policies(content: Content) -> list[MeshResource]:
    return [
        replace(timeout(ms), key=replace(timeout(ms).key, name=name))
        for name, ms in content.items()
    ]


class Zones:
    """Zones that read and answer when `random` says so."""

    def __init__(self, plane: Global, names: list[str], random: Random) -> None:
        self.plane, self.random = plane, random
        self.wire: dict[str, deque[DeltaResponse]] = {f"{name}-down": deque() for name in names}
        self.held: dict[str, dict[str, dict[str, str]]] = {
            session: defaultdict(dict) for session in self.wire
        }
        for name in names:
            plane.connect(name)
            self.take()

    def take(self) -> None:
        """What was sent is on its way: alone of its type."""
        for session, responses in self.plane.sent.items():
            for response in responses:
                assert response.type_url not in {r.type_url for r in self.wire[session]}
                self.wire[session].append(response)
        self.plane.sent.clear()

    def answer(self, session: str) -> None:
        response = self.wire[session].popleft()
        held = self.held[session][response.type_url]
        held.update({resource.name: resource.version for resource in response.resources})
        for name in response.removed:
            del held[name]
        request = DeltaRequest(response.type_url, nonce=response.nonce)
        self.plane.deliver(g.ZoneSubscribed(session, request))
        self.take()

    def go_on(self, most: int) -> bool:
        """So many things happen at most; whether more are to happen."""
        for _ in range(most):
            ready = [session for session, responses in self.wire.items() if responses]
            if not ready and not self.plane.state.due:
                return False
            chosen = self.random.choice([*ready, *([""] if self.plane.state.due else [])])
            if chosen:
                self.answer(chosen)
            else:
                self.plane.deliver(g.OfferDue())
                self.take()
        return True


content = st.dictionaries(st.sampled_from(("a", "b", "c", "d")), st.integers(1, 3))


@given(
    contents=st.lists(content, min_size=1, max_size=6),
    count=st.integers(1, 4),
    work=st.integers(2, 120),
    most=st.integers(0, 12),
    seed=st.integers(0, 1000),
)
def test_whoever_answers_first_and_however_little_a_turn_does_all_end_with_the_newest(
    contents: list[Content], count: int, work: int, most: int, seed: int
) -> None:
    names = [f"zone-{number}" for number in range(count)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(global_slices, "TURN_WORK", work)
        plane = Global(offers=False)
        plane.publish(*policies(contents[0]), commit="c0")
        zones = Zones(plane, names, Random(seed))
        for number, each in enumerate(contents[1:], 1):
            zones.go_on(most)
            plane.deliver(g.TipMoved(f"c{number}"))
            plane.deliver(g.Loaded(revision(f"c{number}", *policies(each))))
            zones.take()
        assert not zones.go_on(10_000)
    owned = from_resources((MESH, *policies(contents[-1])))
    for name in names:
        wanted = sliced(None, name, f"c{len(contents) - 1}", owned, EMPTY).types
        held = zones.held[f"{name}-down"]
        assert {t: held[t] for t in TYPES} == {
            t: {n: r.version for n, r in wanted[t].items()} for t in TYPES
        }
