"""Views of proxies: what a sidecar and an ingress run, from the resources of their zone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from reconciler.model.spec import Inbound, ZoneIngressSpec
from reconciler.policies.mesh_timeout import Timeouts
from reconciler.policies.mesh_traffic_permission import Rbac
from reconciler.routes import EVERYTHING, route_name
from reconciler.state import MeshState, ResourceDiff, from_resources
from reconciler.view import (
    ProxyTraits,
    Reach,
    ViewResult,
    ingress_view,
    mesh_context,
    sidecar_view,
    touched_meshes,
)
from tests.support.mesh import (
    MTLS,
    a_dataplane,
    a_mesh,
    a_policy,
    an_inbound,
    an_ingress,
    offers,
)
from tests.support.names import a_virtual_outbound
from xds.names import local_cluster_name
from xds.view import (
    EdsCluster,
    InboundListener,
    LocalCluster,
    OutboundListener,
    ProxyView,
    SniListener,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.resource import MeshResource

SERVICE = "kuma.io/service"


def sidecar(
    dataplane: MeshResource, *others: MeshResource, resolved: Mapping[str, str] | None = None
) -> ProxyView:
    """What `dataplane` runs in zone east, in a mesh with mTLS unless another is given."""
    meshes = [r for r in others if r.key.type == "Mesh"] or [a_mesh()]
    state = from_resources((*meshes, dataplane, *others))
    context = mesh_context(state, "default", "east", frozenset(), resolved or {})
    return sidecar_view(context, dataplane, ProxyTraits(node_id="default.x")).view


def listeners(view: ProxyView) -> dict[str, InboundListener]:
    return {x.name: x for x in view.listeners if isinstance(x, InboundListener)}


def leads_to(view: ProxyView, port: int) -> tuple[str, int]:
    """Where the application behind an inbound is."""
    (listener,) = (x for x in listeners(view).values() if x.port == port)
    clusters = {c.name: c for c in view.clusters if isinstance(c, LocalCluster)}
    found = clusters[listener.cluster]
    return found.address, found.port


def of_east(state: MeshState, resolved: Mapping[str, str] | None = None) -> ViewResult:
    ingress = an_ingress("east")
    traits = ProxyTraits(node_id=".ingress-east")
    return ingress_view(state, ingress, "east", frozenset(), traits, resolved)


def snis(view: ProxyView) -> list[str]:
    (listener,) = view.listeners
    assert isinstance(listener, SniListener)
    return [chain.sni for chain in listener.chains]


# --- outbounds ---


@pytest.mark.parametrize(("mesh", "on"), [(a_mesh(), True), (a_mesh(mtls=None), False)])
def test_proxies_of_a_mesh_with_mtls_find_out_who_cannot_be_reached(
    mesh: MeshResource, on: bool
) -> None:
    """Whether or not there is an endpoint: a cluster that changes with its endpoints would warm
    anew.
    """
    web = a_dataplane("web", an_inbound("web"), to={10001: {SERVICE: "backend"}})
    for others in ((mesh,), (mesh, a_dataplane("b", an_inbound("backend")))):
        clusters = [c for c in sidecar(web, *others).clusters if isinstance(c, EdsCluster)]
        assert [c.detection for c in clusters] == [on]


def test_an_ingress_ejects_nobody() -> None:
    """Who is behind it is for the callers to find out, each by itself."""
    state = from_resources((a_mesh(), a_dataplane("b", an_inbound("backend"))))
    (cluster,) = (c for c in of_east(state).view.clusters if isinstance(c, EdsCluster))
    assert not cluster.detection


# --- inbounds ---


def behind(port: int, workload: str, workload_port: int, protocol: str = "http") -> Inbound:
    inbound = an_inbound(f"s{port}", port=port, protocol=protocol)
    return replace(inbound, workload_address=workload, workload_port=workload_port)


def test_inbounds_of_one_port_number_lead_each_to_its_own_application() -> None:
    first, second = behind(81, "127.0.0.1", 8080), behind(82, "127.0.0.2", 8080)
    view = sidecar(a_dataplane("web", first, second, behind(83, "127.0.0.1", 8080)))
    assert leads_to(view, 81) == ("127.0.0.1", 8080)
    assert leads_to(view, 82) == ("127.0.0.2", 8080)
    by_port = {x.port: x.cluster for x in listeners(view).values()}
    plain = local_cluster_name(8080)
    assert by_port == {81: plain, 82: f"{plain}:10.0.0.1:82", 83: plain}


def test_inbounds_of_one_port_on_several_addresses_lead_each_to_its_own_application() -> None:
    numbers = (1, 2, 3)
    inbounds = [replace(behind(81, f"127.0.0.{n}", 8080), address=f"10.0.0.{n}") for n in numbers]
    view = sidecar(a_dataplane("web", *inbounds))
    clusters = {c.name: c for c in view.clusters if isinstance(c, LocalCluster)}
    led = {x.address: clusters[x.cluster].address for x in listeners(view).values()}
    assert led == {f"10.0.0.{n}": f"127.0.0.{n}" for n in numbers}


def test_inbounds_of_one_application_keep_their_protocols_apart() -> None:
    view = sidecar(
        a_dataplane("two", behind(81, "127.0.0.1", 8080), behind(82, "127.0.0.1", 8080, "grpc"))
    )
    clusters = {c.name: c for c in view.clusters if isinstance(c, LocalCluster)}
    spoken = {x.port: clusters[x.cluster].protocol for x in listeners(view).values()}
    assert spoken == {81: "http", 82: "grpc"}


def test_inbounds_share_what_policies_do_to_them_but_for_the_names_of_tcp() -> None:
    item = {"targetRef": {"kind": "Mesh"}, "default": {"action": "Allow"}}
    allow = a_policy("MeshTrafficPermission", "all", {"from": [item]})
    inbounds = [behind(n, "127.0.0.1", n, p) for n, p in ((81, "http"), (82, "tcp"), (83, "tcp"))]
    view = sidecar(a_dataplane("web", *inbounds), a_mesh(mtls=MTLS), allow)
    confs = [applied.conf for x in listeners(view).values() for applied in x.applied]
    found = [conf.stat_prefix for conf in confs if isinstance(conf, Rbac)]
    assert found == ["", "inbound_10_0_0_1_82.", "inbound_10_0_0_1_83."]


def test_policy_for_the_inbounds_of_some_proxies_changes_no_others() -> None:
    item = {"targetRef": {"kind": "Mesh"}, "default": {"idleTimeout": "7s"}}
    target = {"kind": "Dataplane", "labels": {"app": "web"}}
    policy = a_policy("MeshTimeout", "web", {"targetRef": target, "from": [item]})
    idle = {}
    for app in ("web", "api"):
        (listener,) = listeners(
            sidecar(a_dataplane(app, an_inbound(app), labels={"app": app}), a_mesh(), policy)
        ).values()
        confs = [applied.conf for applied in listener.applied]
        idle[app] = [conf.idle.seconds for conf in confs if isinstance(conf, Timeouts)]
    assert idle == {"web": [7], "api": []}


def test_inbound_without_a_service_still_has_a_virtual_host() -> None:
    inbound = replace(an_inbound("web", port=80), tags=())
    (listener,) = listeners(sidecar(a_dataplane("web", inbound))).values()
    assert listener.service == "inbound:10.0.0.1:80"


def named(name: str) -> MeshResource:
    """A Dataplane whose address is a host name."""
    return a_dataplane("web", replace(an_inbound("web", address=name), workload_port=9000))


def test_proxy_with_a_host_name_listens_once_the_name_has_an_address() -> None:
    dataplane = named("web.example")
    assert listeners(sidecar(dataplane)) == {}
    view = sidecar(dataplane, resolved={"web.example": "10.0.0.7"})
    (listener,) = listeners(view).values()
    assert (listener.name, listener.address) == ("inbound:10.0.0.7:8080", "10.0.0.7")


def test_ingress_passes_on_to_a_proxy_with_a_host_name() -> None:
    state = from_resources((a_mesh(), named("web.example")))
    view = of_east(state, {"web.example": "10.0.0.7"}).view
    ((endpoint,),) = (e.endpoints for e in view.endpoints)
    assert (endpoint.address, endpoint.port) == ("10.0.0.7", 8080)


# --- outbounds ---


def test_route_to_a_name_that_proxies_use_for_themselves_goes_to_the_service() -> None:
    """Or it would lead to Envoy's admin interface, or take its place."""
    names = ("kuma:envoy:admin", "kuma:readiness", "ads_cluster", "localhost:8081")
    refs = [{"kind": "MeshService", "name": name} for name in names]
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "default": {"backendRefs": refs},
    }
    route = a_policy(
        "MeshHTTPRoute",
        "r",
        {"to": [{"targetRef": {"kind": "MeshService", "name": "backend"}, "rules": [rule]}]},
    )
    backend = a_dataplane("backend", an_inbound("backend", address="10.0.0.2"))
    caller = a_dataplane("web", an_inbound("web"), to={10001: {SERVICE: "backend"}})
    view = sidecar(caller, backend, route)
    assert [c.name for c in view.clusters if isinstance(c, EdsCluster)] == ["backend"]
    (outbound,) = (x for x in view.listeners if isinstance(x, OutboundListener))
    assert [[c.name for c in r.clusters] for r in outbound.routes] == [["backend"]]


