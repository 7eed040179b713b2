"""Laws of what a proxy is sent: types in which nothing differs need no look."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.envoy import SimEnvoy
from tests.support import xds_inputs as inputs
from tests.support.xds_inputs import CA, IDENTITY, STRICT, inbound
from xds import ads_stream
from xds.ads_stream import AdsStream
from xds.build.secrets import ca_secret, identity_secret
from xds.delta_sender import DIFFERENCES, DeltaSender
from xds.difference import NO_NAMES, Difference, Differences, difference
from xds.discovery import DeltaRequest, DeltaResponse, Node
from xds.resource import ENDPOINT, XdsResource
from xds.snapshot import Composed
from xds.translate import Builders, translate
from xds.view import EdsCluster, Endpoint, Endpoints, Half, Protocol, ProxyView

if TYPE_CHECKING:
    from xds.snapshot import Snapshot

NAMES = ("backend", "b", "c")
BUILDERS = Builders()


def a_snapshot(draw: Random, protocol: Protocol = Protocol.HTTP, key: bytes = b"1") -> Snapshot:
    """Endpoints differ most often."""
    if draw.random() < 0.2:
        protocol = draw.choice((Protocol.HTTP, Protocol.TCP))
    if draw.random() < 0.2:
        key = draw.choice((b"1", b"2"))
    called = [name for name in NAMES if name == "b" or draw.random() < 0.9]
    at = {name: Endpoint(f"10.0.0.{draw.randint(1, 3)}", 80, 1, ()) for name in called}
    shared = Half(
        clusters=tuple(EdsCluster(name, protocol, inputs.UPSTREAM) for name in called),
        endpoints=tuple(Endpoints(name, (endpoint,)) for name, endpoint in at.items()),
    )
    own = Half(listeners=(inbound(protocol, STRICT),))
    view = ProxyView("default.web-1", own, (IDENTITY, CA), shared)
    secrets = {IDENTITY: identity_secret(IDENTITY, b"chain", key), CA: ca_secret(CA, b"ca")}
    return translate(view, secrets, BUILDERS)


def plainly(
    stream: AdsStream, snapshot: Snapshot, *, retire: bool
) -> tuple[AdsStream, tuple[DeltaResponse, ...]]:
    """Every type looked at, in order."""
    if snapshot is stream.quiet:
        return stream, ()
    found: list[DeltaResponse] = []
    steps = ads_stream._make, ads_stream._shift, ads_stream._break
    for step in steps if retire else steps[:2]:
        stream, sent = step(stream, snapshot)
        found += sent
    return (stream if found or not retire else replace(stream, quiet=snapshot)), tuple(found)


class Talk:
    """A proxy on its stream; requests and responses travel when they are let."""

    def __init__(self) -> None:
        self.requests: deque[DeltaRequest] = deque()
        self.responses: deque[DeltaResponse] = deque()
        self.envoy = SimEnvoy(Node("default.web-1"), self.requests.append)
        self.stream = AdsStream.open()
        self.envoy.start()

    def push(self, snapshot: Snapshot, *, retire: bool = True) -> list[DeltaResponse]:
        self.stream, sent = self.stream.push(snapshot, retire=retire)
        self.responses.extend(sent)
        return list(sent)

    def hear(self, snapshot: Snapshot, *, error: str | None = None) -> None:
        request = self.requests.popleft()
        if request.nonce and error is not None:
            request = replace(request, error=error)
        self.stream, _ = self.stream.on_request(request)

    def settle(self, snapshot: Snapshot) -> None:
        self.push(snapshot)
        while self.requests or self.responses:
            while self.requests:
                self.hear(snapshot)
                self.push(snapshot)
            while self.responses:
                self.envoy.receive(self.responses.popleft())


@given(st.integers(0, 2**32))
def test_push_that_looks_at_endpoints_alone_is_the_one_that_looks_at_all(seed: int) -> None:
    draw, talk = Random(seed), Talk()
    snapshot = a_snapshot(draw)
    for _ in range(120):
        match draw.randint(0, 9):
            case 0:
                snapshot = a_snapshot(draw)
            case 1 | 2 | 3 | 4 if talk.requests:
                error = "refused: b" if draw.random() < 0.1 else None
                talk.hear(snapshot, error=error)
            case 5 | 6 | 7 | 8 if talk.responses:
                talk.envoy.receive(talk.responses.popleft())
        retire = draw.random() < 0.7
        before = talk.stream
        sent = talk.push(snapshot, retire=retire)
        plain, wanted = plainly(before, snapshot, retire=retire)
        assert (replace(talk.stream, quiet=plain.quiet), tuple(sent)) == (plain, wanted)


def test_endpoints_alone_are_looked_at_where_they_alone_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    talk = Talk()
    first = a_snapshot(Random(1))
    talk.settle(first)
    offered: list[str] = []
    plain = DeltaSender.offer

    def counting(sender: DeltaSender, *args: Any, **named: Any) -> Any:
        offered.append(sender.type_url)
        return plain(sender, *args, **named)

    monkeypatch.setattr(DeltaSender, "offer", counting)
    endpoints = {name: replace(r, version="other") for name, r in first.endpoints.items()}
    second = replace(first, endpoints=endpoints)
    assert [response.type_url for response in talk.push(second)] == [ENDPOINT]
    talk.envoy.receive(talk.responses.popleft())
    talk.hear(second)
    assert not talk.push(second)
    assert offered == [ENDPOINT] * 2
    assert talk.stream.is_current(second)


@given(st.integers(0, 2**32))
def test_differences_found_once_are_those_found_each_time(seed: int) -> None:
    """Proxies of one service, each as far as its answers have come."""
    draw = Random(seed)
    talks = [Talk() for _ in range(3)]
    snapshot = a_snapshot(draw)
    for _ in range(120):
        if draw.random() < 0.1:
            snapshot = a_snapshot(draw)
        talk = draw.choice(talks)
        if talk.requests and draw.random() < 0.5:
            talk.hear(snapshot, error="refused: b" if draw.random() < 0.1 else None)
        if talk.responses and draw.random() < 0.7:
            talk.envoy.receive(talk.responses.popleft())
        retire, before = draw.random() < 0.7, talk.stream
        sent = talk.push(snapshot, retire=retire)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("xds.delta_sender.SHARED", frozenset())
            assert before.push(snapshot, retire=retire) == (talk.stream, tuple(sent))


def test_a_difference_is_found_once_for_all_that_go_the_same_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(DIFFERENCES, "few", 0)
    talks = [Talk() for _ in range(10)]
    first = a_snapshot(Random(1))
    changed = {name: replace(r, version="other") for name, r in first.clusters.items()}
    second = replace(first, clusters=changed)
    for talk in talks:
        talk.settle(first)
    before = DIFFERENCES.found
    for talk in talks:
        talk.settle(second)
    assert DIFFERENCES.found - before == 2  # clusters, and their endpoints by force
    assert all(talk.stream.is_current(second) for talk in talks)


def test_few_differences_are_remembered() -> None:
    """As many names as were asked for, and again as many of those before."""
    kept = Differences(names=20, few=0)
    mappings = [dict(a_snapshot(Random(n)).clusters) for n in range(40)]  # each another object
    pairs = list(pairwise(mappings))
    for before, after in pairs:
        assert kept.between(before, after, NO_NAMES) == difference(before, after, NO_NAMES)
    assert kept.found == len(pairs)
    kept.between(*pairs[-1], NO_NAMES)
    assert kept.found == len(pairs)
    kept.between(*pairs[0], NO_NAMES)
    assert kept.found == len(pairs) + 1
    assert len(kept) <= 40


def test_what_differs_between_a_few_is_looked_at_and_not_remembered() -> None:
    """A thousand proxies that call five services each would forget all else that is known."""
    kept = Differences()
    first, second = ({"b": XdsResource("b", version, b"")} for version in "12")
    assert kept.between(first, second, NO_NAMES) == Difference((second["b"],), ())
    assert (kept.found, len(kept)) == (0, 0)


@given(st.integers(0, 2**32), st.sampled_from((0, 48)))
def test_what_proxies_share_differs_as_the_whole_does(seed: int, few: int) -> None:
    draw, kept = Random(seed), Differences(few=few)
    resources = [XdsResource(name, str(n), b"") for name in "abcd" for n in range(2)]

    def some(names: str) -> dict[str, XdsResource]:
        return {r.name: r for r in resources if r.name in names and draw.random() < 0.6}

    own, shared = [some("ab") for _ in range(2)], [some("cd") for _ in range(3)]
    for _ in range(20):
        before = Composed(draw.choice(own), draw.choice(shared))
        after = Composed(draw.choice(own), draw.choice(shared))
        force = frozenset(name for name in "abcde" if draw.random() < 0.2)
        assert kept.between(before, after, force) == difference(before, after, force)


def test_a_difference_in_what_proxies_share_is_found_once_for_all() -> None:
    """Each has clusters of its own beside."""
    kept = Differences(few=0)
    first, second = ({"b": XdsResource("b", version, b"")} for version in "12")
    found = [
        kept.between(Composed(own, first), Composed(own, second), NO_NAMES)
        for number in range(10)
        for own in ({"local": XdsResource("local", str(number), b"")},)
    ]
    assert found == [Difference((second["b"],), ())] * 10
    assert kept.found == 1
