"""MeshServices and MeshMultiZoneServices as destinations: their names, endpoints, SNIs, identities,
what policies say of them, and the ingress's chains for them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler import egress
from reconciler.context import mesh_context
from reconciler.model.resource import NAMESPACE, SERVICE, ZONE, ResourceKey
from reconciler.model.services import decode_zone_address
from reconciler.state import ResourceDiff, apply, from_resources
from reconciler.view import ProxyTraits, ingress_view, sidecar_view, touched_meshes
from tests.support.mesh import (
    a_dataplane,
    a_mesh,
    a_mesh_service,
    a_policy,
    an_egress,
    an_inbound,
    an_ingress,
    offers,
    resource,
)
from tests.support.real import (
    ALL,
    EAST,
    INTO_WEST,
    LEAVING,
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
    view_of,
    web,
)
from xds import names
from xds.view import OutboundListener, Protocol, SniListener

if TYPE_CHECKING:
    from collections.abc import Mapping


def test_mesh_service_of_the_zone_is_at_the_instances_it_selects() -> None:
    other = a_dataplane("other", an_inbound("other", address="10.0.0.3", port=8080))
    sick = an_instance("b2", "10.0.0.2", healthy=False)
    view = view_of(
        a_mesh(), a_backend("east"), an_instance("b1", "10.0.0.1"), sick, other, web(TO_OURS)
    )
    found = endpoints(view, EAST)
    assert [(e.address, e.port, e.weight, e.priority) for e in found] == [("10.0.0.1", 8080, 1, 0)]
    (listener,) = (x for x in view.listeners if isinstance(x, OutboundListener))
    assert (listener.port, listener.protocol) == (10001, Protocol.HTTP)
    assert [c.name for c in listener.routes[0].clusters] == [EAST]


def test_mesh_service_of_another_zone_is_at_that_zones_ingress_alone() -> None:
    ingress = an_ingress("west", offers("backend", 3, zone="west"), address="203.0.113.7")
    south = an_ingress("south", offers("backend", 3, zone="south"), address="203.0.113.9")
    local = an_instance("b1", "10.0.0.1")
    view = view_of(a_mesh(), a_backend("west"), ingress, south, local, web(TO_THEIRS))
    (found,) = endpoints(view, WEST)
    assert (found.address, found.port) == ("203.0.113.7", 10001)
    assert (found.weight, found.priority, found.zone) == (1, 1, "west")


def test_ingress_that_offers_nothing_is_no_way_in_unless_the_mesh_is_exclusive() -> None:
    gone = an_ingress("west", address="203.0.113.8", name="gone")
    here = an_ingress("west", offers("x", zone="west"), address="203.0.113.7", name="here")
    plain = view_of(a_mesh(), a_backend("west"), gone, web(TO_THEIRS))
    assert endpoints(plain, WEST) == ()
    mesh = a_mesh(mesh_services_mode="Exclusive")
    exclusive = view_of(mesh, a_backend("west"), gone, web(TO_THEIRS))
    assert [e.address for e in endpoints(exclusive, WEST)] == ["203.0.113.8"]
    both = view_of(a_mesh(), a_backend("west"), gone, here, web(TO_THEIRS))
    assert [e.address for e in endpoints(both, WEST)] == ["203.0.113.7"]


def test_address_of_a_mesh_goes_before_the_ingresses_of_its_zone() -> None:
    ingress = an_ingress("west", offers("backend", zone="west"), address="203.0.113.7")
    spec = decode_zone_address({"address": "gate.example", "port": 10009})
    key = ResourceKey("MeshZoneAddress", "default", "gate")
    address = resource(key, spec, repr(spec), {ZONE: "west"})
    rest = (a_mesh(), a_backend("west"), ingress, web(TO_THEIRS))
    known = view_of(*rest, address, resolved={"gate.example": "203.0.113.30"})
    assert [(e.address, e.port) for e in endpoints(known, WEST)] == [("203.0.113.30", 10009)]


def test_without_mtls_nothing_of_another_zone_is_reached() -> None:
    ingress = an_ingress("west", offers("backend", zone="west"))
    view = view_of(a_mesh(mtls=None), a_backend("west"), ingress, web(TO_THEIRS))
    assert endpoints(view, WEST) == ()
    assert cluster(view, WEST).tls is None


def test_calls_name_the_service_by_hash_and_trust_its_identities_alone() -> None:
    identities = [
        {"type": "ServiceTag", "value": "backend"},
        {"type": "SpiffeID", "value": "spiffe://default.east/backend"},
    ]
    view = view_of(a_mesh(), a_backend("east", identities=identities), web(TO_OURS))
    tls = cluster(view, EAST).tls
    assert tls is not None
    assert tls.sni == names.hash_sni("backend", 8080, "default", "ms")
    assert tls.san_uris == ("spiffe://default.east/backend", "spiffe://default/backend")


@pytest.mark.parametrize(
    ("selector", "trusted"),
    [
        ({"dataplaneTags": {SERVICE: "backend"}}, "spiffe://default/backend"),
        ({"dataplaneLabels": {"matchLabels": {"app": "b"}}}, f"spiffe://default/{EAST}"),
    ],
)
def test_who_serves_it_and_is_not_said_is_what_it_selects_or_nobody(
    selector: Mapping[str, object], trusted: str
) -> None:
    view = view_of(a_mesh(), a_backend("east", identities=[], selector=selector), web(TO_OURS))
    tls = cluster(view, EAST).tls
    assert tls is not None
    assert tls.san_uris == (trusted,)


def test_multi_zone_service_is_where_its_members_are_the_own_zones_first() -> None:
    ingress = an_ingress("west", offers("backend", zone="west"), address="203.0.113.7")
    idle = an_ingress("south", offers("backend", zone="south"), address="203.0.113.9")
    members = (a_backend("east"), a_backend("west"), a_backend("south", state="Unavailable"))
    instance, asked = an_instance("b1", "10.0.0.1"), web(replace(TO_ALL, port=8080))
    view = view_of(a_mesh(), *members, ingress, idle, instance, all_backends(8080), asked)
    name = "default_all___mzsvc_8080"
    found = [(e.address, e.priority) for e in endpoints(view, name)]
    assert found == [("10.0.0.1", 0), ("203.0.113.7", 1)]
    tls = cluster(view, name).tls
    assert tls is not None
    assert tls.sni == names.hash_sni("all", 8080, "default", "mzms")
    assert tls.san_uris == ("spiffe://default/backend",)


def test_multi_zone_service_without_that_port_anywhere_leads_nowhere() -> None:
    view = view_of(
        a_mesh(), a_backend("east"), an_instance("b1", "10.0.0.1"), all_backends(), web(TO_ALL)
    )
    assert endpoints(view, ALL) == ()


def test_outbound_to_what_there_is_not_comes_when_it_does() -> None:
    state = from_resources((a_mesh(), web(TO_OURS), an_instance("b1", "10.0.0.1")))
    context = mesh_context(state, "default", "east", frozenset(), {})
    asked = state.get(ResourceKey("Dataplane", "default", "web"))
    assert asked is not None
    before = sidecar_view(context, asked, TRAITS)
    assert [x for x in before.view.listeners if isinstance(x, OutboundListener)] == []
    state = apply(state, ResourceDiff(put=(a_backend("east"),)))
    context = mesh_context(state, "default", "east", frozenset(), {}, context)
    after = sidecar_view(context, asked, TRAITS)
    assert [e.address for e in endpoints(after.view, EAST)] == ["10.0.0.1"]
    differing = context.differing
    assert differing is not None
    assert not differing.services.isdisjoint(before.services)


def test_status_of_a_service_is_no_change_to_anybody() -> None:
    service = a_backend("east")
    state = from_resources((a_mesh(), service, web(TO_OURS)))
    context = mesh_context(state, "default", "east", frozenset(), {})
    told = resource(service.key, service.spec, {"status": 1}, dict(service.labels.pairs))
    after = mesh_context(
        apply(state, ResourceDiff(put=(told,))), "default", "east", frozenset(), {}, context
    )
    assert after.reals is context.reals
    assert after.era is context.era


@pytest.mark.parametrize(
    ("target", "concerned"),
    [
        ({"kind": "Mesh"}, True),
        ({"kind": "MeshService", "labels": {"kuma.io/display-name": "backend"}}, True),
        ({"kind": "MeshService", "labels": {ZONE: "east"}, "sectionName": "main"}, True),
        ({"kind": "MeshService", "labels": {ZONE: "east"}, "sectionName": "other"}, False),
        ({"kind": "MeshService", "labels": {ZONE: "west"}}, False),
        ({"kind": "MeshService", "name": "backend"}, False),  # of no zone, as the policy is
        ({"kind": "MeshService", "name": "backend_shop_svc_8080"}, True),
        ({"kind": "MeshService", "name": "backend_shop_svc_9090"}, False),
        ({"kind": "MeshSubset", "tags": {"version": "v1"}}, False),
    ],
)
def test_policy_concerns_the_resource_it_names(target: dict[str, object], concerned: bool) -> None:
    item = {"targetRef": target, "default": {"connectionTimeout": "7s"}}
    policy = a_policy("MeshTimeout", "t", {"targetRef": {"kind": "Mesh"}, "to": [item]})
    service = a_mesh_service(
        "backend",
        {ZONE: "east", NAMESPACE: "shop"},
        spec={
            "selector": {"dataplaneTags": {SERVICE: "backend"}},
            "ports": [{"port": 8080, "name": "main", "appProtocol": "http"}],
        },
    )
    view = view_of(a_mesh(), service, policy, web(TO_OURS))
    found = cluster(view, "default_backend_shop_east_msvc_8080")
    assert bool(found.applied) is concerned


def test_policy_of_the_zone_concerns_its_resource_by_name() -> None:
    target = {"kind": "MeshService", "name": "backend"}
    item = {"targetRef": target, "default": {"connectionTimeout": "7s"}}
    spec = {"targetRef": {"kind": "Mesh"}, "to": [item]}
    policy = a_policy("MeshTimeout", "t", spec, labels={ZONE: "east"})
    assert cluster(view_of(a_mesh(), a_backend("east"), policy, web(TO_OURS)), EAST).applied


def test_route_leads_to_resources_by_port() -> None:
    refs = [
        {"kind": "MeshService", "name": "backend", "port": 8080, "weight": 1},
        {"kind": "MeshMultiZoneService", "name": "all", "port": 80, "weight": 2},
        {"kind": "MeshMultiZoneService", "name": "none", "port": 80, "weight": 4},
        {"kind": "MeshService", "name": "by-tag", "weight": 8},
    ]
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "default": {"backendRefs": refs},
    }
    to = {"targetRef": {"kind": "MeshService", "labels": {ZONE: "east"}}, "rules": [rule]}
    route = a_policy("MeshHTTPRoute", "r", {"targetRef": {"kind": "Mesh"}, "to": [to]})
    view = view_of(a_mesh(), a_backend("east"), all_backends(), route, web(TO_OURS))
    (listener,) = (x for x in view.listeners if isinstance(x, OutboundListener))
    found = {c.name: c.weight for c in listener.routes[0].clusters}
    assert found == {EAST: 1, ALL: 2, "by-tag": 8}


def test_ingress_passes_on_what_is_of_its_zone_under_every_form_of_name() -> None:
    state = from_resources(
        (
            a_mesh(),
            a_backend("east"),
            a_backend("west"),
            all_backends(8080),
            an_ingress("west", offers("backend", zone="west")),
            an_instance("b1", "10.0.0.1"),
        )
    )
    own = an_ingress("east", address="203.0.113.1")
    view = ingress_view(state, own, "east", frozenset(), ProxyTraits(node_id="ingress")).view
    (listener,) = view.listeners
    assert isinstance(listener, SniListener)
    found = {chain.sni: chain.cluster for chain in listener.chains}
    assert found == {
        names.tag_sni(((SERVICE, "backend"),), "default"): "default:backend",
        names.hash_sni("backend", 8080, "default", "ms"): EAST,
        "sni.msvc.default.east.backend.main": EAST,
        names.hash_sni("all", 8080, "default", "mzms"): "default_all___mzsvc_8080",
        "sni.mzsvc.default.all.8080": "default_all___mzsvc_8080",
    }
    # Never an ingress: not even for what another zone has, too.
    for each in view.endpoints:
        assert [e.address for e in each.endpoints] == ["10.0.0.1"]


def test_services_of_other_zones_do_not_touch_the_ingress() -> None:
    state = from_resources(())
    ours = touched_meshes(ResourceDiff(put=(a_backend("east"),)), state, "east")
    theirs = touched_meshes(ResourceDiff(put=(a_backend("west"),)), state, "east")
    assert (ours.ingresses, theirs.ingresses) == (True, False)
    assert ours.meshes == theirs.meshes == frozenset(("default",))


@pytest.mark.parametrize(
    ("name", "port", "kind", "sni"),
    [
        ("backend", 80, "ms", "a601e0c00295a9fbe.backend.80.default.ms"),
        ("backend2", 80, "ms", "aec60634adf0f45d6.backend2.80.default.ms"),
        ("backend", 80, "mzms", "a601e0c00295a9fbe.backend.80.default.mzms"),
        ("backend.shop", 8080, "ms", "a6a75eb1db640fb4e.backend.shop.8080.default.ms"),
        ("example", 443, "mes", "afce62f771ed74b78.example.443.default.mes"),
    ],
)
def test_hash_sni_is_the_one_every_zone_computes(name: str, port: int, kind: str, sni: str) -> None:
    assert names.hash_sni(name, port, "default", kind) == sni


def test_long_names_are_cut_where_a_label_ends() -> None:
    assert names.hash_sni("n" * 63, 80, "default", "ms").split(".")[1] == "n" * 62 + "x"
    assert names.hash_sni("n" * 62, 80, "default", "ms").split(".")[1] == "n" * 62


@pytest.mark.parametrize("name", ["UPPER", "a.b", "a" * 64])
def test_no_kri_sni_where_it_is_no_host_name(name: str) -> None:
    assert names.kri_sni("msvc", ("default", "east", ""), name, "80") is None


# --- by the zone's own egress ---


def test_where_calls_leave_by_an_egress_other_zones_are_reached_by_it_alone() -> None:
    ours, theirs = an_instance("b1", "10.0.0.1"), (a_backend("east"), a_backend("west"))
    asked = web(TO_OURS, TO_THEIRS, replace(TO_ALL, port=8080))
    rest = (LEAVING, *theirs, INTO_WEST, ours, all_backends(8080), asked)
    view = view_of(*rest, an_egress("e", address="10.8.0.1"))
    held = {each.cluster: [e.address for e in each.endpoints] for each in view.endpoints}
    assert held == {
        EAST: ["10.0.0.1"],
        WEST: ["10.8.0.1"],
        "default_all___mzsvc_8080": ["10.0.0.1", "10.8.0.1"],
    }
    assert [e.priority for e in endpoints(view, WEST)] == [1]
    without = view_of(*rest)
    assert endpoints(without, WEST) == ()


def test_a_zone_that_nobody_can_enter_is_not_reached_by_an_egress_either() -> None:
    out = an_egress("e", address="10.8.0.1")
    view = view_of(LEAVING, a_backend("west"), out, web(TO_THEIRS))
    assert endpoints(view, WEST) == ()


def test_egress_passes_on_what_is_of_other_zones_to_their_ingresses() -> None:
    south = a_backend("south", state="Unavailable")
    into_south = an_ingress("south", offers("x", zone="south"), address="203.0.113.9")
    ours = (a_backend("east"), an_instance("b1", "10.0.0.1"), all_backends(8080))
    resources = (LEAVING, a_backend("west"), south, INTO_WEST, into_south, *ours)
    state = from_resources(resources)
    context = mesh_context(state, "default", "east", frozenset(), {})
    found = egress.beyond(context)
    where = {name: [e.address for e in p.endpoints.endpoints] for name, p in found.services.items()}
    assert where == {
        "backend": ["203.0.113.7"],  # by its tag
        "x": ["203.0.113.9"],
        WEST: ["203.0.113.7"],
        "default_backend__south_msvc_8080": ["203.0.113.9"],
        "default_all___mzsvc_8080": ["203.0.113.7"],
    }
    snis = {chain.sni: chain.cluster for chain in egress.ways((context,), ()).chains}
    assert snis[names.hash_sni("all", 8080, "default", "mzms")] == "default_all___mzsvc_8080"
    assert snis["sni.msvc.default.west.backend.main"] == WEST


def test_what_an_egress_passes_on_is_followed() -> None:
    state = from_resources((LEAVING, a_backend("west"), INTO_WEST))
    context = mesh_context(state, "default", "east", frozenset(), {})
    before = egress.beyond(context)
    other = a_mesh_service("other", {ZONE: "west"}, spec={"ports": [{"port": 1}]})
    state = apply(state, ResourceDiff(put=(other,)))
    context = mesh_context(state, "default", "east", frozenset(), {}, context)
    after = egress.beyond(context)
    assert after.services[WEST] is before.services[WEST]
    assert "default_other__west_msvc_1" in after.services
    state = apply(state, ResourceDiff(drop=(INTO_WEST.key,)))
    context = mesh_context(state, "default", "east", frozenset(), {}, context)
    assert egress.beyond(context).services == {}
