"""A zone with many proxies: what all of them have in common is computed once a turn of the loop,
not once for each event.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.kds.upward import INSIGHTS_MAX
from reconciler.steps import zone_report
from reconciler.steps import zone_state as z
from reconciler.steps.zone_step import step
from tests.support.zone import INGRESS, Zone, dataplane, zone
from xds.discovery import DeltaRequest, Node
from xds.resource import CLUSTER

if TYPE_CHECKING:
    import pytest

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
    for i in range(30):
        for event in introduced(made, dataplane(f"web-{i}", "web", address=f"10.0.1.{i + 1}")):
            made.state, effects = step(made.state, event)
            seen += effects
    assert told(seen, "Dataplane") == []
    assert any(isinstance(e, z.BuildSoon) for e in seen)
    (response,) = told(made.deliver(z.BuildDue(made.now)), "Dataplane")
    assert len(response.response.resources) == 30
    assert looks == 1


def test_insights_of_many_are_made_a_few_at_a_time() -> None:
    """Encoding those of 1,000 proxies in one go would hold the loop for a third of a second."""
    made = listened()
    count = 2 * INSIGHTS_MAX + 1
    streams = [
        made.connect(dataplane(f"web-{i}", "web", address=f"10.0.{i}.1")) for i in range(count)
    ]
    acknowledge(made)
    for stream in streams:
        made.state, _ = step(made.state, z.ProxyClosed(stream, True, made.now))
    sizes = []
    for _ in range(3):
        made.state, effects = step(made.state, z.BuildDue(made.now))
        for response in told(list(effects), "DataplaneInsight"):
            sizes.append(len(response.response.resources))
            nonce = response.response.nonce
            answer = DeltaRequest("DataplaneInsight", nonce=nonce)
            made.state, _ = step(made.state, z.GlobalRequest("k1", answer))
    assert sizes == [INSIGHTS_MAX, INSIGHTS_MAX, 1]
    assert not made.state.unpublished


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
