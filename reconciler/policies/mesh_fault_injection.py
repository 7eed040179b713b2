"""MeshFaultInjection: faults on purpose, to see how services bear them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.duration import parse_duration
from reconciler.part import Part, duration_not_negative, form, in_range, percentage
from reconciler.policies.document import (
    Fields,
    check_sections,
    includes_gateways,
    open_items,
)
from reconciler.policies.policy import GATEWAY, PROXY_KINDS, At, PolicyRules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import Faults

STATUS_LEAST, STATUS_MOST = 100, 599
STATUS_OF_ENVOY = 200
PARTS = ("abort", "delay", "responseBandwidth")
_BANDWIDTH = re.compile(r"[0-9]*[ \t\n\r\f]?[GMk]+bps")


def check(spec: Fields, at: At) -> Faults:
    yield from check_sections(POLICY, spec, at)
    document = Part(spec, (), at)
    for section in ("to", "from", "rules"):
        for item in open_items(POLICY, document, section):
            http = item["default"]["http"]
            for index, fault in enumerate(http.items()):
                # Kuma puts the number of the fault behind the name of its part.
                abort, delay, bandwidth = (
                    fault[name].called((*http.path, name, index)) for name in PARTS
                )
                yield from _fault(abort, delay, bandwidth)
                if not fault.given(*PARTS):
                    yield fault.warning("PS001", f"does nothing; write one of {', '.join(PARTS)}")


def _fault(abort: Part, delay: Part, bandwidth: Part) -> Faults:
    status, wait, limit = abort["httpStatus"], delay["value"], bandwidth["limit"]
    yield from in_range(status, STATUS_LEAST, STATUS_MOST)
    if status.number is not None and STATUS_LEAST <= status.number < STATUS_OF_ENVOY:
        yield status.warning("VAL012", "Envoy answers with no status under 200; write another")
    yield from duration_not_negative(wait)
    if parse_duration(wait.text) == timedelta():
        yield wait.warning("VAL012", "Envoy takes no wait of 0; leave the delay out")
    yield from form(limit, _BANDWIDTH, "a bandwidth", "write it in kbps, Mbps or Gbps: 50kbps")
    for part in (abort, delay, bandwidth):
        yield from percentage(part["percentage"])


def _closed(top: Fields) -> Mapping[str, str]:
    if not includes_gateways(top):
        return {"to": "to is for gateways, and none is among the proxies; use rules"}
    why = "where gateways are among the proxies; target proxyTypes: [Sidecar]"
    return {"from": f"from cannot be set {why}"}


POLICY = PolicyRules(
    kind="MeshFaultInjection",
    slug="mesh_fault_injection",
    check=check,
    top_kinds=(*PROXY_KINDS, GATEWAY),
    system_kinds=(GATEWAY,),
    to_kinds=("Mesh",),
    from_kinds=("Mesh", "MeshSubset", "MeshService", "MeshServiceSubset"),
    has_rules=True,
    needs_list=False,
    rules_exclude=("from",),
    closed=_closed,
)
