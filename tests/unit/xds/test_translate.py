"""Views as snapshots: what is shared, what is refused, what is kept and for how long."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import xds_inputs as inputs
from tests.support.xds_inputs import CA, IDENTITY, STRICT, inbound, outbound, route
from xds.build.secrets import ca_secret, identity_secret
from xds.memo import Memo
from xds.translate import Builders, IncompleteView, InconsistentView, translate
from xds.view import (
    DirectCluster,
    EdsCluster,
    Endpoints,
    Half,
    LocalCluster,
    Protocol,
    ProxyView,
)
from xds.wire import resource

if TYPE_CHECKING:
    from xds.resource import XdsResource
    from xds.snapshot import Resources

SECRETS: Resources = {
    IDENTITY: identity_secret(IDENTITY, b"chain", b"key"),
    CA: ca_secret(CA, b"ca"),
}
BACKEND = EdsCluster("backend", Protocol.HTTP, inputs.UPSTREAM)
LOCAL = LocalCluster("localhost:8080", "127.0.0.1", 8080, Protocol.HTTP)
DIRECT = DirectCluster("direct_access", inputs.ANY_OF_MESH)
IN, OUT = inbound(Protocol.HTTP, STRICT), outbound(Protocol.HTTP, (route(),))
OWN = Half(clusters=(LOCAL,), listeners=(IN,))
SHARED = Half((BACKEND,), (Endpoints("backend", ()),), (OUT,))
VIEW = ProxyView("default.web-1", OWN, (IDENTITY, CA), SHARED)
GONE = replace(SHARED, endpoints=(Endpoints("backend", (inputs.EVERY_ENDPOINTS[1].endpoints)),))


def another(number: int) -> ProxyView:
    """Of the same service as `VIEW`, with the same way out."""
    address = f"127.0.0.{number}"
    listener = replace(IN, name=f"inbound:{address}:18080", address=address)
    own = Half(clusters=(LOCAL,), listeners=(listener,))
    return ProxyView(f"default.web-{number}", own, VIEW.secrets, SHARED)


def test_every_part_of_the_view_is_there_by_name() -> None:
    found = translate(VIEW, SECRETS, Builders())
    assert set(found.clusters) == {"backend", "localhost:8080"}
    assert set(found.endpoints) == {"backend"}
    assert set(found.listeners) == {"inbound:127.0.0.1:18080", "outbound:127.0.0.1:10001"}
    assert found.secrets == SECRETS


def test_equal_inputs_of_two_proxies_share_one_object() -> None:
    builders = Builders()
    first = translate(VIEW, SECRETS, builders)
    second = translate(another(2), SECRETS, builders)
    assert second.clusters is first.clusters
    assert second.endpoints is first.endpoints
    assert second.listeners[OUT.name] is first.listeners[OUT.name]
    assert builders.rebuilt == {"cluster": 2, "endpoints": 1, "listener": 3}


def test_a_change_rebuilds_only_what_it_reaches() -> None:
    builders = Builders()
    first = translate(VIEW, SECRETS, builders)
    second = translate(replace(VIEW, shared=GONE), SECRETS, builders)
    assert builders.rebuilt == {"cluster": 2, "endpoints": 2, "listener": 2}
    assert (second.clusters, second.listeners) == (first.clusters, first.listeners)
    assert second.endpoints != first.endpoints


def test_what_is_the_same_in_the_view_before_is_not_looked_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    builders = Builders()
    first = translate(VIEW, SECRETS, builders)
    looked_up = lookups(monkeypatch)
    gone = replace(VIEW, shared=replace(GONE))
    second = translate(gone, SECRETS, builders, (VIEW, first))
    assert set(looked_up) == {"assignments", "endpoints", "collection"}
    assert second.clusters is first.clusters
    assert second.listeners is first.listeners
    assert second.secrets is first.secrets
    assert second == translate(gone, SECRETS, Builders())


def test_a_half_is_built_for_the_first_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others look up what is their own alone."""
    builders = Builders()
    shared = replace(SHARED)
    first = translate(replace(VIEW, shared=shared), SECRETS, builders)
    second = replace(another(2), shared=shared)
    looked_up = lookups(monkeypatch)
    found = translate(second, SECRETS, builders)
    assert looked_up == ["cluster", "collection", "listener", "inbound shape"]
    assert translate(second, SECRETS, builders) == found
    assert looked_up == ["cluster", "collection", "listener", "inbound shape"]
    assert found.endpoints is first.endpoints
    assert found == translate(second, SECRETS, Builders())


def test_what_other_builders_have_built_is_not_taken() -> None:
    first = translate(VIEW, SECRETS, Builders())
    builders = Builders()
    found = translate(VIEW, SECRETS, builders, (VIEW, first))
    assert found == first
    assert builders.rebuilt == {"cluster": 2, "endpoints": 1, "listener": 2}


def test_a_half_holds_what_was_built_of_it_and_nothing_before() -> None:
    """However many changes there were."""
    builders, before = Builders(), None
    died: list[weakref.ref[Any]] = []
    for number in range(2, 12):
        clusters = (replace(BACKEND, http2_upstream=bool(number % 2)),)
        view = replace(another(number), shared=replace(SHARED, clusters=clusters))
        before = view, translate(view, SECRETS, builders, before)
        died.append(weakref.ref(view.shared.built))
    del view
    gc.collect()
    assert [found() is not None for found in died] == [False] * 9 + [True]


def lookups(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by the stage of each memo that is asked."""
    asked: list[str] = []
    plain = Memo.__call__

    def noting(memo: Memo[Any, Any], argument: Any) -> Any:
        asked.append(memo.stage)
        return plain(memo, argument)

    monkeypatch.setattr(Memo, "__call__", noting)
    return asked


def test_what_was_checked_before_is_checked_again_when_it_differs() -> None:
    builders = Builders()
    first = VIEW, translate(VIEW, SECRETS, builders)
    for wrong in (
        replace(VIEW, shared=replace(SHARED, endpoints=())),
        replace(VIEW, secrets=(CA,)),
    ):
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
        (replace(VIEW, shared=replace(SHARED, endpoints=())), "backend"),
        (replace(VIEW, own=replace(OWN, endpoints=(Endpoints("nobody", ()),))), "nobody"),
        (replace(VIEW, shared=replace(SHARED, clusters=())), "backend"),
        (replace(VIEW, own=replace(SHARED, listeners=())), "backend"),
        (replace(VIEW, own=replace(OWN, listeners=(IN, OUT))), OUT.name),
        (replace(VIEW, secrets=(CA,)), IDENTITY),
        (replace(VIEW, secrets=(IDENTITY,)), CA),
        (ProxyView("default.web-1", Half((DIRECT,)), (IDENTITY,)), CA),
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
