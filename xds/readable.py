"""Encoded resources as plain JSON data, for people and tests. Nothing serves from it."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.extensions.transport_sockets.tls.v3 import Secret

from xds.json_form import json_form
from xds.resource import CLUSTER, ENDPOINT, LISTENER, SECRET, XdsResource
from xds.wire import entry_body

if TYPE_CHECKING:
    import betterproto2

    from xds.snapshot import Snapshot

LEFT_OUT = {"inlineString": "[redacted]"}  # a data source, as the key was
KEPT = 256  # resources as data
_TYPES: dict[str, type[betterproto2.Message]] = {
    CLUSTER: Cluster,
    ENDPOINT: ClusterLoadAssignment,
    LISTENER: Listener,
    SECRET: Secret,
}


def readable(resource: XdsResource) -> dict[str, object]:
    """The resource in protobuf's JSON form, with every Any opened. Not to be changed."""
    return _readable(resource.entry)


@lru_cache(maxsize=KEPT)
def _readable(entry: bytes) -> dict[str, object]:
    type_url, body = entry_body(entry)
    return json_form(_TYPES[type_url], body)


def readable_snapshot(snapshot: Snapshot) -> dict[str, list[dict[str, object]]]:
    """Clusters, endpoints and listeners by name; of secrets only the names, of keys nothing."""
    return {
        "clusters": [readable(r) for _, r in sorted(snapshot.clusters.items())],
        "endpoints": [readable(r) for _, r in sorted(snapshot.endpoints.items())],
        "listeners": [_shown(readable(r)) for _, r in sorted(snapshot.listeners.items())],
        "secrets": [{"name": name} for name in sorted(snapshot.secrets)],
    }


def readable_by_type(snapshot: Snapshot) -> dict[str, dict[str, object]]:
    """All resources by type URL and name, without private keys; types without any are left out."""
    types = {
        CLUSTER: snapshot.clusters,
        ENDPOINT: snapshot.endpoints,
        LISTENER: snapshot.listeners,
        SECRET: snapshot.secrets,
    }
    return {
        type_url: {name: _shown(readable(r)) for name, r in sorted(resources.items())}
        for type_url, resources in types.items()
        if resources
    }


def _shown(data: Any) -> Any:
    """Without the private key that the admin listener holds inline."""
    match data:
        case dict():
            return {k: LEFT_OUT if k == "privateKey" else _shown(v) for k, v in data.items()}
        case list():
            return [_shown(value) for value in data]
        case _:
            return data
