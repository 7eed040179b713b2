"""MeshServices `backend` of zones east and west, and the view of their caller `web` in east."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.context import mesh_context
from reconciler.model.resource import SERVICE, ZONE, ResourceKey
from reconciler.model.spec import RefDestination
from reconciler.state import from_resources
from reconciler.view import ProxyTraits, sidecar_view
from tests.support.mesh import (
    a_dataplane,
    a_mesh,
    a_mesh_service,
    a_multi_zone_service,
    an_inbound,
    an_ingress,
    offers,
)
from xds.view import EdsCluster, Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.resource import MeshResource
    from xds.view import ProxyView

EAST, WEST = "default_backend__east_msvc_8080", "default_backend__west_msvc_8080"
ALL = "default_all___mzsvc_80"
TO_OURS = RefDestination("MeshService", "backend", 8080)
TO_THEIRS = RefDestination("MeshService", "", 8080, ((ZONE, "west"),))
TO_ALL = RefDestination("MeshMultiZoneService", "all", 80)
TRAITS = ProxyTraits(node_id="default.web")


SPEC: Mapping[str, object] = {
    "state": "Available",
    "selector": {"dataplaneTags": {SERVICE: "backend"}},
    "ports": [{"port": 8080, "targetPort": 8080, "appProtocol": "http", "name": "main"}],
    "identities": [{"type": "ServiceTag", "value": "backend"}],
}


def a_backend(zone: str, *, state: str = "Available", **more: object) -> MeshResource:
    """The MeshService `backend` of a zone; others' come under another name."""
    spec: Mapping[str, object] = {**SPEC, "state": state, **more}
    key = "" if zone == "east" else f"backend-{zone}"
    return a_mesh_service("backend", {ZONE: zone}, spec=spec, key=key)


def all_backends(port: int = 80) -> MeshResource:
    ports = [{"port": port, "appProtocol": "http"}]
    labels = {"kuma.io/display-name": "backend"}
    spec = {"selector": {"meshService": {"matchLabels": labels}}, "ports": ports}
    return a_multi_zone_service("all", spec)


def an_instance(name: str, address: str, **more: object) -> MeshResource:
    inbound = an_inbound("backend", address=address, port=8080, **more)  # type: ignore[arg-type]
    return a_dataplane(name, inbound, labels={ZONE: "east"})


def web(*refs: RefDestination) -> MeshResource:
    called = {10001 + at: ref for at, ref in enumerate(refs)}
    return a_dataplane("web", an_inbound("web", address="10.0.0.9"), refs=called)


def view_of(*resources: MeshResource, resolved: Mapping[str, str] | None = None) -> ProxyView:
    """Of the Dataplane `web`, in zone east."""
    state = from_resources(resources)
    context = mesh_context(state, "default", "east", frozenset(), resolved or {})
    found = state.get(ResourceKey("Dataplane", "default", "web"))
    assert found is not None
    return sidecar_view(context, found, TRAITS).view


def endpoints(view: ProxyView, cluster: str) -> tuple[Endpoint, ...]:
    return next(each.endpoints for each in view.endpoints if each.cluster == cluster)


def cluster(view: ProxyView, name: str) -> EdsCluster:
    found = next(each for each in view.clusters if each.name == name)
    assert isinstance(found, EdsCluster)
    return found


LEAVING = a_mesh(zone_egress=True)
INTO_WEST = an_ingress("west", offers("backend", zone="west"), address="203.0.113.7")
