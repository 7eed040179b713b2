"""A zone with many proxies: what all of them have in common is computed once a turn of the loop,
not once for each event.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler import context, view
from reconciler.model.resource import ResourceKey
from reconciler.steps import zone_build, zone_certificates, zone_report
from reconciler.steps import zone_state as z
from reconciler.steps.proxies import Proxies
from reconciler.steps.zone_report import TELL_MAX
from reconciler.steps.zone_step import step
from tests.support.step_fleet import mesh_with_mtls, step_fleet, timeout
from tests.support.zone import INGRESS, Zone, dataplane, zone
from xds.delta_sender import DeltaSender
from xds.discovery import DeltaRequest, Node
from xds.resource import CLUSTER

if TYPE_CHECKING:
    import pytest

    from reconciler.steps.proxy_state import Proxy

REPORT_S = 0.11
GLOBAL_TYPES = ("Dataplane", "DataplaneInsight", "ZoneIngress")


def listened() -> Zone:
    """A zone whose global has subscribed to what it tells of its proxies."""
    made = zone()
    made.connect(INGRESS)
    made.deliver(z.GlobalConnected("k1"))
    for type_ in GLOBAL_TYPES:
        made.deliver(z.GlobalRequest("k1", DeltaRequest(type_)))
    acknowledge(made)
    return made


def told(effects: list[z.Effect], type_: str) -> list[z.ToGlobalResponse]:
    found = [e for e in effects if isinstance(e, z.ToGlobalResponse)]
    return [e for e in found if e.response.type_url == type_]


def acknowledge(made: Zone) -> None:
    """The global takes what is under way, until nothing more comes."""
    while waiting := [(t, s.in_flight) for t, s in made.state.link.senders.items() if s.in_flight]:
        for type_, nonce in waiting:
            made.deliver(z.GlobalRequest("k1", DeltaRequest(type_, nonce=nonce or "")))


def introduced(made: Zone, document: dict[str, Any]) -> tuple[z.Event, z.Event]:
    stream = f"many-{document['name']}"
    node = Node(
        f"default.{document['name']}", metadata={"dataplane.resource": json.dumps(document)}
    )
    request = z.ProxyRequest(stream, DeltaRequest(CLUSTER, node), made.now)
    return z.ProxyOpened(stream, "token"), request


def test_proxies_that_come_in_one_turn_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    made = listened()
    looks = 0
    services = zone_report.services

    def counted(*given: Any) -> Any:
        nonlocal looks
        looks += 1
        return services(*given)

    monkeypatch.setattr(zone_report, "services", counted)
    seen: list[z.Effect] = []
    for i in range(TELL_MAX):
        for event in introduced(made, dataplane(f"web-{i}", "web", address=f"10.0.1.{i + 1}")):
            made.state, effects = step(made.state, event)
            seen += effects
    assert told(seen, "Dataplane") == []
    assert any(isinstance(e, z.BuildSoon) for e in seen)
    assert told(made.deliver(z.BuildDue(made.now)), "Dataplane") == []
    assert looks == 1
    (response,) = told(made.deliver(z.Tick(made.now + REPORT_S)), "Dataplane")
    assert len(response.response.resources) == TELL_MAX
    assert looks == 1


def test_insights_of_many_are_made_a_few_at_a_time() -> None:
    """Encoding those of 1,000 proxies in one go would hold the loop for a third of a second."""
    made = listened()
    count = 2 * TELL_MAX + 1
    streams = [
        made.connect(dataplane(f"web-{i}", "web", address=f"10.0.{i}.1")) for i in range(count)
    ]
    acknowledge(made)
    for stream in streams:
        made.state, _ = step(made.state, z.ProxyClosed(stream, True, made.now))
    sizes = []
    events: list[z.Event] = [z.Tick(made.now + REPORT_S), *[z.BuildDue(made.now)] * 3]
    for event in events:
        made.state, effects = step(made.state, event)
        for response in told(list(effects), "DataplaneInsight"):
            sizes.append(len(response.response.resources))
            nonce = response.response.nonce
            answer = DeltaRequest("DataplaneInsight", nonce=nonce)
            made.state, _ = step(made.state, z.GlobalRequest("k1", answer))
    assert sizes == [TELL_MAX, TELL_MAX, 1]
    assert not made.state.untold
    assert not made.state.telling


def test_what_is_told_of_one_looks_at_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that comes to 40 others: nothing of them is compared, framed or sent."""
    made = listened()
    for i in range(40):
        made.connect(dataplane(f"web-{i}", "web", address=f"10.0.1.{i + 1}"))
    made.tick(REPORT_S)
    for _ in range(2):
        made.deliver(z.BuildDue(made.now))
        acknowledge(made)
    looks: list[object] = []

    def counted(state: z.ZoneState, key: ResourceKey) -> Any:
        looks.append(key)
        return of_one(state, key)

    def in_full(self: DeltaSender, *given: Any) -> Any:
        looks.append(self.type_url)
        return compared(self, *given)

    of_one, compared = zone_report._told, DeltaSender._changed
    monkeypatch.setattr(zone_report, "_told", counted)
    monkeypatch.setattr(DeltaSender, "_changed", in_full)
    made.connect(dataplane("web-40", "web", address="10.0.1.41"))
    looks.clear()
    effects = made.deliver(z.Tick(made.now + REPORT_S))
    for type_ in ("Dataplane", "DataplaneInsight"):
        (response,) = told(effects, type_)
        assert len(response.response.resources) == 1
    assert looks == [ResourceKey("Dataplane", "default", "web-40")]


