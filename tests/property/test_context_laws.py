"""Laws of what a zone computes from resources: following changes gives what beginning anew gives,
and a change is looked at only where it matters.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import context as contexts
from reconciler import destination, inbound, match, outward, view
from reconciler.context import MeshContext, mesh_context
from reconciler.model.resource import SERVICE, ZONE, MeshResource, ResourceKey
from reconciler.model.spec import RefDestination
from reconciler.state import MeshState, ResourceDiff, apply, from_resources
from reconciler.view import ProxyTraits, ViewResult, sidecar_view
from tests.support.mesh import (
    MTLS,
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
from xds.build.secrets import ca_secret
from xds.translate import Builders, translate
from xds.view import InboundListener

if TYPE_CHECKING:
    from reconciler.model.spec import Tags
    from xds.snapshot import Snapshot
    from xds.view import Half, ProxyView

SERVICES = ("web", "api", "db_shop_svc_80")
NODES = tuple(f"p{n}" for n in range(6))
HOSTS = ("one.example", "two.example")
REFS = (
    RefDestination("MeshService", "web", 80),
    RefDestination("MeshService", "", 80, (("team", "x"),)),
    RefDestination("MeshMultiZoneService", "all", 80),
    RefDestination("MeshMultiZoneService", "all", 81),
)
Draw = random.Random


def a_proxy(draw: Draw, name: str) -> MeshResource:
    shares = draw.random() < 0.5  # whose inbounds lead to one port
    inbounds = [
        an_inbound(
            service,
            address=draw.choice((f"10.0.0.{NODES.index(name) + 1}", draw.choice(HOSTS))),
            port=8080 + at,
            protocol=draw.choice(("http", "tcp", "grpc")),
            healthy=draw.random() < 0.8,
            tags={"version": draw.choice(("v1", "v2"))},
        )
        for at, service in enumerate(draw.sample(SERVICES, draw.randint(0, 2)))
    ]
    if shares:
        inbounds = [replace(each, workload_port=9000) for each in inbounds]
    called = {20000 + at: {SERVICE: s} for at, s in enumerate((*SERVICES, "none"))}
    called[30000] = {SERVICE: "web", "version": "v1"}
    refs = {40000 + at: draw.choice(REFS) for at in range(2)}
    labels = {"app": draw.choice(("a", "b")), ZONE: draw.choice(("east", "east", "west"))}
    if draw.random() < 0.5:
        labels["node"] = draw.choice(("n1", "n2"))
    return a_dataplane(name, *inbounds, to=called, refs=refs, labels=labels)


def a_target(draw: Draw) -> dict[str, object]:
    targets: tuple[dict[str, object], ...] = (
        {"kind": "Mesh"},
        {"kind": "Mesh", "proxyTypes": ["Gateway"]},
        {"kind": "Dataplane"},
        {"kind": "Dataplane", "labels": {"app": "a"}},
        {"kind": "Dataplane", "name": draw.choice(NODES)},
        {"kind": "Dataplane", "sectionName": "8080"},
        {"kind": "MeshSubset", "tags": {"version": "v1"}},
        {"kind": "MeshService", "name": "web"},
        {"kind": "MeshService", "name": "db", "namespace": "shop"},
        {"kind": "MeshServiceSubset", "name": "api", "tags": {"version": "v2"}},
        {"kind": "MeshHTTPRoute", "name": "r0"},
    )
    return draw.choice(targets)


def a_destination(draw: Draw) -> dict[str, object]:
    targets: tuple[dict[str, object], ...] = (
        {"kind": "Mesh"},
        {"kind": "MeshService", "name": draw.choice(SERVICES)},
        {"kind": "MeshService", "name": "db", "namespace": "shop"},
        {"kind": "MeshService", "labels": {"team": "x"}},
        {"kind": "MeshService", "labels": {"team": "x"}, "sectionName": "80"},
        {"kind": "MeshMultiZoneService", "name": "all"},
        {"kind": "MeshSubset", "tags": {"version": "v1"}},
        {"kind": "MeshServiceSubset", "name": "web", "tags": {"version": "v1"}},
    )
    return draw.choice(targets)


def some_policy(draw: Draw) -> MeshResource:
    number, labels = draw.randint(0, 4), {"kuma.io/effect": "shadow"}
    shadow = labels if draw.random() < 0.1 else None
    target = a_target(draw)
    match draw.randint(0, 3):
        case 0:
            span = f"{draw.randint(1, 9)}s"
            conf = draw.choice(({"connectionTimeout": span}, {"http": {"requestTimeout": span}}))
            section = draw.choice(("to", "to", "from"))
            towards = {"kind": "Mesh"} if section == "from" else a_destination(draw)
            spec = {"targetRef": target, section: [{"targetRef": towards, "default": conf}]}
            return a_policy("MeshTimeout", f"t{number}", spec, labels=shadow)
        case 1:
            backend = {"kind": "MeshService", "name": draw.choice(SERVICES), "weight": 1}
            backend |= draw.choice(({}, {"port": 80}))
            match_ = {"path": {"type": "Exact", "value": f"/{draw.randint(0, 2)}"}}
            rule = {"matches": [match_], "default": {"backendRefs": [backend]}}
            to = {"targetRef": {"kind": "MeshService", "name": "web"}, "rules": [rule]}
            return a_policy("MeshHTTPRoute", f"r{number}", {"targetRef": target, "to": [to]})
        case 2:
            to = {"targetRef": a_destination(draw), "default": a_strategy(draw)}
            spec = {"targetRef": target, "to": [to]}
            return a_policy("MeshLoadBalancingStrategy", f"b{number}", spec, labels=shadow)
        case _:
            action = {"action": draw.choice(("Allow", "Deny"))}
            item = {"targetRef": {"kind": "Mesh"}, "default": action}
            spec = {"targetRef": target, "from": [item]}
            return a_policy("MeshTrafficPermission", f"m{number}", spec)


def a_strategy(draw: Draw) -> dict[str, object]:
    tags = draw.sample(("node", "version", "app"), draw.randint(0, 2))
    only: dict[str, object] = {"type": "Only", "zones": ["west"]}
    step = draw.choice(({"type": "Any"}, only, {"type": "None"}))
    locality: dict[str, object] = {
        "disabled": draw.random() < 0.1,
        "localZone": {"affinityTags": [{"key": tag} for tag in tags]},
        "crossZone": {"failover": [{"to": step}]},
    }
    said: dict[str, object] = {
        name: locality[name] for name in draw.sample(sorted(locality), draw.randint(0, 3))
    }
    balancer = {"type": draw.choice(("RoundRobin", "Random"))}
    hashed = [{"type": "Header", "header": {"name": "x-user"}}]
    conf: dict[str, object] = {
        "localityAwareness": said,
        "loadBalancer": balancer,
        "hashPolicies": hashed,
    }
    return {name: conf[name] for name in draw.sample(sorted(conf), draw.randint(1, 3))}


def a_real(draw: Draw) -> MeshResource:
    ports = [{"port": 80, "targetPort": draw.choice((8080, 8081)), "appProtocol": "http"}]
    if draw.random() < 0.3:
        labels = {"team": draw.choice(("x", "y"))}
        selector = {"meshService": {"matchLabels": labels}}
        ports.append({"port": 81, "appProtocol": "tcp"})
        return a_multi_zone_service("all", {"selector": selector, "ports": ports}, labels)
    selectors: tuple[dict[str, object], ...] = (
        {"dataplaneTags": {SERVICE: draw.choice(SERVICES)}},
        {"dataplaneTags": {"version": "v1"}},
        {"dataplaneLabels": {"matchLabels": {"app": "a"}}},
        {"dataplaneRef": {"name": draw.choice(NODES)}},
    )
    spec = {
        "state": draw.choice(("Available", "Unavailable")),
        "selector": draw.choice(selectors),
        "ports": ports,
        "identities": draw.choice(([], [{"type": "ServiceTag", "value": "web"}])),
    }
    labels = {"team": draw.choice(("x", "y")), ZONE: draw.choice(("east", "west"))}
    return a_mesh_service(draw.choice(SERVICES), labels, spec=spec)


def something(draw: Draw) -> MeshResource:
    made = draw.random()
    if made < 0.35:
        return some_policy(draw)
    if made < 0.6:
        return a_proxy(draw, draw.choice(NODES))
    if made < 0.68:
        found = [offers(s, draw.randint(0, 2), zone="west") for s in SERVICES]
        at = f"203.0.113.{draw.randint(1, 2)}"
        return an_ingress("west", *draw.sample(found, draw.randint(0, 3)), address=at)
    if made < 0.73:
        return an_egress(draw.choice(("a", "b")), address=f"10.8.0.{draw.randint(1, 2)}")
    if made < 0.95:
        return a_real(draw)
    return a_mesh(
        mtls=draw.choice((None, MTLS)),
        locality_aware=draw.random() < 0.5,
        zone_egress=draw.random() < 0.5,
    )


def a_change(draw: Draw, state: MeshState) -> ResourceDiff:
    put = {r.key: r for r in (something(draw) for _ in range(draw.randint(0, 3)))}
    known = sorted(k for k in state.by_key if k not in put and k.type != "Mesh")
    drop = draw.sample(known, min(len(known), draw.choice((0, 0, 1))))
    return ResourceDiff(tuple(put.values()), tuple(drop))


def looked(context: MeshContext, state: MeshState) -> dict[ResourceKey, ViewResult]:
    return {
        proxy.key: sidecar_view(context, proxy, traits(proxy.key.name))
        for proxy in state.of("Dataplane")
    }


def traits(name: str) -> ProxyTraits:
    """Some have an admin interface, one of them where its second inbound may be."""
    ports = {"p0": 9901, "p1": 8081}
    return ProxyTraits(node_id=name, admin_port=ports.get(name, 0), readiness_port=9902)


@given(st.integers(0, 2**32))
def test_context_that_follows_changes_gives_the_views_of_one_made_from_nothing(seed: int) -> None:
    """And whoever has another view after a change is one that it says may have."""
    draw = Draw(seed)
    state = from_resources([a_mesh(), *(a_proxy(draw, name) for name in NODES)])
    context = mesh_context(state, "default", "east", frozenset(), {})
    before = looked(context, state)
    resolved: dict[str, str] = {}
    for _ in range(8):
        state = apply(state, a_change(draw, state))
        keys = [r.key for type_ in ("Dataplane", "ZoneEgress") for r in state.of(type_)]
        absent = frozenset(draw.sample(keys, draw.randint(0, min(2, len(keys)))))
        if draw.random() < 0.3:
            resolved = {h: f"10.0.1.{draw.randint(1, 3)}" for h in HOSTS if draw.random() < 0.7}
        context = mesh_context(state, "default", "east", absent, resolved, context)
        after = looked(context, state)
        plain = mesh_context(state, "default", "east", absent, resolved)
        expected = looked(plain, state)
        assert after == expected
        told = context.differing
        for key in before.keys() & after.keys() if told is not None else ():
            assert told is not None
            if key not in told.proxies and not told.services & set(before[key].services):
                assert after[key].view == before[key].view
        before = after


def something_about_places(draw: Draw) -> MeshResource:
    """One proxy's node, or a policy that names it or does not."""
    if draw.random() < 0.5:
        name = draw.choice(NODES)
        at = f"10.0.0.{NODES.index(name) + 1}"
        node = {"node": f"n{draw.randint(1, 2)}"}
        inbound = an_inbound("web", address=at, tags=draw.choice(({}, node)))
        labels = {ZONE: "east", **draw.choice(({}, node))}
        outbounds = {20000: {SERVICE: "web"}}
        return a_dataplane(name, inbound, to=outbounds, refs={40000: REFS[0]}, labels=labels)
    target = draw.choice(({"kind": "Mesh"}, {"kind": "Dataplane", "name": draw.choice(NODES)}))
    item = {"targetRef": {"kind": "Mesh"}, "default": a_strategy(draw)}
    name = f"b{draw.randint(0, 1)}"
    return a_policy("MeshLoadBalancingStrategy", name, {"targetRef": target, "to": [item]})


