"""What a zone egress runs: server names and endpoints of other zones' services, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.egress import beyond
from reconciler.state import ResourceDiff, apply, from_resources
from reconciler.view import ProxyTraits, egress_view
from tests.support.egress import contexts
from tests.support.mesh import (
    a_dataplane,
    a_mesh,
    a_mesh_service,
    a_multi_zone_service,
    a_policy,
    an_egress,
    an_inbound,
    an_ingress,
    offers,
)
from tests.support.names import a_virtual_outbound
from xds.view import EdsCluster, Endpoints, ProxyView, SniListener

if TYPE_CHECKING:
    from collections.abc import Mapping

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


BY_VERSION = a_virtual_outbound(
    "by-version",
    "{{.version}}.{{.service}}.mesh",
    parameters=({"name": "service", "tagKey": "kuma.io/service"}, {"name": "version"}),
)


def test_instances_with_names_of_their_own_have_server_names_of_their_own() -> None:
    there = an_ingress(
        "west", offers("web", 1, version="v1"), offers("web", 1, version="v2"), offers("api", 1)
    )
    found = view(BY_EGRESS, there, BY_VERSION)
    own = ["web{mesh=default,version=v1}", "web{mesh=default,version=v2}"]
    assert snis(found) == ["api{mesh=default}", *own, "web{mesh=default}"]


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
    north = an_ingress("north", offers("web", 2, version="v1"), address="203.0.113.2")
    state = from_resources([BY_EGRESS, west])
    known = contexts(state)
    view_in(known)
    for change in (
        ResourceDiff((BY_VERSION,)),
        ResourceDiff((north,)),
        ResourceDiff((CANARY,)),
        ResourceDiff((), (CANARY.key,)),
        ResourceDiff((), (west.key,)),
        ResourceDiff((), (BY_VERSION.key,)),
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


# --- in the order that policies say ---


def a_strategy(*failover: Mapping[str, object], **target: object) -> MeshResource:
    cross = {"failover": list(failover), "failoverThreshold": {"percentage": 70}}
    conf = {"localityAwareness": {"crossZone": cross}}
    item = {"targetRef": {"kind": "MeshService", "name": "web"}, "default": conf}
    spec = {"targetRef": target or {"kind": "Mesh"}, "to": [item]}
    return a_policy("MeshLoadBalancingStrategy", "order", spec)


THREE = (
    an_ingress("west", offers("web", 1, zone="west"), offers("api", 1, zone="west")),
    an_ingress("north", offers("web", 1, zone="north"), address="203.0.113.2"),
    an_ingress("south", offers("web", 1, zone="south"), address="203.0.113.3"),
)
NORTH_FIRST: tuple[Mapping[str, object], ...] = (
    {"to": {"type": "Only", "zones": ["north"]}},
    {"to": {"type": "Any"}},
)
BUT_SOUTH: tuple[Mapping[str, object], ...] = ({"to": {"type": "AnyExcept", "zones": ["south"]}},)


def levels(found: ProxyView, cluster: str = "default:web") -> dict[str | None, int]:
    """By zone."""
    (assignment,) = (e for e in found.endpoints if e.cluster == cluster)
    return {e.zone: e.priority for e in assignment.endpoints}


def test_zones_are_called_in_the_order_of_a_policy_for_all_callers() -> None:
    found = view(BY_EGRESS, *THREE, a_strategy(*NORTH_FIRST))
    assert levels(found) == {"north": 1, "west": 2, "south": 2}
    (assignment,) = (e for e in found.endpoints if e.cluster == "default:web")
    assert (assignment.overprovisioning, assignment.weights) == (143, ())
    assert levels(found, "default:api") == {"west": 0}
    assert levels(view(BY_EGRESS, *THREE, a_strategy(*BUT_SOUTH))) == {"west": 1, "north": 1}


def test_what_is_said_of_the_own_zone_alone_changes_nothing_of_others() -> None:
    """Weights of localities would be for a cluster that asks for them."""
    local = {"localZone": {"affinityTags": [{"key": "node"}]}}
    for said, expected in (
        ({"disabled": False}, {0}),
        ({**local, "crossZone": {"failover": list(NORTH_FIRST)}}, {1, 2}),
    ):
        item = {
            "targetRef": {"kind": "MeshService", "name": "web"},
            "default": {"localityAwareness": said},
        }
        spec = {"targetRef": {"kind": "Mesh"}, "to": [item]}
        found = view(BY_EGRESS, *THREE, a_policy("MeshLoadBalancingStrategy", "near", spec))
        assert set(levels(found).values()) == expected
        assert all(each.weights == () for each in found.endpoints)


def test_what_is_said_for_some_callers_is_not_for_an_egress_to_know() -> None:
    labels = {"kind": "Dataplane", "labels": {"app": "web"}}
    found = view(BY_EGRESS, *THREE, a_strategy(*NORTH_FIRST, **labels))
    assert set(levels(found).values()) == {0}


def test_an_order_that_comes_changes_and_goes_is_followed() -> None:
    state = from_resources([BY_EGRESS, *THREE])
    known = contexts(state)
    before = view_in(known)
    for order in (NORTH_FIRST, BUT_SOUTH):
        state = apply(state, ResourceDiff((a_strategy(*order),)))
        known = contexts(state, known)
        after = view_in(known)
        assert after == view(*state.all())
        (same,) = (e for e in after.endpoints if e.cluster == "default:api")
        assert any(same is was for was in before.endpoints)
    state = apply(state, ResourceDiff((), (a_strategy().key,)))
    assert view_in(contexts(state, known)) == before


def test_what_has_nothing_to_do_with_it_leaves_it_the_same_object() -> None:
    state = from_resources([BY_EGRESS, *THREE, a_strategy(*NORTH_FIRST)])
    known = contexts(state)
    before = beyond(known["default"])
    state = apply(state, ResourceDiff((a_dataplane("more", an_inbound("more")),)))
    assert beyond(contexts(state, known)["default"]) is before


def test_real_services_of_several_zones_are_called_in_that_order_too() -> None:
    ports = [{"port": 80, "targetPort": 8080, "appProtocol": "http"}]
    reals = [
        a_mesh_service(
            "web",
            {"kuma.io/zone": zone, "team": "x"},
            spec={"ports": ports, "state": "Available"},
            key=f"web-{zone}",
        )
        for zone in ("west", "north")
    ]
    chosen = {"selector": {"meshService": {"matchLabels": {"team": "x"}}}, "ports": ports}
    every = a_multi_zone_service("every", chosen)
    cross = {"failover": list(NORTH_FIRST)}
    item = {
        "targetRef": {"kind": "MeshMultiZoneService", "name": "every"},
        "default": {"localityAwareness": {"crossZone": cross}},
    }
    spec = {"targetRef": {"kind": "Mesh"}, "to": [item]}
    order = a_policy("MeshLoadBalancingStrategy", "order", spec)
    state = from_resources([BY_EGRESS, *THREE, *reals, every])
    known = contexts(state)
    view_in(known)
    state = apply(state, ResourceDiff((order,)))
    found = view_in(contexts(state, known))
    (cluster,) = (e.cluster for e in found.endpoints if "_every_" in e.cluster)
    assert levels(found, cluster) == {"north": 1, "west": 2}
    assert found == view(*state.all())
