"""MeshHTTPRoute: where HTTP requests to a service go, by path, method, headers and query.

Its conf is the list of rules as written. Rules with equal matches are one rule; of its filters and
backends each is replaced as a whole by the stronger policy (RFC 7396 knows no list merge).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

from reconciler.merge import over
from reconciler.model.resource import Labels, ResourceKey
from reconciler.model.spec import Item, PolicySpec
from reconciler.policies.document import (
    Fields,
    check_sections,
    check_target,
    items,
    mapping,
    sequence,
    target_of,
    top_kind,
)
from reconciler.policies.policy import GATEWAY, PROXY_KINDS, SERVICE_KINDS, At, Path, PolicyType
from reconciler.policies.re2 import faults
from reconciler.problems import Problem
from xds.view import (
    HeaderModifier,
    MatchKind,
    PathMatch,
    PathRewrite,
    Redirect,
    Rewrite,
    RouteMatch,
    ValueMatch,
)

BACKEND_KINDS = ("MeshService", "MeshServiceSubset", "MeshExternalService", "MeshMultiZoneService")
MIRROR_KINDS = ("MeshService", "MeshServiceSubset")
_PATH_KINDS = {
    "Exact": MatchKind.EXACT,
    "PathPrefix": MatchKind.PREFIX,
    "Prefix": MatchKind.PREFIX,  # the 2.1 word
    "RegularExpression": MatchKind.REGEX,
}
_VALUE_KINDS = {
    "Exact": MatchKind.EXACT,
    "Prefix": MatchKind.PREFIX,
    "RegularExpression": MatchKind.REGEX,
    "Present": MatchKind.PRESENT,
    "Absent": MatchKind.ABSENT,
}
_MEMBERS = {
    "RequestHeaderModifier": "requestHeaderModifier",
    "ResponseHeaderModifier": "responseHeaderModifier",
    "RequestRedirect": "requestRedirect",
    "URLRewrite": "urlRewrite",
    "RequestMirror": "requestMirror",
}
_HEADERS_MAX = 16
_WEIGHTS_MAX = 0xFFFFFFFF  # of all backends of a rule together
_BREAKS = re.compile(r"[\x00\r\n]")
_COMMAND = re.compile(r"%%|%[A-Z0-9_]+(\(.*?\))?(:[0-9]+)?%")  # in a header's value; %% is a %
_REDIRECT_STATUS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class BackendRef:
    """A destination as the policy names it."""

    kind: str
    name: str
    tags: Labels = Labels()
    labels: Labels = Labels()
    weight: int = 1
    port: int = 0


@dataclass(frozen=True, slots=True)
class MirrorRef:
    backend: BackendRef
    percent: str


RuleFilter = HeaderModifier | Redirect | Rewrite | MirrorRef


@dataclass(frozen=True, slots=True)
class RouteRule:
    """None: not said by this rule. An empty tuple is said.

    `origin`: the policy it came from, so that other policies can point at it; set when matched.
    """

    matches: tuple[RouteMatch, ...]
    filters: tuple[RuleFilter, ...] | None = None
    backends: tuple[BackendRef, ...] | None = None
    origin: ResourceKey | None = None


RouteRules = tuple[RouteRule, ...]


# --- merge ---


def merge(weak: RouteRules, strong: RouteRules) -> RouteRules:
    """Stronger rules first; rules with equal matches become one, at the stronger's place.

    Each list is walked backwards, so that within one policy the first rule wins. A rule keeps the
    place of its last appearance in that walk.
    """
    merged: dict[tuple[RouteMatch, ...], RouteRule] = {}
    for rule in (*reversed(weak), *reversed(strong)):
        known = merged.pop(rule.matches, None)
        merged[rule.matches] = _merge_rule(known, rule) if known is not None else rule
    return tuple(reversed(merged.values()))


def _merge_rule(weak: RouteRule, strong: RouteRule) -> RouteRule:
    return replace(
        strong,
        filters=over(weak.filters, strong.filters),
        backends=over(weak.backends, strong.backends),
    )


# --- decode ---


def decode(spec: Fields) -> PolicySpec:
    to = tuple(
        Item(target_of(item), merge((), tuple(_rules(sequence(item.get("rules"))))))
        for _, item in items(spec, "to")
    )
    return PolicySpec(target=target_of(spec), to=to)


def _rules(rules: object) -> Iterator[RouteRule]:
    for rule in map(mapping, sequence(rules)):
        default = mapping(rule.get("default"))
        filters, backends = default.get("filters"), default.get("backendRefs")
        yield RouteRule(
            tuple(_match(mapping(match)) for match in sequence(rule.get("matches"))),
            None if filters is None else tuple(_filter(mapping(f)) for f in sequence(filters)),
            None if backends is None else tuple(_backend(mapping(b)) for b in sequence(backends)),
        )


def _match(match: Fields) -> RouteMatch:
    path = mapping(match.get("path"))
    return RouteMatch(
        path=PathMatch(_PATH_KINDS[str(path["type"])], str(path["value"])) if path else None,
        method=cast("str | None", match.get("method")),
        headers=tuple(_value_match(mapping(h)) for h in sequence(match.get("headers"))),
        query=tuple(_value_match(mapping(q)) for q in sequence(match.get("queryParams"))),
    )


def _value_match(match: Fields) -> ValueMatch:
    kind = _VALUE_KINDS[str(match.get("type") or "Exact")]
    return ValueMatch(kind, str(match.get("name", "")), str(match.get("value") or ""))


def _backend(ref: Fields) -> BackendRef:
    weight, port = ref.get("weight"), ref.get("port")
    return BackendRef(
        str(ref.get("kind", "")),
        str(ref.get("name") or ""),
        Labels.of(cast("Mapping[str, str]", ref.get("tags") or {})),
        Labels.of(cast("Mapping[str, str]", ref.get("labels") or {})),
        weight if isinstance(weight, int) else 1,
        port if isinstance(port, int) else 0,
    )


def _filter(given: Fields) -> RuleFilter:
    kind = str(given.get("type"))
    member = mapping(given.get(_MEMBERS[kind]))
    match kind:
        case "RequestRedirect":
            return _redirect(member)
        case "URLRewrite":
            return Rewrite(_text(member, "hostname"), _path_rewrite(member))
        case "RequestMirror":
            backend = _backend(mapping(member.get("backendRef")))
            percent = member.get("percentage")
            return MirrorRef(backend, "100" if percent is None else str(percent))
        case _:
            return HeaderModifier(
                on_request=kind == "RequestHeaderModifier",
                set=_headers(member.get("set")),
                add=_headers(member.get("add")),
                remove=tuple(str(name) for name in sequence(member.get("remove"))),
            )


def _headers(pairs: object) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(p["name"]), str(p["value"])) for p in map(mapping, sequence(pairs))))


def _redirect(member: Fields) -> Redirect:
    return Redirect(
        scheme=_text(member, "scheme"),
        hostname=_text(member, "hostname"),
        port=cast("int | None", member.get("port")),
        path=_path_rewrite(member),
        status=cast("int", member.get("statusCode") or 302),
    )


def _path_rewrite(member: Fields) -> PathRewrite | None:
    path = mapping(member.get("path"))
    if not path:
        return None
    return PathRewrite(_text(path, "replaceFullPath"), _text(path, "replacePrefixMatch"))


def _text(fields: Fields, name: str) -> str | None:
    return cast("str | None", fields.get(name))


# --- check ---


def check(spec: Fields, at: At) -> Iterator[Problem]:
    yield from check_sections(POLICY, spec, at)
    gateway = top_kind(spec) == GATEWAY
    for path, item in items(spec, "to"):
        rules = sequence(item.get("rules"))
        if not rules:
            yield Problem(at(path), "MHR001", "has no rules; add one or remove the item")
        if item.get("hostnames") and not gateway:
            yield Problem(
                at((*path, "hostnames")), "MHR013", "hostnames are for gateways only; remove them"
            )
        for index, rule in enumerate(rules):
            place = (*path, "rules", index)
            yield from _check_rule(mapping(rule), place, at)
            yield from _check_for_gateway(mapping(mapping(rule).get("default")), place, at, gateway)


def _check_for_gateway(default: Fields, path: Path, at: At, gateway: bool) -> Iterator[Problem]:
    """A gateway has no destination of its own to fall back to, and may speak for the backend."""
    filters = list(map(mapping, sequence(default.get("filters"))))
    redirects = any(each.get("type") == "RequestRedirect" for each in filters)
    if gateway and not redirects and not sequence(default.get("backendRefs")):
        text = "leads nowhere; a gateway needs backendRefs or a RequestRedirect"
        yield Problem(at((*path, "default")), "MHR015", text)
    for index, each in enumerate(filters):
        rewrite = mapping(each.get("urlRewrite"))
        place = at((*path, "default", "filters", index, "urlRewrite", "hostToBackendHostname"))
        if rewrite.get("hostToBackendHostname") is True and not gateway:
            text = "hostToBackendHostname is for gateways only; remove it"
            yield Problem(place, "MHR013", text)
        elif rewrite.get("hostToBackendHostname") is True and rewrite.get("hostname") is not None:
            yield Problem(place, "MHR013", "hostToBackendHostname excludes hostname; remove one")


def _check_rule(rule: Fields, path: Path, at: At) -> Iterator[Problem]:
    matches = [mapping(match) for match in sequence(rule.get("matches"))]
    if not matches:
        text = "matches nothing; a PathPrefix of / matches everything"
        yield Problem(at((*path, "matches")), "MHR002", text)
    for index, match in enumerate(matches):
        yield from _check_match(match, (*path, "matches", index), at)
    default = mapping(rule.get("default"))
    only_prefixes = all(
        mapping(match.get("path")).get("type") in ("PathPrefix", "Prefix") for match in matches
    )
    for index, given in enumerate(sequence(default.get("filters"))):
        place = (*path, "default", "filters", index)
        yield from _check_filter(mapping(given), place, at, only_prefixes=only_prefixes)
    refs = list(map(mapping, sequence(default.get("backendRefs"))))
    for index, ref in enumerate(refs):
        place = (*path, "default", "backendRefs", index)
        yield from _check_backend(ref, BACKEND_KINDS, place, at)
    if sum(_weight(ref) for ref in refs) > _WEIGHTS_MAX:
        text = f"the weights add up to over {_WEIGHTS_MAX}; use smaller ones"
        yield Problem(at((*path, "default", "backendRefs")), "MHR014", text)


def _weight(ref: Fields) -> int:
    weight = ref.get("weight")
    return weight if isinstance(weight, int) and 0 <= weight <= _WEIGHTS_MAX else 1


def _check_match(match: Fields, path: Path, at: At) -> Iterator[Problem]:
    place, given = (*path, "path", "value"), mapping(match.get("path"))
    value = str(given.get("value", ""))
    kind = given.get("type")
    if kind in ("Exact", "PathPrefix", "Prefix") and not value.startswith("/"):
        yield Problem(at(place), "MHR003", f'path "{value}" must start with /')
    elif kind in ("PathPrefix", "Prefix") and value != "/" and value.endswith("/"):
        yield Problem(at(place), "MHR004", f'path "{value}" must not end with /; leave it out')
    if kind == "RegularExpression":
        yield from (Problem(at(place), "MHR006", fault) for fault in faults(value))
    for name in ("headers", "queryParams"):
        for index, part in enumerate(sequence(match.get(name))):
            yield from _check_value_match(mapping(part), (*path, name, index), at)
    yield from _check_unique(match, "queryParams", path, at)


def _check_value_match(part: Fields, path: Path, at: At) -> Iterator[Problem]:
    kind, value = part.get("type") or "Exact", part.get("value")
    if kind in ("Present", "Absent") and value:
        yield Problem(at((*path, "value")), "MHR005", f"{kind} takes no value; remove it")
    if kind in ("Exact", "Prefix", "RegularExpression") and value is None:
        yield Problem(at(path), "MHR005", f"{kind} needs a value")
    if kind == "RegularExpression":
        place = at((*path, "value"))
        yield from (Problem(place, "MHR006", fault) for fault in faults(str(value)))


def _check_unique(fields: Fields, name: str, path: Path, at: At) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, part in enumerate(sequence(fields.get(name))):
        given = str(mapping(part).get("name", "") if isinstance(part, Mapping) else part).lower()
        if given in seen:
            yield Problem(
                at((*path, name, index)), "MHR007", f'"{given}" stands in {name} twice; keep one'
            )
        seen.add(given)


def _check_filter(given: Fields, path: Path, at: At, *, only_prefixes: bool) -> Iterator[Problem]:
    kind = str(given.get("type", ""))
    if kind not in _MEMBERS:
        yield Problem(at((*path, "type")), "MHR008", f'filter type "{kind}" is not known')
        return
    name = _MEMBERS[kind]
    member, place = mapping(given.get(name)), (*path, name)
    if not member:
        yield Problem(at(path), "MHR008", f"{kind} needs its member {name}")
        return
    if kind.endswith("HeaderModifier"):
        yield from _check_headers(member, place, at)
    if kind == "RequestMirror":
        yield from _check_mirror(member, place, at)
    if kind in ("RequestRedirect", "URLRewrite"):
        yield from _check_path_rewrite(member, place, at, only_prefixes=only_prefixes)
    if kind == "RequestRedirect":
        yield from _check_redirect(member, place, at)


def _check_headers(member: Fields, path: Path, at: At) -> Iterator[Problem]:
    lists = [name for name in ("set", "add", "remove") if sequence(member.get(name))]
    if not lists:
        yield Problem(at(path), "MHR009", "changes no header; fill set, add or remove")
    for name in lists:
        if len(sequence(member.get(name))) > _HEADERS_MAX:
            yield Problem(at((*path, name)), "MHR009", f"{name} has over {_HEADERS_MAX} headers")
        yield from _check_unique(member, name, path, at)
        for index, header in enumerate(sequence(member.get(name))):
            yield from _check_header(header, (*path, name, index), at)


def _check_header(header: object, path: Path, at: At) -> Iterator[Problem]:
    """One of `set`, `add` or `remove`. What Envoy refuses would hold up its whole listener."""
    fields = mapping(header)
    named = str(fields.get("name", "")) if fields else str(header)
    value = str(fields.get("value") or "")
    place = (*path, "name") if fields else path
    if named.lower() == "host" or named.startswith(":"):
        text = f'"{named}" is no header to change; use urlRewrite for host and path'
        yield Problem(at(place), "MHR009", text)
    elif not fields and (not named or _BREAKS.search(named)):
        yield Problem(at(place), "MHR009", f'"{named}" is not the name of a header')
    if _BREAKS.search(value):
        yield Problem(at((*path, "value")), "MHR009", "has a line break; a header is one line")
    if "%" in _COMMAND.sub("", value):
        text = "has a % that begins no command of Envoy; write %% for a percent sign"
        yield Problem(at((*path, "value")), "MHR009", text)


def _check_mirror(member: Fields, path: Path, at: At) -> Iterator[Problem]:
    ref, place = mapping(member.get("backendRef")), (*path, "backendRef")
    yield from _check_backend(ref, MIRROR_KINDS, place, at)
    percent = member.get("percentage")
    try:
        fits = percent is None or 0 <= float(str(percent)) <= 100
    except ValueError:
        fits = False
    if not fits:
        yield Problem(at((*path, "percentage")), "MHR010", f'"{percent}" is not within 0 to 100')


def _check_path_rewrite(
    member: Fields, path: Path, at: At, *, only_prefixes: bool
) -> Iterator[Problem]:
    rewrite, place = mapping(member.get("path")), (*path, "path")
    kind = rewrite.get("type")
    wanted = {"ReplaceFullPath": "replaceFullPath", "ReplacePrefixMatch": "replacePrefixMatch"}
    if kind is not None and rewrite.get(wanted.get(str(kind), "")) is None:
        yield Problem(at(place), "MHR011", f"{kind} needs {wanted.get(str(kind), 'a known type')}")
    for name in wanted.values():
        if _BREAKS.search(str(rewrite.get(name) or "")):
            yield Problem(at((*place, name)), "MHR011", "has a line break; a path is one line")
    if kind == "ReplacePrefixMatch" and not only_prefixes:
        yield Problem(
            at(place), "MHR011", "ReplacePrefixMatch needs every match to be a PathPrefix"
        )


def _check_redirect(member: Fields, path: Path, at: At) -> Iterator[Problem]:
    status, port = member.get("statusCode"), member.get("port")
    if status is not None and status not in _REDIRECT_STATUS:
        allowed = ", ".join(map(str, _REDIRECT_STATUS))
        yield Problem(at((*path, "statusCode")), "MHR012", f"{status} is not one of {allowed}")
    if isinstance(port, int) and not 1 <= port <= 65535:
        yield Problem(at((*path, "port")), "MHR012", f"port {port} is not within 1 to 65535")


def _check_backend(ref: Fields, kinds: tuple[str, ...], path: Path, at: At) -> Iterator[Problem]:
    yield from check_target(ref, kinds, path, at)
    if ref.get("kind") == "MeshMultiZoneService" and ref.get("port") is None:
        yield Problem(at(path), "MHR014", "MeshMultiZoneService needs a port")
    weight = ref.get("weight")
    if isinstance(weight, int) and not 0 <= weight <= _WEIGHTS_MAX:
        yield Problem(at((*path, "weight")), "MHR014", f"weight {weight} is out of range")


POLICY = PolicyType(
    kind="MeshHTTPRoute",
    slug="mesh_http_route",
    decode=decode,
    check=check,
    merge=merge,
    top_kinds=(*PROXY_KINDS, GATEWAY),
    system_kinds=(GATEWAY,),
    to_kinds=SERVICE_KINDS,
    narrow_to_kinds={GATEWAY: ("Mesh",)},
)
