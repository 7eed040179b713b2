"""What a zone computes before it builds: state, context, views and the look-ups of what is built,
in CPU milliseconds, for what changes and for what size of mesh. Nothing is opened or sent.

`..._longest` is the longest single call, which is what the event loop waits for.
"""

from __future__ import annotations

import gc
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from reconciler.context import MeshContext, mesh_context
from reconciler.model.resource import SERVICE, MeshResource
from reconciler.model.spec import TransparentProxying
from reconciler.node_capture import NOTHING, CaptureTraits
from reconciler.runtime.collector import seldom
from reconciler.state import MeshState, ResourceDiff, apply, from_resources
from reconciler.view import ProxyTraits, ViewResult, sidecar_view
from tests.bench.figures import Figure, Scale, at_most, exponent
from tests.support.mesh import a_dataplane, a_mesh, a_policy, an_inbound, an_ingress, offers
from xds.build.secrets import ca_secret, identity_secret
from xds.names import ca_secret_name, identity_secret_name
from xds.translate import Builders, translate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from xds.snapshot import Resources, Snapshot

T = TypeVar("T")

EVERYTHING = {"kind": "Mesh"}
CALL_GOAL_MS = 10.0
SAME_VIEW_GOAL_US = 30.0
ONE_CLUSTER_GOAL_US = 150.0
# A context from nothing: made when a zone starts, before it listens. Later ones follow the one
# before, also through a large revision, which comes in parts (`zone_steps.policies_10000`).
RESTORED = "restored"


@dataclass(slots=True)
class World:
    """Some meshes with their proxies, followed as a zone follows them. `capture`: what the nodes of
    all of them tell; what they had is then followed, too.
    """

    state: MeshState
    builders: Builders = field(default_factory=Builders)
    contexts: dict[str, MeshContext] = field(default_factory=dict)
    views: dict[str, ViewResult] = field(default_factory=dict)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    cpu_ms: dict[str, float] = field(default_factory=dict)
    longest_ms: float = 0.0
    capture: CaptureTraits = NOTHING

    def change(self, *put: MeshResource) -> None:
        self.state = self._timed("state", lambda: apply(self.state, ResourceDiff(put)))

    def look(self, mesh: str, *proxies: MeshResource) -> None:
        """The views of some proxies of a mesh, and their snapshots where those differ."""
        previous = self.contexts.get(mesh)
        context = self.contexts[mesh] = self._timed(
            "context" if previous is not None else RESTORED,
            lambda: mesh_context(self.state, mesh, "east", frozenset(), {}, previous),
        )
        secrets = _secrets(mesh)
        for proxy in proxies:
            self._view(context, proxy, secrets)

    def _view(self, context: MeshContext, proxy: MeshResource, secrets: Resources) -> None:
        node = f"{proxy.key.mesh}.{proxy.key.name}"
        traits, known = ProxyTraits(node_id=node, capture=self.capture), self.views.get(node)
        result = self._timed("views", lambda: sidecar_view(context, proxy, traits))
        if known is not None and result.view == known.view:
            return
        self.views[node] = result
        before = None
        if known is not None and self.capture is not NOTHING:
            before = known.view, self.snapshots[node]
        self.snapshots[node] = self._timed(
            "translate", lambda: translate(result.view, secrets, self.builders, before)
        )

    def _timed(self, phase: str, call: Callable[[], T]) -> T:
        began = time.process_time()
        found = call()
        took = 1000 * (time.process_time() - began)
        self.cpu_ms[phase] = self.cpu_ms.get(phase, 0.0) + took
        self.longest_ms = max(self.longest_ms, took if phase != RESTORED else 0.0)
        return found

    def took(self) -> tuple[dict[str, float], float]:
        """By phase, and the longest call; since the last time it was asked."""
        found = self.cpu_ms, self.longest_ms
        self.cpu_ms, self.longest_ms = {}, 0.0
        gc.collect()
        return found


def _secrets(mesh: str) -> Resources:
    identity, ca = identity_secret_name(mesh), ca_secret_name(mesh)
    return {identity: identity_secret(identity, b"c", b"k"), ca: ca_secret(ca, b"c")}


def service(number: int) -> str:
    return f"s{number:04}"


def proxy(number: int, services: int, calls: int, mesh: str = "default") -> MeshResource:
    """Of service `number % services`; calls those that come after it."""
    own = number % services
    at = f"10.{number // 62500}.{number // 250 % 250}.{number % 250 + 1}"
    called = ((own + i) % services for i in range(1, calls + 1))
    to = {20000 + n: {SERVICE: service(n)} for n in called}
    labels = {"app": service(own), "kuma.io/zone": "east"}
    inbound = an_inbound(service(own), address=at)
    return a_dataplane(f"p{number:05}", inbound, to=to, mesh=mesh, labels=labels)


def timeout(name: str, target: object, to: object, milliseconds: int) -> MeshResource:
    item = {"targetRef": to, "default": {"connectionTimeout": f"{milliseconds}ms"}}
    return a_policy("MeshTimeout", name, {"targetRef": target, "to": [item]})


