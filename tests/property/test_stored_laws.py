"""What a store keeps of a resource: text that is put together is what encoding the whole would be,
and reads as the resource.
"""

from __future__ import annotations

import json
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from reconciler.decode import mesh_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey, canonical_json
from reconciler.stored import decode_stored, encode_stored

TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
BODY = st.dictionaries(TEXT, VALUE, max_size=4)
RESOURCE = st.builds(
    lambda kind, mesh, name, labels, body, status: mesh_resource(
        ResourceKey(kind, mesh, name),
        Labels.of(labels),
        body,
        None if status is None else canonical_json(status),
    ),
    st.sampled_from(("MeshService", "Secret", "DataplaneInsight")),
    TEXT,
    TEXT,
    st.dictionaries(TEXT, TEXT, max_size=3),
    BODY,
    st.none() | BODY,
)


def plain(resource: MeshResource) -> object:
    """The way that reads and encodes it as a whole."""
    key = resource.key
    return {
        "type": key.type,
        "mesh": key.mesh,
        "name": key.name,
        "labels": dict(resource.labels.pairs),
        "body": json.loads(resource.body),
        **({} if resource.status is None else {"status": json.loads(resource.status)}),
    }


@given(RESOURCE)
def test_a_row_is_the_resource_encoded_as_a_whole(resource: MeshResource) -> None:
    row = encode_stored(resource)
    assert row == canonical_json(plain(resource)).encode(errors="surrogatepass")
    assert decode_stored(row) == resource


def test_what_is_encoded_already_is_not_read_again() -> None:
    found = mesh_resource(ResourceKey("Secret", "m", "n"), Labels(), {"data": "eA=="})
    with mock.patch("reconciler.stored.json.loads") as loads:
        encode_stored(found)
    assert not loads.called
