"""Whom changes of services reach is built in rounds: a storm of arrivals builds each a few times,
a single change waits for nothing, and nobody is forgotten.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.steps import zone_build
from reconciler.steps import zone_state as z
from reconciler.steps.waiting import PAUSE, PAUSE_MAX_S, ROUND_MAX_S, Waiting
from reconciler.steps.zone_build import MANY, STORM_S
from tests.support.step_fleet import StepFleet, document, step_fleet, timeout, zone_of_steps
from xds.ads_stream import AdsStream
from xds.copying import replace

if TYPE_CHECKING:
    from reconciler.steps.proxy_state import Proxy
    from xds.discovery import DeltaResponse

SERVICES = 10
NODES = st.sets(st.sampled_from([f"n{i}" for i in range(12)]))


def taken(waiting: Waiting, count: int, now: float) -> tuple[tuple[str, ...], Waiting]:
    """The longest waiting few, and who waits still."""
    heads = waiting.heads(count)
    return heads.nodes, waiting.without_heads(heads, now)


class Builds:
    """How often each proxy's view and snapshot are made."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times: list[tuple[str, float]] = []
        build = zone_build._build

        def counted(state: z.ZoneState, proxy: Proxy, now: float) -> Any:
            self.times.append((proxy.node_id, now))
            return build(state, proxy, now)

        monkeypatch.setattr(zone_build, "_build", counted)


