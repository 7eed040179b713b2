"""MeshMultiZoneService: one service out of those of several zones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.part import Part, not_empty, port, word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

PROTOCOLS = ("grpc", "http", "http2", "kafka", "tcp")


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    labels = document["selector"]["meshService"]["matchLabels"]
    yield from not_empty(labels, "write a label of the MeshServices")
    yield from not_empty(document["ports"], "write a port such as {port: 80, appProtocol: http}")
    for each in document["ports"].items():
        if each["name"]:
            yield from not_empty(each["name"], "write a name, or leave it out")
        yield from word(each["appProtocol"], PROTOCOLS)
        for fault in port(each["port"]):
            yield each["port"].warning(fault.code, f"{fault.message}: nobody could call it")
