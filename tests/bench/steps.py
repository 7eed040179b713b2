"""What a zone's decisions cost with many proxies: CPU time of the pure step alone, by what happens,
the longest single step, and how the cost grows with the fleet.

TLS, gRPC, decoding and the disk are not part of it: nothing is opened or sent. CPU time, because
a busy machine changes it little.
"""

from __future__ import annotations

import gc
import json
from typing import TYPE_CHECKING

from reconciler.runtime.collector import seldom
from reconciler.warm_up import warm_up
from tests.bench.figures import Figure, Scale, at_most, exponent
from tests.bench.views import policy as many_policies
from tests.support.step_fleet import (
    SPACING_S,
    StepFleet,
    document,
    mesh_with_mtls,
    permission,
    timeout,
    zone_of_steps,
)
from tests.support.zone import policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from reconciler.model.resource import MeshResource

INSTANCES = 10  # of each service
CALLS = 5  # services that each proxy calls
STEP_GOAL_MS = 10.0
# For 1,000 proxies; instance_*: of the service that all of them call.
GOALS_MS = {
    "connect_storm": 3000.0,
    "change_outbound": 300.0,
    "change_inbound": 300.0,
    "instance_new": 100.0,
    "instance_gone": 100.0,
    "idle_minute": 600.0,
}
RESPONSES = {  # to each proxy on the average: clusters and their endpoints, listeners, endpoints
    "change_outbound": 2.0,
    "change_inbound": 1.0,
    "instance_new": 1.2,  # and what the new one itself is sent
    "instance_gone": 1.0,
    "idle_minute": 0.0,
}


async def measure(scale: Scale) -> list[Figure]:
    sizes = (32, 64) if scale.quick else (125, 250, 500, 1000)
    warm_up()
    costs: dict[str, dict[int, float]] = {}
    longest: dict[str, float] = {}
    sent: dict[str, float] = {}
    for size in sizes:
        for name, (cpu_ms, by_event, responses) in phases(size).items():
            costs.setdefault(name, {})[size] = cpu_ms
            if size == sizes[-1]:
                longest |= {e: max(ms, longest.get(e, 0.0)) for e, ms in by_event.items()}
                sent[name] = responses / size
    many = _of_many_policies(scale.size(10_000, 400))
    return [*_of_phases(costs, sizes), *_of_responses(sent), *_of_steps(longest), *many]


def _of_many_policies(count: int) -> list[Figure]:
    """The longest step of a zone with a few proxies to which many policies come: all of them, one
    more, all of them changed; and of proxies that come then.
    """
    seldom()  # As a running zone has it.
    fleet = zone_of_steps()
    fleet.arrive_all((document(i, INSTANCES, CALLS) for i in range(20)), SPACING_S)
    base = (*mesh_with_mtls(), timeout(1000), permission("Allow"))
    first, more, others = (
        [*base, *(_sent(number, milliseconds) for number in range(size))]
        for size, milliseconds in ((count, 1000), (count + 1, 1000), (count + 1, 2000))
    )
    gc.collect()
    gc.freeze()
    found = []
    acts: list[tuple[str, Callable[[], None]]] = [
        ("first", lambda: fleet.commit("m1", *first)),
        ("one_more", lambda: fleet.commit("m2", *more)),
        ("all_changed", lambda: fleet.commit("m3", *others)),
        ("proxies", lambda: fleet.arrive_all((document(i, 10, CALLS) for i in range(20, 40)), 0.0)),
    ]
    for name, act in acts:
        fleet.reset()
        act()
        fleet.run(1.0)
        key, longest = f"zone_steps.policies_10000.{name}", max(fleet.longest_ms.values())
        found.append(Figure(key=key, values=(fleet.cpu_ms,), unit="CPU ms"))
        found.append(
            Figure(key=f"{key}.longest", values=(longest,), unit="CPU ms", goal=STEP_GOAL_MS)
        )
    gc.unfreeze()
    return found


def _sent(number: int, milliseconds: int) -> MeshResource:
    made = many_policies(number, 100, milliseconds)
    return policy(made.key.type, made.key.name, json.loads(made.body))


def _of_phases(costs: dict[str, dict[int, float]], sizes: tuple[int, ...]) -> list[Figure]:
    largest, found = sizes[-1], []
    for name, by_size in costs.items():
        goal = GOALS_MS.get(name) if largest == 1000 else None
        key = f"zone_steps.{name}"
        found.append(Figure(key=key, values=(by_size[largest],), unit="CPU ms", goal=goal))
        grows = exponent(sizes, [by_size[size] for size in sizes])
        found.append(Figure(key=f"{key}.exponent", values=(grows,)))
    return found


def _of_responses(sent: dict[str, float]) -> list[Figure]:
    """Not one more than a change needs, whatever the machine does."""
    return [
        Figure(
            key=f"zone_steps.responses.{name}",
            values=(sent[name],),
            unit="a proxy",
            check=at_most(most),
        )
        for name, most in RESPONSES.items()
    ]


def _of_steps(longest: dict[str, float]) -> list[Figure]:
    return [
        Figure(key=f"zone_steps.longest.{e}", values=(ms,), unit="CPU ms", goal=STEP_GOAL_MS)
        for e, ms in sorted(longest.items(), key=lambda found: -found[1])
    ]


def phases(size: int) -> dict[str, tuple[float, dict[str, float], int]]:
    """CPU ms of each phase, the longest step of each event in it, and responses to proxies."""
    fleet = zone_of_steps()
    services = max(1, size // INSTANCES)
    found: dict[str, tuple[float, dict[str, float], int]] = {}
    fleet.reset()
    gc.collect()
    gc.freeze()
    for name, act in _acts(fleet, size, services):
        act()
        found[name] = fleet.cpu_ms, fleet.longest_ms, fleet.effects["ToProxy"]
        fleet.reset()
    report = fleet.state.reported
    assert report is not None
    assert (report.total, report.acked) == (size, size), report
    gc.unfreeze()
    return found


def _acts(fleet: StepFleet, size: int, services: int) -> list[tuple[str, Callable[[], None]]]:
    another = services * size  # of s0
    documents = [document(i, services, CALLS) for i in range(size)]

    def storm() -> None:
        fleet.arrive_all(documents, SPACING_S)
        fleet.run(1.0)

    def change(commit: str, milliseconds: int, action: str) -> None:
        policies = (*mesh_with_mtls(), timeout(milliseconds), permission(action))
        fleet.commit(commit, *policies)
        fleet.run(1.0)

    def new() -> None:
        fleet.arrive(document(another, services, CALLS))
        fleet.run(1.0)

    def gone() -> None:
        fleet.leave(f"stream-{document(another, services, CALLS)['name']}")
        fleet.run(1.0)

    return [
        ("connect_storm", storm),
        ("counters", lambda: fleet.sleep(30.0)),
        ("change_outbound", lambda: change("c2", 2000, "Allow")),
        ("change_inbound", lambda: change("c3", 2000, "Deny")),
        ("instance_new", new),
        ("instance_gone", gone),
        ("settle", lambda: fleet.sleep(60.0)),
        ("idle_minute", lambda: fleet.sleep(60.0)),
    ]