def weights(view: ProxyView) -> dict[str, int]:
    (found,) = view.endpoints
    return {endpoint.address: endpoint.weight for endpoint in found.endpoints}


def test_every_instance_weighs_the_same_in_whichever_zone_it_is() -> None:
    """However many zones there are and ways into them; an ingress that does not offer the service
    counts for nothing.
    """
    caller = a_dataplane("web", an_inbound("web"), to={10001: {SERVICE: "backend"}})
    backend = a_dataplane("backend", an_inbound("backend", address="10.0.0.2"))
    west = an_ingress("west", offers("backend", 3, zone="west"))
    other = an_ingress("south", offers("other", zone="south"), address="203.0.113.9")
    view = sidecar(caller, backend, west, other)
    assert weights(view) == {"10.0.0.2": 1, "203.0.113.1": 3}
    north = [
        an_ingress("north", offers("backend", 4, zone="north"), name=f"n{n}", address=f"10.9.0.{n}")
        for n in (1, 2, 3)
    ]
    twin = an_ingress("west", offers("backend", 3, zone="west"), name="w2", address="203.0.113.2")
    found = weights(sidecar(caller, backend, west, twin, other, *north))
    assert found == {
        "10.0.0.2": 6,
        "203.0.113.1": 9,
        "203.0.113.2": 9,
        **{f"10.9.0.{n}": 8 for n in (1, 2, 3)},
    }


