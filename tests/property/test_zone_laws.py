"""Laws of a zone's step: what it derives without a look at every proxy is what such a look finds,
whatever comes in whatever order.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rpds import HashTrieMap

from reconciler.context import mesh_context
from reconciler.kds.manifest import ConvergenceReport
from reconciler.model.resource import ResourceKey
from reconciler.steps import zone_certificates, zone_report
from reconciler.steps import zone_state as z
from reconciler.steps.proxies import Proxies, proxies_of
from reconciler.steps.proxy_state import Failing, Identity, Proxy
from reconciler.view import ProxyTraits, sidecar_view
from tests.simulation.documents import refused_timeout
from tests.support.step_fleet import StepFleet, document, mesh_with_mtls, permission, timeout
from tests.support.step_fleet import zone_of_steps as zone
from tests.support.zone import MESH, policy
from xds.snapshot import EMPTY

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource
    from reconciler.steps.zone_state import ZoneState

SERVICES, CALLS = 4, 3


def route(towards: str) -> MeshResource:
    """Requests to s1 go to another service, whose protocol decides whether they do."""
    reference = {"kind": "MeshService", "name": towards, "weight": 1}
    default = {"backendRefs": [reference]}
    path = {"path": {"type": "PathPrefix", "value": "/a"}}
    rules = [{"matches": [path], "default": default}]
    to = [{"targetRef": {"kind": "MeshService", "name": "s1"}, "rules": rules}]
    return policy("MeshHTTPRoute", "route", {"targetRef": {"kind": "Mesh"}, "to": to})


REFUSED_MS = 5
OPTIONAL = (
    timeout(1000),
    timeout(REFUSED_MS),
    timeout(2000),
    timeout(3000, "from", "inbounds"),
    permission("Deny"),
    route("s2"),
    route("s3"),
)
CAS = ("eA==", "eQ==")
NUMBERS = st.integers(0, 11)
ACTS = st.one_of(
    st.tuples(st.just("arrive"), NUMBERS, st.sampled_from(("http", "tcp"))),
    st.tuples(st.just("leave"), NUMBERS),
    st.tuples(st.just("cut"), NUMBERS),
    st.tuples(st.just("sleep"), st.sampled_from((0.2, 6.0, 15.0))),
    st.tuples(st.just("certificates"), st.sampled_from(("made", "awaited", "failed"))),
    st.tuples(
        st.just("commit"),
        st.sampled_from(("", *CAS)),  # "": without mTLS
        st.sets(st.sampled_from(range(len(OPTIONAL)))),
    ),
)


def act(fleet: StepFleet, what: tuple[object, ...], number: int) -> None:
    match what:
        case ("arrive", int(which), str(protocol)):
            found = document(which, SERVICES, CALLS)
            stream = f"stream-{found['name']}"
            if stream not in fleet.envoys and f"default.{found['name']}" not in connected(fleet):
                fleet.arrive(found | networking(found, protocol))
        case ("leave" | "cut" as kind, int(which)):
            stream = f"stream-{document(which, SERVICES, CALLS)['name']}"
            if stream in fleet.envoys:
                fleet.leave(stream, by_peer=kind == "leave")
        case ("sleep", float(seconds)):
            fleet.sleep(seconds)
        case ("certificates", str(how)):
            fleet.issuing = how == "made"
            for proxy in fleet.state.proxies.values() if how == "failed" else ():
                if proxy.own.issuing:
                    whose = proxy.node_id, proxy.key.mesh
                    fleet.deliver(z.IssueFailed(*whose, "no entropy", fleet.now))
        case ("commit", str(ca), set(chosen)):
            mesh = mesh_with_mtls(ca) if ca else (MESH,)
            policies = {r.key: r for r in (OPTIONAL[index] for index in sorted(chosen))}
            fleet.commit(f"commit-{number}", *mesh, *policies.values())
        case _:
            raise AssertionError(what)


def networking(found: dict[str, object], protocol: str) -> dict[str, object]:
    inner = found["networking"]
    assert isinstance(inner, dict)
    (inbound,) = inner["inbound"]
    tags = inbound["tags"] | {"kuma.io/protocol": protocol}
    return {"networking": inner | {"inbound": [inbound | {"tags": tags}]}}


def connected(fleet: StepFleet) -> set[str]:
    return {p.node_id for p in fleet.state.proxies.values() if p.stream is not None}


MANY = [(("arrive", number, "http"), 12) for number in range(10)]  # more than a turn builds
AWAITED = [(("certificates", "awaited"), 0), (("commit", CAS[1], {0}), 12)]


@example([*MANY, (("commit", CAS[0], {1}), 12), (("commit", CAS[1], {1, 3}), 12)])
@example([*MANY, *AWAITED, (("commit", CAS[1], {2}), 12)])
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(ACTS, st.integers(0, 12)), min_size=4, max_size=20))
def test_what_is_derived_is_what_a_look_at_every_proxy_finds(
    acts: list[tuple[tuple[object, ...], int]],
) -> None:
    assert refused_timeout(REFUSED_MS)
    fleet = zone()
    for number, (what, turns) in enumerate(acts):
        act(fleet, what, number)
        for _ in range(turns):
            fleet.turn()
            holds(fleet.state)
    fleet.run(1.0)
    holds(fleet.state)
    assert not fleet.state.dirty
    assert not fleet.state.reached


def holds(state: ZoneState) -> None:
    plain = proxies_of(state.proxies.values())
    for each in fields(Proxies):
        assert getattr(state.proxies, each.name) == getattr(plain, each.name), each.name
    assert zone_report.report_of(state) == plain_report(state)
    for proxy in state.proxies.values():
        mesh = state.policy.get(ResourceKey("Mesh", "", proxy.key.mesh))
        is_known = proxy.snapshot is not None and proxy.node_id not in state.dirty
        waits = state.reached or proxy.own.issuing or proxy.own.failing is not None
        if is_known and mesh is not None and not waits:
            assert proxy.view == plain_view(state, proxy), proxy.node_id


def plain_view(state: ZoneState, proxy: Proxy) -> object:
    absent = frozenset(p.key for p in state.proxies.values() if not p.present)
    mesh, zone_ = proxy.key.mesh, state.settings.zone
    context = mesh_context(state.merged, mesh, zone_, absent, dict(state.resolved))
    resource = state.local.get(proxy.key)
    assert resource is not None
    return sidecar_view(context, resource, proxy.traits).view


def plain_report(state: ZoneState) -> ConvergenceReport:
    here = [p for p in state.proxies.values() if p.stream is not None]
    rejections = sorted(r for p in here for r in zone_report.rejections(p))
    refused = {r.proxy for r in rejections}
    digests = zone_certificates.ca_digests(state)
    acked = [
        p
        for p in here
        if p.node_id not in refused
        and p.node_id not in state.dirty
        and p.is_current
        and zone_certificates.is_settled(p, digests)
    ]
    pending = len(here) - len(acked) - len(refused)
    found = ConvergenceReport(state.revision or "", len(here), len(acked), pending, len(refused))
    return replace(found, rejections=tuple(rejections))


def test_mesh_that_is_gone_and_comes_back_is_looked_at() -> None:
    fleet = zone()
    fleet.arrive(document(0, SERVICES, CALLS))
    fleet.run(0.1)
    fleet.commit("without")
    fleet.run(0.1)
    assert fleet.state.policy.get(ResourceKey("Mesh", "", "default")) is None
    fleet.commit("again", MESH, timeout(7000))
    fleet.run(0.1)
    holds(fleet.state)


FAILING = Identity(failing=Failing(("digest", "uri"), 1, 1000.0, "no entropy"))
KINDS: dict[str, tuple[Any, ...]] = {
    "stream": (None, "s1", "s2"),
    "failed": (False, True),
    "listening": (True, False),
    "leaving": (False, True),
    "lost_at": (None, 1000.0),
    "held_until": (None, 1001.0),
    "snapshot": (None, EMPTY),
    "identities": (HashTrieMap(), HashTrieMap({"default": FAILING})),
    "retire_at": (None, 1002.0),
    "services": ((), ("a",), ("a", "b")),
}
CHANGES = st.sampled_from([(kind, value) for kind, values in KINDS.items() for value in values])


@settings(max_examples=200, deadline=None)
@given(st.lists(CHANGES, min_size=10, max_size=30))
def test_what_is_kept_of_all_proxies_follows_whatever_changes_of_one(
    changes: list[tuple[str, Any]],
) -> None:
    key = ResourceKey("Dataplane", "default", "web")
    proxy = Proxy("default.web", key, ProxyTraits(node_id="default.web"), stream="s1")
    kept = proxies_of([proxy])
    for kind, value in changes:
        proxy = replace(proxy, **{kind: value})
        kept = kept.insert(proxy.node_id, proxy)
        assert kept == proxies_of([proxy]), kind
