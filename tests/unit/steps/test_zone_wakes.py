"""A zone with nobody to disturb it: all that is due happens by the wakes it asked for itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.steps import zone_state as z
from reconciler.steps.proxies import Proxies
from tests.support.zone import INGRESS, MESH, START, Zone, dataplane, settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from reconciler.steps.proxy_state import Proxy


@dataclass
class QuietZone(Zone):
    wakes: set[float] = field(default_factory=set)

    def deliver(self, event: z.Event) -> list[z.Effect]:
        effects = super().deliver(event)
        self.wakes |= {e.at for e in effects if isinstance(e, z.WakeAt)}
        return effects

    def pass_time(self, seconds: float) -> None:
        """Ticks come at the moments asked for and at no other."""
        end = self.now + seconds
        while due := [at for at in self.wakes if at <= end]:
            self.now = max(self.now, min(due))
            self.wakes -= {at for at in due if at <= self.now}
            self.deliver(z.Tick(self.now))
        self.now = end

    @property
    def dataplanes(self) -> list[str]:
        return [r.key.name for r in self.state.local.of("Dataplane")]


def quiet() -> QuietZone:
    made = QuietZone(z.ZoneState(settings=settings()))
    made.deliver(z.Restored(START, (MESH,), revision="c1"))
    made.connect(INGRESS)
    return made


def test_proxy_that_stays_away_is_deregistered() -> None:
    made = quiet()
    stream = made.connect(dataplane("web", "web"))
    made.pass_time(100.0)
    made.lose(stream)
    made.pass_time(9.9)
    assert made.dataplanes == ["web"]
    made.pass_time(0.2)
    assert made.dataplanes == []


def test_each_of_two_lost_one_after_the_other_is_deregistered_in_its_time() -> None:
    made = quiet()
    streams = [made.connect(dataplane(n, n, address=f"10.0.0.{n[-1]}")) for n in ("w1", "w2")]
    made.pass_time(100.0)
    made.lose(streams[0])
    made.pass_time(5.0)
    made.lose(streams[1])
    made.pass_time(5.1)
    assert made.dataplanes == ["w2"]
    made.pass_time(5.0)
    assert made.dataplanes == []


def test_of_many_that_are_away_nobody_is_looked_at_before_something_is_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, looked = quiet(), list[str]()
    streams = [made.connect(dataplane(f"w{i}", "w", address=f"10.0.0.{i + 1}")) for i in range(9)]
    made.pass_time(100.0)
    for stream in streams:
        made.lose(stream)
    those = Proxies.those

    def counted(proxies: Proxies, nodes: Iterable[str]) -> list[Proxy]:
        looked.extend(nodes)
        return those(proxies, nodes)

    monkeypatch.setattr(Proxies, "those", counted)
    for _ in range(9):
        made.now += 1.0
        made.deliver(z.Tick(made.now))
    assert looked == []
    made.pass_time(100.0)
    assert looked
    assert made.dataplanes == []


def test_proxy_whose_stream_we_ended_has_the_grace_and_then_its_ten_seconds() -> None:
    made = quiet()
    stream = made.connect(dataplane("web", "web"))
    made.pass_time(100.0)
    made.lose(stream, by_peer=False)
    made.pass_time(59.9)
    assert made.services == {"web": 1}
    made.pass_time(0.2)
    assert made.services == {}
    assert made.dataplanes == ["web"]
    made.pass_time(10.0)
    assert made.dataplanes == []


def test_proxies_from_disk_that_never_come_back_go_by_themselves() -> None:
    before = quiet()
    before.connect(dataplane("web", "web"))
    made = QuietZone(z.ZoneState(settings=settings()))
    made.deliver(z.Restored(START, (MESH,), (), before.state.local.all(), "c1"))
    made.pass_time(69.9)
    assert made.dataplanes == ["web"]
    made.pass_time(0.2)
    assert made.dataplanes == []
