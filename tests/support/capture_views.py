"""Views of captured proxies, and what of them a test asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.context import MeshContext, mesh_context
from reconciler.model.spec import (
    TransparentProxying,
)
from reconciler.node_capture import CaptureTraits
from reconciler.state import from_resources
from reconciler.view import ProxyTraits, sidecar_view
from tests.support.mesh import (
    a_dataplane,
    a_mesh,
    an_inbound,
)
from xds.view import (
    DnsListener,
    OutboundListener,
    ProxyView,
)

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource

T = TypeVar("T")

BOTH = TransparentProxying(15006, 15001)
WITH_DNS = CaptureTraits(dns_port=15053, workdir="/run/dp")
BACKEND = a_dataplane("backend-1", an_inbound("backend", address="10.0.0.2"))
DB = a_dataplane("db-1", an_inbound("db_shop_svc_80", address="10.0.0.3", protocol="tcp"))


def web(transparent: TransparentProxying = BOTH, **more: Any) -> MeshResource:
    inbound = replace(an_inbound("web"), workload_address="10.0.0.1", workload_port=8080)
    inbounds = more.pop("inbounds", (inbound,))
    return a_dataplane("web-1", *inbounds, transparent=transparent, **more)


def context_of(*resources: MeshResource) -> MeshContext:
    meshes = [r for r in resources if r.key.type == "Mesh"] or [a_mesh()]
    state = from_resources((*meshes, *resources))
    return mesh_context(state, "default", "east", frozenset(), {})


def view_of(
    proxy: MeshResource, *others: MeshResource, capture: CaptureTraits = WITH_DNS
) -> ProxyView:
    traits = ProxyTraits(node_id="default.x", capture=capture)
    return sidecar_view(context_of(proxy, *others), proxy, traits).view


def parts(view: ProxyView, kind: type[T]) -> list[T]:
    return [x for x in (*view.listeners, *view.clusters) if isinstance(x, kind)]


def places(view: ProxyView) -> dict[str, str]:
    """Where each service is called, by the address that is the application's."""
    found = parts(view, OutboundListener)
    assert all(x.captured for x in found)
    return {f"{x.address}:{x.port}": x.service for x in found}


def names(view: ProxyView) -> dict[str, tuple[str, ...]]:
    (dns,) = parts(view, DnsListener)
    return dict(dns.records)
