"""What must hold at every moment of a world, whatever goes wrong."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from reconciler.model.spec import ZoneIngressSpec
from reconciler.status.document import INGRESS_PATH
from tests.simulation.documents import BACKEND, HOSTS, INGRESS, address
from tests.simulation.envoy import addresses, number_of
from tests.simulation.repository import policies_of
from xds.resource import CLUSTER, ENDPOINT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.resource import MeshResource
    from reconciler.steps.status_state import Push
    from tests.simulation.parts import SimProxy, SimZone
    from tests.simulation.world import World


UNSETTLED_S = 30.0  # after a commit changed which zones are in


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
    content = world.git.content[commit]
    for proxy in state.proxies.values():
        if proxy.stream is not None and content.revoked and proxy.key.name == content.revoked:
            raise InvariantBroken(f"{proxy.node_id} is served although its token is revoked")
    every = state.policy.by_key.values()
    found = frozenset((r.key.type, r.display_name, r.body) for r in every if r.key.type != "Zone")
    if found != wanted:
        raise InvariantBroken(f"{zone.name} shows a mixture at {commit[-4:]}: {found ^ wanted}")


def check_proxy(world: World, proxy: SimProxy) -> None:
    """No proxy ever holds a resource that belongs to no published revision."""
    if proxy.envoy.node.id.startswith("default.caller"):
        check_sends(world, proxy)
    for name, resource in proxy.envoy.held.get(CLUSTER, {}).items():
        number = number_of(resource)
        if number is not None and number not in world.globe.numbers:
            raise InvariantBroken(f"{proxy.envoy.node.id} holds {name} of commit {number}")


# --- what a loss of ours must not take away ---


def offered(resources: Iterable[MeshResource]) -> set[str]:
    """Services of the mesh `default` that ingresses lead to; "" stands for the ingress itself."""
    specs = [r.spec for r in resources if isinstance(r.spec, ZoneIngressSpec)]
    found = (s for spec in specs for s in spec.available_services if s.mesh == "default")
    return {*("" for _ in specs), *(dict(s.tags)["kuma.io/service"] for s in found)}


def holds(world: World, zone: str, service: str) -> bool:
    """Whether a zone's service, or its ingress (""), runs undisturbed: nobody may lose it."""
    names = {"": (f".ingress-{zone}",)}.get(service, (f"default.{service}-{zone}",))
    now = world.clock.now
    if now - world.unsettled.get(zone, -math.inf) < UNSETTLED_S:
        return False
    rests = all(world.proxies[f"{name}@{zone}"].rests(now) for name in names)
    if now < world.globe.ahead_until and (zone, service) in world.globe.ahead:
        return False
    return rests and (service == "" or holds(world, zone, ""))


def check_reach(world: World, zone: SimZone) -> None:
    """No zone loses the ingress of another, or a service behind it, by a loss of a store, a
    process, a link or a remote.
    """
    found = zone.state.relayed.of("ZoneIngress")
    now = frozenset(
        (r.labels.get("kuma.io/zone") or "", service) for r in found for service in offered((r,))
    )
    for other, service in zone.ingresses - now:
        if service in ("", "backend", "caller") and holds(world, other, service):
            what = service or "its ingress"
            raise InvariantBroken(f"{zone.name} lost {what} of {other}, which is there")
    zone.ingresses = now


def check_status_kept(world: World, zone: str, push: Push) -> None:
    """A status commit that shows nobody where somebody is."""
    ref = world.git.refs.get(f"refs/heads/status/{zone}")
    if not ref or zone not in push.changes:
        return
    before, after = ref[-1], push.changes[zone].content.files
    for service in ("backend", "caller"):
        said = [f"kuma.io/service: {service}".encode() in f[INGRESS_PATH] for f in (before, after)]
        if said == [True, False] and holds(world, zone, service):
            raise InvariantBroken(f"status/{zone} loses {service}, which is there")


def check_sends(world: World, proxy: SimProxy) -> None:
    """No Envoy loses an endpoint that is there: its own zone's, or the way into the other zone."""
    found = frozenset().union(*map(addresses, proxy.envoy.held.get(ENDPOINT, {}).values()))
    for zone in HOSTS:
        own = zone == proxy.zone
        at = address(zone, BACKEND if own else INGRESS)
        name = f"default.backend-{zone}@{zone}"
        there = world.proxies[name].rests(world.clock.now) if own else holds(world, zone, "backend")
        if at in proxy.reaches - found and there:
            raise InvariantBroken(f"{proxy.envoy.node.id} can no longer send to {name}")
    proxy.reaches = found
