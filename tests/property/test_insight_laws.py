"""An insight whose parts were encoded long ago is the one that its plain data gives."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st

from reconciler.kds.codec import CarriedResource, decode_entry, decode_insight, encode_spec
from reconciler.kds.messages import MESSAGES
from reconciler.kds.proxy_insight import (
    TOLD_TYPES,
    ProxyInsight,
    Subscription,
    insight_bytes,
    said_by,
)
from reconciler.kds.stats import Counts, stats
from reconciler.kds.zone_node import is_compatible
from reconciler.model.spec import InsightSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

TEXT = st.text(max_size=8)
TIMES = st.integers(0, 2**31 * 1000).map(lambda ms: ms / 1000)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
PART = st.dictionaries(st.sampled_from(("version", "gitTag", "build", "more")), TEXT | st.none())
VERSION = st.fixed_dictionaries(
    {}, optional={"kumaDp": PART | TEXT, "envoy": PART, "dependencies": PART, "other": JSON}
)
METADATA = st.fixed_dictionaries({"x": JSON}, optional={"version": VERSION | TEXT, "y": JSON})
COUNTS = st.builds(Counts, *[st.integers(0, 2**40)] * 3)
KNOWN = {
    "kumaDp": ("version", "gitTag", "gitCommit", "buildDate"),
    "envoy": ("version", "build"),
}


@st.composite
def streams(draw: st.DrawFn) -> tuple[Subscription, dict[str, Any]]:
    """One, and what its proxy said."""
    metadata = draw(METADATA)
    counts = draw(st.dictionaries(st.sampled_from((*TOLD_TYPES, "sds")), COUNTS))
    stream = Subscription(
        "east-1",
        draw(TIMES),
        draw(st.none() | TIMES),
        said_by(metadata),
        counts,
        draw(TIMES),
    )
    return stream, metadata


@given(st.lists(streams(), max_size=3), st.sampled_from(("", "ca")), TIMES, st.integers(0, 9))
def test_insight_is_what_its_plain_data_gives(
    found: list[tuple[Subscription, dict[str, Any]]], backend: str, at: float, number: int
) -> None:
    insight = ProxyInsight(backend=backend, expires_at=at, regenerations=number)
    for stream, _ in found:
        insight = ProxyInsight(insight.opened(stream), backend, (), insight.expires_at, at, number)
    for type_ in ("DataplaneInsight", "ZoneIngressInsight", "ZoneEgressInsight"):
        kind = MESSAGES[type_]
        wanted = ParseDict(plain(insight, found[-2:]), kind(), ignore_unknown_fields=True)
        told = kind.FromString(insight_bytes(type_, "web", insight))
        assert told == wanted, (told, wanted)
        assert insight_bytes(type_, "web", insight) == wanted.SerializeToString(deterministic=True)


@given(
    st.lists(streams(), max_size=3), st.sampled_from(("", "ca")), TIMES, st.dictionaries(TEXT, TEXT)
)
def test_what_the_global_counts_of_an_insight_is_what_its_json_says(
    found: list[tuple[Subscription, dict[str, Any]]],
    backend: str,
    at: float,
    labels: dict[str, str],
) -> None:
    subscriptions = tuple(stream for stream, _ in found)
    insight = ProxyInsight(subscriptions, backend, (), at, at, 1)
    named = CarriedResource("DataplaneInsight", "default", "web", labels, "")
    message = insight_bytes("DataplaneInsight", "web", insight)
    frame = encode_spec(named, message)
    carried = decode_entry("DataplaneInsight", frame.entry)
    told: dict[str, Any] = dict(carried.data)
    online = any(
        s.get("connectTime") and not s.get("disconnectTime") for s in told.get("subscriptions", ())
    )
    counted = InsightSpec(online, told.get("mTLS", {}).get("issuedBackend", ""), message)
    assert decode_insight(frame.entry) == (replace(carried, body=""), counted)


def plain(
    insight: ProxyInsight, found: list[tuple[Subscription, dict[str, Any]]]
) -> dict[str, Any]:
    body: dict[str, Any] = {"subscriptions": [subscription(*each) for each in found]}
    if found and found[-1][1]:
        body["metadata"] = found[-1][1]
    if insight.backend:
        body["mTLS"] = {
            "certificateExpirationTime": moment(insight.expires_at),
            "lastCertificateRegeneration": moment(insight.regenerated_at),
            "certificateRegenerations": insight.regenerations,
            "issuedBackend": insight.backend,
            "supportedBackends": list(insight.backends or (insight.backend,)),
        }
    return body


def subscription(found: Subscription, metadata: Mapping[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": f"web-{int(found.since * 1000)}",
        "controlPlaneInstanceId": found.instance,
        "connectTime": moment(found.since),
    }
    version = versions(metadata.get("version"))
    if version:
        told["version"] = version
    if found.counts:
        told["status"] = {
            "lastUpdateTime": moment(found.counted_at),
            "total": stats(found.counts.values()),
            **{t: stats((found.counts[t],)) if t in found.counts else {} for t in TOLD_TYPES},
        }
    if found.until is not None:
        told["disconnectTime"] = moment(found.until)
    return told


def versions(given: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part, names in KNOWN.items() if isinstance(given, dict) else ():
        data = given.get(part)
        if isinstance(data, dict):
            texts = {n: data[n] for n in names if isinstance(data.get(n), str)}
            found |= {part: texts} if texts else {}
    if "kumaDp" in found:
        text = found["kumaDp"].get("version", "")
        found["kumaDp"] = {**found["kumaDp"], "kumaCpCompatible": is_compatible(text)}
    more = given.get("dependencies") if isinstance(given, dict) else None
    if isinstance(more, dict):
        found |= {"dependencies": {k: v for k, v in more.items() if isinstance(v, str)}}
    return {k: v for k, v in found.items() if v}


def moment(at: float) -> str:
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
