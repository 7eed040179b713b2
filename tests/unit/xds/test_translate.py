"""Views as snapshots: what is shared, what is refused, what is kept and for how long."""

from __future__ import annotations

import gc
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import xds_inputs as inputs
from tests.support.xds_inputs import CA, IDENTITY, STRICT, inbound, outbound, route
from xds.build.secrets import ca_secret, identity_secret
from xds.memo import Memo
from xds.translate import Builders, IncompleteView, InconsistentView, translate
from xds.view import EdsCluster, Endpoints, LocalCluster, Protocol, ProxyView
from xds.wire import resource

if TYPE_CHECKING:
    from xds.resource import XdsResource
    from xds.snapshot import Resources

SECRETS: Resources = {
    IDENTITY: identity_secret(IDENTITY, b"chain", b"key"),
    CA: ca_secret(CA, b"ca"),
}
BACKEND = EdsCluster("backend", Protocol.HTTP, inputs.UPSTREAM)
VIEW = ProxyView(
    node_id="default.web-1",
    clusters=(BACKEND, LocalCluster("localhost:8080", "127.0.0.1", 8080, Protocol.HTTP)),
    endpoints=(Endpoints("backend", ()),),
    listeners=(inbound(Protocol.HTTP, STRICT), outbound(Protocol.HTTP, (route(),))),
    secrets=(IDENTITY, CA),
)


def test_every_part_of_the_view_is_there_by_name() -> None:
    found = translate(VIEW, SECRETS, Builders())
    assert list(found.clusters) == ["backend", "localhost:8080"]
    assert list(found.endpoints) == ["backend"]
    assert list(found.listeners) == ["inbound:127.0.0.1:18080", "outbound:127.0.0.1:10001"]
    assert found.secrets == SECRETS


def test_equal_inputs_of_two_proxies_share_one_object() -> None:
    builders = Builders()
    first = translate(VIEW, SECRETS, builders)
    inbound_only = replace(VIEW.listeners[0], name="inbound:127.0.0.2:18080", address="127.0.0.2")
    other = replace(VIEW, node_id="default.web-2", listeners=(inbound_only, VIEW.listeners[1]))
    second = translate(other, SECRETS, builders)
    assert second.clusters is first.clusters
    assert second.endpoints is first.endpoints
    outbound_name = VIEW.listeners[1].name
    assert second.listeners[outbound_name] is first.listeners[outbound_name]
    assert builders.rebuilt == {"cluster": 2, "endpoints": 1, "listener": 3}


def test_a_change_rebuilds_only_what_it_reaches() -> None:
    builders = Builders()
    first = translate(VIEW, SECRETS, builders)
    gone = replace(VIEW, endpoints=(Endpoints("backend", (inputs.EVERY_ENDPOINTS[1].endpoints)),))
    second = translate(gone, SECRETS, builders)
    assert builders.rebuilt == {"cluster": 2, "endpoints": 2, "listener": 2}
    assert (second.clusters, second.listeners) == (first.clusters, first.listeners)
    assert second.endpoints != first.endpoints


def test_what_is_the_same_tuple_is_not_looked_up_again() -> None:
    builders = Builders()
    first = translate(VIEW, SECRETS, builders)
    gone = replace(VIEW, endpoints=(Endpoints("backend", (inputs.EVERY_ENDPOINTS[1].endpoints)),))
    nothing = Builders(cluster=refusing("cluster"), listener=refusing("listener"))
    second = translate(gone, SECRETS, nothing, (VIEW, first))
    assert second.clusters is first.clusters
    assert second.listeners is first.listeners
    assert second.secrets is first.secrets
    assert second == translate(gone, SECRETS, builders)


def refusing(stage: str) -> Memo[Any, Any]:
    def build(argument: object) -> object:
        raise AssertionError(argument)

    return Memo(stage, build, 1)


def test_what_was_checked_before_is_checked_again_when_it_differs() -> None:
    builders = Builders()
    first = VIEW, translate(VIEW, SECRETS, builders)
    for wrong in (replace(VIEW, endpoints=()), replace(VIEW, secrets=(CA,))):
        with pytest.raises(InconsistentView):
            translate(wrong, SECRETS, builders, first)


def test_a_new_certificate_builds_nothing() -> None:
    builders = Builders()
    translate(VIEW, SECRETS, builders)
    before = dict(builders.rebuilt)
    renewed = {**SECRETS, IDENTITY: identity_secret(IDENTITY, b"new", b"key")}
    assert translate(VIEW, renewed, builders).secrets[IDENTITY] is renewed[IDENTITY]
    assert builders.rebuilt == before


def test_only_the_proxys_own_secrets_are_served() -> None:
    other = ca_secret("mesh_ca:secret:other", b"ca")
    found = translate(VIEW, {**SECRETS, other.name: other}, Builders())
    assert set(found.secrets) == {IDENTITY, CA}


def test_a_secret_on_its_way_leaves_the_view_incomplete() -> None:
    """Absence is not emptiness: the proxy keeps what it has."""
    with pytest.raises(IncompleteView, match=r"default\.web-1: no identity_cert:secret:default"):
        translate(VIEW, {CA: SECRETS[CA]}, Builders())


@pytest.mark.parametrize(
    ("view", "named"),
    [
        (replace(VIEW, endpoints=()), "backend"),
        (replace(VIEW, endpoints=(*VIEW.endpoints, Endpoints("nobody", ()))), "nobody"),
        (replace(VIEW, clusters=VIEW.clusters[1:]), "backend"),
        (replace(VIEW, secrets=(CA,)), IDENTITY),
        (replace(VIEW, secrets=(IDENTITY,)), CA),
    ],
)
def test_a_dangling_reference_never_reaches_a_proxy(view: ProxyView, named: str) -> None:
    with pytest.raises(InconsistentView, match=named):
        translate(view, SECRETS, Builders())


# --- memo ---


@dataclass(eq=False)
class Made:
    """A result that can be told apart, and held weakly."""

    argument: int


def test_an_argument_is_built_once() -> None:
    memo = Memo("m", Made, limit=10)
    assert memo(1) is memo(1)
    assert (memo.built, len(memo)) == (1, 1)


def test_what_somebody_holds_is_found_however_long_ago_it_was_used() -> None:
    memo = Memo("m", Made, limit=2)
    first = memo(0)
    for argument in range(1, 50):
        memo(argument)
    assert memo(0) is first


def test_what_nobody_holds_goes_with_time() -> None:
    memo = Memo("m", Made, limit=2)
    for argument in range(50):
        memo(argument)
    gc.collect()
    assert len(memo) <= 4
    built = memo.built
    memo(0)
    assert memo.built == built + 1


def test_what_was_used_last_is_kept_though_nobody_holds_it() -> None:
    """A change that is taken back costs nothing."""
    memo = Memo("m", Made, limit=2)
    for argument in (1, 2, 1, 3, 1, 4, 1, 5):
        memo(argument)
    assert memo.built == 5


def test_a_failed_build_leaves_nothing() -> None:
    def build(argument: int) -> XdsResource:
        raise ValueError(argument)

    memo = Memo("m", build, limit=2)
    for _ in range(2):
        with pytest.raises(ValueError, match="7"):
            memo(7)
    assert (memo.built, len(memo)) == (0, 0)


def test_resources_and_collections_can_be_held_weakly() -> None:
    builders = Builders()
    snapshot = translate(VIEW, SECRETS, builders)
    assert len(builders.listener) == len(snapshot.listeners)
    assert resource("t", "n", b"") == resource("t", "n", b"")
