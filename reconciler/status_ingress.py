"""A zone's ingresses as its status ref has them, as resources named as they would come over KDS.
Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.kds.codec import canonical_data
from reconciler.kds.names import hashed_name
from reconciler.model.resource import (
    DISPLAY_NAME,
    ENV,
    ORIGIN,
    PROXY_TYPE,
    ZONE,
    Labels,
    MeshResource,
    ResourceKey,
)
from reconciler.status.document import StatusUnreadable, parse_ingress

if TYPE_CHECKING:
    from collections.abc import Iterator


def from_status(zone: str, body: bytes) -> Iterator[MeshResource]:
    """A zone's ingresses as its status ref has them, named as they would come over the wire."""
    for data in parse_ingress(body):
        name = str(data["name"])
        labels = Labels.of(
            {
                DISPLAY_NAME: name,
                ORIGIN: "zone",
                ZONE: zone,
                ENV: "universal",
                PROXY_TYPE: "zoneingress",
            }
        )
        spec = {key: value for key, value in data.items() if key not in ("type", "name")}
        try:
            body_data = canonical_data("ZoneIngress", spec)
            key = ResourceKey("ZoneIngress", "", hashed_name("", name, labels))
            yield mesh_resource(key, labels, body_data)
        except (ValueError, KeyError) as error:
            raise StatusUnreadable(f"{name}: {error}") from error
