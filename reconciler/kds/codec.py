"""KumaResource bytes and back (facts/kds-wire.md 2). Legacy kinds are protobuf, all others JSON in
an untyped Any.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar, cast

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from reconciler.kds.messages import MESSAGES
from reconciler.kds.names import resource_name
from reconciler.kds.proto import kds_pb2, kuma_mesh_pb2
from reconciler.kds.types import KUMA_RESOURCE
from reconciler.limits import NESTING_MAX, is_deep
from reconciler.model.kinds import KINDS
from reconciler.model.resource import canonical_json
from reconciler.model.spec import InsightSpec
from xds.discovery import RemoteProtocolError
from xds.wire import entry_body, resource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from xds.resource import XdsResource

INSIGHT = "DataplaneInsight"
M = TypeVar("M", bound=Message)
MESSAGES_KEPT = 256  # a proxy that registers is checked, and told to the global a moment later


@dataclass(frozen=True, slots=True)
class CarriedResource:
    """A resource as it travels: `name` is the wire name, `data` the spec as plain JSON data."""

    type: str
    mesh: str
    name: str
    labels: Mapping[str, str]
    body: str = field(repr=False)  # canonical JSON of `data`
    status: str | None = None  # canonical JSON; None for a kind without, and where it is not sent

    @property
    def data(self) -> Mapping[str, object]:
        return cast("Mapping[str, object]", json.loads(self.body))


def encode_carried(carried: CarriedResource) -> XdsResource:
    """Raises ValueError if the spec does not fit the kind's message."""
    return encode_spec(carried, spec_bytes(carried.type, carried.body))


def encode_spec(carried: CarriedResource, spec: bytes) -> XdsResource:
    """With this for its spec, whatever its body says."""
    return _framed(carried.mesh, carried.name, _without_spec(carried), spec)


@dataclass(frozen=True, slots=True)
class Head:
    """A carried resource without its spec, encoded once for all that follow each other."""

    type: str
    mesh: str
    name: str
    data: bytes = field(repr=False)


def head_of(carried: CarriedResource) -> Head:
    data = _without_spec(carried).SerializeToString(deterministic=True)
    return Head(carried.type, carried.mesh, carried.name, data)


def with_spec(head: Head, spec: bytes) -> XdsResource:
    """As `encode_spec` of what the head was made of."""
    return _framed(head.mesh, head.name, kds_pb2.KumaResource.FromString(head.data), spec)


def _without_spec(carried: CarriedResource) -> kds_pb2.KumaResource:
    message = kds_pb2.KumaResource()
    message.meta.name = carried.name
    message.meta.mesh = carried.mesh
    for key, value in sorted(carried.labels.items()):
        message.meta.labels[key] = value
    kind = MESSAGES.get(carried.type)
    if kind is not None:
        message.spec.type_url = f"type.googleapis.com/{kind.DESCRIPTOR.full_name}"
    message.spec.SetInParent()
    if carried.status:  # An Any with an empty value would end a peer's stream.
        message.status.value = carried.status.encode()
    return message


def _framed(mesh: str, name: str, message: kds_pb2.KumaResource, spec: bytes) -> XdsResource:
    message.spec.value = spec
    body = message.SerializeToString(deterministic=True)
    return resource(KUMA_RESOURCE, resource_name(mesh, name), body)


def spec_bytes(type_: str, body: str) -> bytes:
    """A spec as it travels. Raises ValueError if it does not fit the kind's message."""
    return body.encode() if type_ not in MESSAGES else _message_bytes(type_, body)


@lru_cache(maxsize=MESSAGES_KEPT)
def _message_bytes(type_: str, body: str) -> bytes:
    message = _parsed_json(type_, MESSAGES[type_], json.loads(body))
    return message.SerializeToString(deterministic=True)


def _parsed_json(type_: str, kind: type[Message], data: Mapping[str, object]) -> Message:
    """Fields this program has no number for are left behind: a peer would not know them either."""
    try:
        return json_format.ParseDict(dict(data), kind(), ignore_unknown_fields=True)
    except json_format.ParseError as error:
        raise ValueError(f"{type_}: {error}") from error


def decode_entry(type_: str, entry: bytes) -> CarriedResource:
    """The resource in an entry of a response. Raises RemoteProtocolError for what is no
    KumaResource of the type.
    """
    message = _kuma_resource(type_, entry)
    return _carried(type_, message, _body(type_, message), _status(type_, message))


