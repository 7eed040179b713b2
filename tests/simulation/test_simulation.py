"""A thousand seeded worlds of trouble; each must heal. A failing seed replays: `pytest
--seed=N`.
"""

from __future__ import annotations

import pytest

from reconciler.model.spec import ZoneIngressSpec
from tests.simulation.envoy import TYPES
from tests.simulation.world import InvariantBroken, World

SEEDS = 1000
BATCH = 50


def run(seed: int) -> World:
    world = World(seed)
    world.clock.run_until(world.clock.now + 5.0)
    world.misbehave(12.0)
    world.heal()
    return world


def check_converged(world: World) -> None:
    """After healing every proxy holds the published revision."""
    published = world.globe.state.published
    assert published is not None
    assert published.commit == world.git.tip
    for zone in world.zones.values():
        assert zone.state.revision == world.git.tip
        assert not zone.state.dirty
        report = zone.state.reported
        assert report is not None
        assert (report.revision, report.total, report.acked) == (world.git.tip, 3, 3)
    for proxy in world.proxies.values():
        registered = world.zones[proxy.zone].state.proxies[proxy.envoy.node.id]
        assert registered.snapshot is not None
        wanted = {
            t: {name: r.version for name, r in registered.snapshot.of(t).items()} for t in TYPES
        }
        assert proxy.envoy.versions() == wanted


def check_reachable(world: World) -> None:
    """Both zones know each other's ingress, with the one backend and caller behind it."""
    for name, zone in world.zones.items():
        (ingress,) = zone.state.relayed.of("ZoneIngress")
        assert ingress.labels.get("kuma.io/zone") != name
        assert isinstance(ingress.spec, ZoneIngressSpec)
        found = ingress.spec.available_services
        services = {dict(s.tags)["kuma.io/service"]: s.instances for s in found}
        assert services == {"backend": 1, "caller": 1}


def check_quiet(world: World) -> None:
    """A quiet world sends no discovery response and makes no commit."""
    before = world.responses(), world.status_commits()
    world.clock.run_until(world.clock.now + 600.0)
    assert (world.responses(), world.status_commits()) == before


def check_status(world: World) -> None:
    """Each zone wrote its own ref, and nobody another's; it says what the zone last wanted."""
    assert set(world.git.refs) == {f"status/{name}" for name in world.zones}
    for name, zone in world.zones.items():
        assert zone.status.wanted is not None
        assert world.git.refs[f"status/{name}"][-1] == zone.status.wanted.digest


def seeds(option: int | None) -> list[range]:
    if option is not None:
        return [range(option, option + 1)]
    return [range(start, start + BATCH) for start in range(0, SEEDS, BATCH)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "batch" in metafunc.fixturenames:
        found = seeds(metafunc.config.getoption("--seed"))
        metafunc.parametrize("batch", found, ids=[f"seeds-{r.start}-{r.stop - 1}" for r in found])


def test_world_heals_after_any_trouble(batch: range) -> None:
    for seed in batch:
        try:
            world = run(seed)
            check_converged(world)
            check_reachable(world)
            check_status(world)
            check_quiet(world)
        except (AssertionError, InvariantBroken) as error:
            pytest.fail(f"seed={seed}: {error}; replay with pytest tests/simulation --seed={seed}")
