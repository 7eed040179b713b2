"""Laws of the fan-out: whatever comes first (an answer, a commit, another proxy, the next few
builds), however few are built in a turn, every proxy ends with the newest, has at most one response
of a type in flight, and is never sent what is not the newest.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.kds.types import MANIFEST
from reconciler.state import EMPTY, from_resources
from reconciler.steps import zone_state as z
from reconciler.steps.zone_step import step
from tests.simulation.envoy import SimEnvoy
from tests.support import zone as zones
from tests.support.slices import sliced
from tests.support.step_fleet import DOWN, document, mesh_with_mtls, permission, timeout
from xds.discovery import DeltaRequest, DeltaResponse, Node
from xds.translate import Builders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from xds.resource import XdsResource

SERVICES, CALLS = 3, 2
Change = tuple[int, str]  # milliseconds towards everybody, what is done with everybody's requests


@dataclass
class Interleaved:
    """A zone whose peers are each as fast as `random` wants: one lane for the answers and one for
    the responses of each, one for the global, one for builds, one for certificates.
    """

    state: z.ZoneState
    random: Random
    lanes: dict[str, deque[Callable[[], None]]] = field(default_factory=lambda: defaultdict(deque))
    envoys: dict[str, SimEnvoy] = field(default_factory=dict)
    in_flight: set[tuple[str, str]] = field(default_factory=set)  # stream, type
    sent: dict[str, dict[str, XdsResource]] = field(default_factory=dict)  # by the global, by type
    nonces: int = 0
    build_asked: bool = False

    def deliver(self, event: z.Event) -> None:
        if isinstance(event, z.ProxyRequest) and event.request.nonce:
            self.in_flight.remove((event.stream, event.request.type_url))
        self.state, effects = step(self.state, event)
        for effect in effects:
            self._carry_out(effect)

    def _carry_out(self, effect: z.Effect) -> None:
        match effect:
            case z.ToProxy(stream, response):
                self._check(stream, response)
                envoy = self.envoys[stream]
                self.lanes[f"to {stream}"].append(lambda: envoy.receive(response))
            case z.IssueCertificate():
                issued = zones.issued(effect, zones.START)
                self.lanes["certificates"].append(lambda: self.deliver(issued))
            case z.BuildSoon() if not self.build_asked:
                self.build_asked = True
                self.lanes["builds"].append(self._build)
            case z.CloseStream() | z.LeaveGlobal():
                raise AssertionError(effect)
            case _:
                pass

    def _check(self, stream: str, response: DeltaResponse) -> None:
        """It is the only one of its type, and says what is known at this moment."""
        assert (stream, response.type_url) not in self.in_flight
        self.in_flight.add((stream, response.type_url))
        snapshot = self.state.proxies[self.state.streams[stream]].snapshot
        assert snapshot is not None
        newest = snapshot.of(response.type_url)
        assert all(newest[resource.name] is resource for resource in response.resources)
        assert newest.keys().isdisjoint(response.removed)

    def _build(self) -> None:
        self.build_asked = False
        self.deliver(z.BuildDue(zones.START))

    def commit(self, number: int, change: Change) -> None:
        """A revision is on its way from the global."""
        policies = (*mesh_with_mtls(), timeout(change[0]), permission(change[1]))
        made = sliced(None, "east", f"c{number}", from_resources(policies), EMPTY)
        for type_ in (*DOWN, MANIFEST):
            want, held = dict(made.types[type_]), self.sent.get(type_, {})
            changed = tuple(r for name, r in want.items() if held.get(name) != r)
            removed = tuple(held.keys() - want.keys())
            if type_ not in self.sent or changed or removed:
                self.sent[type_] = want
                self.nonces += 1
                response = DeltaResponse(type_, str(self.nonces), changed, removed)
                event = z.GlobalResponse("g", response, zones.START)
                self.lanes["global"].append(lambda event=event: self.deliver(event))  # type: ignore[misc]

    def arrive(self, found: Mapping[str, object]) -> None:
        stream = str(found["name"])
        node = Node(f"default.{stream}", metadata={"dataplane.resource": json.dumps(found)})
        lane = self.lanes[f"from {stream}"]

        def send(request: DeltaRequest) -> None:
            lane.append(lambda: self.deliver(z.ProxyRequest(stream, request, zones.START)))

        self.envoys[stream] = SimEnvoy(node, send)
        lane.append(lambda: self.deliver(z.ProxyOpened(stream, "token")))
        self.envoys[stream].start()

    def go_on(self, most: int) -> bool:
        """So many things happen at most; whether more are to happen."""
        for _ in range(most):
            ready = sorted(name for name, lane in self.lanes.items() if lane)
            if not ready:
                return False
            self.lanes[self.random.choice(ready)].popleft()()
        return True

    @property
    def held(self) -> dict[str, dict[str, dict[str, str]]]:
        """Versions by proxy and type. Certificates are made anew each time, and equal here."""
        return {stream: envoy.versions() for stream, envoy in self.envoys.items()}


def run(
    changes: list[Change], proxies: int, batch: int, random: Random, most: int = 10_000
) -> Interleaved:
    """`most`: how much happens between two commits."""
    made = z.ZoneState(settings=zones.settings(build_batch=batch, builders=Builders()))
    world = Interleaved(made, random)
    world.deliver(z.Restored(zones.START))
    world.deliver(z.GlobalConnected("g"))
    world.commit(0, changes[0])
    world.go_on(10_000)
    for number in range(proxies):
        world.arrive(document(number, SERVICES, CALLS))
    for number, change in enumerate(changes[1:], 1):
        world.go_on(most)
        world.commit(number, change)
    assert not world.go_on(100_000)
    assert not world.in_flight
    return world


change = st.tuples(
    st.integers(1, 4), st.sampled_from(("Allow", "Deny"))
)  # 5 is refused by SimEnvoy


@settings(max_examples=30)
@given(
    changes=st.lists(change, min_size=1, max_size=5),
    proxies=st.integers(1, 7),
    batch=st.integers(1, 9),
    most=st.integers(0, 40),
    random=st.randoms(use_true_random=False),
)
def test_whoever_is_first_and_however_few_are_built_in_a_turn_all_end_with_the_newest(
    changes: list[Change], proxies: int, batch: int, most: int, random: Random
) -> None:
    ended = run(changes, proxies, batch, random, most)
    anew = run(changes[-1:], proxies, 1000, random)
    assert ended.held == anew.held
