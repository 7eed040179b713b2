"""What a change costs: how often proxies, destinations and inbounds are looked at, by count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from reconciler import context as contexts
from reconciler import destination, inbound, match, outward, view
from reconciler.context import MeshContext, mesh_context
from reconciler.model.resource import SERVICE, MeshResource
from reconciler.state import MeshState, ResourceDiff, apply, from_resources
from tests.support.looked import looked
from tests.support.mesh import (
    a_dataplane,
    a_mesh,
    a_policy,
    an_inbound,
)
from xds.view import InboundListener

if TYPE_CHECKING:
    from reconciler.model.spec import Tags
    from reconciler.view import ViewResult
    from xds.view import Half


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
    # And whoever calls instances by their addresses.
    assert after.differing.services == {"s7", "=s7", "=*"}
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
    changed = counted(monkeypatch, outward, "_changed")
    inward = counted(monkeypatch, view, "inward_of")
    own = counted(monkeypatch, view, "_own")
    wide = {"targetRef": {"kind": "Mesh"}, "default": {"connectionTimeout": "9s"}}
    policy = a_policy("MeshTimeout", "zz", {"targetRef": {"kind": "Mesh"}, "to": [wide]})
    state = apply(state, ResourceDiff(put=(policy,)))
    views = looked(mesh_context(state, "default", "east", frozenset(), {}, context), state)
    assert (len(asked), len(changed), put_together, inward, own) == (40, 20, [], [], [])
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
