"""What the global asks of a proxy's Envoy and a zone answers: three streams on which requests run
against the RPC's direction (facts/kds-wire.md 1.1 and 7). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from reconciler.kds.proto import kds_pb2
from xds.discovery import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Mapping

QUESTIONS_MAX = 64  # of one stream that have no answer yet, on both sides
TYPES = ("Dataplane", "ZoneIngress", "ZoneEgress")


class AdminKind(StrEnum):
    CONFIG = "config"
    STATS = "stats"
    CLUSTERS = "clusters"


# Name of the RPC in GlobalKDSService. Its messages: what is asked, what is answered, and the field
# of that one.
METHODS: Mapping[AdminKind, str] = {
    AdminKind.CONFIG: "StreamXDSConfigs",
    AdminKind.STATS: "StreamStats",
    AdminKind.CLUSTERS: "StreamClusters",
}
_QUESTIONS: Mapping[AdminKind, Any] = {
    AdminKind.CONFIG: kds_pb2.XDSConfigRequest,
    AdminKind.STATS: kds_pb2.StatsRequest,
    AdminKind.CLUSTERS: kds_pb2.ClustersRequest,
}
_ANSWERS: Mapping[AdminKind, Any] = {
    AdminKind.CONFIG: kds_pb2.XDSConfigResponse,
    AdminKind.STATS: kds_pb2.StatsResponse,
    AdminKind.CLUSTERS: kds_pb2.ClustersResponse,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`name` is the proxy's inside its zone; `mesh` is empty for zone proxies. A config dump is
    always JSON, and only it has endpoints to include; only statistics can be limited to those used.
    """

    kind: AdminKind
    type: str
    name: str
    mesh: str = ""
    request_id: str = ""
    as_json: bool = True
    used_only: bool = False
    include_eds: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """`error` is empty when there is none."""

    request_id: str
    body: bytes = b""
    error: str = ""


def question_bytes(question: Question) -> bytes:
    message = _QUESTIONS[question.kind](
        request_id=question.request_id,
        resource_type=question.type,
        resource_name=question.name,
        resource_mesh=question.mesh,
    )
    if question.kind is AdminKind.CONFIG:
        message.include_eds = question.include_eds
    else:
        message.format = kds_pb2.JSON if question.as_json else kds_pb2.TEXT
    if question.kind is AdminKind.STATS:
        message.used_only = question.used_only
    return bytes(message.SerializeToString())


def parse_question(kind: AdminKind, data: bytes) -> Question:
    """Raises RemoteProtocolError."""
    message = _parsed(_QUESTIONS[kind], data)
    return Question(
        kind=kind,
        type=message.resource_type,
        name=message.resource_name,
        mesh=message.resource_mesh,
        request_id=message.request_id,
        as_json=kind is AdminKind.CONFIG or message.format == kds_pb2.JSON,
        used_only=kind is AdminKind.STATS and message.used_only,
        include_eds=kind is AdminKind.CONFIG and message.include_eds,
    )


def answer_bytes(kind: AdminKind, answer: Answer) -> bytes:
    """Neither field is set for an empty body without an error."""
    message = _ANSWERS[kind](request_id=answer.request_id)
    if answer.error:
        message.error = answer.error
    elif answer.body:
        setattr(message, kind.value, answer.body)
    return bytes(message.SerializeToString())


def parse_answer(kind: AdminKind, data: bytes) -> Answer:
    """Raises RemoteProtocolError."""
    message = _parsed(_ANSWERS[kind], data)
    return Answer(message.request_id, bytes(getattr(message, kind.value)), message.error)


def _parsed(message_class: Any, data: bytes) -> Any:
    try:
        return message_class.FromString(data)
    except DecodeError as error:
        raise RemoteProtocolError(f"not a {message_class.DESCRIPTOR.name}: {error}") from error
