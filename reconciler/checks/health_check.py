"""HealthCheck: a client's own probes of a service's instances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.checks.selectors import service_destinations, service_sources
from reconciler.checks.values import percent, some_time
from reconciler.part import Part, at_most_one, in_range, not_empty, required

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

STATUS_LEAST, STATUS_MOST = 100, 599


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    yield from service_sources(document["sources"])
    yield from service_destinations(document["destinations"])
    yield from required(document["conf"], "write interval, timeout and the two thresholds")
    if document["conf"]:
        yield from _conf(document["conf"])


def _conf(conf: Part) -> Faults:
    for name in ("interval", "timeout"):
        yield from required(conf[name], "write a time such as 10s")
    for name in ("interval", "timeout", "initialJitter", "intervalJitter", "noTrafficInterval"):
        yield from some_time(conf[name])
    for name in ("unhealthyThreshold", "healthyThreshold"):
        yield from required(conf[name], "write a count such as 3")
        yield from in_range(conf[name], 1)
    yield from percent(conf["healthyPanicThreshold"])
    yield from at_most_one(conf, "http", "tcp")
    if conf["http"]:
        yield from _http(conf["http"])


def _http(http: Part) -> Faults:
    yield from not_empty(http["path"], "write the path to ask for, such as /health")
    for header in http["requestHeadersToAdd"].items():
        yield from required(header["header"], "write key and value of the header")
        if header["header"]:
            yield from not_empty(header["header"]["key"], "write the name of the header")
    for status in http["expectedStatuses"].items():
        yield from in_range(status, STATUS_LEAST, STATUS_MOST)
