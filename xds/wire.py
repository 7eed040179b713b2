"""Messages to bytes and back: the only place that knows how anything of Envoy's is encoded.

Two backends, each where it is measured best. Discovery envelopes are coded by protobuf's own C
implementation. Envoy's resources are built with envoy-data-plane, whose own serialiser validates
every nested message again at each level; `encode` walks the fields by a plan compiled once a class
instead. Fields are written in the order of their numbers and maps in that of their keys, so that
equal messages give equal bytes.
"""

from __future__ import annotations

import datetime
import struct
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from typing import Any as AnyValue
from typing import TypeVar

import betterproto2
from envoy_data_plane.google.protobuf import Any
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import DecodeError

from xds.discovery import DeltaRequest, DeltaResponse, Node, RemoteProtocolError
from xds.proto import discovery_pb2 as pb
from xds.resource import XdsResource, digest

M = TypeVar(
    "M",
    pb.Resource,
    pb.ResourceBody,
    pb.DeltaDiscoveryRequest,
    pb.DeltaDiscoveryResponse,
    pb.DiscoveryRequest,
    pb.DiscoveryResponse,
)
Encoder = Callable[[AnyValue], bytes]  # value -> payload without key and length
Writer = Callable[[AnyValue, bytearray], None]  # message -> appended fields

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_FIXED = {
    "double": ("<d", FIXED64),
    "fixed64": ("<Q", FIXED64),
    "sfixed64": ("<q", FIXED64),
    "float": ("<f", FIXED32),
    "fixed32": ("<I", FIXED32),
    "sfixed32": ("<i", FIXED32),
}
_VARINTS = ("enum", "bool", "int32", "int64", "uint32", "uint64", "sint32", "sint64")
_MICROSECOND = datetime.timedelta(microseconds=1)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


# --- Envoy's resources ---


def encode(message: betterproto2.Message) -> bytes:
    """The message's bytes, deterministic; the library reads them back as an equal message."""
    out = bytearray()
    _plan(type(message))(message, out)
    return bytes(out)


def any_of(message: betterproto2.Message) -> Any:
    """The message packed into an Any under its own type URL."""
    return Any(type_url=type_url_of(type(message)), value=encode(message))


def type_url_of(kind: type[betterproto2.Message]) -> str:
    from envoy_data_plane.message_pool import default_message_pool

    return str(default_message_pool.type_to_url[kind])


def framer(kind: type[betterproto2.Message], name: str) -> Callable[[bytes], bytes]:
    """Puts bytes into a message as its field `name`: a message is the concatenation of its fields.

    For string, bytes and message fields. What differs between many resources only in a few values
    is encoded once and joined with these; fields in the order of their numbers, as `encode` does.
    """
    meta = _metadata(kind, name)
    wire_type, _ = _single(meta)
    assert wire_type == LENGTH, f"{kind.__name__}.{name} has no length"
    key = _varint(meta.number << 3 | LENGTH)
    return lambda data: key + _varint(len(data)) + data


def number_framer(kind: type[betterproto2.Message], name: str) -> Callable[[int], bytes]:
    """As `framer`, for an integer without presence or in a oneof: always written."""
    meta = _metadata(kind, name)
    wire_type, encoder = _single(meta)
    assert wire_type == VARINT, f"{kind.__name__}.{name} is no integer"
    key = _varint(meta.number << 3 | VARINT)
    return lambda value: key + encoder(value)


def _metadata(kind: type[betterproto2.Message], name: str) -> betterproto2.FieldMetadata:
    (found,) = (f for f in fields(kind) if f.name == name)  # type: ignore[arg-type]
    return betterproto2.FieldMetadata.get(found)


@cache
def _plan(kind: type[betterproto2.Message]) -> Writer:
    """Writers of all fields of a class, in the order of their numbers."""
    found = sorted(fields(kind), key=lambda f: betterproto2.FieldMetadata.get(f).number)  # type: ignore[arg-type]
    writers = [_field(f.name, betterproto2.FieldMetadata.get(f)) for f in found]

    def write(message: AnyValue, out: bytearray) -> None:
        for writer in writers:
            writer(message, out)
        out += message._unknown_fields

    return write


def _field(name: str, meta: betterproto2.FieldMetadata) -> Writer:
    if meta.map_meta is not None:
        return _map_field(name, meta.number, *meta.map_meta)
    wire_type, encoder = _single(meta)
    key = _varint(meta.number << 3 | wire_type)
    if meta.repeated:
        if meta.proto_type in _VARINTS or meta.proto_type in _FIXED:
            return _packed(name, _varint(meta.number << 3 | LENGTH), encoder)
        return _repeated(name, key, encoder)
    return _scalar(name, key, wire_type, encoder, presence=meta.optional or bool(meta.group))


def _scalar(name: str, key: bytes, wire_type: int, encoder: Encoder, *, presence: bool) -> Writer:
    """One value. Without presence the default (zero, empty) is not written; None never is."""

    def write(message: AnyValue, out: bytearray) -> None:
        value = getattr(message, name)
        if value is None or not (presence or value):
            return
        data = encoder(value)
        out += key
        if wire_type == LENGTH:
            out += _varint(len(data))
        out += data

    return write


def _repeated(name: str, key: bytes, encoder: Encoder) -> Writer:
    def write(message: AnyValue, out: bytearray) -> None:
        for value in getattr(message, name):
            data = encoder(value)
            out += key
            out += _varint(len(data))
            out += data

    return write


