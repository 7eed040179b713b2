"""Laws of what is shared: a memo gives what its builder would give anew, however little it keeps;
what is equal of two proxies is one object.
"""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import xds.translate
from tests.support import xds_inputs as inputs
from xds.build.clusters import build_cluster
from xds.build.endpoints import build_endpoints
from xds.build.secrets import ca_secret, identity_secret
from xds.memo import Memo
from xds.translate import Builders, translate
from xds.view import (
    NOTHING,
    EdsCluster,
    Endpoint,
    Endpoints,
    Half,
    InboundListener,
    OutboundListener,
    ProxyView,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.snapshot import Snapshot

SECRETS = {
    inputs.IDENTITY: identity_secret(inputs.IDENTITY, b"chain", b"key"),
    inputs.CA: ca_secret(inputs.CA, b"ca"),
    inputs.OUTSIDE_IDENTITY: identity_secret(inputs.OUTSIDE_IDENTITY, b"chain", b"key"),
    inputs.OUTSIDE_CA: ca_secret(inputs.OUTSIDE_CA, b"ca"),
}


# --- the memo ---


@dataclass(eq=False)
class Made:
    """A result that can be told apart, and held weakly."""

    argument: int


use = st.tuples(st.integers(0, 7), st.booleans())  # an argument, and whether its result is held on


@given(st.integers(1, 4), st.lists(use, max_size=60))
def test_a_memo_gives_what_is_built_anew(limit: int, uses: list[tuple[int, bool]]) -> None:
    """And never a second object while somebody holds the first, or builds what it just gave."""
    memo = Memo("m", Made, limit)
    held: dict[int, Made] = {}
    last: int | None = None
    for argument, holds in uses:
        before = memo.built
        found = memo(argument)
        assert found.argument == argument
        if argument in held:
            assert found is held[argument]
        if argument in (*held, last):
            assert memo.built == before
        if holds:
            held[argument] = found
        else:
            held.pop(argument, None)
        last = argument
    assert memo.built >= len({argument for argument, _ in uses})


# --- views of proxies ---

endpoint = st.builds(
    Endpoint,
    st.sampled_from(("10.0.0.1", "10.0.0.2", "10.0.0.3")),
    st.just(8080),
    st.integers(1, 2),
    st.sampled_from(((), inputs.TAGS)),
    st.sampled_from((None, "east")),
)


def split(kind: type, parts: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    return tuple(x for x in parts if isinstance(x, kind)), tuple(
        x for x in parts if not isinstance(x, kind)
    )


EDS, LOCAL = split(EdsCluster, inputs.EVERY_CLUSTER)
OUTBOUNDS, OTHERS = split(OutboundListener, inputs.EVERY_LISTENER)


@st.composite
def halves(draw: st.DrawFn, clusters: tuple[Any, ...], listeners: tuple[Any, ...]) -> Half:
    """Of a few services, policies and addresses, so that much is equal between two of them."""
    chosen = draw(st.lists(st.sampled_from(clusters), max_size=4, unique=True))
    named = [cluster.name for cluster in chosen if isinstance(cluster, EdsCluster)]
    assigned = [
        Endpoints(name, tuple(sorted(draw(st.sets(endpoint, max_size=3)), key=repr)))
        for name in named
    ]
    found = draw(st.lists(st.sampled_from(listeners), max_size=3, unique=True))
    host = draw(st.sampled_from(("10.0.0.1", "10.0.0.2")))
    placed = [
        replace(listener, name=f"inbound:{host}:{port}", address=host, port=port)
        if isinstance(listener, InboundListener)
        else listener
        for port, listener in enumerate(found, 8080)
    ]
    return Half(
        clusters=tuple({cluster.name: cluster for cluster in chosen}.values()),
        endpoints=tuple(assigned),
        listeners=tuple({listener.name: listener for listener in placed}.values()),
    )


@st.composite
def fleets(draw: st.DrawFn) -> list[ProxyView]:
    """Sidecars that share their ways out, and ingresses that share nothing."""
    shared = draw(st.lists(halves(EDS, OUTBOUNDS), min_size=1, max_size=2))
    sidecars = st.builds(
        ProxyView,
        node_id=st.sampled_from(("default.a", "default.b")),
        own=halves(LOCAL, OTHERS),
        secrets=st.just(tuple(SECRETS)),
        shared=st.sampled_from(shared),
    )
    ingresses = st.builds(
        ProxyView,
        node_id=st.just(".ingress"),
        own=halves(inputs.EVERY_CLUSTER, inputs.EVERY_LISTENER),
        secrets=st.just(tuple(SECRETS)),
    )
    return draw(st.lists(st.one_of(sidecars, sidecars, ingresses), min_size=2, max_size=6))


@given(fleets(), st.integers(1, 3))
def test_a_view_is_translated_as_without_any_memo(found: list[ProxyView], limit: int) -> None:
    """However little the memos keep, in any order, with others in between; and whatever the proxy
    had before.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xds.translate, "LIMIT", limit)
        patch.setattr(xds.translate, "SHAPES", limit)
        few = Builders()
        assert (few.cluster.limit, few.endpoints.limit, few.listener.limit) == (limit,) * 3
    before = None
    for view in (*found, *reversed(found)):
        anew = translate(_apart(view), SECRETS, Builders())
        before = view, translate(view, SECRETS, few, before)
        assert before[1] == anew
        assert translate(view, SECRETS, few) == anew
        assert list(anew.clusters.values()) == [build_cluster(each) for each in view.clusters]
        assert list(anew.endpoints.values()) == [build_endpoints(each) for each in view.endpoints]


def _apart(view: ProxyView) -> ProxyView:
    """The same with nothing built of it yet, all in one half."""
    return replace(view, own=Half(view.clusters, view.endpoints, view.listeners), shared=NOTHING)


@given(fleets())
def test_what_is_equal_of_two_proxies_is_one_object(found: list[ProxyView]) -> None:
    """The very bytes, in the memory of the control plane and in every response."""
    builders = Builders()
    snapshots = [translate(view, SECRETS, builders) for view in found]
    assert _objects(snapshots) == {1}
    sidecars = [(v, s) for v, s in zip(found, snapshots, strict=True) if v.shared is not NOTHING]
    for (one, mine), (other, theirs) in itertools.combinations(sidecars, 2):
        assert (one.shared is not other.shared) or mine.endpoints is theirs.endpoints


@given(fleets())
def test_views_are_told_apart_as_their_values_are(found: list[ProxyView]) -> None:
    for one, other in itertools.product(found, [*found, *map(copy.deepcopy, found)]):
        assert one.equals(other) == (one == other)


def _objects(snapshots: Iterable[Snapshot]) -> set[int]:
    """How many objects there are of each encoded resource."""
    by_bytes: dict[bytes, set[int]] = {}
    for snapshot in list(snapshots):  # All held, as proxies hold theirs.
        for resources in (snapshot.clusters, snapshot.endpoints, snapshot.listeners):
            for resource in resources.values():
                by_bytes.setdefault(resource.entry, set()).add(id(resource.entry))
    return {len(objects) for objects in by_bytes.values()} or {1}
