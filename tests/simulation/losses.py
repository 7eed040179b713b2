"""Deeds that take a part of the mesh away: a store, a remote, a mirror, a switch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.steps import global_state as g
from reconciler.steps import zone_state as z
from tests.simulation.invariants import InvariantBroken
from tests.simulation.parts import SETTLES_S
from tests.simulation.world import ZONES, World
from xds.discovery import DeltaRequest
from xds.resource import CLUSTER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.parts import SimProxy

KINDS = ("policy", "relayed", "local")
MASS = 3  # proxies whose loss within seconds is taken for ours, here
LEARNS_S = 9.0  # the end of a stream is known by then, and slow links have carried it everywhere
MEMBERS = (".ingress", "default.backend", "default.caller")


def lose_a_zones_store(world: World) -> None:
    """Deleted or torn, and the process with it."""
    _lose(world, KINDS)


def damage_a_zones_store(world: World) -> None:
    """One kind of rows is not as it was written; the others are."""
    _lose(world, (world.random.choice(KINDS),))


def _lose(world: World, kinds: tuple[str, ...]) -> None:
    zone = world.zones[world.random.choice(ZONES)]
    if not zone.up:
        return  # It is about to start with what it has.
    world.crash_zone(zone)
    for kind in kinds:
        zone.disk.pop(kind, None)
    zone.lost |= set(kinds)
    for proxy in world.proxies.values():
        if proxy.zone == zone.name:  # Who cannot come back in time is not known to be there.
            proxy.disturbed = max(proxy.disturbed, proxy.away_until)


def lose_the_globals_store(world: World) -> None:
    """Sometimes with the status refs: then it knows nothing of any zone."""
    globe = world.globe
    if globe.up:
        if world.random.random() < 0.5:
            world.git.refs.clear()
        world.crash_global()
        globe.kept, globe.accepted, globe.relayed, globe.lost = None, None, {}, True


def git_goes_away(world: World) -> None:
    """With it, sometimes, the mirror; a global that starts meanwhile has what it has."""
    world.remote.away = True
    world.remote.mirror_whole = world.random.random() < 0.7
    _until(world, world.remote_returns)
    if world.globe.up:
        world.to_global(g.FetchFailed("away"))
    if world.random.random() < 0.5:
        world.crash_global()


def damage_the_mirror(world: World) -> None:
    """Found by the next load; where the remote answers, the mirror is fetched anew."""
    world.remote.mirror_whole = False


def branch_vanishes(world: World) -> None:
    world.remote.branch_gone = True
    _until(world, world.remote_returns)
    if world.globe.up:
        world.to_global(g.FetchFailed("the branch is gone"))


def status_remote_fails(world: World) -> None:
    world.remote.status = world.random.choice(("away", "slow", "refusing"))

    def over() -> None:
        world.remote.status = ""

    _until(world, over)


def _until(world: World, over: Callable[[], None]) -> None:
    world.clock.after(world.random.uniform(1.0, 20.0), over)


def switch_dies(world: World) -> None:
    """All proxies of a zone are cut off at once and come back: our failure, not theirs. The zone
    learns of one after the other; once it sees what it is, all their endpoints are in again.
    """
    zone, now = world.random.choice(ZONES), world.clock.now
    cut = [p for p in world.proxies.values() if p.zone == zone and p.stream is not None]
    back_at = now + world.random.uniform(2.0, 25.0)
    for proxy in cut:
        assert proxy.stream is not None
        proxy.away_until = back_at
        proxy.stream.cut()
        seen_by = now + LEARNS_S if len(cut) > MASS else now + SETTLES_S
        proxy.disturbed = max(proxy.disturbed, seen_by - SETTLES_S)


def application_fails(world: World) -> None:
    """What HDS reports: not ready, and after a while ready again."""
    proxy = _member(world, "default.backend")
    if proxy.up:
        world.fleet.report_health(proxy, healthy=False)
        world.clock.after(
            world.random.uniform(0.5, 15.0), lambda: world.fleet.report_health(proxy, healthy=True)
        )


def second_of_one_name(world: World) -> None:
    """Another process says that it is a proxy which is connected: the first stays."""
    proxy = _member(world, world.random.choice(MEMBERS))
    zone, node = world.zones[proxy.zone], proxy.envoy.node
    known = zone.state.proxies.get(node.id)
    if not zone.up or known is None or known.stream is None:
        return
    world.serial += 1
    name = f"second-{world.serial}"
    world.to_zone(zone, z.ProxyOpened(name, "token"))
    world.to_zone(zone, z.ProxyRequest(name, DeltaRequest(CLUSTER, node), world.clock.now))
    if zone.up and (
        zone.state.proxies[node.id].stream != known.stream or name in zone.state.streams
    ):
        raise InvariantBroken(f"a second {node.id} took the place of the first")


def _member(world: World, kind: str) -> SimProxy:
    zone = world.random.choice(ZONES)
    return world.proxies[f"{kind}-{zone}@{zone}"]


LOSSES: tuple[Callable[[World], None], ...] = (
    lose_a_zones_store,
    damage_a_zones_store,
    lose_the_globals_store,
    git_goes_away,
    damage_the_mirror,
    branch_vanishes,
    status_remote_fails,
    switch_dies,
    application_fails,
    second_of_one_name,
)
