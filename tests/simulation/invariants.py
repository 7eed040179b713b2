"""What must hold at every moment of a world, whatever goes wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.envoy import number_of
from tests.simulation.repository import policies_of
from xds.resource import CLUSTER

if TYPE_CHECKING:
    from tests.simulation.world import SimProxy, SimZone, World


class InvariantBroken(AssertionError):
    """The run is replayed with its seed."""


def check_in_force(world: World, commit: str) -> None:
    """No mistake, and nothing that does not descend from what was in force, unless accepted."""
    if world.git.content[commit].mistake:
        raise InvariantBroken(f"{commit[-4:]} has a mistake and is in force")
    kept, asked_for = world.globe.kept, world.globe.asked_for
    if kept is not None and not world.git.descends(commit, kept):
        if commit not in asked_for:
            raise InvariantBroken(f"{commit[-4:]} does not descend from {kept[-4:]}; nobody asked")
        asked_for.discard(commit)


def check_zone(world: World, zone: SimZone) -> None:
    """What is in force in a zone is exactly one published revision: no half of a commit is ever
    visible.
    """
    state = zone.state
    if (state.policy, state.revision) == zone.checked:
        return
    zone.checked = state.policy, state.revision
    if not state.policy.by_key and state.revision is None:
        return
    commit = state.revision or ""
    if commit not in world.globe.published:
        raise InvariantBroken(f"{zone.name} has {commit[-4:]} in force, which was never published")
    wanted = policies_of(world.git.content[commit])
    found = frozenset((r.key.type, r.display_name, r.body) for r in state.policy.by_key.values())
    if found != wanted:
        raise InvariantBroken(f"{zone.name} shows a mixture at {commit[-4:]}: {found ^ wanted}")


def check_proxy(world: World, proxy: SimProxy) -> None:
    """No proxy ever holds a resource that belongs to no published revision."""
    for name, resource in proxy.envoy.held.get(CLUSTER, {}).items():
        number = number_of(resource)
        if number is not None and number not in world.globe.numbers:
            raise InvariantBroken(f"{proxy.envoy.node.id} holds {name} of commit {number}")
