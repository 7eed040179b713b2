"""MeshRateLimit: how many requests or connections a proxy lets in, each proxy by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.part import Part, duration, in_range, not_allowed, required
from reconciler.policies.document import (
    Fields,
    check_sections,
    includes_gateways,
    open_items,
)
from reconciler.policies.policy import GATEWAY, PROXY_KINDS, ROUTE, At, PolicyRules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import Faults

INTERVAL_ABOVE = timedelta(milliseconds=50)
_HTTP, _TCP = ("disabled", "requestRate", "onRateLimit"), ("disabled", "connectionRate")


def check(spec: Fields, at: At) -> Faults:
    yield from check_sections(POLICY, spec, at)
    document = Part(spec, (), at)
    for section in ("to", "from", "rules"):
        for item in open_items(POLICY, document, section):
            yield from _local(item["default"]["local"])
    for rule in open_items(POLICY, document, "rules"):
        if any(match["spiffeID"] for match in rule["matches"].items()):
            why = "a connection is let in before its caller is known"
            yield from not_allowed(rule["default"]["local"]["tcp"], why)


def _local(local: Part) -> Faults:
    if not local:
        yield from required(local, "write it with http, tcp or both")
    elif not local.given("http", "tcp"):
        yield local.fault("VAL008", "local sets neither http nor tcp; write one")
    http, tcp = local["http"], local["tcp"]
    for limit, fields in ((http, _HTTP), (tcp, _TCP)):
        if limit and not limit.given(*fields):
            text = f"{limit.name} sets none of {', '.join(fields)}; write one, or leave it out"
            yield limit.fault("VAL008", text)
    for rate in (http["requestRate"], tcp["connectionRate"]):
        yield from in_range(rate["num"], 1)
        yield from duration(rate["interval"], above=INTERVAL_ABOVE)
    yield from in_range(http["onRateLimit"]["status"], 1)


def _closed(top: Fields) -> Mapping[str, str]:
    if not includes_gateways(top):
        return {"to": "to is for gateways, and none is among the proxies; use rules"}
    why = "cannot be set where gateways are among the proxies; target proxyTypes: [Sidecar]"
    return {"from": f"from {why}", "rules": f"rules {why}"}


POLICY = PolicyRules(
    kind="MeshRateLimit",
    slug="mesh_rate_limit",
    check=check,
    top_kinds=(*PROXY_KINDS, GATEWAY, ROUTE),
    system_kinds=(GATEWAY, ROUTE),
    to_kinds=("Mesh",),
    from_kinds=("Mesh",),
    has_rules=True,
    needs_list=False,
    empty_match_allowed=False,
    closed=_closed,
)
