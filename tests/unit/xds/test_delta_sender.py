"""What is kept of a rejection. The machine itself is tested by the models in tests/protocol."""

from __future__ import annotations

from xds.delta_sender import ADS_DIALECT, MESSAGE_MAX, DeltaSender
from xds.discovery import DeltaRequest
from xds.resource import CLUSTER, XdsResource


def rejected_with(message: str) -> str | None:
    sender, _ = DeltaSender(type_url=CLUSTER, dialect=ADS_DIALECT).on_request(DeltaRequest(CLUSTER))
    sender, response = sender.offer({"web": XdsResource("web", "1", b"web")}, "1")
    assert response is not None
    sender, _ = sender.on_request(DeltaRequest(CLUSTER, nonce="1", error=message))
    return sender.rejected


def test_rejection_keeps_who_was_rejected_and_why_however_long_the_resource_between_them() -> None:
    who, why = "Error adding/updating cluster(s) web: ", ": value length must be at most 255 bytes"
    kept = rejected_with(who + "x: 1\n" * 10_000 + why)
    assert kept is not None
    assert len(kept) == MESSAGE_MAX
    assert kept.startswith(who)
    assert " [...] " in kept
    assert kept.endswith(why)


def test_short_rejection_is_kept_whole() -> None:
    assert rejected_with("x" * MESSAGE_MAX) == "x" * MESSAGE_MAX
