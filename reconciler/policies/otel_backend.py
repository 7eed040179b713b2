"""The collector of OpenTelemetry that policies of logs, traces and metrics send to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.part import word

if TYPE_CHECKING:
    from reconciler.part import Faults, Part

KINDS = ("MeshOpenTelemetryBackend",)


def collector(part: Part) -> Faults:
    """Named by exactly one of `endpoint`, host and port, and `backendRef`."""
    endpoint, ref = part["endpoint"], part["backendRef"]
    if endpoint.text and ref:
        text = "endpoint and backendRef exclude each other; keep one of them"
        yield part.fault("VAL007", text)
    elif ref:
        yield from word(ref["kind"], KINDS)
        if not ref["labels"].fields:
            text = "backendRef chooses by labels; write those of a MeshOpenTelemetryBackend"
            yield ref.fault("VAL001", text)
    elif not endpoint.text:
        text = "says nothing of the collector; write endpoint or backendRef"
        yield part.fault("VAL008", text)
    elif set(endpoint.text) & set("/?#"):
        text = "endpoint is host and port and no URL; write it like otel-collector:4317"
        yield endpoint.fault("VAL010", text)
