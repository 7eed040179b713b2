"""MeshHealthCheck: a caller's own probes of the instances it calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.part import (
    Part,
    at_least_one,
    file_path,
    in_range,
    not_empty,
    percentage,
    positive_duration,
)
from reconciler.policies.document import Fields, check_sections, open_items
from reconciler.policies.policy import GATEWAY, PROXY_KINDS, SERVICE_KINDS, At, PolicyRules

if TYPE_CHECKING:
    from reconciler.part import Faults

_SPANS = ("interval", "timeout", "initialJitter", "intervalJitter", "noTrafficInterval")
STATUS_LEAST, STATUS_MOST = 100, 599


def check(spec: Fields, at: At) -> Faults:
    yield from check_sections(POLICY, spec, at)
    for item in open_items(POLICY, Part(spec, (), at), "to"):
        yield from _default(item["default"])


def _default(default: Part) -> Faults:
    yield from at_least_one(default, "http", "tcp", "grpc")
    for name in _SPANS:
        yield from positive_duration(default[name])
    yield from in_range(default["unhealthyThreshold"], 1)
    yield from in_range(default["healthyThreshold"], 1)
    yield from in_range(default["intervalJitterPercent"], 0, 100)
    yield from percentage(default["healthyPanicThreshold"])
    yield from file_path(default["eventLogPath"])
    http = default["http"]
    if http["path"]:
        yield from not_empty(http["path"], "write the path to ask for, such as /health")
    for status in http["expectedStatuses"].items():
        yield from in_range(status, STATUS_LEAST, STATUS_MOST)


POLICY = PolicyRules(
    kind="MeshHealthCheck",
    slug="mesh_health_check",
    check=check,
    top_kinds=(*PROXY_KINDS, GATEWAY),
    to_kinds=("Mesh", *SERVICE_KINDS),
    needs_list=False,
)
