"""What a zone does for its proxies, by the turn of the loop: all of it waits in one queue."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import closing
from typing import TYPE_CHECKING
from weakref import ref

from reconciler.bootstrap_answer import ZoneFacts
from reconciler.steps import zone_state as z
from reconciler.store import Store
from reconciler.zone_cp.bootstrap import ZoneBootstrap
from reconciler.zone_cp.plane import GIVE_BACK_S, ZoneControlPlane
from tests.support.zone import dataplane, settings, zone
from xds.difference import Recent
from xds.turns import PIECES_A_TURN, TURN_S, Turns
from xds.view import EdsCluster, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

NODES = 30


async def test_certificates_builds_and_bootstraps_share_the_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs half of what a turn may take."""
    now, done = 0.0, list[str]()

    def work(what: str) -> str:
        nonlocal now
        now += TURN_S / 2
        done.append(what)
        return "not yet"

    def issue(wanted: z.IssueCertificate, _now: float) -> z.IssueFailed:
        return z.IssueFailed(wanted.node_id, wanted.mesh, "", 0)

    def deliver(event: z.Event) -> None:
        work(event.node_id if isinstance(event, z.IssueFailed) else type(event).__name__)

    store = Store(tmp_path / "store.sqlite")
    plane = ZoneControlPlane(settings(), store, logging.getLogger("test"))
    plane.turns = Turns(clock=lambda: now)
    monkeypatch.setattr(plane, "deliver", deliver)
    monkeypatch.setattr(plane, "unready", lambda: work("bootstrap"))
    monkeypatch.setattr("reconciler.zone_cp.plane.workload_certificate", issue)
    told = ZoneBootstrap(plane, ZoneFacts(zone="east", hosts=("127.0.0.1",), ads_port=1, ca_pem=""))
    wanted = [
        z.IssueCertificate(f"n{number}", "m", "b", (), b"", b"", 1, "") for number in range(NODES)
    ]
    for effect in wanted:
        plane._carry_out(effect)
    plane._carry_out(z.BuildSoon())
    plane._carry_out(z.BuildSoon())
    asked = [asyncio.create_task(told.bootstrap({}, "", "")) for _ in range(3)]
    assert done == []
    parts: list[int] = []
    async with asyncio.timeout(5):
        while (before := len(done)) < NODES + 4:
            await asyncio.sleep(0)
            parts.append(len(done) - before)
    assert max(parts) == 2
    assert done == [*(w.node_id for w in wanted), "BuildDue", *["bootstrap"] * 3]
    assert {answer.status for answer in await asyncio.gather(*asked)} == {503}
    plane.stop()
    store.close()


async def test_batches_of_a_change_are_built_as_long_as_a_turn_has_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first proxies of a change are dear, the others cheap."""
    now, costs, built = 0, deque([4, 1, 1, 1, 1, 1, 1]), list[int]()
    store = Store(tmp_path / "store.sqlite")
    plane = ZoneControlPlane(settings(), store, logging.getLogger("test"))

    def deliver(event: z.Event) -> None:
        nonlocal now
        now += costs.popleft()
        built[-1] += 1
        if costs:
            plane._carry_out(z.BuildSoon())

    monkeypatch.setattr(plane, "deliver", deliver)
    monkeypatch.setattr("reconciler.zone_cp.plane.perf_counter", lambda: now)
    monkeypatch.setattr("reconciler.zone_cp.plane.BUILD_S", 4)
    plane._carry_out(z.BuildSoon())
    async with asyncio.timeout(5):
        while costs:
            built.append(0)
            await asyncio.sleep(0)
    assert [count for count in built if count] == [1, 4, 2]
    plane.stop()
    store.close()


async def test_streams_that_close_at_once_are_taken_in_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path / "store.sqlite")
    plane = ZoneControlPlane(settings(), store, logging.getLogger("test"))
    closed: list[str] = []

    def deliver(event: z.Event) -> None:
        assert isinstance(event, z.ProxyClosed)
        closed.append(event.stream)

    monkeypatch.setattr(plane, "deliver", deliver)
    for number in range(100):
        plane.closed(f"ads-{number}", by_peer=True)
    parts: list[int] = []
    async with asyncio.timeout(5):
        while (before := len(closed)) < 100:
            await asyncio.sleep(0)
            parts.append(len(closed) - before)
    assert max(parts) <= PIECES_A_TURN
    assert closed == [f"ads-{number}" for number in range(100)]
    plane.stop()
    store.close()


async def test_what_proxies_have_in_common_is_forgotten_when_all_have_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back: list[bool] = []
    monkeypatch.setattr("reconciler.zone_cp.plane.give_back", lambda: given_back.append(True))
    made, cluster = zone(), EdsCluster("nobodys", Protocol.HTTP, None)
    built = ref(made.state.settings.builders.cluster(cluster))
    remembered: Recent[str] = Recent()
    remembered.get(lambda *_: "found", {"a name": 1})
    with closing(Store(tmp_path / "store.sqlite")) as store:
        plane = ZoneControlPlane(settings(), store, logging.getLogger("test"))
        woken: list[float] = []
        monkeypatch.setattr(plane._timer, "at", woken.append)
        stream = made.connect(dataplane("web-1", "web"))
        plane.state = made.state
        plane._tick(made.now)
        assert (len(remembered), built() is None, given_back) == (1, False, [])
        made.acknowledge_all(stream)
        plane.state = made.state
        for after_s in (0, GIVE_BACK_S - 1, GIVE_BACK_S, 2 * GIVE_BACK_S):
            if after_s == GIVE_BACK_S - 1:  # What comes meanwhile puts nothing off.
                remembered.get(lambda *_: "found", {"a name": 1})
            plane._tick(made.now + after_s)
            assert (len(remembered), built() is None) == (0, True)
            assert given_back == [True][: after_s >= GIVE_BACK_S]  # once
        assert woken.count(made.now + GIVE_BACK_S) == 1
        plane.stop()