def test_a_way_that_offers_nobody_draws_nothing_and_takes_nothing() -> None:
    caller = a_dataplane("web", an_inbound("web"), to={10001: {SERVICE: "backend"}})
    backend = a_dataplane("backend", an_inbound("backend", address="10.0.0.2"))
    west = an_ingress("west", offers("backend", 3, zone="west"))
    old = an_ingress("west", offers("backend", 0, zone="west"), name="o", address="203.0.113.2")
    assert weights(sidecar(caller, backend, west, old)) == {"10.0.0.2": 1, "203.0.113.1": 3}


def test_tag_sets_behind_one_ingress_address_are_one_endpoint_of_their_common_weight() -> None:
    """Of two endpoints at one address Envoy keeps the first, and half of the instances would draw
    no traffic.
    """
    caller = a_dataplane("web", an_inbound("web"), to={10001: {SERVICE: "backend"}})
    west = an_ingress(
        "west",
        offers("backend", 3, zone="west", version="v1"),
        offers("backend", 2, zone="west", version="v2"),
    )
    (found,) = sidecar(caller, west).endpoints
    (endpoint,) = found.endpoints
    assert (endpoint.address, endpoint.weight) == ("203.0.113.1", 5)
    assert endpoint.tags == (("kuma.io/zone", "west"),)


def test_calls_of_a_permissive_mesh_are_tls_at_once() -> None:
    """No callee is asked whether it has its certificate: it got it with the listener."""
    caller = a_dataplane("web", an_inbound("web"), to={10001: {SERVICE: "backend"}})
    backend = a_dataplane("backend", an_inbound("backend", address="10.0.0.2"))
    for permissive in (True, False):
        mesh = a_mesh(mtls=replace(MTLS, permissive=permissive))
        (cluster,) = (
            c for c in sidecar(caller, backend, mesh).clusters if isinstance(c, EdsCluster)
        )
        assert cluster.tls is not None


def test_route_is_named_by_a_digest_in_hex() -> None:
    name = route_name(EVERYTHING)
    assert len(bytes.fromhex(name)) == 32
    assert name != route_name(replace(EVERYTHING, method="GET"))


