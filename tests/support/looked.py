"""The views of every proxy of a mesh, as a context gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.view import ProxyTraits, ViewResult, sidecar_view

if TYPE_CHECKING:
    from reconciler.context import MeshContext
    from reconciler.model.resource import ResourceKey
    from reconciler.state import MeshState


def looked(context: MeshContext, state: MeshState) -> dict[ResourceKey, ViewResult]:
    return {
        proxy.key: sidecar_view(context, proxy, traits(proxy.key.name))
        for proxy in state.of("Dataplane")
    }


def traits(name: str) -> ProxyTraits:
    """Some have an admin interface, one of them where its second inbound may be."""
    ports = {"p0": 9901, "p1": 8081}
    return ProxyTraits(node_id=name, admin_port=ports.get(name, 0), readiness_port=9902)
