"""Laws of what a zone computes from resources: following changes gives what beginning anew gives,
and a change is looked at only where it matters.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from reconciler.context import mesh_context
from reconciler.decode import mesh_resource
from reconciler.mesh_names import Given
from reconciler.model.resource import SERVICE, ZONE, Labels, MeshResource, ResourceKey
from reconciler.model.spec import ReachableBackend, RefDestination, TransparentProxying
from reconciler.state import MeshState, ResourceDiff, apply, from_resources
from reconciler.vips.allocation import Pools
from tests.support.looked import looked
from tests.support.mesh import (
    MTLS,
    a_dataplane,
    a_mesh,
    a_mesh_service,
    a_multi_zone_service,
    a_policy,
    an_egress,
    an_external,
    an_inbound,
    an_ingress,
    offers,
)
from xds.build.secrets import ca_secret
from xds.translate import Builders, translate

if TYPE_CHECKING:
    from reconciler.instances import Target
    from reconciler.view import ViewResult
    from xds.snapshot import Snapshot
    from xds.view import ProxyView

SERVICES = ("web", "api", "db_shop_svc_80")
NODES = tuple(f"p{n}" for n in range(6))
HOSTS = ("one.example", "two.example")
INGRESSES = (("203.0.113.1", 10001), ("203.0.113.2", 10001))
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
    transparent = a_capture(draw) if draw.random() < 0.5 else None
    return a_dataplane(
        name, *inbounds, to=called, refs=refs, labels=labels, transparent=transparent
    )


def a_capture(draw: Draw) -> TransparentProxying:
    reachable = draw.choice(((), (), ("web",), ("none",)))
    backends = (
        None,
        (),
        (ReachableBackend("MeshService", "web"),),
        (ReachableBackend("MeshService", labels=(("team", "x"),)),),
        (ReachableBackend("MeshMultiZoneService", "all", port=81),),
    )
    direct = draw.choice(((), (), ("*",), ("api",)))
    ports = draw.choice(((15006, 15001), (15006, 15001), (0, 15001), (15006, 0)))
    return TransparentProxying(
        *ports,
        ipv6=draw.random() < 0.8,
        reachable_services=reachable,
        reachable_backends=draw.choice(backends),
        direct_access=direct,
    )


def a_name(draw: Draw) -> MeshResource:
    if draw.random() < 0.3:
        address = draw.choice(("pay.example:443", "10.0.0.1:8080", "192.0.2.9:80"))
        return an_external(draw.choice(("pay", "web")), address)
    if draw.random() < 0.5:
        key = ResourceKey("HostnameGenerator", "", f"g{draw.randint(0, 1)}")
        template = draw.choice(("{{ .DisplayName }}.real", "{{ .Zone }}.real"))
        team = {"matchLabels": draw.choice(({"team": "x"}, {}))}
        selector = {draw.choice(("meshService", "meshMultiZoneService")): team}
        return mesh_resource(key, Labels(), {"selector": selector, "template": template})
    conf = {
        "host": draw.choice(("{{.s}}.virtual", "{{.v}}.{{.s}}.virtual", "one.virtual")),
        "port": draw.choice(("80", "8080")),
        "parameters": [{"name": "s", "tagKey": SERVICE}, {"name": "v", "tagKey": "version"}],
    }
    selectors = [{"match": draw.choice(({SERVICE: "*"}, {SERVICE: "web"}, {"version": "v1"}))}]
    key = ResourceKey("VirtualOutbound", "default", f"v{draw.randint(0, 2)}")
    return mesh_resource(key, Labels(), {"selectors": selectors, "conf": conf})


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
    if made < 0.3:
        return some_policy(draw)
    if made < 0.38:
        return a_name(draw)
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
        passthrough=draw.random() < 0.7,
        mesh_services_mode=draw.choice(("Disabled", "Everywhere", "Exclusive")),
    )


def a_change(draw: Draw, state: MeshState) -> ResourceDiff:
    put = {r.key: r for r in (something(draw) for _ in range(draw.randint(0, 3)))}
    known = sorted(k for k in state.by_key if k not in put and k.type != "Mesh")
    drop = draw.sample(known, min(len(known), draw.choice((0, 0, 1))))
    return ResourceDiff(tuple(put.values()), tuple(drop))


@given(st.integers(0, 2**32))
def test_context_that_follows_changes_gives_the_views_of_one_made_from_nothing(seed: int) -> None:
    """And whoever has another view after a change is one that it says may have."""
    draw = Draw(seed)
    state = from_resources([a_mesh(), *(a_proxy(draw, name) for name in NODES)])
    context = mesh_context(state, "default", "east", frozenset(), {})
    before = looked(context, state)
    resolved: dict[str, str] = {}
    silent: frozenset[Target] = frozenset()
    for _ in range(8):
        state = apply(state, a_change(draw, state))
        keys = [r.key for type_ in ("Dataplane", "ZoneEgress") for r in state.of(type_)]
        absent = frozenset(draw.sample(keys, draw.randint(0, min(2, len(keys)))))
        if draw.random() < 0.3:
            resolved = {h: f"10.0.1.{draw.randint(1, 3)}" for h in HOSTS if draw.random() < 0.7}
        if draw.random() < 0.3:
            silent = frozenset(draw.sample(INGRESSES, draw.randint(0, 2)))
        context = mesh_context(state, "default", "east", absent, resolved, context, silent=silent)
        after = looked(context, state)
        kept = Given(context.names.allocations, Pools(), 0.0)
        plain = mesh_context(state, "default", "east", absent, resolved, silent=silent, given=kept)
        assert plain.names.allocations is kept.allocations
        expected = looked(plain, state)
        assert after == expected
        told = context.differing
        for key in before.keys() & after.keys() if told is not None else ():
            assert told is not None
            if key not in told.proxies and not told.concerns(before[key].services):
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
            if key not in told.proxies and not told.concerns(before[key].services):
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
