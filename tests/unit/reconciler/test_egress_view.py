"""What a zone egress runs: server names and endpoints of other zones' services, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.state import ResourceDiff, apply, from_resources
from reconciler.view import ProxyTraits, egress_view
from tests.support.egress import contexts
from tests.support.mesh import (
    a_dataplane,
    a_mesh,
    a_policy,
    an_egress,
    an_inbound,
    an_ingress,
    offers,
)
from xds.view import EdsCluster, Endpoints, ProxyView, SniListener

if TYPE_CHECKING:
    from reconciler.context import MeshContext
    from reconciler.model.resource import MeshResource

EGRESS = an_egress()
TRAITS = ProxyTraits(node_id=".egress")
BY_EGRESS = a_mesh(zone_egress=True)
CANARY = a_policy(
    "MeshHTTPRoute",
    "canary",
    {
        "targetRef": {"kind": "Mesh"},
        "to": [
            {
                "targetRef": {"kind": "MeshService", "name": "web"},
                "rules": [
                    {
                        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                        "default": {
                            "backendRefs": [
                                {
                                    "kind": "MeshServiceSubset",
                                    "name": "web",
                                    "tags": {"version": "v1"},
                                    "weight": 1,
                                }
                            ]
                        },
                    }
                ],
            }
        ],
    },
)


def view_in(found: dict[str, MeshContext]) -> ProxyView:
    return egress_view(found.values(), EGRESS, "east", TRAITS).view


def view(*resources: MeshResource) -> ProxyView:
    return view_in(contexts(from_resources(resources)))


def snis(found: ProxyView) -> list[str]:
    (listener,) = found.listeners
    assert isinstance(listener, SniListener)
    return [chain.sni for chain in listener.chains]


def places(found: ProxyView) -> dict[str, list[tuple[str, int]]]:
    """By cluster, address and weight of each endpoint."""
    return {e.cluster: [(x.address, x.weight) for x in e.endpoints] for e in found.endpoints}


def test_services_of_other_zones_lead_to_their_ingresses_by_instances() -> None:
    found = view(
        BY_EGRESS,
        an_ingress("west", offers("web", 3, zone="west")),
        an_ingress("north", offers("web", 1, zone="north"), address="203.0.113.2"),
        an_ingress("east", offers("own", 1, zone="east"), address="203.0.113.3"),
        a_dataplane("web-1", an_inbound("web")),
    )
    assert snis(found) == ["web{mesh=default}"]
    assert places(found) == {"default:web": [("203.0.113.1", 3), ("203.0.113.2", 1)]}
    (assignment,) = found.endpoints
    assert [(e.tags, e.zone, e.priority) for e in assignment.endpoints] == [
        ((("kuma.io/zone", zone), ("mesh", "default")), zone, 0) for zone in ("west", "north")
    ]
    (cluster,) = (c for c in found.clusters if isinstance(c, EdsCluster))
    assert (cluster.tls, cluster.http2_upstream, cluster.circuit_breakers) == (None, False, False)
    assert (
        cluster.detection
    )  # An ingress that is not reached is left out, without a word from its zone.


def test_a_subset_that_a_route_names_has_a_server_name_of_its_own() -> None:
    there = an_ingress("west", offers("web", 1, zone="west", version="v1"))
    found = view(BY_EGRESS, there, CANARY)
    assert snis(found) == ["web{mesh=default,version=v1}", "web{mesh=default}"]
    (cluster,) = (c for c in found.clusters if isinstance(c, EdsCluster))
    assert cluster.subset_keys == (("version",),)


def test_meshes_without_zone_egress_or_mtls_are_not_passed_on() -> None:
    found = view(
        a_mesh("a", zone_egress=True),
        a_mesh("b"),
        a_mesh("c", mtls=None, zone_egress=True),
        an_ingress("west", *(offers("web", 1, mesh=mesh) for mesh in "abc")),
    )
    assert snis(found) == ["web{mesh=a}"]
    assert list(places(found)) == ["a:web"]


def test_services_of_one_name_in_two_meshes_are_kept_apart() -> None:
    found = view(
        a_mesh("a", zone_egress=True),
        a_mesh("b", zone_egress=True),
        an_ingress("west", offers("web", 1, mesh="a")),
        an_ingress("north", offers("web", 1, mesh="b"), address="203.0.113.2"),
    )
    assert snis(found) == ["web{mesh=a}", "web{mesh=b}"]
    assert places(found) == {"a:web": [("203.0.113.1", 1)], "b:web": [("203.0.113.2", 1)]}


def test_with_nothing_to_pass_on_it_answers_by_itself() -> None:
    (listener,) = view(BY_EGRESS).listeners
    assert isinstance(listener, SniListener)
    assert (listener.name, listener.chains) == ("inbound:10.8.0.1:10002", ())
    assert listener.idle_body == '{"proxy":".egress","zone":"east"}'


def test_one_service_that_changes_is_one_assignment() -> None:
    names = [f"s{n}" for n in range(50)]
    state = from_resources([BY_EGRESS, an_ingress("west", *(offers(n, 2) for n in names))])
    known = contexts(state)
    before = view_in(known)
    changed = an_ingress("west", *(offers(n, 3 if n == "s7" else 2) for n in names))
    after = view_in(contexts(apply(state, ResourceDiff((changed,))), known))
    differing = [
        now.cluster
        for was, now in zip(before.endpoints, after.endpoints, strict=True)
        if was is not now
    ]
    assert differing == ["default:s7"]
    pairs = zip(before.clusters, after.clusters, strict=True)
    assert all(was is now for was, now in pairs)


def test_what_does_not_concern_it_gives_the_same_half() -> None:
    state = from_resources([BY_EGRESS, an_ingress("west", offers("web"))])
    known = contexts(state)
    before = view_in(known)
    state = apply(state, ResourceDiff((a_dataplane("x", an_inbound("x")),)))
    assert view_in(contexts(state, known)).shared is before.shared


def test_a_way_that_comes_or_goes_is_followed() -> None:
    west = an_ingress("west", offers("web", 1), offers("api", 1))
    north = an_ingress("north", offers("web", 2), address="203.0.113.2")
    state = from_resources([BY_EGRESS, west])
    known = contexts(state)
    view_in(known)
    for change in (
        ResourceDiff((north,)),
        ResourceDiff((CANARY,)),
        ResourceDiff((), (CANARY.key,)),
        ResourceDiff((), (west.key,)),
    ):
        state = apply(state, change)
        known = contexts(state, known)
        assert view_in(known) == view(*state.all())
    assert places(view_in(known)) == {"default:web": [("203.0.113.2", 2)]}


def test_assignments_have_the_names_of_clusters() -> None:
    found = view(BY_EGRESS, an_ingress("west", offers("b"), offers("a")))
    assert [c.name for c in found.clusters] == ["default:a", "default:b"]
    assert [e.cluster for e in found.endpoints] == ["default:a", "default:b"]
    assert all(isinstance(e, Endpoints) for e in found.endpoints)
