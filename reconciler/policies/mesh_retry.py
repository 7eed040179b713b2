"""MeshRetry: which failed requests and connections a caller tries again.

Kuma names the fields of `default` as if they stood in an object `conf` there, and so do we.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from reconciler.duration import parse_duration
from reconciler.merge import over, over_with
from reconciler.model.resource import Labels
from reconciler.part import Part, in_range, not_empty, positive_duration, required
from reconciler.policies.document import (
    Fields,
    check_sections,
    decode_lists,
    mapping,
    open_items,
    sequence,
)
from reconciler.policies.policy import (
    GATEWAY,
    GATEWAY_OR_ROUTE_TO,
    PROXY_KINDS,
    ROUTE,
    SERVICE_KINDS,
    At,
    PolicyType,
)
from reconciler.policies.re2 import faults
from reconciler.policies.value_match import VALUE_KINDS
from reconciler.schema import one_of
from xds.route import MatchKind, ValueMatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.model.spec import PolicySpec
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
_NOTHING = r"\zx"  # an expression that nothing matches: a letter behind the end
_BASE_INTERVAL = timedelta(milliseconds=25)


# --- conf ---


@dataclass(frozen=True, slots=True)
class HostRule:
    """What a further try avoids. `tags`: of OmitHostsWithTags; `frequency`: of
    OmitPreviousPriorities.
    """

    predicate: str
    tags: tuple[tuple[str, str], ...] = ()
    frequency: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """Of HTTP, or of gRPC, which knows less. None: nothing said; `reset_headers` are (name, whether
    it holds a time of day).
    """

    number: int | None = None
    per_try: timedelta | None = None
    wait: timedelta | None = None
    longest_wait: timedelta | None = None
    reset_headers: tuple[tuple[str, bool], ...] | None = None
    longest_limited_wait: timedelta | None = None
    on: tuple[str, ...] | None = None
    response_headers: tuple[ValueMatch, ...] | None = None
    request_headers: tuple[ValueMatch, ...] | None = None
    hosts: tuple[HostRule, ...] | None = None
    host_attempts: int | None = None


@dataclass(frozen=True, slots=True)
class RetryConf:
    """What one item says. `tcp`: how often to try to connect."""

    tcp: int | None = None
    http: Retries | None = None
    grpc: Retries | None = None


def merge(weak: RetryConf, strong: RetryConf) -> RetryConf:
    return RetryConf(
        over(weak.tcp, strong.tcp),
        over_with(weak.http, strong.http, _merge),
        over_with(weak.grpc, strong.grpc, _merge),
    )


def _merge(weak: Retries, strong: Retries) -> Retries:
    return Retries(
        number=over(weak.number, strong.number),
        per_try=over(weak.per_try, strong.per_try),
        wait=over(weak.wait, strong.wait),
        longest_wait=over(weak.longest_wait, strong.longest_wait),
        reset_headers=over(weak.reset_headers, strong.reset_headers),
        longest_limited_wait=over(weak.longest_limited_wait, strong.longest_limited_wait),
        on=over(weak.on, strong.on),
        response_headers=over(weak.response_headers, strong.response_headers),
        request_headers=over(weak.request_headers, strong.request_headers),
        hosts=over(weak.hosts, strong.hosts),
        host_attempts=over(weak.host_attempts, strong.host_attempts),
    )


def waits(retries: Retries) -> tuple[timedelta, timedelta | None] | None:
    """The first wait and the longest, as Envoy takes them: none of 0, none shorter than the first.
    None: nothing is said of either.
    """
    if retries.wait is None and retries.longest_wait is None:
        return None
    said = retries.wait
    first = said if said is not None and said > timedelta() else _BASE_INTERVAL
    longest = retries.longest_wait
    return first, longest if longest is not None and longest >= first else None


# --- decode ---


def decode(spec: Fields) -> PolicySpec:
    return decode_lists(spec, decode_conf)


def decode_conf(default: Fields) -> RetryConf:
    http, grpc = default.get("http"), default.get("grpc")
    return RetryConf(
        _count(mapping(default.get("tcp")), "maxConnectAttempt"),
        None if http is None else _http(mapping(http)),
        None if grpc is None else _of_both(mapping(grpc)),
    )


def _of_both(fields: Fields) -> Retries:
    wait, limited = mapping(fields.get("backOff")), mapping(fields.get("rateLimitedBackOff"))
    headers, reasons = limited.get("resetHeaders"), fields.get("retryOn")
    return Retries(
        number=_count(fields, "numRetries"),
        per_try=_span(fields, "perTryTimeout"),
        wait=_span(wait, "baseInterval"),
        longest_wait=_span(wait, "maxInterval"),
        reset_headers=None if headers is None else tuple(map(_reset_header, sequence(headers))),
        longest_limited_wait=_span(limited, "maxInterval"),
        on=None if reasons is None else tuple(map(str, sequence(reasons))),
    )


def _http(fields: Fields) -> Retries:
    response, request = (fields.get(f"retriable{of}Headers") for of in ("Response", "Request"))
    hosts = fields.get("hostSelection")
    return replace(
        _of_both(fields),
        response_headers=None if response is None else tuple(_header_matches(response)),
        request_headers=None if request is None else tuple(_header_matches(request)),
        hosts=None if hosts is None else tuple(map(_host_rule, sequence(hosts))),
        host_attempts=_count(fields, "hostSelectionMaxAttempts"),
    )


def _reset_header(header: object) -> tuple[str, bool]:
    fields = mapping(header)
    return str(fields.get("name")), fields.get("format") == "UnixTimestamp"


def _header_matches(headers: object) -> Iterator[ValueMatch]:
    """What Envoy would refuse is said in another way: a listener is refused as a whole."""
    for fields in map(mapping, sequence(headers)):
        kind = VALUE_KINDS[str(fields.get("type") or "Exact")]
        value = str(fields.get("value") or "")
        if not value and kind is MatchKind.PREFIX:
            kind = MatchKind.PRESENT
        elif not value and kind is MatchKind.REGEX:
            kind = MatchKind.EXACT
        elif any(_refused(fields)):
            value = _NOTHING
        yield ValueMatch(kind, str(fields.get("name")), value)


def _host_rule(rule: object) -> HostRule:
    fields = mapping(rule)
    tags = Labels.of(cast("Mapping[str, str]", fields.get("tags") or {})).pairs
    frequency = _count(fields, "updateFrequency")
    return HostRule(str(fields.get("predicate")), tags, 2 if frequency is None else frequency)


def _count(fields: Fields, name: str) -> int | None:
    value = fields.get(name)
    return int(value) if isinstance(value, int | float) else None


def _span(fields: Fields, name: str) -> timedelta | None:
    value = fields.get(name)
    return parse_duration(value) if isinstance(value, str) else None


# --- check ---


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
    for headers in (http["retriableResponseHeaders"], http["retriableRequestHeaders"]):
        for header in headers.items():
            for fault in _refused(header.fields):
                yield header["value"].warning("VAL012", f"{fault}; in our zones it matches nothing")


def _refused(header: Fields) -> Iterator[str]:
    """Why Envoy would refuse the match."""
    value = header.get("value")
    if header.get("type") == "RegularExpression" and isinstance(value, str):
        yield from faults(value)


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


POLICY = PolicyType(
    kind="MeshRetry",
    slug="mesh_retry",
    decode=decode,
    check=check,
    merge=merge,
    top_kinds=(*PROXY_KINDS, GATEWAY, ROUTE),
    system_kinds=(GATEWAY, ROUTE),
    to_kinds=("Mesh", *SERVICE_KINDS, ROUTE),
    narrow_to_kinds=GATEWAY_OR_ROUTE_TO,
    needs_list=False,
)