def test_storm_builds_each_proxy_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every tenth reaches all, each of the others half of them: without rounds, 13 times each."""
    fleet, builds = zone_of_steps(), Builds(monkeypatch)
    fleet.arrive_all([document(i, SERVICES, 5) for i in range(100)], 0.005)
    fleet.run(1.0)
    assert len(fleet.state.proxies) == 100
    assert not fleet.state.dirty
    assert len(builds.times) <= 8 * 100


def test_change_with_no_round_before_it_is_built_at_once() -> None:
    fleet = step_fleet(30, 3)
    fleet.run(2 * PAUSE_MAX_S)
    fleet.leave(f"stream-{document(3, 3, 5)['name']}")
    fleet.turn()  # It is known to be gone,
    fleet.turn()
    assert len(fleet.state.dirty.queue) == 29 - fleet.state.settings.build_batch
    assert not fleet.state.dirty.gathered


def test_change_after_a_round_that_nobody_waited_for_is_built_at_once() -> None:
    fleet = step_fleet(60, 3)
    fleet.run(2 * PAUSE_MAX_S)
    for number in (3, 6):
        fleet.leave(f"stream-{document(number, 3, 5)['name']}")
        fleet.turn()
        fleet.turn()
        assert fleet.state.dirty.left
        assert not fleet.state.dirty.gathered
        while fleet.state.dirty.left:
            fleet.turn()


def test_change_during_a_round_waits_for_the_next_and_no_longer() -> None:
    fleet = step_fleet(60, 3)
    fleet.run(2 * PAUSE_MAX_S)
    gone = [f"stream-{document(i, 3, 5)['name']}" for i in (3, 6)]
    fleet.leave(gone[0])
    while len(fleet.state.dirty.queue) < 20:
        fleet.turn()
    began = fleet.state.dirty.began
    _turns(fleet, 4)
    fleet.leave(gone[1])
    _turns(fleet, 2)
    waiting = fleet.state.dirty
    assert waiting.gathered
    assert waiting.began == began
    while fleet.state.dirty.left:
        fleet.turn()
    took = fleet.state.dirty.free_at - fleet.now
    while fleet.state.dirty.began == began:
        fleet.turn()
    assert fleet.state.dirty.began - began <= min((PAUSE + 1) * took, PAUSE_MAX_S) + 0.05


def test_new_proxy_and_policies_wait_for_no_round(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = step_fleet(60, 3)
    fleet.run(2 * PAUSE_MAX_S)
    pause = replace(fleet.state.dirty, free_at=fleet.now + PAUSE_MAX_S)
    fleet.state = replace(fleet.state, dirty=pause)
    builds, free_at = Builds(monkeypatch), fleet.state.dirty.free_at
    fleet.arrive(document(61, 3, 5))
    while not builds.times:
        fleet.turn()
    assert builds.times[0][0] == f"default.{document(61, 3, 5)['name']}"
    fleet.commit("c9", *fleet_policies(fleet), timeout(9000, name="other"))
    while len({node for node, _ in builds.times}) < 60:
        fleet.turn()
    assert builds.times[0][1] < free_at


def test_while_many_come_their_news_wait_for_one_round_in_ten_seconds() -> None:
    """Each of a thousand would be news to a thousand."""
    fleet = step_fleet(120, 3)
    fleet.run(2 * PAUSE_MAX_S)
    coming = [p for p in fleet.state.proxies.values() if p.stream is not None][:60]
    proxies = fleet.state.proxies
    for proxy in coming:
        proxies = proxies.insert(proxy.node_id, replace(proxy, ads=AdsStream.open()))
    began = fleet.state.dirty.began
    dirty = fleet.state.dirty.with_gathered(["default.s0-0"])
    for late, gathered in ((1.0, True), (STORM_S, False)):
        storm = replace(fleet.state, proxies=proxies, dirty=dirty)
        assert bool(zone_build.next_round(storm, began + late)[0].dirty.gathered) is gathered
    calm = replace(fleet.state, dirty=dirty)
    assert not zone_build.next_round(calm, began + 1.0)[0].dirty.gathered
    for number in range(60):  # These have just connected.
        dirty = dirty.with_new(f"default.new-{number}")
    calm = replace(fleet.state, dirty=dirty)
    assert zone_build.next_round(calm, began + 1.0)[0].dirty.gathered


def test_who_is_new_stands_behind_no_round_and_no_round_stands_behind_who_is_new() -> None:
    waiting = Waiting().with_queued(["a", "b", "c", "d"])
    for node in ("x", "c", "y"):
        waiting = waiting.with_new(node)
    batches = []
    while waiting:
        batch, waiting = taken(waiting, 2, 1000.0)
        batches.append(batch)
    assert batches == [("x", "a"), ("c", "b"), ("y", "d")]


@pytest.mark.parametrize("built_s", [1.0, 4.0])
def test_rounds_that_take_long_have_half_of_the_time(built_s: float) -> None:
    """They take until they are answered."""
    waiting, now = Waiting().with_gathered("a").at(1000.0), 1000.0
    began = []
    while now < 1040.0:
        began += [waiting.began] if waiting.left and waiting.began not in began else []
        if waiting.left and now - waiting.began >= built_s:
            _, waiting = taken(waiting, 2, now)
        if waiting.answering and now - waiting.began >= 4.0:
            waiting = waiting.answered(now)
        waiting = waiting.with_gathered("b").at(now)
        now += 0.25
    assert [round(after - before) for before, after in pairwise(began)][-3:] == [8, 8, 8]


def test_a_round_is_over_when_nearly_all_have_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one waits for that, in whose messages and answers its own would stand."""
    fleet = step_fleet(120, 3)
    sent: list[tuple[str, DeltaResponse]] = []
    fleet.run(2 * PAUSE_MAX_S)
    monkeypatch.setattr(fleet, "_received", lambda *response: sent.append(response))
    fleet.leave("stream-s0-0")
    _turns(fleet, 200)
    assert len(fleet.state.proxies.lagging) == 119
    began = fleet.state.dirty.began
    fleet.leave("stream-s0-3")
    _turns(fleet, 60)
    assert (len(fleet.state.dirty.gathered), fleet.state.dirty.began) == (118, began)
    while len(fleet.state.proxies.lagging) > MANY:
        assert fleet.state.dirty.began == began
        stream, response = sent.pop(0)
        if stream in fleet.envoys:
            fleet.envoys[stream].receive(response)
        fleet.turn()
    _turns(fleet, 5)
    assert fleet.state.dirty.began > began


def test_who_never_answers_is_waited_for_as_long_as_a_round_takes() -> None:
    waiting = Waiting().with_gathered("a").at(1000.0)
    _, waiting = taken(waiting, 2, 1001.0)
    assert waiting.answering
    assert waiting.with_gathered("b").at(1001.1).at(1003.0).left == 0
    begun = waiting.with_gathered("b").at(1001.1).at(1003.2)
    assert (begun.left, begun.took_s) == (1, 2.0), "the next one is waited for twice as long"
    assert waiting.with_gathered("b").at(1009.0).due == 1000.0 + ROUND_MAX_S
    late = waiting.answered(1001.0 + ROUND_MAX_S)
    assert (late.answering, late.took_s) == (False, 1.0), "who comes back much later took no round"


