"""MeshOpenTelemetryBackend: a collector that policies of logs, traces and metrics name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.addresses import is_dns_name, is_ip
from reconciler.part import Part, not_allowed, port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    address, path = document["endpoint"]["address"], document["endpoint"]["path"]
    if isinstance(address.value, str) and not (is_ip(address.text) or is_dns_name(address.text)):
        text = "address must be a host name or an IP address; the port has a field of its own"
        yield address.fault("VAL010", text)
    yield from port(document["endpoint"]["port"])
    if path.text and document["protocol"].text != "http":
        yield from not_allowed(path, "grpc has no path (protocol: http has one)")
    elif path.text and (not path.text.startswith("/") or set(path.text) & set("?#")):
        text = "path must begin with / and have neither ? nor #; write it like /otlp"
        yield path.fault("VAL010", text)
