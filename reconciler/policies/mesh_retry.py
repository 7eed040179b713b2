"""MeshRetry: which failed requests and connections a caller tries again.

Kuma names the fields of `default` as if they stood in an object `conf` there, and so do we.
"""

from __future__ import annotations

import re
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from reconciler.duration import parse_duration
from reconciler.part import Part, in_range, not_empty, positive_duration, required
from reconciler.policies.document import Fields, check_sections, open_items
from reconciler.policies.policy import (
    GATEWAY,
    GATEWAY_OR_ROUTE_TO,
    PROXY_KINDS,
    ROUTE,
    SERVICE_KINDS,
    At,
    PolicyRules,
)
from reconciler.schema import one_of

if TYPE_CHECKING:
    from reconciler.part import Faults

PROTOCOLS = ("tcp", "http", "grpc")
_OF_BOTH = ("numRetries", "perTryTimeout", "backOff", "retryOn", "rateLimitedBackOff")
_OF_HTTP = (*_OF_BOTH, "retriableRequestHeaders", "retriableResponseHeaders", "hostSelection")
_METHODS = ("Connect", "Delete", "Get", "Head", "Options", "Patch", "Post", "Put", "Trace")
REASONS = (
    "5xx",
    "GatewayError",
    "Reset",
    "Retriable4xx",
    "ConnectFailure",
    "EnvoyRatelimited",
    "RefusedStream",
    "Http3PostConnectFailure",
    *(f"HttpMethod{method}" for method in _METHODS),
)
_STATUS = re.compile(r"[+-]?0*([0-9]{3})")
_STATUSES = frozenset(int(status) for status in HTTPStatus)
_BASE_INTERVAL = timedelta(milliseconds=25)


def check(spec: Fields, at: At) -> Faults:
    yield from check_sections(POLICY, spec, at)
    for item in open_items(POLICY, Part(spec, (), at), "to"):
        yield from _default(item["default"].called((*item.path, "default", "conf")))


def _default(default: Part) -> Faults:
    if not default.given(*PROTOCOLS):
        yield default.fault("VAL008", f"default sets none of {', '.join(PROTOCOLS)}; write one")
    tcp, http, grpc = (default[name] for name in PROTOCOLS)
    if tcp and not tcp["maxConnectAttempt"]:
        yield tcp.fault("VAL002", "tcp is empty; write maxConnectAttempt, such as 3")
    yield from in_range(tcp["maxConnectAttempt"], 1)
    for protocol, fields in ((http, _OF_HTTP), (grpc, _OF_BOTH)):
        if protocol and not protocol.given(*fields):
            text = f"{protocol.name} is empty; write one of {', '.join(fields)}"
            yield protocol.fault("VAL002", text)
        yield from in_range(protocol["numRetries"], 0)
        yield from _waits(protocol)
    for reason in http["retryOn"].items():
        yield from _reason(reason)
    yield from _host_selection(http["hostSelection"])


def _reason(reason: Part) -> Faults:
    status = _STATUS.fullmatch(reason.text)
    if reason.value not in REASONS and (status is None or int(status[1]) not in _STATUSES):
        yield reason.fault("VAL006", f"{one_of(reason.value, REASONS)}, or a status such as 503")


def _waits(protocol: Part) -> Faults:
    back_off, limited = protocol["backOff"], protocol["rateLimitedBackOff"]
    if back_off and not back_off.given("baseInterval", "maxInterval"):
        text = "backOff is empty; write baseInterval, maxInterval or both"
        yield back_off.fault("VAL002", text)
    base, most = parse_duration(back_off["baseInterval"].text), back_off["maxInterval"]
    if base is not None and base <= timedelta():
        yield back_off["baseInterval"].warning("VAL012", "Envoy takes no wait of 0; write 25ms")
    longest = parse_duration(most.text)
    if longest is not None and longest < (base or _BASE_INTERVAL):
        yield most.warning("VAL012", "Envoy takes no longest wait under the first; write a longer")
    yield from positive_duration(limited["maxInterval"])
    if limited:
        yield from required(limited["resetHeaders"], "list the headers that say how long to wait")
    for header in limited["resetHeaders"].items():
        yield from not_empty(header["name"], "write the name of the header")


def _host_selection(rules: Part) -> Faults:
    seen = False
    for rule in rules.items():
        match rule["predicate"].value:
            case "OmitHostsWithTags":
                yield from required(rule["tags"], "write the tags of the instances to avoid")
            case "OmitPreviousPriorities":
                if seen:
                    text = "OmitPreviousPriorities is here a second time; remove one"
                    yield rule["predicate"].fault("VAL009", text)
                yield from in_range(rule["updateFrequency"], 1)
                seen = True


POLICY = PolicyRules(
    kind="MeshRetry",
    slug="mesh_retry",
    check=check,
    top_kinds=(*PROXY_KINDS, GATEWAY, ROUTE),
    system_kinds=(GATEWAY, ROUTE),
    to_kinds=("Mesh", *SERVICE_KINDS, ROUTE),
    narrow_to_kinds=GATEWAY_OR_ROUTE_TO,
    needs_list=False,
)