def _packed(name: str, key: bytes, encoder: Encoder) -> Writer:
    def write(message: AnyValue, out: bytearray) -> None:
        values = getattr(message, name)
        if values:
            data = b"".join(map(encoder, values))
            out += key
            out += _varint(len(data))
            out += data

    return write


def _map_field(
    name: str,
    number: int,
    key_meta: betterproto2.FieldMetadata,
    value_meta: betterproto2.FieldMetadata,
) -> Writer:
    entry_key = _varint(number << 3 | LENGTH)
    write_key = _entry_part(1, key_meta)
    write_value = _entry_part(2, value_meta)

    def write(message: AnyValue, out: bytearray) -> None:
        found = getattr(message, name)
        for map_key in sorted(found):
            data = write_key(map_key) + write_value(found[map_key])
            out += entry_key
            out += _varint(len(data))
            out += data

    return write


def _entry_part(number: int, meta: betterproto2.FieldMetadata) -> Encoder:
    wire_type, encoder = _single(meta)
    key = _varint(number << 3 | wire_type)

    def write(value: AnyValue) -> bytes:
        data = encoder(value)
        return key + _varint(len(data)) + data if wire_type == LENGTH else key + data

    return write


def _single(meta: betterproto2.FieldMetadata) -> tuple[int, Encoder]:
    """Wire type and encoder of one value of this field."""
    kind = meta.proto_type
    if kind in _FIXED:
        form, wire_type = _FIXED[kind]
        return wire_type, struct.Struct(form).pack
    if kind in ("sint32", "sint64"):
        return VARINT, lambda value: _varint(value << 1 if value >= 0 else (value << 1) ^ ~0)
    if kind in _VARINTS:
        return VARINT, lambda value: _varint(int(value))
    if kind == "string":
        return LENGTH, str.encode
    if kind == "bytes":
        return LENGTH, bytes
    return LENGTH, _message if meta.unwrap is None else _wrapped(meta.unwrap())


def _message(value: AnyValue) -> bytes:
    return encode(value)


def _wrapped(kind: type) -> Encoder:
    """Well-known types that the library hands out as Python values: durations, times, wrappers."""
    if kind.__name__ == "Duration":
        return _duration
    if kind.__name__ == "Timestamp":
        return _timestamp
    return lambda value: encode(kind.from_wrapped(value))  # type: ignore[attr-defined]


def _duration(value: datetime.timedelta) -> bytes:
    """Seconds and nanos of one sign (google.protobuf.Duration)."""
    microseconds = value // _MICROSECOND
    sign = -1 if microseconds < 0 else 1
    seconds, rest = divmod(abs(microseconds), 1_000_000)
    return _seconds_nanos(sign * seconds, sign * rest * 1000)


def _timestamp(value: datetime.datetime) -> bytes:
    seconds, rest = divmod((value - _EPOCH) // _MICROSECOND, 1_000_000)
    return _seconds_nanos(seconds, rest * 1000)


def _seconds_nanos(seconds: int, nanos: int) -> bytes:
    out = b"\x08" + _varint(seconds) if seconds else b""
    return out + b"\x10" + _varint(nanos) if nanos else out


def _varint(value: int) -> bytes:
    if 0 <= value < 128:
        return _SHORT[value]
    if value < 0:
        value += 1 << 64
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


_SHORT = tuple(bytes((value,)) for value in range(128))


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
        message.node.id = request.node.id
        message.node.cluster = request.node.cluster
        if request.node.metadata:
            ParseDict(dict(request.node.metadata), message.node.metadata)
    if request.error is not None:
        message.error_detail.message = request.error
        message.error_detail.SetInParent()


def parse_delta_request(data: bytes) -> DeltaRequest:
    """Raises RemoteProtocolError for bytes that are no DeltaDiscoveryRequest."""
    message = _parsed(pb.DeltaDiscoveryRequest(), data)
    return DeltaRequest(
        type_url=message.type_url,
        node=_node(message.node) if message.HasField("node") else None,
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
        node=_node(message.node) if message.HasField("node") else None,
        wanted=tuple(message.resource_names),
        version=message.version_info,
        nonce=message.response_nonce,
        error=message.error_detail.message if message.HasField("error_detail") else None,
    )


def _node(node: pb.Node) -> Node:
    try:
        metadata = MessageToDict(node.metadata) if node.HasField("metadata") else {}
    except (ValueError, RecursionError) as error:  # NaN, or nested beyond all sense
        raise RemoteProtocolError(f"the node's metadata cannot be read: {error}") from error
    return Node(node.id, node.cluster, metadata)


def delta_response_bytes(response: DeltaResponse) -> bytes:
    """Entries are taken as they are; only the small rest is encoded."""
    message = pb.DeltaDiscoveryResponse(
        resources=[entry.entry for entry in response.resources],
        type_url=response.type_url,
        nonce=response.nonce,
        removed_resources=response.removed,
    )
    if response.control_plane:
        message.control_plane.identifier = response.control_plane
    return message.SerializeToString(deterministic=True)


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
    return DeltaResponse(
        type_url=message.type_url,
        nonce=message.nonce,
        resources=tuple(map(_entry, message.resources)),
        removed=tuple(message.removed_resources),
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
