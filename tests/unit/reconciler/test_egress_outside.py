"""The way out of the mesh at an egress: where TLS of the mesh ends, who may call, where it goes."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.instances import Place
from reconciler.offers import external_offers
from reconciler.policies.mesh_traffic_permission import Permission, Rbac
from reconciler.state import ResourceDiff, apply, from_resources
from reconciler.view import ProxyTraits, egress_view, ingress_view
from tests.support.egress import contexts
from tests.support.mesh import (
    a_dataplane,
    a_mesh,
    a_policy,
    an_egress,
    an_external,
    an_inbound,
    an_ingress,
    offers,
)
from tests.support.outside import Authority
from xds.build.clusters import build_cluster
from xds.build.listeners import build_listener
from xds.readable import readable
from xds.view import EndedChain, ExternalCluster, SniListener

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.context import MeshContext
    from reconciler.model.resource import MeshResource
    from reconciler.view import ViewResult

MESH, EGRESS = a_mesh(zone_egress=True), an_egress()
CA = Authority()
TLS = {"enabled": True, "caCert": {"inlineString": CA.cert.decode()}}


def view_in(found: dict[str, MeshContext], certified: Iterable[str] = ("default",)) -> ViewResult:
    traits = ProxyTraits(node_id=".egress")
    return egress_view(found.values(), EGRESS, "east", traits, certified=certified)


def view(*resources: MeshResource, certified: Iterable[str] = ("default",)) -> ViewResult:
    meshes = [] if any(r.key.type == "Mesh" for r in resources) else [MESH]
    return view_in(contexts(from_resources([*meshes, *resources])), certified)


def listener(result: ViewResult) -> SniListener:
    (found,) = result.view.listeners
    assert isinstance(found, SniListener)
    return found


def ended(result: ViewResult) -> list[EndedChain]:
    return list(listener(result).ended)


def passed(result: ViewResult) -> list[str]:
    return [chain.sni for chain in listener(result).chains]


def filters(chain: EndedChain) -> list[Rbac]:
    found = [applied.conf for applied in chain.applied if isinstance(applied.conf, Rbac)]
    assert len(found) == len(chain.applied)
    return found


def permissions(chain: EndedChain) -> list[Any]:
    return [found.permission for found in filters(chain)]


def allow(name: str, target: dict[str, Any], caller: str = "") -> MeshResource:
    whom = {"kind": "MeshSubset", "tags": {"kuma.io/service": caller}} if caller else None
    item = {"targetRef": whom or {"kind": "Mesh"}, "default": {"action": "Allow"}}
    return a_policy("MeshTrafficPermission", name, {"targetRef": target, "from": [item]})


def test_the_mesh_ends_at_a_chain_for_each_service_outside() -> None:
    result = view(an_external("pay", protocol="http", tls=TLS))
    (chain,) = ended(result)
    assert (chain.name, chain.snis) == ("pay_default", ("pay{mesh=default}",))
    assert (chain.cluster, chain.service, chain.protocol) == ("default:pay", "pay", "http")
    assert chain.tls.san_uri_prefixes == ("spiffe://default/",)
    (cluster,) = (c for c in result.view.clusters if isinstance(c, ExternalCluster))
    assert cluster.name == "default:pay"
    assert [e.address for e in cluster.endpoints] == ["pay.example"]
    assert result.view.secrets == (
        "external_ca:secret:default:pay",
        "identity_cert:secret:default",
        "mesh_ca:secret:default",
    )
    assert [s.name for s in result.outside] == ["external_ca:secret:default:pay"]
    assert result.identities == ("default",)


def test_without_a_certificate_of_the_mesh_its_services_wait_and_others_do_not() -> None:
    meshes = a_mesh("a", zone_egress=True), a_mesh("b", zone_egress=True)
    outside = an_external("pay", mesh="a"), an_external("pay", mesh="b")
    result = view(*meshes, *outside, certified=("b",))
    assert [chain.name for chain in ended(result)] == ["pay_b"]
    assert result.view.secrets == ("identity_cert:secret:b", "mesh_ca:secret:b")
    assert result.identities == ("a", "b")


def test_nobody_may_call_before_a_permission_says_so() -> None:
    (chain,) = ended(view(an_external("pay", protocol="http")))
    assert permissions(chain) == [Permission()]
    assert [found.stat_prefix for found in filters(chain)] == [""]
    (chain,) = ended(view(an_external("pay")))
    assert [found.stat_prefix for found in filters(chain)] == ["pay."]


def test_permissions_select_it_by_its_tags() -> None:
    pay = an_external("pay", zone="east")
    for target in (
        {"kind": "Mesh"},
        {"kind": "MeshService", "name": "pay"},
        {"kind": "MeshSubset", "tags": {"kuma.io/zone": "east"}},
    ):
        (chain,) = ended(view(pay, allow("one", target, "front")))
        (permission,) = permissions(chain)
        assert [p.uris for p in permission.allow] == [("spiffe://default/front",)], target
    for target in (
        {"kind": "MeshService", "name": "other"},
        {"kind": "Dataplane"},
        {"kind": "MeshSubset", "tags": {"kuma.io/zone": "west"}},
    ):
        (chain,) = ended(view(pay, allow("one", target)))
        assert permissions(chain) == [Permission()], target


def test_rules_for_callers_count_at_an_egress() -> None:
    spiffe = {"spiffeID": {"type": "Exact", "value": "spiffe://default/front"}}
    spec = {"targetRef": {"kind": "Mesh"}, "rules": [{"default": {"allow": [spiffe]}}]}
    (chain,) = ended(view(an_external("pay"), a_policy("MeshTrafficPermission", "one", spec)))
    (rules,) = permissions(chain)
    assert [match.spiffe_exact for named in rules for match in named.rule.allow] == [
        "spiffe://default/front"
    ]


def test_of_several_sets_of_tags_each_must_be_allowed() -> None:
    """Else a permission for one would open the other."""
    two = an_external("one", service="pay"), an_external("two", service="pay", protocol="http")
    target = {"kind": "MeshSubset", "tags": {"kuma.io/protocol": "http"}}
    (chain,) = ended(view(*two, allow("one", target)))
    assert len(permissions(chain)) == 2
    assert Permission() in permissions(chain)


def test_what_another_zone_alone_reaches_goes_on_to_its_ingress() -> None:
    offer = replace(offers("pay", zone="west"), external=True)
    there = an_ingress("west", offer)
    result = view(an_external("pay", zone="west"), there)
    assert (ended(result), passed(result)) == ([], ["pay{mesh=default}"])
    (assignment,) = result.view.endpoints
    assert [e.address for e in assignment.endpoints] == ["203.0.113.1"]
    assert result.identities == ()
    here = view(an_external("pay"), there)
    assert ([c.name for c in ended(here)], passed(here)) == (["pay_default"], [])
    assert here.view.endpoints == ()
    unknown = view(there)
    assert (ended(unknown), passed(unknown)) == ([], [])


def test_a_service_of_the_mesh_is_passed_on_and_ends_nowhere() -> None:
    result = view(an_external("pay"), an_ingress("west", offers("pay", zone="west")))
    assert (ended(result), passed(result)) == ([], ["pay{mesh=default}"])


def test_names_that_differ_in_case_only_do_not_close_the_egress() -> None:
    result = view(
        an_external("pay"), an_external("PAY"), an_ingress("west", offers("Pay", zone="west"))
    )
    snis = [sni for chain in ended(result) for sni in chain.snis]
    assert (snis, passed(result)) == (["PAY{mesh=default}"], [])


def test_meshes_without_zone_egress_are_not_let_out() -> None:
    result = view(a_mesh("default"), an_external("pay"))
    assert (ended(result), result.identities) == ([], ())


def test_what_does_not_concern_it_gives_the_same() -> None:
    state = from_resources([MESH, an_external("pay", tls=TLS)])
    known = contexts(state)
    before = view_in(known)
    state = apply(state, ResourceDiff((a_dataplane("x", an_inbound("x")),)))
    known = contexts(state, known)
    after = view_in(known)
    assert after.view.shared is before.view.shared
    assert ended(after)[0] is ended(before)[0]
    state = apply(state, ResourceDiff((allow("one", {"kind": "Mesh"}),)))
    opened = view_in(contexts(state, known))
    assert permissions(ended(opened)[0]) != permissions(ended(before)[0])
    assert opened.view.shared.clusters[0] == before.view.shared.clusters[0]


def test_a_service_of_the_mesh_that_comes_takes_the_name_of_one_outside() -> None:
    offer = replace(offers("pay", zone="west"), external=True)
    state = from_resources([MESH, an_external("pay", zone="west"), an_ingress("west", offer)])
    known = contexts(state)
    assert passed(view_in(known)) == ["pay{mesh=default}"]
    here = a_dataplane("pay-1", an_inbound("pay"))
    for change, expected in (
        (ResourceDiff((here,)), []),
        (ResourceDiff((), (here.key,)), ["pay{mesh=default}"]),
    ):
        state = apply(state, change)
        known = contexts(state, known)
        assert passed(view_in(known)) == expected


def to_pay(
    kind: str, default: dict[str, Any], target: dict[str, object] | None = None
) -> MeshResource:
    item = {"targetRef": {"kind": "MeshService", "name": "pay"}, "default": default}
    return a_policy(kind, "to-pay", {"targetRef": target or {"kind": "Mesh"}, "to": [item]})


def built(result: ViewResult) -> dict[str, Any]:
    (cluster,) = (c for c in result.view.clusters if isinstance(c, ExternalCluster))
    return dict(readable(build_cluster(cluster)))


HASHED = to_pay(
    "MeshLoadBalancingStrategy",
    {
        "loadBalancer": {"type": "RingHash"},
        "hashPolicies": [{"type": "Header", "header": {"name": "x-user"}}],
    },
)


def test_what_policies_say_of_a_service_outside_holds_where_calls_leave() -> None:
    pay = an_external("pay", "192.0.2.1:80", protocol="http")
    assert "lbPolicy" not in built(view(pay))
    assert built(view(pay, HASHED))["lbPolicy"] == "RING_HASH"
    timed = built(view(pay, to_pay("MeshTimeout", {"connectionTimeout": "3s"})))
    assert timed["connectTimeout"] == "3s"
    limits = {"connectionLimits": {"maxConnections": 7}}
    limited = built(view(pay, to_pay("MeshCircuitBreaker", limits)))
    assert [each["maxConnections"] for each in limited["circuitBreakers"]["thresholds"]] == [7]
    some: dict[str, object] = {"kind": "Dataplane", "labels": {"app": "web"}}
    unsaid = built(view(pay, to_pay("MeshTimeout", {"connectionTimeout": "3s"}, some)))
    assert unsaid["connectTimeout"] == "5s"


def test_a_call_is_hashed_where_it_leaves_and_timed_and_retried_by_its_caller_alone() -> None:
    pay = an_external("pay", "192.0.2.1:80", protocol="http")
    retry = to_pay("MeshRetry", {"http": {"numRetries": 3}})
    timeout = to_pay("MeshTimeout", {"http": {"requestTimeout": "3s"}})
    (chain,) = ended(view(pay, HASHED, retry, timeout, allow("all", {"kind": "Mesh"})))
    assert [each.hooks.policy for each in chain.applied] == [
        "mesh_traffic_permission", "mesh_load_balancing_strategy"
    ]  # fmt: skip
    (made,) = view(pay, HASHED, allow("all", {"kind": "Mesh"})).view.listeners
    assert isinstance(made, SniListener)
    text = json.dumps(readable(build_listener(made)))
    assert text.count('"hashPolicy": [{"header": {"headerName": "x-user"}}]') == 1


def test_policies_that_come_and_go_are_followed_there() -> None:
    state = from_resources([MESH, an_external("pay", "192.0.2.1:80", protocol="http")])
    known = contexts(state)
    before = view_in(known)
    for change in (ResourceDiff((HASHED,)), ResourceDiff((), (HASHED.key,))):
        state = apply(state, change)
        known = contexts(state, known)
        assert view_in(known).view == view(*state.all()).view
    assert view_in(known).view == before.view


# --- the zone's ingress ---


def ingress(*resources: MeshResource, egress: bool = True) -> ViewResult:
    own = an_ingress("east")
    state = from_resources([MESH, own, *resources, *([EGRESS] if egress else [])])
    return ingress_view(state, own, "east", frozenset(), ProxyTraits(node_id=".i"))


def test_an_ingress_leads_to_the_egresses_for_what_is_reached_from_here_alone() -> None:
    found = ingress(an_external("pay", zone="east"), an_external("all"), an_external("w", zone="w"))
    assert passed(found) == ["pay{mesh=default}"]
    (assignment,) = found.view.endpoints
    assert assignment.cluster == "default:pay"
    assert [(e.address, e.port) for e in assignment.endpoints] == [("10.8.0.1", 10002)]
    assert passed(ingress(an_external("pay", zone="east"), egress=False)) == []
    inside = ingress(an_external("pay", zone="east"), a_dataplane("pay-1", an_inbound("pay")))
    (assignment,) = inside.view.endpoints
    assert [e.address for e in assignment.endpoints] == ["10.0.0.1"]


def test_it_is_offered_to_other_zones_while_there_is_an_egress() -> None:
    place = Place("east")
    pay = an_external("pay", zone="east"), an_external("pay-2", service="pay", zone="east")
    state = from_resources([MESH, EGRESS, *pay, an_external("all")])
    (offer,) = external_offers(state, place)
    assert (offer.mesh, offer.instances, offer.external) == ("default", 2, True)
    assert dict(offer.tags) == {
        "kuma.io/service": "pay", "kuma.io/protocol": "tcp", "kuma.io/zone": "east"
    }  # fmt: skip
    for less in (
        Place("west"),
        Place("east", frozenset({EGRESS.key})),
    ):
        assert external_offers(state, less) == ()
    exclusive = a_mesh(zone_egress=True, mesh_services_mode="Exclusive")
    assert external_offers(from_resources([exclusive, EGRESS, *pay]), place) == ()
