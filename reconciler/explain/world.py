"""One proxy and all that shapes it, to be computed again and again with one thing changed. Pure.

Only policies that may concern the proxy are in it: a repository holds thousands that do not. That
nothing is missing is checked, by comparing what comes out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.captured import is_outbound
from reconciler.ingress import backends
from reconciler.match import aim, is_effective, select
from reconciler.model.resource import SERVICE
from reconciler.model.spec import DataplaneSpec, PolicySpec, TagDestination
from reconciler.model.targetref import MeshRef, RouteRef, ServiceRef
from reconciler.policies import POLICIES, mesh_http_route
from reconciler.rules import targets
from reconciler.state import MeshState, ResourceDiff, apply, from_resources
from xds.readable import readable
from xds.resource import CLUSTER, ENDPOINT, LISTENER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.model.spec import Item, Tags
    from reconciler.offline import Offline, Rendered
    from reconciler.problems import Path
    from xds.resource import XdsResource
    from xds.snapshot import Snapshot

TYPES = (CLUSTER, ENDPOINT, LISTENER)
KINDS = tuple(policy.kind for policy in POLICIES)
ROUTE_KIND = mesh_http_route.POLICY.kind
# A spec that cannot be read, and what hooks and encoders say of a value that is none.
UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(slots=True)
class World:
    proxy: Offline
    state: MeshState
    base: Rendered
    policies: tuple[MeshResource, ...]  # in force, and for this proxy
    computed: int = 0  # how often
    places: dict[tuple[str, str, str], dict[Path, Path]] = field(default_factory=dict)
    _json: dict[tuple[str, str], dict[str, object]] = field(default_factory=dict)

    @property
    def snapshot(self) -> Snapshot:
        return self.base.snapshot

    def document(self, type_url: str, resource: XdsResource) -> dict[str, object]:
        """Of the configuration as it is."""
        key = type_url, resource.name
        if key not in self._json:
            self._json[key] = readable(resource)
        return self._json[key]

    def without(self, *keys: ResourceKey) -> Snapshot:
        return self.changed(drop=keys).snapshot

    def changed(
        self,
        put: Iterable[MeshResource] = (),
        drop: Iterable[ResourceKey] = (),
        near: Rendered | None = None,
    ) -> Rendered:
        """`near`: of what differs less from it than all as it is."""
        self.computed += 1
        state = apply(self.state, ResourceDiff(tuple(put), tuple(drop)))
        return self.proxy.rendered(state, near or self.base)


def world(proxy: Offline, resources: Iterable[MeshResource]) -> World:
    """Raises CannotRender."""
    everything = from_resources(resources)
    whole = proxy.rendered(everything)
    chosen = tuple(concerning(proxy, everything))
    rest = tuple(r for r in everything.all() if r.key.type not in KINDS)
    state = from_resources((*rest, *chosen))
    base = proxy.rendered(state)
    if base.snapshot != whole.snapshot:  # Never seen.
        chosen = tuple(p for kind in KINDS for p in everything.of(kind) if is_effective(p))
        state, base = everything, whole
    return World(proxy, state, base, chosen)


# --- which policies may concern a proxy ---


def concerning(proxy: Offline, state: MeshState) -> Iterator[MeshResource]:
    """More than shape it, and all that do."""
    dataplane = state.get(proxy.wanted)
    if dataplane is None or not isinstance(dataplane.spec, DataplaneSpec):
        yield from (p for p in state.of(ROUTE_KIND) if is_effective(p))  # of an ingress
        return
    mesh = proxy.wanted.mesh
    found = [
        policy
        for kind in KINDS
        for policy in state.of(kind, mesh)
        if is_effective(policy) and select(policy, dataplane) is not None
    ]
    asked = _asked(dataplane.spec, found)
    calls_all = is_outbound(dataplane.spec)  # or what of it is reachable: more, not less
    for policy in found:
        assert isinstance(policy.spec, PolicySpec)
        spec = policy.spec
        if (
            spec.from_
            or spec.rules
            or calls_all
            or any(_concerns(spec, item, asked) for item in spec.to)
        ):
            yield policy


def _asked(spec: DataplaneSpec, policies: Iterable[MeshResource]) -> tuple[Tags, ...]:
    """The tags of every destination there may be: outbounds, and what routes lead to."""
    own = (o.destination.tags for o in spec.outbounds if isinstance(o.destination, TagDestination))
    found = dict.fromkeys(own)
    for policy in policies:
        if policy.key.type == ROUTE_KIND:
            for ref in backends(policy):
                found[tuple(sorted(((SERVICE, ref.name), *ref.tags.pairs)))] = None
    return tuple(found)


def _concerns(spec: PolicySpec, item: Item, asked: tuple[Tags, ...]) -> bool:
    target = aim(spec, item)
    if isinstance(target, MeshRef | RouteRef):
        return True
    if isinstance(target, ServiceRef) and target.labels.pairs:
        return True  # Who these are is not asked here.
    return any(targets(target, tags) for tags in asked)
