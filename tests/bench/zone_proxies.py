"""What a zone with many proxies tells its global of them, framed as the zone frames it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.kds.codec import CarriedResource, encode_spec, spec_bytes
from reconciler.kds.names import hashed_name
from reconciler.kds.proxy_insight import (
    TOLD_TYPES,
    ProxyInsight,
    Subscription,
    insight_bytes,
    said_by,
)
from reconciler.kds.stats import Counts
from reconciler.model.resource import DISPLAY_NAME, ORIGIN, ZONE, Labels, canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from xds.resource import XdsResource
    from xds.snapshot import Resources

CALLS = 5  # services that each calls
SERVICES = 100
SINCE = 1.8e9  # seconds
SAID = said_by(
    {
        "version": {
            "kumaDp": {"version": "2.14.3", "gitTag": "2.14.3", "buildDate": "2026-11-28"},
            "envoy": {"version": "1.36.2", "build": "dc2d3098/1.36.2/Clean/RELEASE/BoringSSL"},
        },
        "dataplane.admin.port": "9901",
        "dataplane.resource": "x" * 400,
    }
)


def dataplanes(zone: str, count: int) -> Resources:
    return _named(
        _frame(zone, "Dataplane", n, spec_bytes("Dataplane", _body(n))) for n in range(count)
    )


def insights(zone: str, count: int, pushes: int) -> Resources:
    """After so many pushes; all of them are online."""
    return _named(
        _frame(zone, "DataplaneInsight", n, _insight(zone, n, pushes)) for n in range(count)
    )


def _named(frames: Iterable[XdsResource]) -> Resources:
    return {frame.name: frame for frame in frames}


def _frame(zone: str, type_: str, number: int, spec: bytes) -> XdsResource:
    display = f"proxy-{number}"
    name = hashed_name("default", display, Labels.of({ZONE: zone}))
    labels = {DISPLAY_NAME: display, ORIGIN: "zone", ZONE: zone}
    return encode_spec(CarriedResource(type_, "default", name, labels, ""), spec)


def _body(number: int) -> str:
    service = number % SERVICES
    return canonical_json(
        {
            "networking": {
                "address": f"10.0.{number // 250}.{number % 250}",
                "inbound": [
                    {
                        "port": 8080,
                        "servicePort": 80,
                        "tags": {"kuma.io/service": f"s-{service}", "kuma.io/protocol": "http"},
                    }
                ],
                "outbound": [
                    {
                        "port": 10000 + each,
                        "tags": {"kuma.io/service": f"s-{(service + each) % SERVICES}"},
                    }
                    for each in range(CALLS)
                ],
            }
        }
    )


def _insight(zone: str, number: int, pushes: int) -> bytes:
    name = f"proxy-{number}"
    counts = {type_: Counts(pushes + 1, pushes, 0) for type_ in TOLD_TYPES}
    stream = Subscription(f"{zone}-1", SINCE + number, None, SAID, counts, SINCE + pushes)
    told = ProxyInsight((stream,), "ca-1", ("ca-1",), 2 * SINCE, SINCE, 1)
    return insight_bytes("DataplaneInsight", name, told)
