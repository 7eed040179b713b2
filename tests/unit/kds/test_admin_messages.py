"""The admin streams' messages byte for byte, by the numbers of facts/kds-wire.md 1.1."""

from __future__ import annotations

import pytest

from reconciler.kds.admin import (
    AdminKind,
    Answer,
    Question,
    answer_bytes,
    parse_answer,
    parse_question,
    question_bytes,
)
from xds.discovery import RemoteProtocolError


def text(number: int, value: str) -> bytes:
    return bytes([number << 3 | 2, len(value)]) + value.encode()


def flag(number: int) -> bytes:
    return bytes([number << 3, 1])


ENVELOPE = text(1, "id-1") + text(2, "Dataplane") + text(3, "web-1") + text(4, "default")


def asked(
    kind: AdminKind, *, as_json: bool = True, used: bool = False, eds: bool = False
) -> Question:
    return Question(
        kind=kind,
        type="Dataplane",
        name="web-1",
        mesh="default",
        request_id="id-1",
        as_json=as_json,
        used_only=used,
        include_eds=eds,
    )


@pytest.mark.parametrize(
    ("question", "wire"),
    [
        (asked(AdminKind.CONFIG), ENVELOPE),
        (asked(AdminKind.CONFIG, eds=True), ENVELOPE + flag(5)),
        (asked(AdminKind.STATS, as_json=False), ENVELOPE),
        (asked(AdminKind.STATS, used=True), ENVELOPE + flag(5) + flag(6)),
        (asked(AdminKind.CLUSTERS), ENVELOPE + flag(5)),
        (asked(AdminKind.CLUSTERS, as_json=False), ENVELOPE),
    ],
)
def test_question(question: Question, wire: bytes) -> None:
    assert question_bytes(question) == wire
    assert parse_question(question.kind, wire) == question


@pytest.mark.parametrize("kind", list(AdminKind))
def test_answer(kind: AdminKind) -> None:
    for answer, wire in (
        (Answer("id-1", b"{}"), text(1, "id-1") + text(3, "{}")),
        (Answer("id-1", error="no"), text(1, "id-1") + text(2, "no")),
        (Answer("id-1"), text(1, "id-1")),  # the oneof is unset
    ):
        assert answer_bytes(kind, answer) == wire
        assert parse_answer(kind, wire) == answer


@pytest.mark.parametrize("kind", list(AdminKind))
def test_what_cannot_be_read_is_the_peers_fault(kind: AdminKind) -> None:
    for data in (b"\x0a\xff", b"\x0a\x02\xff\xfe"):
        with pytest.raises(RemoteProtocolError):
            parse_question(kind, data)
        with pytest.raises(RemoteProtocolError):
            parse_answer(kind, data)
