"""A model Envoy that speaks state of the world, against the same stream and the same laws as the
delta one: both end with the resources of the snapshot.

It names all it wants in every request, so that a request which only grows or repeats carries the
nonce of a response that was answered already; and what a response of clusters or listeners leaves
out is gone.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from tests.protocol.test_ads_stream_model import (
    NOTHING,
    POISON,
    TYPES,
    AdsStreamMachine,
    ModelEnvoy,
    uses,
)
from xds.delta_sender import Stale
from xds.discovery import DeltaRequest, DeltaResponse
from xds.resource import CLUSTER, ENDPOINT, LISTENER, SECRET, XdsResource

if TYPE_CHECKING:
    from xds.snapshot import Snapshot

NEVER = "secret-of-False"  # does not exist, and this variant cannot say so: Envoy waits 15 s


class SotwEnvoy(ModelEnvoy):
    def connect(self) -> None:
        self.versions: dict[str, str] = getattr(self, "versions", {})
        self.nonces: dict[str, str] = {}
        used = map(uses, self.types[LISTENER].versions.values())
        self.lost = set(self.types[CLUSTER].versions).union(*used)
        super().connect()
        asked = [request.type_url for request in self.outbox]
        self.outbox.clear()
        for type_url in asked:
            self.outbox.append(self._request(type_url))

    def _request(self, type_url: str, error: str | None = None) -> DeltaRequest:
        return DeltaRequest(
            type_url,
            wanted=tuple(sorted(self.types[type_url].names)),
            version=self.versions.get(type_url, ""),
            nonce=self.nonces.get(type_url, ""),
            error=error,
        )

    def receive(self, response: DeltaResponse) -> None:
        type_url, held = response.type_url, self.types[response.type_url]
        self.nonces[type_url] = response.nonce
        poisoned = {r.name for r in response.resources if r.version.startswith(POISON)}
        requests: list[DeltaRequest] = []
        if not poisoned or self.accepts_parts:
            good = [r for r in response.resources if r.name not in poisoned]
            gone: tuple[str, ...] = ()
            if type_url in (CLUSTER, LISTENER):
                gone = tuple(held.versions.keys() - {r.name for r in response.resources})
                good = [r for r in good if held.versions.get(r.name) != r.version]
            else:
                good = [r for r in good if r.name in held.names]
            if type_url == LISTENER and not self.versions.get(LISTENER):
                # Parts of a rejected answer: to the other side it looks like a new proxy.
                self.excused |= set().union(*(uses(r.version) for r in good)) - self.warm
            requests = self._apply(type_url, held, good, gone)
        if not poisoned:
            self.versions[type_url] = response.version
        requests.append(self._request(type_url, f"bad {sorted(poisoned)}" if poisoned else None))
        self.shuffle.shuffle(requests)
        self.outbox.extend(requests)
        self._ask_listeners_once_warm()

    def _apply_clusters(
        self, good: list[XdsResource], removed: tuple[str, ...]
    ) -> list[DeltaRequest]:
        requests = super()._apply_clusters(good, removed)
        if (
            good
            and not any(r.type_url == ENDPOINT for r in requests)
            and self.types[ENDPOINT].asked
        ):
            requests.append(self._request(ENDPOINT))  # A repetition that looks like an ACK.
        return requests

    def _subscribe(self, type_url: str, names: set[str]) -> list[DeltaRequest]:
        changed = super()._subscribe(type_url, names)
        if type_url == SECRET and NEVER in names:
            self.types[SECRET].answered.add(NEVER)
        return [self._request(type_url)] if changed else []

    def _ask_listeners_once_warm(self) -> None:
        before = len(self.outbox)
        super()._ask_listeners_once_warm()
        if len(self.outbox) > before:
            self.outbox[-1] = self._request(LISTENER)


class SotwStreamMachine(AdsStreamMachine):
    def new_envoy(self, _accepts_parts: bool, seed: int) -> ModelEnvoy:
        """In this variant Envoy always takes the good parts of clusters and listeners."""
        return SotwEnvoy(accepts_parts=True, shuffle=random.Random(seed))

    @precondition(lambda self: self.envoy.outbox)
    @rule()
    def server_receives(self) -> None:
        request = self.envoy.outbox.popleft()
        self.stream, answer = self.stream.on_request(request)
        if request.nonce and request.nonce == self.in_flight.get(request.type_url):
            assert not isinstance(answer, Stale)
            del self.in_flight[request.type_url]
        self.push()

    @rule(type_url=st.sampled_from(TYPES))
    def stale_nonce_changes_nothing(self, type_url: str) -> None:
        sender = self.stream._sender_of(type_url)
        if not sender.subscribed:
            return
        before = self.stream
        names = tuple(sender.names)
        request = DeltaRequest(type_url, wanted=names, nonce="0")
        self.stream, answer = self.stream.on_request(request)
        assert isinstance(answer, Stale)
        assert self.stream.acked(self.snapshot or NOTHING) == before.acked(self.snapshot or NOTHING)

    @precondition(lambda self: self.envoy.types[ENDPOINT].asked)
    @rule()
    def envoy_forgets_an_assignment(self) -> None:
        """It repeats its request; nothing is answered that was answered before."""
        assert isinstance(self.envoy, SotwEnvoy)
        self.envoy.outbox.append(self.envoy._request(ENDPOINT))

    def answerable(self, type_url: str, snapshot: Snapshot) -> set[str]:
        """That a name does not exist cannot be said."""
        return self.envoy.types[type_url].names & snapshot.of(type_url).keys()

    @invariant()
    def no_listener_uses_a_cluster_that_is_not_there(self) -> None:
        """But for those it had before a break: what a proxy holds then is not known."""
        if not hasattr(self, "envoy"):
            return
        assert isinstance(self.envoy, SotwEnvoy)
        self.envoy.update_warm()
        usable = self.envoy.warm & self.envoy.types[CLUSTER].versions.keys()
        for version in self.envoy.types[LISTENER].versions.values():
            assert uses(version) <= usable | self.envoy.excused | self.envoy.lost


TestSotwStream = SotwStreamMachine.TestCase
TestSotwStream.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