# --- ingress ---


def subset_route(*versions: str) -> MeshResource:
    refs = [
        {"kind": "MeshServiceSubset", "name": "backend", "tags": {"version": v}} for v in versions
    ]
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "default": {"backendRefs": refs},
    }
    to = {"targetRef": {"kind": "MeshService", "name": "backend"}, "rules": [rule]}
    return a_policy("MeshHTTPRoute", "r", {"to": [to]})


def test_instances_with_names_of_their_own_are_passed_on_by_them() -> None:
    names = a_virtual_outbound(
        "instances",
        "{{.instance}}.{{.service}}.mesh",
        parameters=({"name": "service", "tagKey": "kuma.io/service"}, {"name": "instance"}),
    )
    state = from_resources(
        (
            a_mesh(),
            a_dataplane("one", an_inbound("web", tags={"instance": "web-0"})),
            a_dataplane("two", an_inbound("web", address="10.0.0.2", tags={"instance": "web-1"})),
            a_dataplane("three", an_inbound("api", address="10.0.0.3")),
            names,
        )
    )
    view = of_east(state).view
    own = {f"web{{instance={each},mesh=default}}" for each in ("web-0", "web-1")}
    assert set(snis(view)) == {"api{mesh=default}", "web{mesh=default}", *own}
    subsets = {c.name: c.subset_keys for c in view.clusters if isinstance(c, EdsCluster)}
    assert subsets == {"default:api": (), "default:web": (("instance",),)}


def test_a_new_name_of_an_instance_is_looked_at_by_ingresses() -> None:
    names = a_virtual_outbound("x", "{{.srv}}.mesh")
    assert touched_meshes(ResourceDiff((names,)), from_resources((a_mesh(),))).ingresses


def test_names_that_differ_in_case_only_do_not_close_the_ingress() -> None:
    """Envoy refuses a listener whose server names are equal in lower case."""
    state = from_resources(
        (
            a_mesh(),
            a_dataplane("one", an_inbound("backend", address="10.0.0.1")),
            a_dataplane("two", an_inbound("Backend", address="10.0.0.2")),
            subset_route("V1", "v1", "v2"),
        )
    )
    found = snis(of_east(state).view)
    assert len({sni.lower() for sni in found}) == len(found)
    assert {sni.lower() for sni in found} == {
        "backend{mesh=default}",
        "backend{mesh=default,version=v1}",
        "backend{mesh=default,version=v2}",
    }


def test_ingress_is_shared_by_all_meshes_and_passes_on_local_instances_only() -> None:
    state = from_resources(
        (
            a_mesh(),
            a_mesh("billing"),
            a_dataplane("one", an_inbound("backend", address="10.0.0.1")),
            a_dataplane("two", an_inbound("backend", address="10.0.0.2"), mesh="billing"),
            an_ingress("west", offers("backend", 5, zone="west")),
        )
    )
    view = of_east(state).view
    assert snis(view) == ["backend{mesh=billing}", "backend{mesh=default}"]
    reached = {e.cluster: [x.address for x in e.endpoints] for e in view.endpoints}
    assert reached == {"billing:backend": ["10.0.0.2"], "default:backend": ["10.0.0.1"]}


def test_ingress_with_a_host_name_listens_once_the_name_has_an_address() -> None:
    state = from_resources((a_mesh(),))
    plain = an_ingress("east")
    assert isinstance(plain.spec, ZoneIngressSpec)
    ingress = replace(plain, spec=replace(plain.spec, address="gate.example"))
    traits = ProxyTraits(node_id=".gate")
    unknown = ingress_view(state, ingress, "east", frozenset(), traits)
    assert unknown.view.listeners == ()
    known = ingress_view(state, ingress, "east", frozenset(), traits, {"gate.example": "10.0.0.5"})
    (listener,) = known.view.listeners
    assert listener.name == "inbound:10.0.0.5:10001"


@pytest.mark.parametrize(
    "one",
    [
        Reach(meshes=frozenset(["a"])),
        Reach(all_meshes=True),
        Reach(ingresses=True),
        Reach(certificates=frozenset(["a"])),
        Reach(egresses=True),
    ],
)
def test_what_one_part_of_a_change_reaches_the_whole_reaches(one: Reach) -> None:
    assert Reach() | one == one | Reach() == one | one == one
