"""What a global of ours has in force while zones of Kuma connect to it."""

from __future__ import annotations

from reconciler.ca import keys
from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from tests.support.global_link import zone_key

CLUSTER_ID = "5b2c6f0e-5a7f-4a53-9a4e-0d8c6f7a1b22"


def timeout_named(name: str, milliseconds: int) -> MeshResource:
    default = {"connectionTimeout": f"{milliseconds}ms"}
    spec = {"to": [{"targetRef": {"kind": "Mesh"}, "default": default}]}
    return mesh_resource(ResourceKey("MeshTimeout", "default", name), Labels(), spec)


def seeded() -> tuple[MeshResource, ...]:
    """What a proxy of the zone needs (9.1, item 6), beside the Mesh and the zone's public key."""
    key = keys.secret_data(zone_key())
    config = {"config": CLUSTER_ID}
    return (
        mesh_resource(ResourceKey("Config", "", "kuma-cluster-id"), Labels(), config),
        mesh_resource(
            ResourceKey("Secret", "default", "dataplane-token-signing-key-default-1"), Labels(), key
        ),
    )