@given(st.integers(0, 2**32))
def test_who_is_preferred_follows_changes_too(seed: int) -> None:
    """Also the tags that are looked at at all: they are those that policies name."""
    draw = Draw(seed)
    west = an_ingress("west", offers("web", 1, zone="west"))
    ports = [{"port": 80, "targetPort": 8080, "appProtocol": "http"}]
    real = {"selector": {"dataplaneTags": {SERVICE: "web"}}, "ports": ports}
    state = from_resources([a_mesh(), west, a_mesh_service("web", {}, spec=real)])
    context = mesh_context(state, "default", "east", frozenset(), {})
    before: dict[ResourceKey, ViewResult] = {}
    for _ in range(8):
        put = {r.key: r for r in (something_about_places(draw) for _ in range(draw.randint(1, 3)))}
        policies = {k for k in state.by_key if k.type == "MeshLoadBalancingStrategy"}
        gone = [key for key in sorted(policies - put.keys()) if draw.random() < 0.3]
        state = apply(state, ResourceDiff(tuple(put.values()), tuple(gone)))
        context = mesh_context(state, "default", "east", frozenset(), {}, context)
        after = looked(context, state)
        assert after == looked(mesh_context(state, "default", "east", frozenset(), {}), state)
        told = context.differing
        for key in before.keys() & after.keys() if told is not None else ():
            assert told is not None
            if key not in told.proxies and not told.services & set(before[key].services):
                assert after[key].view == before[key].view
        before = after


