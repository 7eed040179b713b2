"""A mesh resource as bytes for a control plane's own store, and back. Pure; the format is the
store's own number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey, canonical_json

Row: TypeAlias = tuple[str, str]  # (kind, key)
Rows: TypeAlias = Mapping[Row, MeshResource | bytes | None]  # None: the row goes


def encode_rows(rows: Rows) -> dict[Row, bytes | None]:
    return {
        row: encode_stored(value) if isinstance(value, MeshResource) else value
        for row, value in rows.items()
    }


def encode_stored(resource: MeshResource) -> bytes:
    key = resource.key
    document = {
        "type": key.type,
        "mesh": key.mesh,
        "name": key.name,
        "labels": dict(resource.labels.pairs),
        "body": json.loads(resource.body),
        **({} if resource.status is None else {"status": json.loads(resource.status)}),
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def decode_stored(data: bytes) -> MeshResource:
    """Raises ValueError or DecodeError for bytes that `encode_stored` did not make."""
    document = json.loads(data)
    key = ResourceKey(document["type"], document["mesh"], document["name"])
    status = canonical_json(document["status"]) if "status" in document else None
    return mesh_resource(key, Labels.of(document["labels"]), document["body"], status)
