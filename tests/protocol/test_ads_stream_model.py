"""A model Envoy against `AdsStream`: whatever the order of events, it ends with the snapshot and
never breaks traffic.

The model knows what Envoy does with the messages, not how the stream decides: a cluster is usable
once its endpoints and its secret were answered, a changed cluster waits for its endpoints again, a
response with a poisoned resource is rejected whole or but for that resource.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from xds.ads_stream import AdsStream, Sync
from xds.delta_sender import Stale
from xds.discovery import DeltaRequest, DeltaResponse
from xds.resource import CLUSTER, ENDPOINT, LISTENER, SECRET, XdsResource
from xds.snapshot import Resources, Snapshot

TYPES = (CLUSTER, ENDPOINT, SECRET, LISTENER)
POISON = "poison"
STATIC = "static"  # a cluster name with this prefix has no endpoints of its own


def resource(name: str, *, content: str) -> XdsResource:
    """What the model may read of a resource is its version: `<content>`, for listeners
    `<content>:<cluster>,...`.
    """
    return XdsResource(name, content, f"{name}@{content}".encode())


def mapping(contents: dict[str, str]) -> Resources:
    return {name: resource(name, content=content) for name, content in contents.items()}


def uses(listener_version: str) -> set[str]:
    return {name for name in listener_version.partition(":")[2].split(",") if name}


def secret_of(cluster: str) -> str:
    return f"secret-of-{cluster[-1] in 'AB'}"


@dataclass
class Held:
    """One type at the client."""

    versions: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)  # subscribed, for EDS and SDS
    answered: set[str] = field(default_factory=set)  # subscribed names that were answered
    asked: bool = False


class ModelEnvoy:
    def __init__(self, *, accepts_parts: bool, shuffle: random.Random) -> None:
        self.accepts_parts = accepts_parts
        self.shuffle = shuffle
        self.types = {type_url: Held() for type_url in TYPES}
        self.waiting_for_endpoints: set[str] = set()
        self.warm: set[str] = set()
        self.excused: set[str] = set()  # not usable yet when the first listeners came
        self.outbox: deque[DeltaRequest] = deque()

    def connect(self) -> None:
        self.outbox.clear()
        # If the break lost the endpoints of a changed cluster, Envoy gives up waiting after 15 s.
        self.waiting_for_endpoints &= self.types[CLUSTER].versions.keys() - self.warm
        for type_url in (CLUSTER, ENDPOINT, SECRET, LISTENER):
            held = self.types[type_url]
            held.answered = set(held.versions)
            if type_url == CLUSTER or held.asked:
                held.asked = True
                self.outbox.append(
                    DeltaRequest(
                        type_url,
                        subscribe=tuple(sorted(held.names)),
                        initial_versions=dict(held.versions),
                    )
                )

    def receive(self, response: DeltaResponse) -> None:
        poisoned = {r.name for r in response.resources if r.version.startswith(POISON)}
        held = self.types[response.type_url]
        error = f"bad {sorted(poisoned)}" if poisoned else None
        requests: list[DeltaRequest] = []
        if not poisoned or self.accepts_parts:
            good = [r for r in response.resources if r.name not in poisoned]
            requests = self._apply(response.type_url, held, good, response.removed)
        requests.append(DeltaRequest(response.type_url, nonce=response.nonce, error=error))
        self.shuffle.shuffle(requests)
        self.outbox.extend(requests)
        self._ask_listeners_once_warm()

    def _apply(
        self, type_url: str, held: Held, good: list[XdsResource], removed: tuple[str, ...]
    ) -> list[DeltaRequest]:
        if type_url == LISTENER:
            first = not held.versions
            for listener in good:
                if first:
                    self.excused |= uses(listener.version) - self.warm
        for name in removed:
            held.versions.pop(name, None)
        held.versions.update({r.name: r.version for r in good})
        if type_url == CLUSTER:
            return self._apply_clusters(good, removed)
        if type_url in (ENDPOINT, SECRET):
            held.answered |= {r.name for r in good} | set(removed)
            for name in held.versions.keys() - held.names:
                del held.versions[name]
        if type_url == ENDPOINT:
            self.waiting_for_endpoints -= {r.name for r in good} | set(removed)
        return []

    def _apply_clusters(
        self, good: list[XdsResource], removed: tuple[str, ...]
    ) -> list[DeltaRequest]:
        self.warm -= set(removed)
        self.waiting_for_endpoints -= set(removed)
        self.waiting_for_endpoints |= {r.name for r in good if not r.name.startswith(STATIC)}
        clusters = set(self.types[CLUSTER].versions)
        return [
            *self._subscribe(ENDPOINT, {n for n in clusters if not n.startswith(STATIC)}),
            *self._subscribe(SECRET, {secret_of(n) for n in clusters if not n.startswith(STATIC)}),
        ]

    def _subscribe(self, type_url: str, names: set[str]) -> list[DeltaRequest]:
        held = self.types[type_url]
        more, less = names - held.names, held.names - names
        if not more and not less:
            return []
        held.names, held.asked = set(names), True
        held.answered -= less
        for name in less:
            held.versions.pop(name, None)
        return [
            DeltaRequest(type_url, subscribe=tuple(sorted(more)), unsubscribe=tuple(sorted(less)))
        ]

    def update_warm(self) -> None:
        for name in self.types[CLUSTER].versions:
            secret_known = secret_of(name) in self.types[SECRET].answered
            if name.startswith(STATIC) or (name not in self.waiting_for_endpoints and secret_known):
                self.warm.add(name)
                self.excused.discard(name)

    def _ask_listeners_once_warm(self) -> None:
        self.update_warm()
        held = self.types[LISTENER]
        if not held.asked and self.types[CLUSTER].versions.keys() <= self.warm:
            held.asked = True
            self.outbox.append(DeltaRequest(LISTENER))


CLUSTERS = ("A", "B", "C", "D", f"{STATIC}-E")


def drawn_snapshot(seed: int, *, poison: bool) -> dict[str, Resources]:
    """A consistent snapshot: every cluster but the static one has endpoints, listeners use only its
    clusters.
    """
    draw = random.Random(seed)
    clusters = {n: draw.choice("123") for n in CLUSTERS if draw.random() < 0.6}
    names = sorted(clusters)
    listeners = {}
    for name in ("l1", "l2", "l3"):
        if draw.random() < 0.6:
            used = ",".join(n for n in names if draw.random() < 0.5)
            listeners[name] = f"{draw.choice('12')}:{used}"
    if poison:
        poisoned = draw.choice([clusters, listeners])
        for name in sorted(poisoned)[:1]:
            poisoned[name] = POISON + poisoned[name]
    endpoints = draw.choice("123")
    return {
        CLUSTER: mapping(clusters),
        ENDPOINT: mapping({n: endpoints for n in names if not n.startswith(STATIC)}),
        SECRET: mapping({"secret-of-True": draw.choice("12")}),  # the other one never exists
        LISTENER: mapping(listeners),
    }


class AdsStreamMachine(RuleBasedStateMachine):
    @initialize(accepts_parts=st.booleans(), seed=st.integers(0, 1000))
    def start(self, accepts_parts: bool, seed: int) -> None:
        self.envoy = self.new_envoy(accepts_parts, seed)
        self.snapshot: Snapshot | None = None
        self.connect()

    def new_envoy(self, accepts_parts: bool, seed: int) -> ModelEnvoy:
        return ModelEnvoy(accepts_parts=accepts_parts, shuffle=random.Random(seed))

    def connect(self) -> None:
        self.stream = AdsStream.open()
        self.wire: deque[DeltaResponse] = deque()
        self.in_flight: dict[str, str] = {}
        self.envoy.connect()

    def push(self, *, retire: bool = True) -> None:
        self.stream, responses = self.stream.push(self.snapshot, retire=retire)
        for response in responses:
            assert response.type_url not in self.in_flight
            self.in_flight[response.type_url] = response.nonce
            self.wire.append(response)
        assert self.stream.push(self.snapshot, retire=retire)[1] == ()

    @rule(
        seed=st.integers(0, 10_000), poison=st.booleans(), share=st.booleans(), retire=st.booleans()
    )
    def snapshot_changes(self, seed: int, poison: bool, share: bool, retire: bool) -> None:
        new = drawn_snapshot(seed, poison=poison)
        if share and self.snapshot is not None:
            for type_url in TYPES:
                if new[type_url] == self.snapshot.of(type_url):
                    new[type_url] = self.snapshot.of(type_url)
        self.snapshot = Snapshot(*(new[type_url] for type_url in TYPES))
        self.push(retire=retire)

    @precondition(lambda self: self.wire)
    @rule()
    def envoy_receives(self) -> None:
        self.envoy.receive(self.wire.popleft())

    @precondition(lambda self: self.envoy.outbox)
    @rule()
    def server_receives(self) -> None:
        request = self.envoy.outbox.popleft()
        self.stream, answer = self.stream.on_request(request)
        if request.nonce:
            assert not isinstance(answer, Stale)
            del self.in_flight[request.type_url]
        self.push()

    @rule(type_url=st.sampled_from(TYPES))
    def stale_nonce_changes_nothing(self, type_url: str) -> None:
        if not self.envoy.types[type_url].asked or any(
            r.type_url == type_url and not r.nonce for r in self.envoy.outbox
        ):
            return
        before = self.stream
        self.stream, answer = self.stream.on_request(DeltaRequest(type_url, nonce="0"))
        assert isinstance(answer, Stale)
        assert self.stream.acked(self.snapshot or NOTHING) == before.acked(self.snapshot or NOTHING)

    @precondition(lambda self: self.envoy.types[ENDPOINT].names)
    @rule()
    def envoy_forgets_an_assignment(self) -> None:
        name = min(self.envoy.types[ENDPOINT].names)
        self.envoy.types[ENDPOINT].versions.pop(name, None)
        self.envoy.outbox.append(DeltaRequest(ENDPOINT, subscribe=(name,)))

    @rule()
    def stream_breaks(self) -> None:
        self.connect()

    @precondition(lambda self: self.snapshot is not None)
    @rule()
    def settle(self) -> None:
        self.push()
        for _ in range(200):
            if self.envoy.outbox:
                self.server_receives()
            elif self.wire:
                self.envoy_receives()
            else:
                break
            self.no_listener_uses_a_cluster_that_is_not_there()
        assert not self.in_flight
        assert self.snapshot is not None
        self.push()
        assert not self.wire
        self._check_settled(self.snapshot)

    def answerable(self, type_url: str, _snapshot: Snapshot) -> set[str]:
        """Names the client must have got an answer for; absence is one."""
        return self.envoy.types[type_url].names

    def _check_settled(self, snapshot: Snapshot) -> None:
        envoy = self.envoy
        sync = {t: s.sync for t, s in self.stream.acked(snapshot).items()}
        for type_url in (ENDPOINT, SECRET):
            held = envoy.types[type_url]
            assert held.answered >= self.answerable(type_url, snapshot) or not held.asked
            wanted = {
                name: r.version for name, r in snapshot.of(type_url).items() if name in held.names
            }
            if sync[CLUSTER] is not Sync.REJECTED:
                # What is kept for rejected listeners may be more.
                assert {n: v for n, v in held.versions.items() if n in wanted} == wanted
        cold = envoy.waiting_for_endpoints & snapshot.clusters.keys()
        assert not cold or sync[CLUSTER] is Sync.REJECTED
        if any(r.version.startswith(POISON) for r in snapshot.clusters.values()):
            return  # What became of the rest depends on what the client took; the invariant holds.
        if any(r.version.startswith(POISON) for r in snapshot.listeners.values()):
            assert sync == {**dict.fromkeys(TYPES, Sync.IN_SYNC), LISTENER: sync[LISTENER]}
            return
        assert sync == dict.fromkeys(TYPES, Sync.IN_SYNC)
        for type_url in (CLUSTER, LISTENER):
            wanted = {name: r.version for name, r in snapshot.of(type_url).items()}
            assert envoy.types[type_url].versions == wanted

    @invariant()
    def no_listener_uses_a_cluster_that_is_not_there(self) -> None:
        if not hasattr(self, "envoy"):
            return
        self.envoy.update_warm()
        usable = self.envoy.warm & self.envoy.types[CLUSTER].versions.keys()
        for version in self.envoy.types[LISTENER].versions.values():
            assert uses(version) <= usable | self.envoy.excused


NOTHING = Snapshot({}, {}, {}, {})

TestAdsStream = AdsStreamMachine.TestCase
TestAdsStream.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
