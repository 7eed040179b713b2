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
from reconciler.policies.document import (
    Fields,
    check_sections,
    decode_lists,
    items,
    mapping,
    top_kind,
)
from reconciler.policies.inbound_match import decode_matches
from reconciler.policies.policy import (
    GATEWAY,
    PROXY_KINDS,
    ROUTE,
    SERVICE_KINDS,
    At,
    Path,
    PolicyType,
)
from reconciler.problems import Problem, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.spec import PolicySpec

HTTP_FIELDS = (
    "requestTimeout",
    "streamIdleTimeout",
    "maxStreamDuration",
    "maxConnectionDuration",
    "requestHeadersTimeout",
)
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
    for section in ("to", "from", "rules"):
        for path, item in items(spec, section):
            yield from _check_default(mapping(item.get("default")), (*path, "default"), at)
    for path, rule in items(spec, "rules"):
        if rule.get("matches"):
            yield from _check_per_caller(mapping(rule.get("default")), (*path, "default"), at)
            text = "our zones do not set timeouts by caller yet, Kuma's do; leave out matches"
            yield Problem(at((*path, "matches")), "MT008", text, Severity.WARNING)
    if top_kind(spec) == ROUTE:
        for path, item in items(spec, "to"):
            yield from _check_per_route(mapping(item.get("default")), (*path, "default"), at)


def _check_default(default: Fields, path: Path, at: At) -> Iterator[Problem]:
    http = default.get("http")
    known = {"connectionTimeout", "idleTimeout", "http"}
    if not any(default.get(name) is not None for name in known):
        yield Problem(at(path), "MT004", "sets no timeout; set one or remove the item")
    if http is not None and not any(mapping(http).get(name) is not None for name in HTTP_FIELDS):
        yield Problem(at((*path, "http")), "MT005", "http sets no timeout; set one or remove it")
    for name in ("connectionTimeout", "idleTimeout"):
        yield from _check_span(default, name, path, at)
    for name in HTTP_FIELDS:
        yield from _check_span(mapping(http), name, (*path, "http"), at)


def _check_span(fields: Fields, name: str, path: Path, at: At) -> Iterator[Problem]:
    value = fields.get(name)
    if not isinstance(value, str):
        return  # Absent, or not a string: the schema has said so.
    span = parse_duration(value)
    place = at((*path, name))
    if span is None:
        yield Problem(place, "MT003", f'{name} "{value}" is not a duration; write it like 1m30s')
    elif name == "connectionTimeout" and span <= timedelta():
        yield Problem(place, "MT001", f"{name} must be greater than 0s; omit it to inherit")
    elif span < timedelta():
        yield Problem(place, "MT002", f"{name} must not be negative; 0s turns it off")


def _check_per_caller(default: Fields, path: Path, at: At) -> Iterator[Problem]:
    for place in _beyond(default, PER_CALLER):
        text = f"{place[-1]} cannot depend on the caller; move it to a rule without matches"
        yield Problem(at((*path, *place)), "MT006", text)


def _check_per_route(default: Fields, path: Path, at: At) -> Iterator[Problem]:
    for place in _beyond(default, PER_ROUTE):
        text = f"{place[-1]} cannot depend on the route; move it to a policy for its callers"
        yield Problem(at((*path, *place)), "MT007", text)


def _beyond(default: Fields, allowed: tuple[str, ...]) -> list[Path]:
    """The timeouts that are set and not among `allowed`."""
    http = mapping(default.get("http"))
    connection = ("connectionTimeout", "idleTimeout")
    found: list[Path] = [(name,) for name in connection if default.get(name) is not None]
    unfit = [name for name in HTTP_FIELDS if name not in allowed]
    return found + [("http", name) for name in unfit if http.get(name) is not None]


POLICY = PolicyType(
    kind="MeshTimeout",
    slug="mesh_timeout",
    decode=decode,
    check=check,
    merge=merge,
    top_kinds=(*PROXY_KINDS, GATEWAY, ROUTE),
    to_kinds=("Mesh", *SERVICE_KINDS, ROUTE),
    narrow_to_kinds={
        GATEWAY: ("Mesh", "MeshExternalService"),
        ROUTE: ("Mesh", "MeshExternalService"),
    },
    from_kinds=("Mesh",),
    has_rules=True,
)