def test_loss_that_is_held_is_not_held_anew_by_each_that_follows() -> None:
    made = zone()
    streams = [
        made.connect(dataplane(f"web-{i}", "web", address=f"10.0.1.{i + 1}")) for i in range(10)
    ]
    for stream in streams[:6]:
        made.lose(stream)
    first = made.state.proxies["default.web-0"]
    assert first.held_until is not None
    made.lose(streams[6])
    assert made.state.proxies["default.web-0"] is first


def test_instance_that_comes_or_goes_has_only_its_callers_computed_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = zone()
    for i in range(6):
        calls = ("backend",) if i < 2 else ("other",)
        made.connect(dataplane(f"web-{i}", f"web{i}", *calls, address=f"10.0.1.{i + 1}"))
    built: list[str] = []
    sidecar_view = view.sidecar_view

    def counted(of: Any, resource: Any, traits: Any) -> Any:
        built.append(traits.node_id)
        return sidecar_view(of, resource, traits)

    monkeypatch.setattr(zone_build, "sidecar_view", counted)
    stream = made.connect(dataplane("backend-1", "backend", address="10.0.2.1"))
    assert set(built) == {"default.backend-1", "default.web-0", "default.web-1"}
    built.clear()
    made.lose(stream)
    assert sorted(built) == ["default.web-0", "default.web-1"]


def test_many_events_of_one_turn_make_one_context(monkeypatch: pytest.MonkeyPatch) -> None:
    made = zone()
    streams = [
        made.connect(dataplane(f"web-{i}", "web", address=f"10.0.1.{i + 1}")) for i in range(8)
    ]
    contexts = 0
    mesh_context = context.mesh_context

    def counted(*given: Any, **named: Any) -> Any:
        nonlocal contexts
        contexts += 1
        return mesh_context(*given, **named)

    monkeypatch.setattr(zone_build, "mesh_context", counted)
    for stream in streams[:4]:
        made.state, _ = step(made.state, z.ProxyClosed(stream, True, made.now))
    assert contexts == 0
    made.deliver(z.BuildDue(made.now))
    assert contexts == 1


def test_ticks_of_a_fleet_at_rest_look_at_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    made = zone()
    for i in range(5):
        stream = made.connect(dataplane(f"web-{i}", "web", address=f"10.0.1.{i + 1}"))
        made.acknowledge_all(stream)
    made.tick(30.0)
    looks: list[str] = []
    known = Proxies.__getitem__

    def counted(self: Proxies, node: str) -> Any:
        looks.append(node)
        return known(self, node)

    def looked(proxy: Proxy, _now: float) -> bool:
        looks.append(proxy.node_id)
        return False

    monkeypatch.setattr(Proxies, "__getitem__", counted)
    monkeypatch.setattr(zone_certificates, "is_due", looked)
    made.tick(1.0)
    assert zone_report.report_of(made.state).acked == 5
    assert looks == []


def test_report_in_the_middle_of_a_push_looks_at_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = step_fleet(20, 2)
    fleet.commit("c2", *mesh_with_mtls(), timeout(2000))
    while not (fleet.state.dirty and fleet.state.proxies.pending):
        fleet.turn()
    for name in ("__getitem__", "get", "values", "those"):
        monkeypatch.delattr(Proxies, name)
    report = zone_report.report_of(fleet.state)
    assert (report.total, report.acked) == (20, 20 - report.pending)
    assert report.pending >= len(fleet.state.dirty) > 0
