"""Laws of what many peers have in common: sets of names and mappings that are not copied."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from xds.ads_stream import AdsStream
from xds.delta_sender import NAMES
from xds.difference import FEW, Names
from xds.discovery import DeltaRequest, DeltaResponse
from xds.proto import discovery_pb2 as pb
from xds.resource import CLUSTER, ENDPOINT, LISTENER, XdsResource
from xds.snapshot import NO_RESOURCES, Composed, Snapshot
from xds.wire import delta_response_bytes, size_of

if TYPE_CHECKING:
    from xds.snapshot import Resources

MANY = 3 * FEW


def resources(names: str | list[str], version: str = "1") -> dict[str, XdsResource]:
    return {name: XdsResource(name, version, b"entry") for name in names}


@given(st.integers(0, 2**32))
def test_what_is_asked_of_sets_is_as_it_is_computed_plainly(seed: int) -> None:
    """Few names and many, again and again of the same few objects."""
    draw, kept = Random(seed), Names(names=8 * MANY)
    all_names = [f"s{n}" for n in range(draw.choice((FEW // 2, MANY)))]

    def some() -> frozenset[str]:
        return frozenset(name for name in all_names if draw.random() < 0.8)

    sets, mappings = [some() for _ in range(3)], [resources(list(some())) for _ in range(3)]
    composed = [
        Composed(resources(["own", *some_own]), m) for some_own in ("", "x") for m in mappings
    ]
    for _ in range(30):
        names, more = draw.choice(sets), draw.choice(sets)
        held: Resources = draw.choice([*mappings, *composed])
        want: Resources = draw.choice([*mappings, *composed])
        assert kept.one(frozenset(set(names))) == names
        assert kept.missing(want, held) == frozenset(want) - frozenset(held)
        assert kept.missing(names, held) == names - frozenset(held)
        assert kept.missing(want, names) == frozenset(want) - names
        assert kept.union(names, more) == names | more
        assert kept.without(names, more) == names - more
        assert kept.scope(held, names) == {n: r for n, r in held.items() if n in names}
        assert kept.of(tuple(held.values())) == frozenset(held)
        again = {n: held[n] for n in names if n in held and n not in want}
        assert dict(kept.kept(want, held, names)) == {**want, **again}


@given(st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("cdef")))
def test_two_mappings_together_are_as_one(own: set[str], shared: set[str]) -> None:
    mine, theirs = resources(sorted(own), "own"), resources(sorted(shared), "shared")
    found, plain = Composed(mine, theirs), {**mine, **theirs}
    assert (dict(found), len(found), bool(found)) == (plain, len(plain), bool(plain))
    assert found == Composed(plain, {})
    assert (list(found), list(found.values())) == (list(plain), list(plain.values()))
    assert list(found.items()) == list(plain.items())
    for name in "abcdefg":
        assert (name in found, found.get(name)) == (name in plain, plain.get(name))


def test_proxies_that_call_everything_hold_names_and_mappings_once() -> None:
    """A set of a thousand names takes 64 kB, a mapping 37 kB: a thousand of each would be 100 MB.
    A service that comes makes no copies either.
    """
    called = [f"s{n:03}" for n in range(MANY)]
    streams = [AdsStream.open() for _ in range(3)]
    for names in (called, [*called, "t"]):
        clusters, endpoints = resources(names), resources(names)
        shared = resources([f"outbound:{name}" for name in names])
        streams = [
            _settled(stream, Snapshot(clusters, endpoints, NO_RESOURCES, Composed(own, shared)))
            for number, stream in enumerate(streams)
            for own in (resources([f"inbound:{number}"]),)
        ]
        assert len({id(s.endpoints.names) for s in streams}) == 1
        assert all(s.endpoints.sent is endpoints is s.endpoints.acked for s in streams)
        assert all(s.clusters.sent is clusters is s.clusters.acked for s in streams)
        assert all(isinstance(s.listeners.acked, Composed) for s in streams)
        assert {s.listeners.acked.shared is shared for s in streams} == {True}  # type: ignore[attr-defined]
        assert NAMES.one(frozenset(names)) is streams[0].endpoints.names


def test_what_is_kept_of_a_service_that_is_gone_is_held_once() -> None:
    """While connections drain: it is some half a minute, in which others change."""
    names = [f"s{n:03}" for n in range(MANY)]
    first, left = resources(names), resources(names[1:])
    streams = [
        _settled(AdsStream.open(), Snapshot(first, first, NO_RESOURCES, {})) for _ in range(3)
    ]
    streams = [_settled(s, Snapshot(left, left, NO_RESOURCES, {}), retire=False) for s in streams]
    assert [s.clusters.sent.keys() for s in streams] == [first.keys()] * 3
    assert len({id(s.clusters.sent) for s in streams}) == 1
    assert len({id(s.endpoints.sent) for s in streams}) == 1
    streams = [_settled(s, Snapshot(left, left, NO_RESOURCES, {})) for s in streams]
    assert all(s.clusters.acked is left is s.endpoints.acked for s in streams)


def _settled(stream: AdsStream, snapshot: Snapshot, *, retire: bool = True) -> AdsStream:
    """A proxy asks for the endpoints of clusters that are new to it, and accepts everything."""
    if not stream.responses:
        stream, _ = stream.on_request(DeltaRequest(CLUSTER))
    stream, sent = stream.push(snapshot, retire=retire)
    while sent:
        for response in sent:
            stream, _ = stream.on_request(DeltaRequest(response.type_url, nonce=response.nonce))
            fresh = {r.name for r in response.resources} - stream.endpoints.names
            if response.type_url == CLUSTER and fresh:
                asked = DeltaRequest(ENDPOINT, subscribe=tuple(sorted(fresh)))
                stream, _ = stream.on_request(asked)
            if response.type_url == ENDPOINT and not stream.listeners.subscribed:
                stream, _ = stream.on_request(DeltaRequest(LISTENER))
        stream, sent = stream.push(snapshot, retire=retire)
    assert stream.is_current(snapshot)
    return stream


def test_many_entries_together_are_encoded_as_they_are_one_by_one() -> None:
    """Remembered for the next peer that is sent the same ones, with a nonce of its own."""
    many = tuple(XdsResource(f"s{n}", "1", b"\x1a\x00") for n in range(MANY))
    for nonce in ("1", "2"):
        data = delta_response_bytes(DeltaResponse(CLUSTER, nonce, many, ("gone",)))
        found = pb.DeltaDiscoveryResponse.FromString(data)
        assert list(found.resources) == [resource.entry for resource in many]
        assert (found.type_url, found.nonce, list(found.removed_resources)) == (
            CLUSTER, nonce, ["gone"],
        )  # fmt: skip
    assert size_of(many) == 2 * MANY