def decode_insight(entry: bytes) -> tuple[CarriedResource, InsightSpec]:
    """As much of a DataplaneInsight as is counted, and its message for a body: most of it are
    counters, of every proxy after every push, and as JSON they cost six times what is read here.
    """
    message = _kuma_resource(INSIGHT, entry)
    try:
        spec = _proto_spec(kuma_mesh_pb2.DataplaneInsight, message)
    except _UNREADABLE as error:
        raise RemoteProtocolError(f"{INSIGHT} {message.meta.name}: {error}") from error
    online = any(
        told.HasField("connect_time") and not told.HasField("disconnect_time")
        for told in spec.subscriptions
    )
    found = InsightSpec(online, spec.mTLS.issuedBackend, message.spec.value)
    return _carried(INSIGHT, message, "", None), found


def body_from_message(type_: str, message: bytes) -> str:
    """Canonical JSON of a legacy kind's message, which was read before."""
    return canonical_json(json_format.MessageToDict(MESSAGES[type_].FromString(message)))


def _kuma_resource(type_: str, entry: bytes) -> kds_pb2.KumaResource:
    type_url, body = entry_body(entry)
    if type_url != KUMA_RESOURCE:
        raise RemoteProtocolError(f"{type_}: the resource is a {type_url!r}, not a KumaResource")
    message = kds_pb2.KumaResource()
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise RemoteProtocolError(f"{type_}: {error}") from error
    if not message.HasField("spec"):
        raise RemoteProtocolError(f"{type_} {message.meta.name}: the resource has no spec")
    return message


def _carried(
    type_: str, message: kds_pb2.KumaResource, body: str, status: str | None
) -> CarriedResource:
    meta = message.meta
    return CarriedResource(type_, meta.mesh, meta.name, dict(meta.labels), body, status)


def _body(type_: str, message: kds_pb2.KumaResource) -> str:
    """Canonical JSON of the spec, which can be sent on to any other peer as it is."""
    kind = MESSAGES.get(type_)
    try:
        if kind is not None:
            return _canonical(json_format.MessageToDict(_proto_spec(kind, message)))
        return _canonical(_json_object("spec", message.spec.value))
    except _UNREADABLE as error:
        # Also times outside the calendar, NaN in a Struct, nesting beyond all sense.
        raise RemoteProtocolError(f"{type_} {message.meta.name}: {error}") from error


def _status(type_: str, message: kds_pb2.KumaResource) -> str | None:
    """Canonical JSON of the status. Kinds that have none here may have one at a newer peer: it is
    not looked at.
    """
    kind = KINDS.get(type_)
    if kind is None or not kind.has_status or not message.HasField("status"):
        return None
    try:
        return _canonical(_json_object("status", message.status.value))
    except _UNREADABLE as error:
        raise RemoteProtocolError(f"{type_} {message.meta.name}: {error}") from error


_UNREADABLE = (ValueError, DecodeError, json_format.Error, RecursionError)


def _canonical(data: object) -> str:
    text = canonical_json(data)
    text.encode()  # A lone surrogate can be read, and written never.
    return text


def _json_object(part: str, value: bytes) -> object:
    """`part` is the field it stands in, for messages."""
    if not value:
        raise ValueError(f"the {part} is empty, where JSON belongs")
    found = json.loads(value.decode(), parse_constant=_no_number, parse_float=_finite)
    if not isinstance(found, dict):
        raise ValueError(f"the {part} is not an object")  # noqa: TRY004 - the value is wrong
    if is_deep(found):
        raise ValueError(f"the {part} is nested over {NESTING_MAX} levels deep")
    return found


def _no_number(text: str) -> float:
    """Python reads and writes NaN and Infinity; nobody else does."""
    raise ValueError(f"{text} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _no_number(text)


def _proto_spec(kind: type[M], message: kds_pb2.KumaResource) -> M:
    wanted = kind.DESCRIPTOR.full_name
    if message.spec.type_url.rpartition("/")[2] != wanted:
        raise ValueError(f"the spec is a {message.spec.type_url!r}, not a {wanted}")
    spec = kind()
    spec.ParseFromString(message.spec.value)
    return spec


def canonical_data(type_: str, data: Mapping[str, object]) -> Mapping[str, object]:
    """The spec as it arrives at a peer: legacy kinds go through their message, so both sides hold
    equal bodies.

    Raises ValueError if the spec does not fit the kind's message.
    """
    kind = MESSAGES.get(type_)
    if kind is None:
        return data
    return json_format.MessageToDict(_parsed_json(type_, kind, data))
