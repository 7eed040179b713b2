"""A zone's ingresses as its status ref has them, as resources named as they would come over KDS.
Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.kds.codec import CarriedResource, canonical_data
from reconciler.kds.names import hashed_name
from reconciler.kds.receive import accept_from_zone
from reconciler.model.resource import (
    DISPLAY_NAME,
    ENV,
    ORIGIN,
    PROXY_TYPE,
    ZONE,
    Labels,
    MeshResource,
    ResourceKey,
    canonical_json,
)
from reconciler.status.document import StatusUnreadable, parse_ingress

if TYPE_CHECKING:
    from collections.abc import Iterator


def from_status(zone: str, body: bytes) -> Iterator[MeshResource]:
    """A zone's ingresses as its status ref has them, named and checked as if they came over the
    wire: whoever could push to the ref may not say more than the zone could. Raises
    StatusUnreadable.
    """
    for data in parse_ingress(body):
        name = str(data["name"])
        labels = {
            DISPLAY_NAME: name,
            ORIGIN: "zone",
            ZONE: zone,
            ENV: "universal",
            PROXY_TYPE: "zoneingress",
        }
        spec = {key: value for key, value in data.items() if key not in ("type", "name")}
        try:
            wire_name = hashed_name("", name, Labels.of(labels))
            body_text = canonical_json(canonical_data("ZoneIngress", spec))
            carried = CarriedResource("ZoneIngress", "", wire_name, labels, body_text)
            accepted = accept_from_zone(zone, carried)
            if isinstance(accepted, str):
                raise StatusUnreadable(f"{name}: {accepted}")
            key = ResourceKey("ZoneIngress", "", wire_name)
            yield mesh_resource(key, Labels.of(accepted.labels), accepted.data)
        except StatusUnreadable:
            raise
        except (ValueError, KeyError) as error:
            raise StatusUnreadable(f"{name}: {error}") from error
