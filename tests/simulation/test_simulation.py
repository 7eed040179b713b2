"""A thousand seeded worlds of trouble; each must heal. A failing seed replays: `pytest
--seed=N`.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from reconciler.model.spec import ZoneIngressSpec
from reconciler.vips.entries import Entry, EntryKind
from tests.simulation import documents
from tests.simulation.envoy import TYPES, addresses, number_of
from tests.simulation.invariants import InvariantBroken
from tests.simulation.trouble import heal, misbehave
from tests.simulation.world import World
from tests.support.zone import Zone
from xds.resource import CLUSTER, ENDPOINT, SECRET

if TYPE_CHECKING:
    from reconciler.kds.manifest import ConvergenceReport
    from tests.simulation.parts import SimProxy, SimZone

SEEDS = 1000
BATCH = 50


def run(seed: int) -> World:
    world = World(seed)
    world.clock.run_until(world.clock.now + 2.0)
    misbehave(world, 1.0 + seed % 6)  # short and long troubles; a thousand must fit into a minute
    heal(world)
    return world


def running(world: World, zone: str) -> list[SimProxy]:
    return [p for p in world.proxies.values() if p.zone == zone and p.up]


def versions(found: dict[str, dict[str, str]], *, secrets: bool = True) -> dict[str, object]:
    return {t: found[t] for t in TYPES if secrets or t != SECRET}


def held(zone: SimZone | Zone, node: str) -> dict[str, dict[str, str]]:
    """What the zone wants a proxy to hold."""
    snapshot = zone.state.proxies[node].snapshot
    assert snapshot is not None
    return {t: {name: r.version for name, r in snapshot.of(t).items()} for t in TYPES}


def numbers_at(proxy: SimProxy) -> set[int]:
    """The commits whose timeouts the proxy runs with."""
    found = map(number_of, proxy.envoy.held[CLUSTER].values())
    return {number for number in found if number is not None}


def reported(zone: SimZone) -> ConvergenceReport:
    assert zone.state.reported is not None
    return zone.state.reported


def check_converged(world: World) -> None:
    """After healing every proxy holds the published revision, and both ends know it; what zones
    give to the others stands on the global's disk.
    """
    published = world.globe.state.published
    assert published is not None
    assert published.commit == world.git.tip
    for name, zone in world.zones.items():
        assert zone.state.revision == world.git.tip
        assert not zone.state.dirty
        count = len(running(world, name))
        report = reported(zone)
        assert (report.revision, report.total, report.acked) == (world.git.tip, count, count)
        record = world.globe.state.zones[name]
        assert record.report == report
        assert world.globe.relayed[name] == dict(record.relayed.by_key)
        for proxy in running(world, name):
            assert proxy.envoy.versions() == held(zone, proxy.envoy.node.id)
        issued = [p.own.certificate for p in zone.state.proxies.values()]
        signed = {certificate.backend for certificate in issued if certificate is not None}
        assert signed == {f"ca-{world.content.cas[0]}"}
        assert (zone.lost, world.globe.lost) == (set(), False)
        assert zone.state.gathering is None


def check_restart_changes_nothing(world: World) -> None:
    """A zone made anew from the disk, which computes everything at once, serves the same: nothing
    was left stale by the many small steps, and nothing is missing on disk.
    """
    for name, zone in world.zones.items():
        anew = Zone(world.new_zone(name), world.clock.now)
        anew.deliver(world.restored(zone))
        assert {r.key for r in anew.state.local.all()} == {r.key for r in zone.state.local.all()}
        for proxy in running(world, name):
            anew.connect(json.loads(str(proxy.envoy.node.metadata["dataplane.resource"])))
        anew.tick(anew.state.settings.services_interval_s)  # What is counted is told by then.
        assert anew.state.local == zone.state.local
        for proxy in running(world, name):
            node = proxy.envoy.node.id
            wanted = versions(held(anew, node), secrets=False)
            assert versions(held(zone, node), secrets=False) == wanted


def check_reachable(world: World) -> None:
    """Both zones, and the global, know the ingress of the other with exactly what runs behind it;
    and callers send to every backend: their own by address, the others' by the ingress.
    """
    for name, zone in world.zones.items():
        (other,) = set(world.zones) - {name}
        (ingress,) = zone.state.relayed.of("ZoneIngress")
        assert ingress.labels.get("kuma.io/zone") == other
        assert isinstance(ingress.spec, ZoneIngressSpec)
        found = ingress.spec.available_services
        services = {dict(s.tags)["kuma.io/service"]: s.instances for s in found}
        assert services == services_of(world, other)
        owned = world.globe.state.zones[other].owned
        assert {
            r.display_name for r in owned.all() if r.key.type in ("Dataplane", "ZoneIngress")
        } == {p.envoy.node.id.partition(".")[2] for p in running(world, other)}
        caller = world.proxies[f"default.caller-{name}@{name}"]
        hosts = [documents.BACKEND, documents.SPARE]
        local = {
            documents.address(name, host)
            for host, kind in zip(hosts, ("backend", "spare"), strict=True)
            if world.proxies[f"default.{kind}-{name}@{name}"].up
        }
        sends = frozenset().union(*map(addresses, caller.envoy.held[ENDPOINT].values()))
        assert sends == local | {documents.address(other, documents.INGRESS)}
        assert numbers_at(caller) == {world.content.number}


def services_of(world: World, zone: str) -> dict[str, int]:
    """Instances by service, from who runs."""
    names = [p.envoy.node.id.partition(".")[2].partition("-")[0] for p in running(world, zone)]
    counts = Counter({"spare": "backend"}.get(name, name) for name in names)
    del counts["ingress"]
    return dict(counts)


def check_services(world: World) -> None:
    """Each zone has one MeshService for each service that runs there, which says how many answer,
    and gives it to the global and to the other zone.
    """
    for name, zone in world.zones.items():
        (other,) = set(world.zones) - {name}
        own = {r.key.name: r for r in zone.state.local.of("MeshService", "default")}
        counts = services_of(world, name)
        counts.pop("ledger", None)  # It runs in a mesh without MeshServices.
        for service, count in counts.items():
            wanted = {"connected": count, "healthy": count, "total": count}
            status = json.loads(own[service].status or "")
            assert status["dataplaneProxies"] == wanted
            assert status["tls"] == {"status": "Ready"}
            hostnames = [each["hostname"] for each in status["addresses"]]
            assert hostnames == [f"{service}.svc.mesh.local"]
            held = zone.vips.of("default")  # On its disk.
            address = held[Entry(EntryKind.MESH_SERVICE, service)]
            assert status["vips"] == [{"ip": address}]
            assert json.loads(own[service].body)["state"] == "Available"
        told = world.globe.state.zones[name].owned.of("MeshService")
        assert {(r.display_name, r.body, r.status) for r in told} == {
            (r.display_name, r.body, r.status) for r in own.values()
        }
        there = world.zones[other].state.relayed.of("MeshService")
        assert {(r.display_name, r.body, r.status) for r in there} == {
            (r.display_name, r.body, None) for r in own.values()
        }


def check_status(world: World) -> None:
    """Each zone wrote its own ref, and nobody another's; it says what the zone last wanted."""
    assert set(world.git.refs) == {f"refs/heads/status/{name}" for name in world.zones}
    for name, zone in world.zones.items():
        wanted = zone.status.state.refs[name].wanted
        assert wanted is not None
        assert world.git.refs[f"refs/heads/status/{name}"][-1] == wanted.files