@given(st.integers(0, 2**32))
def test_snapshot_made_from_the_one_before_is_the_one_made_whole(seed: int) -> None:
    draw = Draw(seed)
    state = from_resources([a_mesh(), *(a_proxy(draw, name) for name in NODES)])
    context = mesh_context(state, "default", "east", frozenset(), {})
    builders = Builders()
    known: dict[ResourceKey, tuple[ProxyView, Snapshot]] = {}
    for _ in range(6):
        for key, result in looked(context, state).items():
            now = result.view
            secrets = {name: ca_secret(name, bytes([draw.randint(0, 1)])) for name in now.secrets}
            found = translate(now, secrets, builders, known.get(key))
            assert found == translate(now, secrets, Builders())
            known[key] = now, found
        state = apply(state, a_change(draw, state))
        context = mesh_context(state, "default", "east", frozenset(), {}, context)


def mesh_of(count: int, services: int) -> tuple[MeshState, MeshContext]:
    """Each proxy is an instance of one service and calls two; a policy for each service's proxies,
    and one towards each service.
    """
    proxies = [
        a_dataplane(
            f"p{n}",
            an_inbound(f"s{n % services}", address=f"10.0.{n // 250}.{n % 250 + 1}"),
            to={20000 + i: {SERVICE: f"s{(n + i) % services}"} for i in (1, 2)},
            labels={"app": f"s{n % services}"},
        )
        for n in range(count)
    ]
    policies = [timeout(f"{kind}{n}", n, kind, 1) for n in range(services) for kind in "ab"]
    state = from_resources([a_mesh(), *proxies, *policies])
    context = mesh_context(state, "default", "east", frozenset(), {})
    looked(context, state)
    return state, context


