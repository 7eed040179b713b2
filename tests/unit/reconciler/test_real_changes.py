"""What a change of real resources, of their instances and of ways is to their callers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.context import mesh_context
from reconciler.model.resource import DISPLAY_NAME, ZONE, ResourceKey
from reconciler.model.spec import RefDestination
from reconciler.real import NO_REALS
from reconciler.state import ResourceDiff, apply, from_resources
from reconciler.view import sidecar_view
from tests.support.mesh import (
    a_mesh,
    a_mesh_service,
    an_egress,
)
from tests.support.real import (
    EAST,
    INTO_WEST,
    LEAVING,
    SPEC,
    TO_ALL,
    TO_OURS,
    TO_THEIRS,
    TRAITS,
    WEST,
    a_backend,
    all_backends,
    an_instance,
    cluster,
    endpoints,
    web,
)

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource
    from xds.view import ProxyView


class Followed:
    """The proxy `web` before and after a change of the mesh, each context made from the last."""

    def __init__(self, *resources: MeshResource) -> None:
        self.state = from_resources(resources)
        self.context = mesh_context(self.state, "default", "east", frozenset(), {})

    def view(self) -> ProxyView:
        found = self.state.get(ResourceKey("Dataplane", "default", "web"))
        assert found is not None
        return sidecar_view(self.context, found, TRAITS).view

    def put(self, *resources: MeshResource, absent: frozenset[ResourceKey] = frozenset()) -> None:
        self.state = apply(self.state, ResourceDiff(put=resources))
        self.context = mesh_context(self.state, "default", "east", absent, {}, self.context)


def test_an_instance_that_is_away_is_no_endpoint_until_it_is_back() -> None:
    instance = an_instance("b1", "10.0.0.1")
    followed = Followed(a_mesh(), a_backend("east"), instance, web(TO_OURS))
    assert len(endpoints(followed.view(), EAST)) == 1
    followed.put(absent=frozenset((instance.key,)))
    assert endpoints(followed.view(), EAST) == ()
    followed.put()
    assert len(endpoints(followed.view(), EAST)) == 1


def test_a_resource_that_moves_to_another_zone_selects_nobody_here() -> None:
    followed = Followed(a_mesh(), a_backend("east"), an_instance("b1", "10.0.0.1"), web(TO_ALL))
    named = a_backend("east")
    assert len(followed.context.real.chosen[named.key]) == 1
    moved = a_mesh_service("backend", {ZONE: "west"}, spec=SPEC)
    assert moved.key == named.key
    followed.put(moved)
    assert moved.key not in followed.context.real.chosen


def test_another_egress_is_told_to_those_who_call_other_zones() -> None:
    out = an_egress("e", address="10.8.0.1")
    followed = Followed(LEAVING, a_backend("west"), INTO_WEST, out, web(TO_THEIRS))
    assert [e.address for e in endpoints(followed.view(), WEST)] == ["10.8.0.1"]
    followed.put(an_egress("e", address="10.8.0.2"))
    differing = followed.context.differing
    assert differing is None or WEST in differing.services
    assert [e.address for e in endpoints(followed.view(), WEST)] == ["10.8.0.2"]


def test_another_identity_is_told_to_callers_though_no_endpoint_differs() -> None:
    followed = Followed(a_mesh(), a_backend("east"), an_instance("b1", "10.0.0.1"), web(TO_OURS))
    followed.view()
    followed.put(a_backend("east", identities=[{"type": "ServiceTag", "value": "other"}]))
    differing = followed.context.differing
    assert differing is not None
    assert EAST in differing.services
    tls = cluster(followed.view(), EAST).tls
    assert tls is not None
    assert tls.san_uris == ("spiffe://default/other",)


def test_a_resource_that_labels_find_first_is_told_to_who_looked_for_them() -> None:
    by_labels = RefDestination("MeshService", "", 8080, ((DISPLAY_NAME, "backend"),))
    followed = Followed(a_mesh(), a_backend("west"), web(by_labels))
    assert [each.cluster for each in followed.view().endpoints] == [WEST]
    before = followed.context
    followed.put(a_mesh_service("backend", {ZONE: "east"}, spec=SPEC, key="a"))
    differing = followed.context.differing
    assert differing is not None
    web_before = sidecar_view(before, followed.state.by_key[web().key], TRAITS)
    assert not differing.services.isdisjoint(web_before.services)
    assert [each.cluster for each in followed.view().endpoints] == [EAST]


def test_resources_one_by_one_and_at_once_are_the_same() -> None:
    """Whichever way they are indexed: each change alone, or many together."""
    zones = [f"z{n}" for n in range(20)]
    resources = (*map(a_backend, zones), all_backends(8080))
    at_once, all_keys = NO_REALS.followed([(None, resource) for resource in resources])
    one_by_one = at_once
    for zone in zones:  # away and back again
        one_by_one, _ = one_by_one.followed([(a_backend(zone), None)])
        one_by_one, keys = one_by_one.followed([(None, a_backend(zone))])
        assert keys == {a_backend(zone).key, all_backends().key}
    assert len(all_keys) == len(resources)
    for index in ("by_key", "named", "shown", "of_service", "others", "multi", "pairs"):
        assert getattr(one_by_one, index) == getattr(at_once, index), index
    assert at_once.followed([(resource, resource) for resource in resources]) == (
        at_once,
        frozenset(),
    )