def check_quiet(world: World) -> None:
    """A quiet world sends no discovery response, writes to no disk and makes no commit."""
    before = world.responses(), world.status_commits(), world.writes
    world.clock.run_until(world.clock.now + 600.0)
    assert (world.responses(), world.status_commits(), world.writes) == before


def check_rejection(world: World) -> None:
    """A commit that Envoys do not take: each keeps what it last accepted, the rest proceeds, both
    ends know who rejected it; and the next good commit heals.
    """
    good = world.content.number
    while not world.content.envoys_refuse:
        world.commit()
    world.clock.run_until(world.clock.now + 40.0)
    for name, zone in world.zones.items():
        caller = world.proxies[f"default.caller-{name}@{name}"]
        numbers = numbers_at(caller)
        assert max(numbers) < world.content.number
        assert min(numbers) >= good
        report = reported(zone)
        count = len(running(world, name))
        assert (report.revision, report.total) == (world.git.tip, count)
        assert (report.acked, report.rejected) == (count - 1, 1)
        assert [r.proxy for r in report.rejections] == [f"default.caller-{name}"]
        assert world.globe.state.zones[name].report == report
    heal(world, 40.0)


def check(world: World) -> None:
    check_converged(world)
    check_reachable(world)
    check_services(world)
    check_status(world)
    check_restart_changes_nothing(world)
    check_quiet(world)


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
            check(world)
            if seed % 10 == 0:
                check_rejection(world)
                check(world)
        except (AssertionError, InvariantBroken) as error:
            pytest.fail(f"seed={seed}: {error}; replay with pytest tests/simulation --seed={seed}")
