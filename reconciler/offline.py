"""What one proxy would run, computed from files alone: the repository's policies, Dataplane files,
status refs. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.external import with_placeholders
from reconciler.model.spec import DataplaneSpec, ZoneIngressSpec, ZoneProxySpec
from reconciler.node_capture import USUAL
from reconciler.registration import NotAdmitted, from_document, node_id
from reconciler.state import MeshState, from_resources
from reconciler.topology import by_outlet
from reconciler.view import (
    Origins,
    ProxyTraits,
    egress_view,
    ingress_view,
    mesh_context,
    sidecar_view,
)
from xds.build.secrets import placeholder
from xds.translate import Builders, translate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.context import MeshContext
    from reconciler.model.resource import MeshResource, ResourceKey
    from xds.snapshot import Snapshot


class CannotRender(ValueError):
    """The text names what is missing, and the cure."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """`context`: of a sidecar's mesh."""

    snapshot: Snapshot
    origins: Origins  # which policies shaped which xDS resource
    context: MeshContext | None = None


@dataclass(frozen=True, slots=True)
class Offline:
    """One proxy of a zone, to be computed with what there may be."""

    wanted: ResourceKey
    zone: str
    builders: Builders = field(default_factory=Builders)

    def rendered(self, state: MeshState, before: Rendered | None = None) -> Rendered:
        """`before`: of another state, to follow the change from. Raises CannotRender."""
        wanted, zone, state = self.wanted, self.zone, with_placeholders(state)
        proxy = state.get(wanted)
        if proxy is None:
            raise CannotRender(f"no {wanted}: give its file with --file")
        traits = ProxyTraits(node_id=node_id(wanted.mesh, wanted.name), capture=USUAL)
        named = ("Dataplane", "ZoneIngress", "ZoneEgress")
        names = as_written(proxy for type_ in named for proxy in state.of(type_))
        context = None
        if wanted.type == "ZoneIngress":
            result = ingress_view(state, proxy, zone, frozenset(), traits, names)
        elif wanted.type == "ZoneEgress":
            meshes = by_outlet(state)
            contexts = [_context(state, mesh, zone, names, None) for mesh in meshes]
            result = egress_view(contexts, proxy, zone, traits, names, meshes)
        else:
            known = before.context if before is not None else None
            context = _context(state, wanted.mesh, zone, names, known)
            result = sidecar_view(context, proxy, traits)
        secrets = {name: placeholder(name) for name in result.view.secrets}
        snapshot = translate(result.view, secrets, self.builders)
        return Rendered(snapshot, result.origins, context)


def proxies_of(
    documents: Mapping[str, Mapping[str, object]], zone: str
) -> tuple[MeshResource, ...]:
    """Dataplane and zone proxy files as the zone would register them; keys are for messages."""
    found = []
    for name, document in sorted(documents.items()):
        resource = from_document(document, zone)
        if isinstance(resource, NotAdmitted):
            raise CannotRender(f"{name}: {resource.reason}")
        found.append(resource)
    return tuple(found)


def rendered(
    policies: tuple[MeshResource, ...],
    proxies: tuple[MeshResource, ...],
    relayed: tuple[MeshResource, ...],
    wanted: ResourceKey,
    zone: str,
) -> Rendered:
    """The configuration of `wanted`, one of `proxies`, in `zone`."""
    return Offline(wanted, zone).rendered(from_resources((*policies, *proxies, *relayed)))


def as_written(proxies: Iterable[MeshResource]) -> Mapping[str, str]:
    """Host names stand for the addresses that only their zone can look up."""
    found: list[str] = []
    for spec in (proxy.spec for proxy in proxies):
        if isinstance(spec, DataplaneSpec | ZoneProxySpec):
            found.append(spec.address)
        if isinstance(spec, DataplaneSpec | ZoneIngressSpec):
            found.append(spec.advertised_address)
    return {host: host for host in found if host}


def _context(
    state: MeshState, mesh: str, zone: str, names: Mapping[str, str], before: MeshContext | None
) -> MeshContext:
    try:
        return mesh_context(state, mesh, zone, frozenset(), names, before)
    except KeyError as error:
        raise CannotRender(f'mesh "{mesh}" does not exist in the repository') from error
