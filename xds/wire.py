"""The protocol's messages to bytes and back: entries, requests, responses.

Coded by protobuf's own C implementation, from a minimal .proto of ours with Envoy's numbers. What
is inside an entry is bytes here; `xds.message` makes those of Envoy's resources.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import DecodeError

from xds.copying import replace
from xds.difference import Recent
from xds.discovery import DeltaRequest, DeltaResponse, Node, RemoteProtocolError
from xds.proto import discovery_pb2 as pb
from xds.resource import CLUSTER, ENDPOINT, XdsResource, digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ACK = DeltaRequest("")
NODES_KEPT = 64
MANY = 48  # resources of one response
_REPEATED = frozenset((CLUSTER, ENDPOINT))  # types of which many peers are sent the very same
_BODIES: Recent[bytes] = Recent(4_096)  # of so many resources
_SIZES: Recent[int] = Recent(16_384)
NODE_KEPT_MAX = 16_384  # bytes of one
M = TypeVar(
    "M",
    pb.Node,
    pb.Resource,
    pb.ResourceBody,
    pb.DeltaDiscoveryRequest,
    pb.DeltaDiscoveryResponse,
    pb.DiscoveryRequest,
    pb.DiscoveryResponse,
)


# --- entries: framed once, shared by every response ---


def resource(type_url: str, name: str, body: bytes) -> XdsResource:
    """A resource whose version is the digest of its body. `type_url` is that of the Any around the
    body.
    """
    version = digest((body,))
    entry = pb.Resource(version=version, name=name)
    entry.resource.type_url = type_url
    entry.resource.value = body
    return XdsResource(name, version, entry.SerializeToString(deterministic=True))


def entry_body(entry: bytes) -> tuple[str, bytes]:
    """Type URL and value of the Any in an entry. Raises RemoteProtocolError."""
    found = _parsed(pb.Resource(), entry).resource
    return found.type_url, found.value


# --- discovery envelopes ---


def delta_request_bytes(request: DeltaRequest) -> bytes:
    message = pb.DeltaDiscoveryRequest(
        type_url=request.type_url,
        resource_names_subscribe=request.subscribe,
        resource_names_unsubscribe=request.unsubscribe,
        initial_resource_versions=request.initial_versions,
        response_nonce=request.nonce,
    )
    _set_node_and_error(message, request)
    return message.SerializeToString(deterministic=True)


def sotw_request_bytes(request: DeltaRequest) -> bytes:
    message = pb.DiscoveryRequest(
        type_url=request.type_url,
        resource_names=request.wanted or (),
        version_info=request.version,
        response_nonce=request.nonce,
    )
    _set_node_and_error(message, request)
    return message.SerializeToString(deterministic=True)


def _set_node_and_error(
    message: pb.DeltaDiscoveryRequest | pb.DiscoveryRequest, request: DeltaRequest
) -> None:
    if request.node is not None:
        message.node.MergeFromString(_node_bytes(request.node))
        message.node.SetInParent()
    if request.error is not None:
        message.error_detail.message = request.error
        message.error_detail.SetInParent()


def parse_delta_request(data: bytes) -> DeltaRequest:
    """Raises RemoteProtocolError for bytes that are no DeltaDiscoveryRequest."""
    message = _parsed(pb.DeltaDiscoveryRequest(), data)
    if not (
        message.resource_names_subscribe
        or message.resource_names_unsubscribe
        or message.initial_resource_versions
        or message.HasField("node")
        or message.HasField("error_detail")
    ):  # Most are ACKs, and a DeltaRequest of nine fields takes as long as all of the parsing.
        return replace(ACK, type_url=message.type_url, nonce=message.response_nonce)
    return DeltaRequest(
        type_url=message.type_url,
        node=_node(message.node.SerializeToString()) if message.HasField("node") else None,
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        initial_versions=dict(message.initial_resource_versions),
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
    )


def parse_sotw_request(data: bytes) -> DeltaRequest:
    """Raises RemoteProtocolError for bytes that are no DiscoveryRequest."""
    message = _parsed(pb.DiscoveryRequest(), data)
    return DeltaRequest(
        type_url=message.type_url,
        node=_node(message.node.SerializeToString()) if message.HasField("node") else None,
        wanted=tuple(message.resource_names),
        version=message.version_info,
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
    )


def _node_bytes(node: Node) -> bytes:
    metadata = json.dumps(dict(node.metadata), sort_keys=True) if node.metadata else ""
    made = _kept_node_bytes if len(metadata) <= NODE_KEPT_MAX else _made_node_bytes
    return made(node.id, node.cluster, metadata)


def _made_node_bytes(node_id: str, cluster: str, metadata: str) -> bytes:
    node = pb.Node(id=node_id, cluster=cluster)
    if metadata:
        ParseDict(json.loads(metadata), node.metadata)
    return node.SerializeToString(deterministic=True)


def _node(data: bytes) -> Node:
    """Raises RemoteProtocolError."""
    return _kept_node(data) if len(data) <= NODE_KEPT_MAX else _parsed_node(data)


def _parsed_node(data: bytes) -> Node:
    node = _parsed(pb.Node(), data)
    try:
        metadata = MessageToDict(node.metadata) if node.HasField("metadata") else {}
    except (ValueError, RecursionError) as error:  # NaN, or nested beyond all sense
        raise RemoteProtocolError(f"the node's metadata cannot be read: {error}") from error
    return Node(node.id, node.cluster, metadata)


# A zone says who it is with each of 46 types, a real Kuma zone with every ACK.
_kept_node_bytes = lru_cache(maxsize=NODES_KEPT)(_made_node_bytes)
_kept_node = lru_cache(maxsize=NODES_KEPT)(_parsed_node)


def delta_response_bytes(response: DeltaResponse) -> bytes:
    """Entries are taken as they are; only the small rest is encoded. Many of them together are
    remembered for the next peer that is sent the same ones.
    """
    body, resources = b"", response.resources
    if response.type_url in _REPEATED and len(resources) >= MANY:
        body, resources = _BODIES.get(_entries_bytes, resources), ()
    message = pb.DeltaDiscoveryResponse(
        resources=[entry.entry for entry in resources],
        type_url=response.type_url,
        nonce=response.nonce,
        removed_resources=response.removed,
    )
    if response.control_plane:
        message.control_plane.identifier = response.control_plane
    return body + message.SerializeToString(deterministic=True)


def _entries_bytes(resources: tuple[XdsResource, ...], _more: object) -> bytes:
    """The fields of a response that stand before all others."""
    message = pb.DeltaDiscoveryResponse(resources=[entry.entry for entry in resources])
    return message.SerializeToString(deterministic=True)


def size_of(resources: tuple[XdsResource, ...]) -> int:
    """Bytes of their entries."""
    if len(resources) < MANY:
        return sum([len(resource.entry) for resource in resources])
    return _SIZES.get(_sum, resources)


def _sum(resources: tuple[XdsResource, ...], _more: object) -> int:
    return sum([len(resource.entry) for resource in resources])


def sotw_response_bytes(response: DeltaResponse) -> bytes:
    """Of each entry the Any alone: this variant knows a version for the whole type."""
    message = pb.DiscoveryResponse(
        version_info=response.version,
        resources=[_any_bytes(resource.entry) for resource in response.resources],
        type_url=response.type_url,
        nonce=response.nonce,
    )
    if response.control_plane:
        message.control_plane.identifier = response.control_plane
    return message.SerializeToString(deterministic=True)


def _any_bytes(entry: bytes) -> bytes:
    return _parsed(pb.ResourceBody(), entry).resource


def parse_delta_response(data: bytes) -> DeltaResponse:
    """Entries stay bytes; name and version are the sender's. Raises RemoteProtocolError."""
    message = _parsed(pb.DeltaDiscoveryResponse(), data)
    return _delta_response(message, message.resources, message.removed_resources)


def delta_response_parts(data: bytes, size: int) -> Iterator[tuple[DeltaResponse, bool]]:
    """The same in parts of `size` resources, and whether more follow; what was removed is in the
    last one. Raises RemoteProtocolError where it comes to it.
    """
    message = _parsed(pb.DeltaDiscoveryResponse(), data)
    count = len(message.resources)
    for at in range(0, max(count, 1), size):
        more = at + size < count
        removed = () if more else message.removed_resources
        yield _delta_response(message, message.resources[at : at + size], removed), more


def _delta_response(
    message: pb.DeltaDiscoveryResponse, entries: Iterable[bytes], removed: Iterable[str]
) -> DeltaResponse:
    return DeltaResponse(
        type_url=message.type_url,
        nonce=message.nonce,
        resources=tuple(map(_entry, entries)),
        removed=tuple(removed),
        control_plane=message.control_plane.identifier,
    )


def _entry(entry: bytes) -> XdsResource:
    found = _parsed(pb.Resource(), entry)
    return XdsResource(found.name, found.version, entry)


def _parsed(message: M, data: bytes) -> M:
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        name = message.DESCRIPTOR.name
        raise RemoteProtocolError(f"{len(data)} bytes are no {name}: {error}") from error
    return message
