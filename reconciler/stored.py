"""A mesh resource as bytes for a control plane's own store, and back. Pure; the format is the
store's own number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypeAlias

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey, canonical_json
from reconciler.vips.allocation import Allocations
from reconciler.vips.stored import text_of

Row: TypeAlias = tuple[str, str]  # (kind, key)
Value: TypeAlias = MeshResource | Allocations | bytes
Rows: TypeAlias = Mapping[Row, Value | None]  # None: the row goes


def encode_rows(rows: Rows) -> dict[Row, bytes | None]:
    return {row: _encoded(value) for row, value in rows.items()}


def _encoded(value: Value | None) -> bytes | None:
    if isinstance(value, MeshResource):
        return encode_stored(value)
    return text_of(value).encode() if isinstance(value, Allocations) else value


def encode_stored(resource: MeshResource) -> bytes:
    """A JSON object with sorted keys, put together: body and status are such text already, and the
    largest part of it.
    """
    key = resource.key
    mesh, name, kind = map(canonical_json, (key.mesh, key.name, key.type))
    labels = canonical_json(dict(resource.labels.pairs))
    status = "" if resource.status is None else f'"status":{resource.status},'
    text = (
        f'{{"body":{resource.body},"labels":{labels},"mesh":{mesh},"name":{name},'
        f'{status}"type":{kind}}}'
    )
    return text.encode(errors="surrogatepass")  # As `json.loads` reads it.


def decode_stored(data: bytes) -> MeshResource:
    """Raises ValueError or DecodeError for bytes that `encode_stored` did not make."""
    document = json.loads(data)
    key = ResourceKey(document["type"], document["mesh"], document["name"])
    status = canonical_json(document["status"]) if "status" in document else None
    return mesh_resource(key, Labels.of(document["labels"]), document["body"], status)
