"""MeshServices and MeshMultiZoneServices as destinations: their names, endpoints, SNIs, identities,
what policies say of them, and the ingress's chains for them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler import egress
from reconciler.collection import collected
from reconciler.context import mesh_context
from reconciler.instances import Place
from reconciler.model.resource import DISPLAY_NAME, NAMESPACE, SERVICE, ZONE, ResourceKey
from reconciler.model.services import decode_zone_address
from reconciler.model.spec import RefDestination
from reconciler.real import NO_REALS
from reconciler.real_services import WaysInto, ways_into
from reconciler.state import ResourceDiff, apply, from_resources
from reconciler.view import ProxyTraits, ingress_view, sidecar_view, touched_meshes
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
    resource,
)
from xds import names
from xds.view import EdsCluster, Endpoint, OutboundListener, Protocol, SniListener

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.resource import MeshResource
    from reconciler.model.spec import Inbound
    from xds.view import ProxyView

EAST, WEST = "default_backend__east_msvc_8080", "default_backend__west_msvc_8080"
ALL = "default_all___mzsvc_80"
TO_OURS = RefDestination("MeshService", "backend", 8080)
TO_THEIRS = RefDestination("MeshService", "", 8080, ((ZONE, "west"),))
TO_ALL = RefDestination("MeshMultiZoneService", "all", 80)
TRAITS = ProxyTraits(node_id="default.web")


SPEC: Mapping[str, object] = {
    "state": "Available",
    "selector": {"dataplaneTags": {SERVICE: "backend"}},
    "ports": [{"port": 8080, "targetPort": 8080, "appProtocol": "http", "name": "main"}],
    "identities": [{"type": "ServiceTag", "value": "backend"}],
}


def a_backend(zone: str, *, state: str = "Available", **more: object) -> MeshResource:
    """The MeshService `backend` of a zone; others' come under another name."""
    spec: Mapping[str, object] = {**SPEC, "state": state, **more}
    key = "" if zone == "east" else f"backend-{zone}"
    return a_mesh_service("backend", {ZONE: zone}, spec=spec, key=key)


def all_backends(port: int = 80) -> MeshResource:
    ports = [{"port": port, "appProtocol": "http"}]
    labels = {"kuma.io/display-name": "backend"}
    spec = {"selector": {"meshService": {"matchLabels": labels}}, "ports": ports}
    return a_multi_zone_service("all", spec)


def an_instance(name: str, address: str, **more: object) -> MeshResource:
    inbound = an_inbound("backend", address=address, port=8080, **more)  # type: ignore[arg-type]
    return a_dataplane(name, inbound, labels={ZONE: "east"})


def web(*refs: RefDestination) -> MeshResource:
    called = {10001 + at: ref for at, ref in enumerate(refs)}
    return a_dataplane("web", an_inbound("web", address="10.0.0.9"), refs=called)


def view_of(*resources: MeshResource, resolved: Mapping[str, str] | None = None) -> ProxyView:
    """Of the Dataplane `web`, in zone east."""
    state = from_resources(resources)
    context = mesh_context(state, "default", "east", frozenset(), resolved or {})
    found = state.get(ResourceKey("Dataplane", "default", "web"))
    assert found is not None
    return sidecar_view(context, found, TRAITS).view


def endpoints(view: ProxyView, cluster: str) -> tuple[Endpoint, ...]:
    return next(each.endpoints for each in view.endpoints if each.cluster == cluster)


def cluster(view: ProxyView, name: str) -> EdsCluster:
    found = next(each for each in view.clusters if each.name == name)
    assert isinstance(found, EdsCluster)
    return found


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

LEAVING = a_mesh(zone_egress=True)
INTO_WEST = an_ingress("west", offers("backend", zone="west"), address="203.0.113.7")


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


# --- whom a MeshService selects ---


def selecting(selector: Mapping[str, object], target: int | str, *inbounds: Inbound) -> list[int]:
    """The ports of the inbounds that are behind a port with that target."""
    ports = [{"port": 8080, "targetPort": target, "appProtocol": "http"}]
    service = a_backend("east", selector=selector, ports=ports)
    instance = a_dataplane("b1-shown", *inbounds, labels={ZONE: "east", DISPLAY_NAME: "b1"})
    return [e.port for e in endpoints(view_of(a_mesh(), service, instance, web(TO_OURS)), EAST)]


def test_inbounds_are_chosen_by_port_or_name() -> None:
    two = (an_inbound("backend", port=8080), an_inbound("backend", port=9090, name="main"))
    by_tag = {"dataplaneTags": {SERVICE: "backend"}}
    assert selecting(by_tag, 9090, *two) == [9090]
    assert selecting(by_tag, "main", *two) == [9090]
    assert selecting(by_tag, "none", *two) == []


def test_tags_choose_among_the_inbounds_of_one_proxy() -> None:
    one = an_inbound("backend", address="10.0.0.1", tags={"version": "v1"})
    other = an_inbound("backend", address="10.0.0.2", tags={"version": "v2"})
    selector = {"dataplaneTags": {SERVICE: "backend", "version": "v2"}}
    service = a_backend("east", selector=selector)
    view = view_of(a_mesh(), service, a_dataplane("b1", one, other), web(TO_OURS))
    assert [e.address for e in endpoints(view, EAST)] == ["10.0.0.2"]


def test_a_proxy_is_chosen_by_either_of_its_names_or_by_labels() -> None:
    inbound = an_inbound("backend", port=8080)
    for name in ("b1", "b1-shown"):
        assert selecting({"dataplaneRef": {"name": name}}, 8080, inbound) == [8080]
    assert selecting({"dataplaneRef": {"name": "b2"}}, 8080, inbound) == []
    labels = {DISPLAY_NAME: "b1"}
    assert selecting({"dataplaneLabels": {"matchLabels": labels}}, 8080, inbound) == [8080]


def test_by_name_the_own_zones_resource_goes_before_one_of_no_zone() -> None:
    spec = {"ports": [{"port": 8080, "appProtocol": "http"}]}
    of_none = a_mesh_service("backend", {}, spec=spec, key="a-backend")
    view = view_of(a_mesh(), of_none, a_backend("east"), web(TO_OURS))
    assert [each.cluster for each in view.endpoints] == [EAST]


def test_the_own_zones_address_is_no_way_for_its_own_proxies() -> None:
    spec = decode_zone_address({"address": "203.0.113.30", "port": 10009})
    key = ResourceKey("MeshZoneAddress", "default", "gate")
    ours = resource(key, spec, repr(spec), {ZONE: "east"})
    found = ways_into(a_mesh(), (INTO_WEST,), (ours,), Place("east"))
    assert found == {"west": (("203.0.113.7", 10001),)}


def test_ways_that_are_the_same_are_the_same_object() -> None:
    """An ingress that offers one service more makes nobody look at the ways again."""
    first = WaysInto().followed(a_mesh(), collected((INTO_WEST,)), collected(()), Place("east"))
    more = an_ingress(
        "west", offers("backend", 9, zone="west"), offers("x", zone="west"), address="203.0.113.7"
    )
    after = first.followed(a_mesh(), collected((more,)), collected(()), Place("east"))
    assert after.ways is first.ways


# --- what follows a change ---


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
