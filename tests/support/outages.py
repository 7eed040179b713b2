"""What may be lost in a mesh of two zones, and what its callers see of it. `make bench-failover`
measures each `Outage`, tests hold them to bounds.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from reconciler.demo.tour import Tour
from tests.support.steady import ANSWER_S, failed, gap, versions
from tests.support.two_zones import EAST, EVERYONE, WEST

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.steady import Call, Steady
    from tests.support.two_zones import TwoZones

CALM_S = 1.0  # of calls without a failure, answered by those who are to answer
RETURN_S = 60.0
ANSWERING = "w"  # the instance of the other zone that answers just now
MESH = "meshes/default.yaml"
LOCAL_FIRST = "routing: {localityAwareLoadBalancing: true}\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """`lost` are killed at once; else `breaks` and `heals` say what is done. `after` are those who
    may answer meanwhile.
    """

    name: str
    title: str
    lost: tuple[str, ...] = ()  # instances or processes
    how: signal.Signals = signal.SIGKILL
    before: frozenset[str] = EVERYONE
    after: frozenset[str] = EVERYONE
    quiet_s: float = 2.0  # watched before: what the machine itself does to such traffic
    watch_s: float = 6.0
    prepare: Callable[[TwoZones], Awaitable[None]] | None = None
    restore: Callable[[TwoZones], Awaitable[None]] | None = None
    breaks: Callable[[TwoZones], Awaitable[None]] | None = None
    heals: Callable[[TwoZones], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Seconds. `quiet_*` are of the time before: what is owed to the machine."""

    calls: int
    failed: int
    gap: float  # the longest time without a success
    settled: float  # until the last call that failed, or was answered by who should not have
    slowest: float  # of those that succeeded
    missing: float  # the longest time that one of those who stay answered nothing, until back
    back: float  # from the repair until only who is to answer does, and the planes are whole
    back_floor: float | None  # until the last listener of what was started takes connections
    failed_back: int  # calls that failed from the repair until then
    quiet_gap: float
    quiet_slowest: float
    quiet_failed: int
    statuses: dict[int, int] = field(default_factory=dict)  # of those that failed


async def measured(world: TwoZones, load: Steady, outage: Outage) -> Outcome:
    """Something is lost, is away for a while, and is repaired."""
    if outage.prepare is not None:
        await outage.prepare(world)
    await calm(world, load, outage.before)
    quiet = time.monotonic()
    await asyncio.sleep(outage.quiet_s)
    outage = _chosen(load, outage)
    began = time.monotonic()
    await (outage.breaks or partial(lose, outage=outage))(world)
    await asyncio.sleep(began + outage.watch_s - time.monotonic())
    repaired = time.monotonic()
    await load.came_to_something(began)
    floor = asyncio.create_task(listening(world, outage, repaired))
    await (outage.heals or partial(regain, outage=outage))(world)
    back = await calm(world, load, outage.before)
    await load.came_to_something(repaired)
    floor_s = await floor
    if outage.restore is not None:
        await outage.restore(world)
    return _outcome(load, outage, (quiet, began, repaired, back), floor_s)


def _chosen(load: Steady, outage: Outage) -> Outage:
    """With who answers for the other zone just now in the place of `ANSWERING`."""
    if ANSWERING not in outage.lost:
        return outage
    recent = load.since(time.monotonic() - CALM_S)
    chosen = next(call.version for call in reversed(recent) if call.version in WEST)
    return replace(outage, lost=(chosen,), after=outage.after - {chosen})


def _outcome(
    load: Steady, outage: Outage, moments: tuple[float, float, float, float], floor: float | None
) -> Outcome:
    quiet, began, repaired, back = moments
    before = [call for call in load.between(quiet, began) if call.ended < began]
    # What was under way belongs to it; that the lost one had answered it does not count.
    under_way = [c for c in load.between(quiet - ANSWER_S, began) if c.ended >= began]
    later = load.between(began, repaired)
    during = under_way + later
    wrong = [c.started for c in during if not c.ok]
    wrong += [c.started for c in later if c.ok and c.version not in outage.after]
    bad = failed(during)
    return Outcome(
        calls=len(during),
        failed=len(bad),
        gap=gap(during, began, repaired),
        settled=max([began, *wrong]) - began,
        slowest=slowest(during),
        missing=missing(load.between(began, back), outage, began, back),
        back=back - repaired,
        back_floor=floor,
        failed_back=len(failed(load.between(repaired, back))),
        quiet_gap=gap(before, quiet, began),
        quiet_slowest=slowest(before),
        quiet_failed=len(failed(before)),
        statuses={s: [c.status for c in bad].count(s) for s in sorted({c.status for c in bad})},
    )


def missing(calls: list[Call], outage: Outage, since: float, until: float) -> float:
    stay = outage.before & outage.after
    others = stay.intersection(WEST)  # One connection may lead to one of them alone.
    groups = [*({name} for name in stay.intersection(EAST)), *([others] if others else [])]
    answers = ([call for call in calls if call.version in group] for group in groups)
    return max((gap(found, since, until) for found in answers), default=0.0)


def slowest(calls: list[Call]) -> float:
    return max((call.ended - call.started for call in calls if call.ok), default=0.0)


async def calm(world: TwoZones, load: Steady, expected: frozenset[str]) -> float:
    """Waits until calls are as they should be for `CALM_S`; when that time began."""
    began = time.monotonic()
    good: float | None = None
    while True:
        now = time.monotonic()
        recent = load.between(now - 2 * CALM_S, now)
        wrong = [c.started for c in recent if not c.ok or c.version not in expected]
        since = max([began, *wrong])
        seen = [call for call in recent if call.started > since]
        if not _all_answer(versions(seen), expected) or not await asyncio.to_thread(world.whole):
            good = None
        else:
            good = max(good or now, since)
            if now - good >= CALM_S:
                return good
        if now - began > RETURN_S:
            found = f"{sorted(versions(recent))}, {len(failed(recent))} failed"
            raise AssertionError(f"calls are not answered by {sorted(expected)} but: {found}")
        await asyncio.sleep(0.02)


