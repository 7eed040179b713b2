"""What may go wrong in a world, drawn by its seed, and how it comes to an end."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from tests.simulation.documents import MISTAKES
from tests.simulation.losses import LOSSES
from tests.simulation.world import ZONES, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.network import Stream


def misbehave(world: World, seconds: float) -> None:
    """Deeds at random moments, one a second in the middle."""
    moment = world.clock.now
    end = moment + seconds
    while (moment := moment + world.random.uniform(0.0, 2.0)) < end:
        deed = world.random.choice(DEEDS if world.random.random() < 0.6 else LOSSES)
        world.clock.at(moment, partial(deed, world))
    world.clock.run_until(end)


def commit_burst(world: World) -> None:
    for _ in range(3):
        world.commit()


def rival_status_commit(world: World) -> None:
    """Somebody else pushes to a zone's ref."""
    for trees in list(world.git.refs.values())[:1]:
        trees.append({**trees[-1], "NOTES": b"not the zone's\n"})


def cut_a_stream(world: World) -> None:
    streams = all_streams(world)
    if streams:
        chosen = world.random.choice(streams)
        chosen.cut()
        for proxy in world.proxies.values():
            if proxy.stream is chosen:
                proxy.disturbed = world.clock.now


def all_streams(world: World) -> list[Stream]:
    found = [s for zone in world.zones.values() for s in zone.streams.values()]
    found += [p.stream for p in world.proxies.values() if p.stream is not None]
    return [s for s in found if s.alive]


def heal(world: World, seconds: float = 150.0) -> None:
    """One last commit that everybody takes, no more trouble, and time to settle (beyond grace,
    drain and backoff).
    """
    world.calm = True
    world.remote_returns()
    zones = ZONES if world.content.zones else ()
    sound = replace(world.content, plain_mesh=world.has_plain_mesh, zones=zones)
    world.commit(replace(sound, disabled="", revoked=""))
    if world.content.envoys_refuse:
        world.commit()
    for moment in range(2, 30, 2):
        world.clock.after(moment, world.accept_held)
    world.clock.run_until(world.clock.now + seconds)


def commit_mistake(world: World) -> None:
    world.commit(mistake=world.random.choice(MISTAKES))


def commit_without_change(world: World) -> None:
    """A README, say: the tree of the policies stays."""
    world.push(world.content)


def commit_toggle(world: World) -> None:
    """A policy or a mesh comes or goes."""
    now = world.content
    changed = [
        replace(now, permission=not now.permission),
        replace(now, route=not now.route),
        replace(now, plain_mesh=not now.plain_mesh),
    ]
    world.commit(world.random.choice(changed if world.has_plain_mesh else changed[:2]))


def rotate_the_ca(world: World) -> None:
    """The next of three commits: a second CA beside the first, which then signs, then is alone."""
    first, *others = world.content.cas
    if not others:
        cas: tuple[int, ...] = (first, 3 - first)
    else:
        cas = (others[0], first) if world.random.random() < 0.5 else (first,)
    world.commit(replace(world.content, cas=cas))


def revoke_a_token(world: World) -> None:
    """Of a backend, until it is taken back."""
    name = f"backend-{world.random.choice(ZONES)}"
    world.commit(replace(world.content, revoked="" if world.content.revoked else name))


def disable_a_zone(world: World) -> None:
    zone = "" if world.content.disabled else world.random.choice(ZONES)
    world.commit(replace(world.content, zones=ZONES, disabled=zone))


def take_a_zone_out(world: World) -> None:
    """Its Zone resource is removed: the global forgets it, and it comes back as a new one."""
    left = tuple(zone for zone in ZONES if zone != world.random.choice(ZONES))
    world.commit(replace(world.content, zones=left if world.content.zones else ZONES, disabled=""))


def rewrite_the_branch(world: World) -> None:
    """Somebody accepts it later, or not."""
    world.rewrite()
    world.clock.after(world.random.uniform(0.1, 20.0), world.accept_held)


def scale(world: World) -> None:
    """A second backend comes, or goes for good."""
    zone = world.random.choice(ZONES)
    proxy = world.proxies[f"default.spare-{zone}@{zone}"]
    proxy.wanted = not proxy.wanted
    if proxy.wanted:
        world.fleet.start(proxy)
    else:
        world.fleet.kill(proxy)


def restart_proxy(world: World) -> None:
    """kill -9 and a new process."""
    proxy = world.random.choice(list(world.proxies.values()))
    if proxy.up:
        world.fleet.kill(proxy)
        world.clock.after(world.random.uniform(0.5, 20.0), lambda: world.fleet.start(proxy))


def crash_a_zone(world: World) -> None:
    world.crash_zone(world.zones[world.random.choice(ZONES)])


DEEDS: tuple[Callable[[World], None], ...] = (
    World.commit,
    commit_toggle,
    commit_toggle,
    commit_without_change,
    rotate_the_ca,
    rotate_the_ca,
    revoke_a_token,
    disable_a_zone,
    take_a_zone_out,
    commit_mistake,
    commit_burst,
    rewrite_the_branch,
    cut_a_stream,
    cut_a_stream,
    restart_proxy,
    scale,
    rival_status_commit,
    crash_a_zone,
    World.crash_global,
)