def timeout(name: str, number: int, kind: str, seconds: int) -> MeshResource:
    service = {"kind": "MeshService", "name": f"s{number}"}
    target = (
        {"kind": "Mesh"} if kind == "b" else {"kind": "Dataplane", "labels": {"app": f"s{number}"}}
    )
    to = service if kind == "b" else {"kind": "Mesh"}
    item = {"targetRef": to, "default": {"connectionTimeout": f"{seconds}s"}}
    return a_policy("MeshTimeout", name, {"targetRef": target, "to": [item]})


def test_policy_towards_one_service_is_looked_at_there_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither proxies, nor services, nor policies are gone through for it."""
    state, context = mesh_of(60, 20)
    computed: list[object] = []
    selects: list[object] = []
    plain, select = destination._destination, match.select

    def computing(reader: Any, tags: Tags) -> destination.Destination:
        computed.append(tags)
        return plain(reader, tags)

    def selecting(policy: MeshResource, dataplane: MeshResource) -> tuple[int, ...] | None:
        selects.append(policy.key)
        return select(policy, dataplane)

    monkeypatch.setattr(destination, "_destination", computing)
    monkeypatch.setattr(match, "select", selecting)
    state = apply(state, ResourceDiff(put=(timeout("b7", 7, "b", 2),)))
    after = mesh_context(state, "default", "east", frozenset(), {}, context)
    assert after.differing is not None
    assert after.differing.services == {"s7"}
    assert not after.differing.proxies
    views = looked(after, state)
    callers = {key for key, result in views.items() if "s7" in result.services}
    assert len(callers) == 6
    # Once for each kind of caller (their own policies make two kinds), not for each of 60 proxies.
    assert computed == [((SERVICE, "s7"),)] * 2
    assert len(selects) <= 12


def test_policy_of_one_services_proxies_is_looked_at_by_them_only() -> None:
    state, context = mesh_of(60, 20)
    before = looked(context, state)
    state = apply(state, ResourceDiff(put=(timeout("a7", 7, "a", 2),)))
    after = mesh_context(state, "default", "east", frozenset(), {}, context)
    assert after.differing is not None
    assert {key.name for key in after.differing.proxies} == {"p7", "p27", "p47"}
    views = looked(after, state)
    anew = {key.name for key, result in views.items() if result is not before[key]}
    assert anew == {"p7", "p27", "p47"}


def test_instance_that_comes_is_looked_at_by_its_callers_only() -> None:
    state, context = mesh_of(60, 20)
    before = looked(context, state)
    another = a_dataplane("new", an_inbound("s7", address="10.1.0.1"))
    state = apply(state, ResourceDiff(put=(another,)))
    after = mesh_context(state, "default", "east", frozenset(), {}, context)
    assert after.differing is not None
    assert after.differing.services == {"s7"}
    kept = {n: after.topology.service(n) is context.topology.service(n) for n in ("s6", "s7")}
    assert kept == {"s6": True, "s7": False}
    views = looked(after, state)
    anew = {key for key, result in views.items() if result is not before.get(key)}
    assert anew == {key for key, r in views.items() if "s7" in r.services} | {another.key}
    assert after.era is context.era


def counted(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[object]:
    """Grows with every call of a function."""
    calls: list[object] = []
    plain = getattr(module, name)

    def counting(*args: Any) -> Any:
        calls.append(args[0])
        return plain(*args)

    monkeypatch.setattr(module, name, counting)
    return calls


def test_proxies_with_the_same_outbounds_pay_once_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty services of three instances each, all of which a wide policy changes."""
    state, context = mesh_of(60, 20)
    asked = counted(monkeypatch, outward, "destination")
    put_together = counted(monkeypatch, outward, "_outward")
    inward = counted(monkeypatch, view, "inward_of")
    own = counted(monkeypatch, view, "_own")
    wide = {"targetRef": {"kind": "Mesh"}, "default": {"connectionTimeout": "9s"}}
    policy = a_policy("MeshTimeout", "zz", {"targetRef": {"kind": "Mesh"}, "to": [wide]})
    state = apply(state, ResourceDiff(put=(policy,)))
    views = looked(mesh_context(state, "default", "east", frozenset(), {}, context), state)
    assert (len(asked), len(put_together), len(inward), len(own)) == (40, 20, 0, 0)
    assert len({id(result.view.shared) for result in views.values()}) == 20


