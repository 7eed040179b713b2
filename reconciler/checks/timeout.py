"""Timeout: how long a client's proxy waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.checks.selectors import service_destinations, service_sources
from reconciler.checks.values import no_negative, some_time
from reconciler.part import Part, at_least_one, required

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

# What of each protocol must be there, and not be zero. The others of http may be.
TIMES = {
    "tcp": ("idleTimeout",),
    "http": ("requestTimeout", "idleTimeout"),
    "grpc": ("streamIdleTimeout", "maxStreamDuration"),
}


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    yield from service_sources(document["sources"])
    yield from service_destinations(document["destinations"])
    conf = document["conf"]
    yield from required(conf, "write connectTimeout, or times of tcp, http or grpc")
    yield from no_negative(conf["connectTimeout"])
    for protocol, names in TIMES.items():
        part = conf[protocol]
        if part:
            yield from at_least_one(part, *names)
        for name in names:
            yield from some_time(part[name])
    for name in ("streamIdleTimeout", "maxStreamDuration"):
        yield from no_negative(conf["http"][name])
