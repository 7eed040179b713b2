"""MeshTimeout: how long connections, requests and idleness may last.

As soon as one item matches, every field that no item set takes its built-in default: a policy that
sets only `idleTimeout` also limits requests to 15 s. Zero turns a limit off.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from reconciler.duration import parse_duration
from reconciler.merge import over
from reconciler.part import Part
from reconciler.policies.document import (
    Fields,
    check_sections,
    decode_lists,
    mapping,
    open_items,
    top_kind,
)
from reconciler.policies.inbound_match import decode_matches
from reconciler.policies.policy import (
    GATEWAY,
    GATEWAY_OR_ROUTE_TO,
    PROXY_KINDS,
    ROUTE,
    SERVICE_KINDS,
    At,
    PolicyType,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.model.spec import PolicySpec
    from reconciler.problems import Problem

HTTP_FIELDS = (
    "requestTimeout",
    "streamIdleTimeout",
    "maxStreamDuration",
    "maxConnectionDuration",
    "requestHeadersTimeout",
)
SET_BY_HTTP = HTTP_FIELDS[:4]  # `http` with request headers' alone is empty to Kuma
PER_CALLER = ("requestTimeout", "streamIdleTimeout")  # all that a rule with matches may set
PER_ROUTE = (*PER_CALLER, "requestHeadersTimeout")  # all that a policy for a MeshHTTPRoute may set


@dataclass(frozen=True, slots=True)
class TimeoutConf:
    """What one item says; None: nothing said."""

    connection: timedelta | None = None
    idle: timedelta | None = None
    request: timedelta | None = None
    stream_idle: timedelta | None = None
    max_stream: timedelta | None = None
    max_connection: timedelta | None = None
    request_headers: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Timeouts:
    """In force at one place: nothing is left open. `http`: the place speaks an HTTP protocol."""

    connection: timedelta
    idle: timedelta
    request: timedelta
    stream_idle: timedelta
    max_stream: timedelta
    max_connection: timedelta
    request_headers: timedelta
    http: bool


_OFF = timedelta()


def merge(weak: TimeoutConf, strong: TimeoutConf) -> TimeoutConf:
    return TimeoutConf(
        connection=over(weak.connection, strong.connection),
        idle=over(weak.idle, strong.idle),
        request=over(weak.request, strong.request),
        stream_idle=over(weak.stream_idle, strong.stream_idle),
        max_stream=over(weak.max_stream, strong.max_stream),
        max_connection=over(weak.max_connection, strong.max_connection),
        request_headers=over(weak.request_headers, strong.request_headers),
    )


def timeouts(conf: TimeoutConf, *, http: bool) -> Timeouts:
    """The conf with the defaults filled in, for a place that speaks HTTP or not."""

    def default(said: timedelta | None, otherwise: timedelta) -> timedelta:
        return otherwise if said is None else said

    return Timeouts(
        connection=default(conf.connection, timedelta(seconds=5)),
        idle=default(conf.idle, timedelta(hours=1)),
        request=default(conf.request, timedelta(seconds=15)),
        stream_idle=default(conf.stream_idle, timedelta(minutes=30)),
        max_stream=default(conf.max_stream, _OFF),
        max_connection=default(conf.max_connection, _OFF),
        request_headers=default(conf.request_headers, _OFF),
        http=http,
    )


def decode(spec: Fields) -> PolicySpec:
    return decode_lists(spec, decode_conf, decode_matches)


def decode_conf(default: Fields) -> TimeoutConf:
    http = mapping(default.get("http"))

    def span(fields: Fields, name: str) -> timedelta | None:
        value = fields.get(name)
        return parse_duration(value) if isinstance(value, str) else None

    return TimeoutConf(
        span(default, "connectionTimeout"),
        span(default, "idleTimeout"),
        *(span(http, name) for name in HTTP_FIELDS),
    )


def check(spec: Fields, at: At) -> Iterator[Problem]:
    yield from check_sections(POLICY, spec, at)
    document = Part(spec, (), at)
    for section in ("to", "from", "rules"):
        for item in open_items(POLICY, document, section):
            yield from _check_default(item["default"], route=top_kind(spec) == ROUTE)
    for rule in document["rules"].items():
        if rule.set("matches"):
            text = "our zones do not set timeouts by caller yet, Kuma's do; leave out matches"
            yield rule["matches"].warning("MT008", text)
        if any(match["spiffeID"] for match in rule["matches"].items()):
            for part in _beyond(rule["default"], PER_CALLER):
                text = f"{part.name} cannot depend on the caller; move it to a rule without matches"
                yield part.fault("MT006", text)


def _check_default(default: Part, *, route: bool) -> Iterator[Problem]:
    if not default.given("connectionTimeout", "idleTimeout", "http"):
        yield default.fault("MT004", "sets no timeout; set one or remove the item")
        return
    http = default["http"]
    if http and not http.given(*SET_BY_HTTP):
        text = f"http sets none of {', '.join(SET_BY_HTTP)}; set one or remove it"
        yield http.fault("MT005", text)
    if route:
        for part in _beyond(default, PER_ROUTE):
            text = f"{part.name} cannot depend on the route; move it to a policy for its callers"
            yield part.fault("MT007", text)
    yield from _check_span(default["connectionTimeout"])
    yield from _check_span(default["idleTimeout"])
    for name in HTTP_FIELDS:
        yield from _check_span(http[name])


def _check_span(part: Part) -> Iterator[Problem]:
    if not isinstance(part.value, str):
        return  # Absent, or not a string: the schema has said so.
    span = parse_duration(part.value)
    if span is None:
        text = f'{part.name} "{part.value[:60]}" is not a duration; write it like 1m30s'
        yield part.fault("MT003", text)
    elif part.name == "connectionTimeout" and span <= timedelta():
        yield part.fault("MT001", f"{part.name} must be greater than 0s; omit it to inherit")
    elif span < timedelta():
        yield part.fault("MT002", f"{part.name} must not be negative; 0s turns it off")


def _beyond(default: Part, allowed: tuple[str, ...]) -> list[Part]:
    """The timeouts that are set and not among `allowed`."""
    unfit = [name for name in HTTP_FIELDS if name not in allowed]
    return [*default.given("connectionTimeout", "idleTimeout"), *default["http"].given(*unfit)]


def _closed(top: Fields) -> Mapping[str, str]:
    kind = top.get("kind")
    return (
        {"from": f"a MeshTimeout for a {kind} has no from; use to"}
        if kind in (GATEWAY, ROUTE)
        else {}
    )


POLICY = PolicyType(
    kind="MeshTimeout",
    slug="mesh_timeout",
    decode=decode,
    check=check,
    merge=merge,
    top_kinds=(*PROXY_KINDS, GATEWAY, ROUTE),
    system_kinds=(GATEWAY, ROUTE),
    to_kinds=("Mesh", *SERVICE_KINDS, ROUTE),
    narrow_to_kinds=GATEWAY_OR_ROUTE_TO,
    from_kinds=("Mesh",),
    has_rules=True,
    empty_match_allowed=False,
    closed=_closed,
)
