"""RateLimit: how many requests a proxy takes from one source in a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.checks.selectors import any_selectors
from reconciler.duration import parse_duration
from reconciler.part import Part, required
from reconciler.problems import Key, field_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

INTERVAL_LEAST = timedelta(milliseconds=50)
STATUS_LEAST = 400


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    yield from any_selectors(document["sources"])
    yield from any_selectors(document["destinations"])
    yield from required(document["conf"], "write http with requests and interval")
    if document["conf"]["http"]:
        yield from _http(document["conf"]["http"])


def _http(http: Part) -> Faults:
    requests, interval = http["requests"], http["interval"]
    if not requests or requests.number == 0:
        yield requests.fault("VAL003", "requests is missing or zero; write how many are taken")
    yield from required(interval, "write the time that requests speaks of, such as 1s")
    span = parse_duration(interval.text) if interval.text else None
    if span is not None and span < INTERVAL_LEAST:
        text = "Kuma takes an interval under 50ms, and Envoy does not; write a longer one"
        yield interval.warning("VAL004", text)
    yield from _answer(http["onRateLimit"])


def _answer(answer: Part) -> Faults:
    status = answer["status"]
    if status.number is not None and status.number < STATUS_LEAST:
        text = f"Envoy answers 429 instead of {status.value}; write a status of 400 or more"
        yield status.warning("VAL003", text)
    for index, header in enumerate(answer["headers"].items()):
        for part in (header["key"], header["value"]):
            if not part.text:
                # Kuma names no list: conf.http.onRateLimit.header["0"]
                named = field_of((*answer.path, "header", Key(index)))
                fault = part.fault("VAL002", f"{part.name} is missing or empty; write it")
                yield replace(fault, at=replace(fault.at, field=named))