def test_endpoints_alone_change_nothing_else_of_a_view(monkeypatch: pytest.MonkeyPatch) -> None:
    state, context = mesh_of(60, 20)
    before = looked(context, state)
    asked = counted(monkeypatch, outward, "destination")
    put_together = counted(monkeypatch, outward, "_outward")
    own = counted(monkeypatch, view, "_own")
    another = a_dataplane("new", an_inbound("s7", address="10.1.0.1"))
    state = apply(state, ResourceDiff(put=(another,)))
    context = mesh_context(state, "default", "east", frozenset(), {}, context)
    views = looked(context, state)
    assert (len(put_together), len(own)) == (1, 1)  # of the new one
    assert len(asked) == 2  # the ways to s7, of two kinds of caller
    changed = {key for key, result in views.items() if result is not before.get(key)}
    callers = changed - {another.key}
    assert len(callers) == 6
    for key in callers:
        was, now = before[key].view, views[key].view
        assert now.own is was.own
        assert now.shared.clusters is was.shared.clusters
        assert now.shared.listeners is was.shared.listeners
        assert now.shared.endpoints != was.shared.endpoints


def test_policy_of_inbounds_leaves_the_clusters_and_outbounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state, context = mesh_of(60, 20)
    before = looked(context, state)
    put_together = counted(monkeypatch, outward, "_outward")
    selected = counted(monkeypatch, contexts, "_selected")
    item = {"targetRef": {"kind": "Mesh"}, "default": {"action": "Allow"}}
    policy = a_policy("MeshTrafficPermission", "zz", {"from": [item]})
    state = apply(state, ResourceDiff(put=(policy,)))
    views = looked(mesh_context(state, "default", "east", frozenset(), {}, context), state)
    assert [put_together, selected] == [[], []]
    for key, result in views.items():
        assert result.view.shared is before[key].view.shared
        assert result.view.own.clusters is before[key].view.own.clusters
        assert result.view.own.listeners != before[key].view.own.listeners


