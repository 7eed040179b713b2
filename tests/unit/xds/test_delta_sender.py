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


def test_what_was_only_ever_rejected_is_not_accepted_with_what_is_sent_beside_it() -> None:
    """It is kept for what drains, but a listener may not follow it."""
    sender, _ = DeltaSender(type_url=CLUSTER, dialect=ADS_DIALECT).on_request(DeltaRequest(CLUSTER))
    bad, web, other = (XdsResource(name, "1", name.encode()) for name in ("bad", "web", "other"))
    sender, _ = sender.offer({"bad": bad, "web": web}, "1")
    sender, _ = sender.on_request(DeltaRequest(CLUSTER, nonce="1", error="bad: no"))
    want = {"other": other, "web": web}
    sender, _ = sender.offer(want, "2", keep=frozenset({"bad"}))
    sender, _ = sender.on_request(DeltaRequest(CLUSTER, nonce="2"))
    assert set(sender.acked) == {"other", "web"}
    assert sender.holds(want)
    sender, _ = sender.offer({**want}, "3", keep=frozenset({"bad"}))
    assert set(sender.acked) == {"other", "web"}
    sender, response = sender.offer(want, "3")
    assert response is not None
    assert response.removed == ("bad",)
    sender, _ = sender.on_request(DeltaRequest(CLUSTER, nonce="3"))
    assert sender.acked is sender.sent
