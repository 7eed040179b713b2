"""What gives names in a mesh, and the names that it comes to, in zone east."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.collection import collected
from reconciler.decode import mesh_resource
from reconciler.model.resource import SERVICE, Labels, MeshResource, ResourceKey
from reconciler.model.spec import RefDestination
from reconciler.vips.entries import Entry, EntryKind, Holder, Naming
from reconciler.vips.wanted import Wanted, nothing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.collection import Collection

PARAMETERS = ({"name": "srv", "tagKey": SERVICE}, {"name": "instance"}, {"name": "port"})


def a_virtual_outbound(
    name: str,
    host: str,
    port: str = "80",
    *selectors: Mapping[str, str],
    parameters: Sequence[Mapping[str, str]] = PARAMETERS,
) -> MeshResource:
    """For all services unless `selectors` say which."""
    matches = [{"match": match} for match in selectors or ({SERVICE: "*"},)]
    conf = {"host": host, "port": port, "parameters": list(parameters)}
    key = ResourceKey("VirtualOutbound", "default", name)
    return mesh_resource(key, Labels(), {"selectors": matches, "conf": conf})


def a_generator(
    name: str,
    template: str,
    wanted: Mapping[str, str] | None = None,
    *,
    kind: str = "meshService",
    labels: Mapping[str, str] | None = None,
) -> MeshResource:
    """For resources with the `wanted` labels; `labels` are its own."""
    spec = {"selector": {kind: {"matchLabels": dict(wanted or {})}}, "template": template}
    return mesh_resource(ResourceKey("HostnameGenerator", "", name), Labels.of(labels or {}), spec)


def a_mesh_external(
    name: str, port: int = 443, labels: Mapping[str, str] | None = None
) -> MeshResource:
    spec = {"match": {"type": "HostnameGenerator", "port": port, "protocol": "tcp"}}
    key = ResourceKey("MeshExternalService", "default", name)
    return mesh_resource(key, Labels.of(labels or {}), spec)


def by_type(*resources: MeshResource) -> dict[str, Collection]:
    types = {r.key.type for r in resources}
    return {t: collected(r for r in resources if r.key.type == t) for t in types}


def wanted(*resources: MeshResource, naming: Naming | None = None) -> Wanted:
    """Of the mesh `default`, as zone east sees it."""
    found, _ = nothing("default", "east", naming).followed(by_type(*resources))
    return found


def service(name: str) -> Entry:
    return Entry(EntryKind.SERVICE, name)


def host(name: str) -> Entry:
    return Entry(EntryKind.HOST, name)


def fqdn(name: str) -> Entry:
    return Entry(EntryKind.FQDN, name)


def leads(holder: Holder) -> dict[int, dict[str, str]]:
    """The tags that each port leads to."""
    found: dict[int, dict[str, str]] = {}
    for port in holder.ports:
        assert not isinstance(port.destination, RefDestination)
        found[port.port] = dict(port.destination.tags)
    return found