def policy(number: int, services: int, milliseconds: int = 1000) -> MeshResource:
    """Half are of the proxies of one service, to another one; a quarter of all proxies, to one
    service; a quarter are permissions of one service.
    """
    name, own = f"n{number:05}", service(number // 4 % services)
    of_own = {"kind": "Dataplane", "labels": {"app": own}}
    match number % 4:
        case 0 | 1:
            to = {"kind": "MeshService", "name": service((number // 4 + 1) % services)}
            return timeout(name, of_own, to, milliseconds)
        case 2:
            return timeout(name, EVERYTHING, {"kind": "MeshService", "name": own}, milliseconds)
        case _:
            caller = {"kind": "MeshSubset", "tags": {"caller": str(milliseconds)}}
            item = {"targetRef": caller, "default": {"action": "Allow"}}
            spec = {"targetRef": of_own, "from": [item]}
            return a_policy("MeshTrafficPermission", name, spec)


def everywhere(milliseconds: int) -> MeshResource:
    return timeout("zz-all", EVERYTHING, EVERYTHING, milliseconds)


@dataclass
class Between:
    """One caller of many services, each with an instance here and two in each other zone."""

    services: int
    zones: int
    world: World = field(init=False)

    def __post_init__(self) -> None:
        self.caller = proxy(0, self.services, self.services)
        here = [proxy(n, self.services, 0) for n in range(1, self.services)]
        away = [self.ingress(zone) for zone in range(1, self.zones)]
        self.world = World(from_resources((a_mesh(), self.caller, *here, *away)))
        self.world.look("default", self.caller)

    def ingress(self, zone: int, more: str = "") -> MeshResource:
        """`more`: a service that has one more instance there."""
        name, services = f"z{zone}", map(service, range(self.services))
        listed = [offers(each, 2 + (each == more), zone=name) for each in services]
        return an_ingress(name, *listed, address=f"203.0.113.{zone}")

    @property
    def rebuilt(self) -> Mapping[str, int]:
        return self.world.builders.rebuilt

    def instance_away(self, more: str) -> None:
        self.world.change(self.ingress(1, more))
        self.world.look("default", self.caller)

    def instance_here(self, more: str) -> None:
        self.world.change(proxy(self.services + int(more[1:]), self.services, 0))
        self.world.look("default", self.caller)


# --- what is measured ---


async def measure(scale: Scale) -> list[Figure]:
    seldom()  # As a running zone has the collector.
    return [
        *_views(scale.size(1000, 100)),
        *_policies(scale.size(10_000, 400), scale.size(1000, 100)),
        *_services(scale.size(1000, 100)),
        *_meshes(scale.size(50, 5)),
        *_zones(scale.size(1000, 100), 10),
        *_captured(scale.size(1000, 100)),
    ]


def _figures(key: str, world: World, *, goal: float | None = CALL_GOAL_MS) -> list[Figure]:
    phases, longest = world.took()
    found = [Figure(key=f"{key}.{p}", values=(ms,), unit="CPU ms") for p, ms in phases.items()]
    return [*found, Figure(key=f"{key}.longest", values=(longest,), unit="CPU ms", goal=goal)]


def _views(fleet: int) -> list[Figure]:
    """100 services, 5 calls each; and one service that all call."""
    found: list[Figure] = []
    costs: dict[str, list[float]] = {}
    sizes = (fleet // 4, fleet // 2, fleet)
    for size in sizes:
        world, proxies = _mesh(size, services=100, calls=5)
        world.look("default", *proxies)
        cold = _figures("views.cold", world)
        instance = proxy(100 * size, 100, 5)
        world.change(instance)
        world.look("default", *proxies)
        new = _figures("views.instance_new", world)
        world.change(everywhere(2000))
        world.look("default", *proxies)
        every = _figures("views.policy_for_all", world)
        for figure in (*new, *every):
            costs.setdefault(figure.key, []).append(figure.values[0])
        if size == fleet:
            found += [*cold, *new, *every, *_of_one_view(world, proxies)]
    found += [
        Figure(key=f"{key}.exponent", values=(exponent(sizes, ms),)) for key, ms in costs.items()
    ]
    return found


def _of_one_view(world: World, proxies: list[MeshResource]) -> list[Figure]:
    """Microseconds of a view whose inputs are the same, and of one with another cluster."""
    world.change(proxy(999_901, 100, 5))
    world.look("default", *proxies)
    world.took()
    world.look("default", *proxies)
    same = 1000 * world.took()[0]["views"] / len(proxies)
    own = proxies[1]
    values = []
    for milliseconds in range(3000, 3020):
        to = {"kind": "MeshService", "name": service(2)}
        world.change(timeout("one", EVERYTHING, to, milliseconds))
        world.look("default", own)
        values.append(1000 * world.took()[0]["views"])
    return [
        Figure(key="views.same", values=(same,), unit="CPU us", goal=SAME_VIEW_GOAL_US),
        Figure(
            key="views.one_cluster", values=tuple(values), unit="CPU us", goal=ONE_CLUSTER_GOAL_US
        ),
    ]


def _mesh(
    fleet: int, services: int, calls: int, *policies: MeshResource
) -> tuple[World, list[MeshResource]]:
    proxies = [proxy(n, services, calls) for n in range(fleet)]
    resources = (a_mesh(), everywhere(1000), *policies, *proxies)
    world = World(from_resources(resources))
    gc.collect()
    return world, proxies


def _policies(count: int, fleet: int) -> list[Figure]:
    services = 100
    world, proxies = _mesh(fleet, services, 5, *(policy(n, services) for n in range(count)))
    world.look("default", *proxies)
    found = _figures("zone_policies_10000.cold", world)
    sums = []
    for changed in (1, 10, 100):
        world.change(*(policy(n, services, 2000 + changed) for n in range(changed)))
        world.look("default", *proxies)
        figures = _figures(f"zone_policies_10000.changed_{changed}", world)
        sums.append(sum(f.values[0] for f in figures[:-1]))
        found += figures
    grows = exponent((1, 10, 100), sums)
    return [*found, Figure(key="zone_policies_10000.exponent", values=(grows,))]


def _services(services: int) -> list[Figure]:
    """Few proxies that call everything, and many that call a little."""
    found: list[Figure] = []
    for name, fleet, calls in (("all", services // 10, services), ("few", services, 5)):
        key = f"services_1000.{name}"
        world, proxies = _mesh(fleet, services, calls)
        offers = [proxy(n, services, 0) for n in range(fleet, 2 * services)]
        world.change(*offers)
        world.took()
        world.look("default", *proxies)
        found += _figures(f"{key}.cold", world)
        world.change(proxy(10 * services, services, 0))
        world.look("default", *proxies)
        found += _figures(f"{key}.instance_new", world)
        world.change(timeout("one", EVERYTHING, {"kind": "MeshService", "name": service(7)}, 5))
        world.look("default", *proxies)
        found += _figures(f"{key}.one_policy", world)
    return found


def _meshes(count: int) -> list[Figure]:
    meshes = [f"m{n:02}" for n in range(count)]
    proxies = {mesh: [proxy(n, 5, 4, mesh) for n in range(20)] for mesh in meshes}
    everyone = [p for found in proxies.values() for p in found]
    world = World(from_resources((*(a_mesh(mesh) for mesh in meshes), *everyone)))
    for mesh in meshes:
        world.look(mesh, *proxies[mesh])
    found = _figures("meshes_50.cold", world)
    world.change(proxy(1000, 5, 4, meshes[0]))
    world.look(meshes[0], *proxies[meshes[0]])
    return [*found, *_figures("meshes_50.instance_new", world)]


def _zones(services: int, zones: int) -> list[Figure]:
    """One caller of everything. An endpoint that comes is one assignment, wherever it is."""
    found: list[Figure] = []
    between = Between(services, zones)
    between.world.took()
    for name, comes in (("away", between.instance_away), ("here", between.instance_here)):
        before = between.rebuilt
        comes(service(7))
        key = f"zones_10.endpoint_{name}"
        found += _figures(key, between.world)
        built = sum(between.rebuilt.values()) - sum(before.values())
        found.append(Figure(key=f"{key}.built", values=(built,), check=at_most(1)))
    return found


def _captured(size: int) -> list[Figure]:
    """Proxies that call everything, of a service each: the first of them, and all the others; then
    a service that comes, and an instance of one.
    """
    proxies = [_captured_proxy(n, n) for n in range(size)]
    world = World(
        from_resources((a_mesh(), *proxies)), capture=CaptureTraits(dns_port=15054, workdir="/tmp")
    )
    found: list[Figure] = []
    comes = {
        "new_service": _captured_proxy(size, size),
        "endpoint": _captured_proxy(size + 1, 0),
    }
    built = {"new_service": 4, "endpoint": 1}  # with the listener that answers names
    for name, more in (("cold", None), *comes.items()):
        before = sum(world.builders.rebuilt.values())
        if more is not None:
            world.change(more)
        world.look("default", proxies[0])
        found += _figures(f"captured.{name}.first", world)
        made = sum(world.builders.rebuilt.values()) - before
        if more is not None:
            check = at_most(built[name])
            found.append(Figure(key=f"captured.{name}.built", values=(made,), check=check))
        world.look("default", *proxies[1:])
        phases, _ = world.took()
        each = 1000 * (phases["views"] + phases["translate"]) / (size - 1)
        found.append(Figure(key=f"captured.{name}.others", values=(each,), unit="CPU us"))
    return found


def _captured_proxy(number: int, own: int) -> MeshResource:
    at = f"10.{number // 62500}.{number // 250 % 250}.{number % 250 + 1}"
    return a_dataplane(
        f"c{number:05}",
        an_inbound(service(own), address=at),
        transparent=TransparentProxying(15006, 15001),
        labels={"app": service(own), "kuma.io/zone": "east"},
    )
