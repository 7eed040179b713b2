"""A service in two zones as its callers see it: an application that falls ill behind its proxy, and
a gateway that only sends. Real Envoys, observed traffic.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from reconciler.demo.world import DemoError
from tests.support.fleet import ALLOW_ALL, App, Fleet, a_mesh
from tests.support.real_envoy import application, get

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(150),
    pytest.mark.asyncio(loop_scope="module"),
]
PROBE = {"tcp": {}, "interval": "0.2s", "timeout": "1s"}
PROBED_S = 0.2
NOTICED_MAX_S = 1.0  # from the probe that fails until no caller of any zone comes here
CALLS_PER_S = 40


@dataclass
class Ill:
    """An application that can be ended and started again on its port."""

    says: str
    port: int = 0
    _running: AbstractAsyncContextManager[int] | None = None

    async def start(self) -> None:
        self._running = application(self.says, self.port)
        self.port = await self._running.__aenter__()

    async def end(self) -> None:
        if self._running is not None:
            await self._running.__aexit__(None, None, None)
        self._running = None


@dataclass
class World:
    fleet: Fleet
    apps: dict[str, Ill]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """No retries: what a caller gets is what its endpoints are worth."""
    fleet = Fleet(
        tmp_path_factory.mktemp("two") / "f",
        mesh=a_mesh(skipCreatingInitialPolicies=["*"]),
        allow=ALLOW_ALL,
    )
    apps = {name: Ill(name) for name in ("east-1", "west-1", "west-2")}
    async with AsyncExitStack() as stack:
        stack.callback(fleet.stop)
        for app in apps.values():
            await app.start()
            stack.push_async_callback(app.end)
        await fleet.start_global()
        await asyncio.gather(*map(fleet.start_zone, fleet.zones))
        for zone in fleet.zones:
            fleet.ingress(f"ingress-{zone}", zone)
        for name, app in apps.items():
            probed = App("backend", app.port, probe=PROBE)
            fleet.sidecar(name, name.partition("-")[0], probed, to=("backend",))
        gateway = {"tags": {"kuma.io/service": "edge"}}
        fleet.sidecar("edge", "east", to=("backend",), gateway=gateway)
        await fleet.all_acked(east=3, west=3)
        made = World(fleet, apps)
        await fleet.until("all instances everywhere", lambda: _weights(fleet) == WHOLE)
        yield made


WHOLE = {"edge": 3, "east-1": 3, "west-1": 3, "ingress-west": 2, "ingress-east": 1}


def _weights(fleet: Fleet) -> dict[str, int]:
    """How many instances each proxy knows, behind whatever addresses."""
    found = {}
    for name in WHOLE:
        clusters = fleet.endpoints(name)
        known = clusters.get("backend") or clusters.get("default:backend") or {}
        found[name] = sum(known.values())
    return found


@dataclass
class Load:
    """Steady calls on connections of their own; when each began, and who answered."""

    ports: tuple[int, ...]
    answers: list[tuple[float, str]] = field(default_factory=list)

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._call(port)) for port in self.ports]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _call(self, port: int) -> None:
        while True:
            began = time.monotonic()
            try:
                status, body = await get(port)
            except (OSError, EOFError) as error:
                status, body = 0, repr(error)
            self.answers.append((began, body if status == 200 else f"{status} {body}"))
            await asyncio.sleep(max(0.0, began + 1 / CALLS_PER_S - time.monotonic()))

    def since(self, moment: float) -> set[str]:
        return {who for at, who in self.answers if at >= moment}

    async def until(self, wanted: set[str], of: Callable[[str], str] = str) -> None:
        """For a second exactly these answered."""
        end = time.monotonic() + 20
        while (found := set(map(of, self.since(time.monotonic() - 1.0)))) != wanted:
            assert time.monotonic() < end, f"{found} answered, not {wanted}"
            await asyncio.sleep(0.05)


def callers(fleet: Fleet, *names: str) -> tuple[int, ...]:
    return tuple(fleet.peers[name].calls["backend"] for name in names)


async def test_an_application_that_falls_ill_is_out_of_both_zones_at_once_and_comes_back(
    world: World,
) -> None:
    """Each time that to which the caller in east has its connection through the ingress: which does
    not end with the endpoint.
    """
    fleet, names = world.fleet, set(world.apps)
    edge, far = callers(fleet, "edge", "west-1")
    async with Load((edge,)) as away, Load((far,)) as near:
        for _ in range(2):
            await near.until(names)
            await away.until({"east", "west"}, zone_of)
            (says,) = (who for who in away.since(time.monotonic() - 0.5) if who != "east-1")
            ill, fell = world.apps[says], time.monotonic()
            await ill.end()
            await near.until(names - {says})
            await away.until({"east", "west"}, zone_of)
            answers = away.answers + near.answers
            failed = [at for at, who in answers if at >= fell and who not in names]
            assert max(failed, default=fell) - fell - PROBED_S < NOTICED_MAX_S
            assert _weights(fleet) == {
                "edge": 2, "east-1": 2, "west-1": 2, "ingress-west": 1, "ingress-east": 1,
            }  # fmt: skip
            rose = time.monotonic()
            await ill.start()
            await near.until(names)
            returned = min(at for at, who in near.answers if at >= rose and who == says)
            assert returned - rose - PROBED_S < NOTICED_MAX_S


def zone_of(says: str) -> str:
    return says.partition("-")[0]


async def test_a_gateway_that_only_sends_reaches_both_zones_and_is_nobodys_endpoint(
    world: World,
) -> None:
    fleet = world.fleet
    edge = fleet.peers["edge"]
    async with Load((edge.calls["backend"],)) as load:
        # One connection to an ingress leads to one instance behind it.
        await load.until({"east", "west"}, zone_of)
    dump = json.loads(fleet.asked("edge", "/listeners?format=json"))
    listens = {each["name"] for each in dump["listener_statuses"]}
    assert not [name for name in listens if name.startswith("inbound:")]
    assert f"outbound:127.0.0.1:{edge.calls['backend']}" in listens
    for name in (*WHOLE, "west-2"):
        assert not [cluster for cluster in fleet.endpoints(name) if "edge" in cluster]
    offered = fleet.git(None, "-C", str(fleet.bare), "show", "status/east:ingress.yaml")
    assert "backend" in offered
    assert "edge" not in offered


async def test_a_gateway_that_only_sends_is_in_the_inventory_and_in_plans(world: World) -> None:
    """It calls services, so a change may close its ways."""
    fleet = world.fleet
    listed = fleet.inventory()["inventory"]
    assert isinstance(listed, list)
    assert "edge" in json.dumps(listed), listed
    await fleet.until("its place in Git", lambda: _is_told(fleet))
    (fleet.work / "allow.yaml").unlink()
    fleet.git(fleet.work, "commit", "--quiet", "--all", "--message", "nobody may call")
    fetch = "+refs/heads/status/*:refs/heads/status/*"
    fleet.git(fleet.work, "fetch", "--quiet", "origin", fetch)
    told = await asyncio.to_thread(
        fleet.run_once, "plan", "origin/main..main", "--repo", str(fleet.work),
        "--format", "json", "--no-cache",
    )  # fmt: skip
    edges = {
        (e["caller"], e["service"]): (e["before"], e["after"]) for e in json.loads(told)["edges"]
    }
    assert edges["edge", "backend"] == ("OPEN", "DENIED")


def _is_told(fleet: Fleet) -> bool:
    try:
        shown = fleet.git(fleet.bare, "ls-tree", "-r", "--name-only", "status/east")
    except DemoError:
        return False
    return "proxies/default/edge.yaml" in shown