def test_who_says_nothing_for_a_whole_round_is_not_waited_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fleet = step_fleet(120, 3)
    fleet.run(2 * PAUSE_MAX_S)
    for stream in [f"stream-{document(i, 3, 5)['name']}" for i in range(1, 70)]:
        monkeypatch.setattr(fleet.envoys[stream], "receive", lambda _: None)
    for number, waits in ((90, True), (93, True), (96, False)):  # The first round falls silent.
        fleet.leave(f"stream-s0-{number}")
        fleet.run_for(ROUND_MAX_S)
        assert fleet.state.dirty.answering is waits
        if number == 93:  # They are sent a policy, and say nothing to that.
            fleet.commit("c9", *fleet_policies(fleet), timeout(9000, name="a"))
            fleet.run_for(PAUSE_MAX_S)
    assert len(fleet.state.proxies.lagging) == 69
    assert fleet.state.dirty.behind == 69


def test_who_has_answered_something_since_is_waited_for_however_often() -> None:
    """On a machine that is slow at messages everybody is late, and nobody silent."""
    waiting = Waiting().awaiting({"slow": 1, "silent": 1, "done": 1})
    assert waiting.behind == 0
    waiting = waiting.awaiting({"slow": 2, "silent": 1, "new": 1})
    assert waiting.behind == 1
    assert waiting.awaiting({"slow": 3, "new": 2}).behind == 0


def test_after_a_long_round_a_change_waits_ten_seconds_at_most() -> None:
    waiting = Waiting().with_gathered("a").at(1000.0)
    _, waiting = taken(waiting, 2, 1060.0)
    assert waiting.wait_max_s == ROUND_MAX_S


def fleet_policies(fleet: StepFleet) -> tuple[Any, ...]:
    return tuple(fleet.state.policy.by_key.values())


def in_order(waiting: Waiting) -> list[str]:
    return [node for node in waiting.queue if node in waiting.queued]


def _turns(fleet: StepFleet, count: int) -> None:
    for _ in range(count):
        fleet.turn()


@given(st.lists(st.tuples(st.sampled_from("qgntwa"), NODES, st.floats(0.0, 1.0)), max_size=40))
def test_nobody_is_forgotten_or_waits_too_long(acts: list[tuple[str, set[str], float]]) -> None:
    waiting, now, expected = Waiting(), 1000.0, set[str]()
    since: float | None = None
    longest = 0.0
    for kind, nodes, after in acts:
        now += after
        before = waiting
        if kind == "a":
            waiting = waiting.answered(now) if waiting.answering else waiting
        elif kind == "t":
            batch, waiting = taken(waiting.at(now), 3, now)
            assert len(set(batch)) == len(batch)
            assert set(batch) <= expected
            expected -= set(batch)
        elif kind == "w":
            waiting = waiting.without(nodes)
            assert (waiting is before) == (waiting == before)
            assert in_order(waiting) == [node for node in in_order(before) if node not in nodes]
            expected -= nodes
        else:
            for node in nodes if kind == "n" else ():
                waiting = waiting.with_new(node)
                assert waiting.heads(12).new == (*waiting.new,)
            if kind != "n":
                add = waiting.with_queued if kind == "q" else waiting.with_gathered
                waiting = add(nodes)
            assert (waiting is before) == (waiting == before)
            waiting = waiting.at(now)
            expected |= nodes
        longest = max(longest, waiting.took_s)
        since = (since if since is not None else now) if waiting.gathered else None
        latest = (since or now) + max(PAUSE_MAX_S, 2 * longest)
        assert waiting.due is None or (since is not None and waiting.due <= latest)
        assert set(waiting) == expected
        assert len(list(waiting)) == len(waiting) == len(expected)
        assert all(node in waiting for node in expected)
        assert bool(waiting) == bool(expected)
    for _ in range(20):
        now += max(PAUSE_MAX_S, 2 * longest)
        _, waiting = taken(waiting.at(now), 3, now)
    assert not waiting