def wide(conf: dict[str, object], direction: str = "to") -> MeshResource:
    item = {"targetRef": {"kind": "Mesh"}, "default": conf}
    return a_policy("MeshTimeout", "zz", {"targetRef": {"kind": "Mesh"}, direction: [item]})


def after(state: MeshState, context: MeshContext, *put: MeshResource) -> MeshContext:
    return mesh_context(
        apply(state, ResourceDiff(put)), "default", "east", frozenset(), {}, context
    )


@pytest.mark.parametrize("direction", ["to", "from"])
def test_a_conf_changes_what_reads_it_alone(direction: str) -> None:
    """Clusters read of a stream's length, listeners of a request's."""
    state, context = mesh_of(60, 20)
    context = after(state, context, wide({"http": {"maxStreamDuration": "9s"}}, direction))
    before = looked(context, state)
    context = after(state, context, wide({"http": {"maxStreamDuration": "8s"}}, direction))
    views = looked(context, state)
    for key, result in views.items():
        was, now = halves(before[key], direction), halves(result, direction)
        assert now.listeners is was.listeners
        assert now.clusters != was.clusters
    both = {"maxStreamDuration": "8s", "requestTimeout": "3s"}
    context = after(state, context, wide({"http": both}, direction))
    for key, result in looked(context, state).items():
        was, now = halves(views[key], direction), halves(result, direction)
        assert now.listeners != was.listeners
        assert now.clusters is was.clusters


def halves(result: ViewResult, direction: str) -> Half:
    """The one that policies of the direction shape."""
    return result.view.shared if direction == "to" else result.view.own


def test_what_policies_do_to_inbounds_is_found_once_for_all_whom_they_select_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of one service are selected by one more."""
    state, context = mesh_of(60, 20)
    own = {"kind": "Dataplane", "labels": {"app": "s7"}}
    item = {"targetRef": {"kind": "Mesh"}, "default": {"idleTimeout": "7s"}}
    state = apply(
        state,
        ResourceDiff(put=(a_policy("MeshTimeout", "s7", {"targetRef": own, "from": [item]}),)),
    )
    context = mesh_context(state, "default", "east", frozenset(), {}, context)
    looked(context, state)
    fitted = counted(monkeypatch, inbound, "_fit")
    chosen = counted(monkeypatch, inbound, "selections")
    for seconds in range(1, 30):
        context = after(state, context, wide({"idleTimeout": f"{seconds}s"}, "from"))
        views = looked(context, state)
        assert (len(fitted), len(chosen)) == (2 * seconds, 2 * seconds)  # of one kind
    assert len(context.cached.hosts) == 2
    own_listeners = [x for r in views.values() for x in r.view.own.listeners]
    applied = [id(x.applied) for x in own_listeners if isinstance(x, InboundListener)]
    assert (len(applied), len(set(applied))) == (60, 2)
    assert [len(hosts.at(context).fitted) for hosts in context.cached.hosts.values()] == [1, 1]
