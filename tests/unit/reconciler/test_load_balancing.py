"""What a MeshLoadBalancingStrategy says, and what it does to Envoy's messages and to views."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.locality import AffinityTag, LocalityConf, Reach, Step
from reconciler.model.decode import DecodeError
from reconciler.model.resource import SERVICE, ZONE, ResourceKey
from reconciler.policies.mesh_load_balancing_strategy import (
    POLICY,
    Balancer,
    HashPolicy,
    StrategyConf,
    decode_conf,
    locality,
    strategy,
)
from reconciler.policies.mesh_load_balancing_strategy_hooks import EFFECT
from reconciler.state import ResourceDiff, apply, from_resources
from reconciler.view import ProxyTraits, ViewResult, mesh_context, sidecar_view
from tests.support.mesh import a_dataplane, a_mesh, a_policy, an_inbound, an_ingress, offers
from xds.build.clusters import build_cluster
from xds.build.listeners import build_listener
from xds.hooks import Applied
from xds.readable import readable
from xds.resource import CLUSTER
from xds.route import Route, RouteMatch, WeightedCluster
from xds.view import EdsCluster, Endpoints, OutboundListener, Protocol

if TYPE_CHECKING:
    from reconciler.context import MeshContext
    from reconciler.model.resource import MeshResource
    from reconciler.policies.mesh_load_balancing_strategy import Strategy
    from reconciler.state import MeshState

HEADER = {"type": "Header", "header": {"name": "x-user"}}


def conf(**default: Any) -> StrategyConf:
    return decode_conf(default)


def merged(weak: StrategyConf, strong: StrategyConf) -> StrategyConf:
    found: StrategyConf = POLICY.merge(weak, strong)
    return found


# --- what is said ---


def test_everything_a_document_can_say_is_read() -> None:
    found = conf(
        localityAwareness={
            "disabled": False,
            "localZone": {"affinityTags": [{"key": "node", "weight": 90.0}, {"key": "az"}]},
            "crossZone": {
                "failover": [
                    {"from": {"zones": ["east"]}, "to": {"type": "Only", "zones": ["west"]}},
                    {"to": {"type": "None"}},
                ],
                "failoverThreshold": {"percentage": "70"},
            },
        },
        loadBalancer={"type": "Random"},
        hashPolicies=[HEADER],
    )
    assert locality(found) == LocalityConf(
        ranked=True,
        affinity=(AffinityTag("node", 90), AffinityTag("az")),
        steps=(Step(Reach.ONLY, frozenset({"west"}), frozenset({"east"})), Step(Reach.NONE)),
        overprovisioning=143,
    )
    assert strategy(found).balancer == Balancer("Random")
    assert strategy(found).weighted
    assert strategy(found).hash_policies == (HashPolicy("Header", "x-user"),)


@pytest.mark.parametrize("name", ["localZone", "crossZone"])
def test_what_is_said_to_be_nothing_is_said(name: str) -> None:
    assert locality(conf(localityAwareness={name: {}})) == LocalityConf(ranked=True)
    assert locality(conf(localityAwareness={})) == LocalityConf()


def test_locality_that_is_disabled_weighs_nothing() -> None:
    tags = {"affinityTags": [{"key": "node"}]}
    found = conf(localityAwareness={"disabled": True, "localZone": tags})
    assert locality(found) == LocalityConf(aware=False)
    assert not strategy(found).weighted


def test_a_stronger_item_changes_what_it_names_and_replaces_lists_whole() -> None:
    weak = conf(
        localityAwareness={"localZone": {"affinityTags": [{"key": "node"}, {"key": "az"}]}},
        loadBalancer={"type": "RingHash", "ringHash": {"minRingSize": 8, "maxRingSize": 64}},
        hashPolicies=[HEADER],
    )
    strong = conf(
        localityAwareness={
            "localZone": {"affinityTags": [{"key": "rack"}]},
            "crossZone": {"failover": [{"to": {"type": "Any"}}]},
        },
        loadBalancer={"type": "RingHash", "ringHash": {"maxRingSize": 32}},
    )
    found = merged(weak, strong)
    assert locality(found) == LocalityConf(
        ranked=True, affinity=(AffinityTag("rack"),), steps=(Step(Reach.ANY),)
    )
    assert strategy(found).balancer == Balancer("RingHash", min_ring_size=8, max_ring_size=32)
    assert strategy(found).hash_policies == (HashPolicy("Header", "x-user"),)


def test_of_another_load_balancer_nothing_is_left() -> None:
    ring = conf(loadBalancer={"type": "RingHash", "ringHash": {"hashPolicies": [HEADER]}})
    found = strategy(merged(ring, conf(loadBalancer={"type": "RoundRobin"})))
    assert (found.balancer, found.hash_policies) == (Balancer("RoundRobin"), ())


@pytest.mark.parametrize(("kind", "member"), [("RingHash", "ringHash"), ("Maglev", "maglev")])
def test_hash_policies_inside_a_load_balancer_count_where_none_stand_beside_it(
    kind: str, member: str
) -> None:
    inside = {"type": kind, member: {"hashPolicies": [HEADER]}}
    assert strategy(conf(loadBalancer=inside)).hash_policies == (HashPolicy("Header", "x-user"),)
    assert strategy(conf(loadBalancer=inside, hashPolicies=[])).hash_policies == ()


def test_a_step_to_nowhere_known_cannot_be_read() -> None:
    with pytest.raises(DecodeError):
        conf(localityAwareness={"crossZone": {"failover": [{"to": {"type": "Some"}}]}})


# --- what Envoy would refuse ---


@pytest.mark.parametrize(
    ("given", "sizes"),
    [
        ({"minRingSize": 64, "maxRingSize": 32}, (32, 32)),
        ({"maxRingSize": 512}, (512, 512)),
        ({"maxRingSize": 2048}, (None, 2048)),
        ({"minRingSize": 64, "maxRingSize": 128}, (64, 128)),
        ({}, (None, None)),
    ],
)
def test_a_ring_that_envoy_refuses_is_as_large_as_it_may_be(
    given: dict[str, int], sizes: tuple[int | None, int | None]
) -> None:
    found = strategy(conf(loadBalancer={"type": "RingHash", "ringHash": given})).balancer
    assert found is not None
    assert (found.min_ring_size, found.max_ring_size) == sizes


def test_a_table_that_envoy_refuses_has_its_own_size() -> None:
    sizes = [
        strategy(conf(loadBalancer={"type": "Maglev", "maglev": {"tableSize": size}})).balancer
        for size in (65537, 65536)
    ]
    assert sizes == [Balancer("Maglev", table_size=65537), Balancer("Maglev")]


def test_a_hash_policy_that_hashes_nothing_is_left_out() -> None:
    empty: list[dict[str, object]] = [
        {"type": "Header"},
        {"type": "Header", "header": {"name": "a\nb"}},
        {"type": "Connection", "connection": {"sourceIP": False}},
        {"type": "FilterState", "filterState": {"key": ""}},
        {"type": "Other"},
    ]
    assert strategy(conf(hashPolicies=empty)).hash_policies == ()


def test_the_old_word_for_a_connection_hashes_its_address() -> None:
    found = strategy(conf(hashPolicies=[{"type": "SourceIP", "connection": {}}]))
    assert found.hash_policies == (HashPolicy("Connection"),)


# --- Envoy's messages ---


def cluster(found: Strategy) -> dict[str, Any]:
    applied = (Applied(EFFECT.hooks, found),)
    shown: dict[str, Any] = readable(
        build_cluster(EdsCluster("backend", Protocol.HTTP, None, applied=applied))
    )
    return shown


@pytest.mark.parametrize(
    ("balancer", "expected"),
    [
        ({"type": "RoundRobin"}, {}),
        ({"type": "Random"}, {"lbPolicy": "RANDOM"}),
        (
            {
                "type": "LeastRequest",
                "leastRequest": {"choiceCount": 4, "activeRequestBias": "1.3"},
            },
            {
                "lbPolicy": "LEAST_REQUEST",
                "leastRequestLbConfig": {
                    "choiceCount": 4,
                    "activeRequestBias": {
                        "defaultValue": 1.3,
                        "runtimeKey": "upstream.least_request.active_request_bias",
                    },
                },
            },
        ),
        (
            {
                "type": "RingHash",
                "ringHash": {
                    "hashFunction": "MurmurHash2",
                    "minRingSize": 64,
                    "maxRingSize": 1024,
                },
            },
            {
                "lbPolicy": "RING_HASH",
                "ringHashLbConfig": {
                    "hashFunction": "MURMUR_HASH_2",
                    "minimumRingSize": 64,
                    "maximumRingSize": 1024,
                },
            },
        ),
        (
            {"type": "Maglev", "maglev": {"tableSize": 5}},
            {"lbPolicy": "MAGLEV", "maglevLbConfig": {"tableSize": 5}},
        ),
    ],
)
def test_a_load_balancer_is_the_clusters_own(balancer: Any, expected: dict[str, Any]) -> None:
    shown, plain = cluster(strategy(conf(loadBalancer=balancer))), cluster(strategy(conf()))
    added = {key: value for key, value in shown.items() if key not in plain}
    assert added == expected


def test_affinity_tags_weigh_localities() -> None:
    tags = {"localZone": {"affinityTags": [{"key": "node"}]}}
    shown = cluster(strategy(conf(localityAwareness=tags)))
    assert shown["commonLbConfig"] == {"localityWeightedLbConfig": {}}
    assert "commonLbConfig" not in cluster(strategy(conf(localityAwareness={"localZone": {}})))


EVERY_HASH = [
    {"type": "Header", "terminal": True, "header": {"name": "x-user"}},
    {"type": "Cookie", "cookie": {"name": "session", "ttl": "1h30m", "path": "/shop"}},
    {"type": "Connection", "connection": {"sourceIP": True}},
    {"type": "QueryParameter", "queryParameter": {"name": "user"}},
    {"type": "FilterState", "filterState": {"key": "tenant"}},
]


def listener(protocol: Protocol, found: Strategy) -> Any:
    applied = (Applied(EFFECT.hooks, found),)
    route = Route("r", RouteMatch(), (WeightedCluster("b", 1),), applied=applied)
    return readable(
        build_listener(
            OutboundListener("o", "127.0.0.1", 1, protocol, "b", (), (route,), applied=applied)
        )
    )


def values(found: Any, name: str) -> list[Any]:
    if isinstance(found, dict):
        own = [found[name]] if name in found else []
        return own + [v for inner in found.values() for v in values(inner, name)]
    return [v for inner in found for v in values(inner, name)] if isinstance(found, list) else []


def test_routes_hash_what_is_listed_in_its_order() -> None:
    shown = values(listener(Protocol.HTTP, strategy(conf(hashPolicies=EVERY_HASH))), "hashPolicy")
    assert shown == [
        [
            {"header": {"headerName": "x-user"}, "terminal": True},
            {"cookie": {"name": "session", "ttl": "5400s", "path": "/shop"}},
            {"connectionProperties": {"sourceIp": True}},
            {"queryParameter": {"name": "user"}},
            {"filterState": {"key": "tenant"}},
        ]
    ]


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        (EVERY_HASH, [[{"sourceIp": {}}]]),
        (EVERY_HASH[3:], [[{"filterState": {"key": "tenant"}}]]),
        (EVERY_HASH[:2], []),
    ],
)
def test_a_connection_without_requests_hashes_its_address(policies: Any, expected: Any) -> None:
    shown = listener(Protocol.TCP, strategy(conf(hashPolicies=policies)))
    assert values(shown, "hashPolicy") == expected


def test_what_a_listener_does_not_read_leaves_it_as_it_is() -> None:
    hooks = EFFECT.hooks
    assert hooks.of_cluster is not None
    assert hooks.of_listener is not None
    full = strategy(conf(loadBalancer={"type": "Random"}, hashPolicies=[HEADER]))
    assert hooks.of_cluster(full) == strategy(conf(loadBalancer={"type": "Random"}))
    assert hooks.of_listener(full) == strategy(conf(hashPolicies=[HEADER]))


def test_a_cookie_lives_as_long_as_is_said() -> None:
    found = [
        strategy(conf(hashPolicies=[{"type": "Cookie", "cookie": {"name": "c", **more}}]))
        for more in ({}, {"ttl": "0s"}, {"ttl": "-1s"}, {"ttl": "90s"})
    ]
    lives = [each.hash_policies[0].ttl for each in found]
    assert lives == [None, timedelta(), None, timedelta(seconds=90)]


# --- views ---

NODE = "node"


def caller(name: str, node: str, *, as_label: bool = False) -> MeshResource:
    labels = {ZONE: "east", **({NODE: node} if as_label else {})}
    tags = {} if as_label else {NODE: node}
    inbound = an_inbound("web", address="10.0.1.1", tags=tags)
    to = {20000: {SERVICE: "backend"}, 20001: {SERVICE: "other"}}
    return a_dataplane(name, inbound, to=to, labels=labels)


def instance(number: int, node: str, service: str = "backend") -> MeshResource:
    address = f"10.0.0.{number}"
    inbound = an_inbound(service, address=address, tags={NODE: node, ZONE: "east"})
    return a_dataplane(f"{service}-{number}", inbound, labels={ZONE: "east"})


def balanced(name: str = "lb", service: str = "backend", **default: Any) -> MeshResource:
    item = {"targetRef": {"kind": "MeshService", "name": service}, "default": default}
    return a_policy(POLICY.kind, name, {"targetRef": {"kind": "Mesh"}, "to": [item]})


BY_NODE = {"localZone": {"affinityTags": [{"key": NODE}]}}


def a_state(*more: MeshResource) -> MeshState:
    speaks: Any = {"kuma.io/protocol": "http", "zone": "west"}
    ingress = an_ingress("west", offers("backend", 3, **speaks), offers("other", **speaks))
    instances = [instance(1, "n1"), instance(2, "n2"), instance(3, "n1", "other")]
    return from_resources([a_mesh(), ingress, *instances, *more])


def context_of(state: MeshState, before: MeshContext | None = None) -> MeshContext:
    return mesh_context(state, "default", "east", frozenset(), {}, before)


def view(context: MeshContext, proxy: MeshResource) -> ViewResult:
    return sidecar_view(context, proxy, ProxyTraits(node_id=proxy.key.name))


def endpoints(found: ViewResult, cluster: str = "backend") -> Endpoints:
    return next(e for e in found.view.endpoints if e.cluster == cluster)


@pytest.mark.parametrize("as_label", [False, True])
def test_callers_prefer_the_instances_that_have_their_own_tag(as_label: bool) -> None:
    """A caller whose tag is a label is the same."""
    proxies = [caller(f"p{n}", f"n{n}", as_label=as_label) for n in (1, 2)]
    context = context_of(a_state(*proxies, balanced(localityAwareness=BY_NODE)))
    one, two = (endpoints(view(context, proxy)) for proxy in proxies)
    assert [(e.address, e.subzone) for e in one.endpoints] == [
        ("10.0.0.1", "node=n1"),
        ("10.0.0.2", ""),
    ]
    assert [(e.address, e.subzone) for e in two.endpoints] == [
        ("10.0.0.1", ""),
        ("10.0.0.2", "node=n2"),
    ]


def test_an_instance_whose_tag_is_a_label_is_as_near() -> None:
    """Also when the policy comes later than the instance."""
    inbound = an_inbound("backend", address="10.0.0.9", tags={ZONE: "east"})
    labelled = a_dataplane("backend-9", inbound, labels={ZONE: "east", NODE: "n1"})
    proxy = caller("p1", "n1")
    state = a_state(proxy, labelled)
    context = context_of(state)
    assert endpoints(view(context, proxy)).weights == ()
    state = apply(state, ResourceDiff(put=(balanced(localityAwareness=BY_NODE),)))
    found = endpoints(view(context_of(state, context), proxy))
    assert {e.address: e.subzone for e in found.endpoints} == {
        "10.0.0.1": "node=n1",
        "10.0.0.2": "",
        "10.0.0.9": "node=n1",
    }


def test_proxies_of_one_value_share_all_of_their_way_out() -> None:
    proxies = [caller(f"p{n}", f"n{n % 2}") for n in range(6)]
    context = context_of(a_state(*proxies, balanced(localityAwareness=BY_NODE)))
    halves = {id(view(context, proxy).view.shared) for proxy in proxies}
    assert len(halves) == 2
    # What no tag tells apart is the same for all.
    others = {endpoints(view(context, proxy), "other") for proxy in proxies}
    assert len(others) == 1


def test_a_tag_that_no_policy_names_tells_no_proxies_apart() -> None:
    proxies = [caller(f"p{n}", f"n{n}") for n in range(6)]
    context = context_of(a_state(*proxies, balanced(localityAwareness={"localZone": {}})))
    assert len({id(view(context, proxy).view.shared) for proxy in proxies}) == 1


def test_a_shadow_policy_names_no_tag() -> None:
    shadow = a_policy(
        POLICY.kind,
        "lb",
        {"to": [{"targetRef": {"kind": "Mesh"}, "default": {"localityAwareness": BY_NODE}}]},
        labels={"kuma.io/effect": "shadow"},
    )
    assert context_of(a_state(shadow)).place.affinity == frozenset()


def test_a_change_towards_one_service_leaves_the_endpoints_of_the_others() -> None:
    proxy = caller("p1", "n1")
    state = a_state(proxy, balanced(localityAwareness=BY_NODE))
    context = context_of(state)
    before = view(context, proxy)
    state = apply(state, ResourceDiff(put=(balanced("x", localityAwareness={"crossZone": {}}),)))
    after = view(context_of(state, context), proxy)
    assert endpoints(after, "other") is endpoints(before, "other")
    state = apply(state, ResourceDiff(put=(instance(4, "n1"),)))
    later = view(context_of(state, context), proxy)
    assert endpoints(later, "other") is endpoints(before, "other")
    assert len(endpoints(later).endpoints) == 3


def test_the_policies_behind_a_clusters_endpoints_are_among_its_origins() -> None:
    proxy = caller("p1", "n1")
    found = view(context_of(a_state(proxy, balanced(localityAwareness=BY_NODE))), proxy)
    assert found.origins[CLUSTER, "backend"] == (ResourceKey(POLICY.kind, "default", "lb"),)


def test_a_route_hashes_what_is_said_of_it() -> None:
    """And of all else what is said towards the service; the cluster's are not the route's."""
    match = {"path": {"type": "PathPrefix", "value": "/carts"}}
    backend = {"kind": "MeshService", "name": "backend", "weight": 1}
    rules = [{"matches": [match], "default": {"backendRefs": [backend]}}]
    to_backend = {"kind": "MeshService", "name": "backend"}
    route = a_policy(
        "MeshHTTPRoute",
        "carts",
        {"targetRef": {"kind": "Mesh"}, "to": [{"targetRef": to_backend, "rules": rules}]},
    )
    items = [
        {
            "targetRef": {"kind": "MeshHTTPRoute", "name": "carts"},
            "default": {"hashPolicies": [HEADER]},
        },
        {
            "targetRef": to_backend,
            "default": {"loadBalancer": {"type": "RingHash"}, "hashPolicies": EVERY_HASH[1:2]},
        },
    ]
    policy = a_policy(POLICY.kind, "lb", {"targetRef": {"kind": "Mesh"}, "to": items})
    proxy = caller("p1", "n1")
    found = view(context_of(a_state(proxy, route, policy)), proxy)
    listener = next(x for x in found.view.listeners if x.name == "outbound:127.0.0.1:20000")
    shown: Any = readable(build_listener(listener))
    (routes,) = values(shown, "routes")
    hashed = {
        next(iter(each["match"].values())): [next(iter(h)) for h in each["route"]["hashPolicy"]]
        for each in routes
    }
    assert hashed == {"/carts": ["header"], "/carts/": ["header"], "/": ["cookie"]}
