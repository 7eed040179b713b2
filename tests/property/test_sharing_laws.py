"""Laws of what is shared: a memo gives what its builder would give anew, however little it keeps;
what is equal of two proxies is one object.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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
from xds.view import EdsCluster, Endpoint, Endpoints, InboundListener, ProxyView

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.snapshot import Snapshot

SECRETS = {
    inputs.IDENTITY: identity_secret(inputs.IDENTITY, b"chain", b"key"),
    inputs.CA: ca_secret(inputs.CA, b"ca"),
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


@st.composite
def views(draw: st.DrawFn) -> ProxyView:
    """Of a few services, policies and addresses, so that much is equal between two of them."""
    clusters = draw(st.lists(st.sampled_from(inputs.EVERY_CLUSTER), max_size=4, unique=True))
    named = [cluster.name for cluster in clusters if isinstance(cluster, EdsCluster)]
    assigned = [
        Endpoints(name, tuple(sorted(draw(st.sets(endpoint, max_size=3)), key=repr)))
        for name in named
    ]
    listeners = draw(st.lists(st.sampled_from(inputs.EVERY_LISTENER), max_size=3, unique=True))
    host = draw(st.sampled_from(("10.0.0.1", "10.0.0.2")))
    placed = [
        replace(listener, name=f"inbound:{host}:{port}", address=host, port=port)
        if isinstance(listener, InboundListener)
        else listener
        for port, listener in enumerate(listeners, 8080)
    ]
    return ProxyView(
        node_id=draw(st.sampled_from(("default.a", "default.b"))),
        clusters=tuple({cluster.name: cluster for cluster in clusters}.values()),
        endpoints=tuple(assigned),
        listeners=tuple({listener.name: listener for listener in placed}.values()),
        secrets=(inputs.IDENTITY, inputs.CA),
    )


@given(st.lists(views(), min_size=1, max_size=6), st.integers(1, 3))
def test_a_view_is_translated_as_without_any_memo(found: list[ProxyView], limit: int) -> None:
    """However little the memos keep, in any order, with others in between."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(xds.translate, "LIMIT", limit)
        patch.setattr(xds.translate, "SHAPES", limit)
        few = Builders()
        assert (few.cluster.limit, few.endpoints.limit, few.listener.limit) == (limit,) * 3
    for view in (*found, *reversed(found)):
        anew = translate(view, SECRETS, Builders())
        assert translate(view, SECRETS, few) == anew
        assert list(anew.clusters.values()) == [build_cluster(each) for each in view.clusters]
        assert list(anew.endpoints.values()) == [build_endpoints(each) for each in view.endpoints]


@given(st.lists(views(), min_size=2, max_size=6))
def test_what_is_equal_of_two_proxies_is_one_object(found: list[ProxyView]) -> None:
    """The very bytes, in the memory of the control plane and in every response."""
    builders = Builders()
    assert _objects(translate(view, SECRETS, builders) for view in found) == {1}


def _objects(snapshots: Iterable[Snapshot]) -> set[int]:
    """How many objects there are of each encoded resource."""
    by_bytes: dict[bytes, set[int]] = {}
    for snapshot in list(snapshots):  # All held, as proxies hold theirs.
        for resources in (snapshot.clusters, snapshot.endpoints, snapshot.listeners):
            for resource in resources.values():
                by_bytes.setdefault(resource.entry, set()).add(id(resource.entry))
    return {len(objects) for objects in by_bytes.values()} or {1}
