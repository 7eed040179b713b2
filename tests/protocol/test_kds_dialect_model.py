"""`DeltaSender` in KDS's manners against `DeltaReceiver`, over a link that keeps order and
sometimes breaks.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from xds.delta_receiver import DeltaReceiver
from xds.delta_sender import KDS_DIALECT, DeltaSender
from xds.discovery import DeltaRequest, DeltaResponse, Node
from xds.resource import XdsResource

if TYPE_CHECKING:
    from xds.snapshot import Resources

MESH_TIMEOUT = "MeshTimeout"
NODE = Node("east", metadata={"features": ["hash-suffix"]})
REFUSED = (
    "refused"  # contents that the receiver's validator refuses; the rest of the batch is stored
)


def mapping(contents: dict[str, str]) -> Resources:
    return {name: XdsResource(name, v, f"{name}@{v}".encode()) for name, v in contents.items()}


class KdsMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.want: Resources | None = None
        self.stored: dict[str, str] = {"left-over": "0"}  # of an earlier run
        self.responses = 0
        self.connect()

    def connect(self) -> None:
        self.sender = DeltaSender(type_url=MESH_TIMEOUT, dialect=KDS_DIALECT)
        self.receiver = DeltaReceiver(type_url=MESH_TIMEOUT, node=NODE)
        self.to_zone: deque[DeltaResponse] = deque()
        self.to_global: deque[DeltaRequest] = deque([self.receiver.subscribe()])
        self.unanswered = 0

    def offer(self) -> None:
        if self.want is None:
            return
        first = self.sender.answered == "" and self.sender.in_flight is None
        self.sender, response = self.sender.offer(self.want, str(self.responses + 1))
        if response is None:
            return
        self.responses += 1
        self.unanswered += 1
        if first:
            assert {r.name for r in response.resources} == self.want.keys()
        self.to_zone.append(response)

    @rule(
        contents=st.dictionaries(
            st.sampled_from("abcd"), st.sampled_from(["1", "2", REFUSED]), max_size=4
        )
    )
    def state_changes(self, contents: dict[str, str]) -> None:
        self.want = mapping(contents)
        self.offer()

    @precondition(lambda self: self.to_global)
    @rule()
    def global_receives(self) -> None:
        request = self.to_global.popleft()
        assert request.node is not None
        assert (request.node.metadata != {}) == (request.nonce == "")
        before = self.sender.in_flight
        self.sender, _ = self.sender.on_request(request)
        if before is not None and self.sender.in_flight is None:
            self.unanswered -= 1
        self.offer()

    @precondition(lambda self: self.to_zone)
    @rule()
    def zone_receives(self) -> None:
        response = self.to_zone.popleft()
        self.receiver, received = self.receiver.on_response(response)
        refused = [r.name for r in received.added if r.version == REFUSED]
        if received.is_initial:
            kept = {r.name for r in received.added}
            self.stored = {n: v for n, v in self.stored.items() if n in kept}
        for name in received.removed:
            self.stored.pop(name, None)
        self.stored |= {r.name: r.version for r in received.added if r.version != REFUSED}
        answer = self.receiver.nack(f"{refused}: no") if refused else self.receiver.ack()
        self.receiver = answer[0]
        self.to_global.append(answer[1])

    @precondition(lambda self: self.receiver.reack() is not None)
    @rule()
    def zone_repeats_its_answer(self) -> None:
        request = self.receiver.reack()
        assert request is not None
        self.to_global.append(request)

    @rule()
    def stream_breaks(self) -> None:
        self.connect()

    @precondition(lambda self: self.want is not None)
    @rule()
    def settle(self) -> None:
        self.offer()
        while self.to_global or self.to_zone:
            if self.to_global:
                self.global_receives()
            else:
                self.zone_receives()
            self.one_response_in_flight()
        assert self.want is not None
        good = {name: r.version for name, r in self.want.items() if r.version != REFUSED}
        assert good.items() <= self.stored.items()
        assert self.stored.keys() <= self.want.keys()
        refused = self.want.keys() - good.keys()
        assert self.sender.holds(self.want) == (self.sender.rejected is None)
        assert refused or self.sender.holds(self.want)
        before = self.responses
        self.want = dict(self.want)  # Equal, but another object.
        self.offer()
        assert self.responses == before

    @invariant()
    def one_response_in_flight(self) -> None:
        assert self.unanswered <= 1


TestKds = KdsMachine.TestCase
TestKds.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