def _all_answer(seen: frozenset[str], expected: frozenset[str]) -> bool:
    """Through an ingress, which passes connections on, one instance may answer them all."""
    local = expected.intersection(EAST)
    return seen <= expected and local <= seen and bool(seen - local) == bool(expected - local)


# --- losing, and what comes back ---


def parts(world: TwoZones, lost: tuple[str, ...]) -> list[str]:
    """Processes, of an instance both."""
    found: list[str] = []
    for name in lost:
        found += world.parts_of(name) if name in EVERYONE else (name,)
    return found


async def lose(world: TwoZones, outage: Outage) -> None:
    names = parts(world, outage.lost)
    if outage.how is signal.SIGKILL:
        world.killed(names)
        return
    for name in names:
        if outage.how is signal.SIGSTOP:
            world.signalled(name, outage.how)
        elif not name.startswith("app-"):  # which is there for as long as it is asked
            world.processes[name].popen.send_signal(outage.how)


async def regain(world: TwoZones, outage: Outage) -> None:
    if outage.how is signal.SIGSTOP:
        for name in parts(world, outage.lost):
            world.signalled(name, signal.SIGCONT)
        return
    for name in outage.lost:
        if name in EVERYONE:
            for process in world.parts_of(name):
                world.processes[process].kill_now()
            world.start_instance(name)
        elif name == "global":
            world.run_global()
        elif name.startswith("zone-"):
            world.run_zone(name.removeprefix("zone-"))
        else:
            world.run_ingress(name.removeprefix("proxy-ingress-"))


async def listening(world: TwoZones, outage: Outage, since: float) -> float | None:
    """Seconds until what was started takes connections: nobody can call it sooner."""
    if outage.how is signal.SIGSTOP:
        return None
    ports = [world.instance(name).inbound_port for name in outage.lost if name in EVERYONE]
    zones = [z for z in world.zones if f"proxy-ingress-{z}" in outage.lost]
    ports += [world.ports[zone].ingress for zone in zones]
    for port in ports:
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                break
            await asyncio.sleep(0.01)
    return time.monotonic() - since if ports else None


async def local_first(world: TwoZones) -> None:
    text = (world.work / MESH).read_text() + LOCAL_FIRST
    await asyncio.to_thread(Tour(world, lambda _: None).push, MESH, text)


async def spread(world: TwoZones) -> None:
    text = (world.work / MESH).read_text().removesuffix(LOCAL_FIRST)
    await asyncio.to_thread(Tour(world, lambda _: None).push, MESH, text)


def _without(*lost: str) -> frozenset[str]:
    return EVERYONE - {*lost}


OUTAGES = (
    Outage(
        name="leave",
        title="an instance leaves (SIGTERM)",
        lost=("e1",),
        how=signal.SIGTERM,
        after=_without("e1"),  # once nobody calls it any more
    ),
    Outage(
        name="leave_remote",
        title="an instance of the other zone leaves",
        lost=(ANSWERING,),
        how=signal.SIGTERM,
    ),
    Outage(
        name="kill_instance",
        title="kill -9 an instance",
        lost=("e1",),
        after=_without("e1"),
    ),
    Outage(
        name="kill_remote",
        title="kill -9 an instance of the other zone",
        lost=(ANSWERING,),
    ),
    Outage(
        name="kill_service",
        title="kill -9 all instances of the other zone",
        lost=WEST,
        after=frozenset(EAST),
    ),
    Outage(
        name="kill_local",
        title="kill -9 all instances of the own zone",
        lost=EAST,
        after=frozenset(WEST),
    ),
    Outage(
        name="kill_ingress",
        title="kill -9 the other zone's ingress",
        lost=("proxy-ingress-west",),
        after=frozenset(EAST),
        watch_s=16.0,  # its zone deregisters it after 10
    ),
    Outage(
        name="kill_zone",
        title="kill -9 all of the other zone",
        lost=("zone-west", "proxy-ingress-west", *WEST),
        after=frozenset(EAST),
        watch_s=16.0,  # its endpoints stay: nobody is left to take them out
    ),
    Outage(
        name="kill_own_zone",
        title="kill -9 the own zone's control plane",
        lost=("zone-east",),
    ),
    Outage(
        name="kill_other_zone",
        title="kill -9 the other zone's control plane",
        lost=("zone-west",),
    ),
    Outage(name="kill_global", title="kill -9 the global", lost=("global",)),
    Outage(
        name="freeze_instance",
        title="an instance says nothing more (SIGSTOP)",
        lost=("e1",),
        how=signal.SIGSTOP,
        after=_without("e1"),
        watch_s=28.0,  # past the time at which who was left out is tried again
    ),
    Outage(
        name="freeze_remote",
        title="an instance of the other zone says nothing more (SIGSTOP)",
        lost=(ANSWERING,),
        how=signal.SIGSTOP,
        watch_s=28.0,
    ),
    Outage(
        name="freeze_ingress",
        title="the other zone's ingress says nothing more (SIGSTOP)",
        lost=("proxy-ingress-west",),
        how=signal.SIGSTOP,
        after=frozenset(EAST),
        watch_s=28.0,
    ),
    Outage(
        name="local_first",
        title="kill -9 all local instances, locality aware",
        lost=EAST,
        before=frozenset(EAST),
        after=frozenset(WEST),
        prepare=local_first,
        restore=spread,
    ),
)
