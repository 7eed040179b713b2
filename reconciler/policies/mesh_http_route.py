"""MeshHTTPRoute: where HTTP requests to a service go, by path, method, headers and query.

Its conf is the list of rules as written. Rules with equal matches are one rule; of its filters and
backends each is replaced as a whole by the stronger policy (RFC 7396 knows no list merge).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from reconciler.merge import over
from reconciler.model.resource import Labels, ResourceKey
from reconciler.model.spec import Item, PolicySpec
from reconciler.policies.document import Fields, items, mapping, sequence, target_of
from reconciler.policies.mesh_http_route_check import (
    MEMBERS,
    check_routes,
    header_that_breaks,
    match_that_breaks,
    mirror_that_breaks,
    nowhere,
    path_that_breaks,
)
from reconciler.policies.policy import GATEWAY, PROXY_KINDS, SERVICE_KINDS, At, PolicyType
from reconciler.policies.value_match import VALUE_KINDS
from xds.route import (
    HeaderModifier,
    MatchKind,
    PathMatch,
    PathRewrite,
    Redirect,
    Rewrite,
    RouteMatch,
    ValueMatch,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.problems import Problem

_PATH_KINDS = {
    "Exact": MatchKind.EXACT,
    "PathPrefix": MatchKind.PREFIX,
    "Prefix": MatchKind.PREFIX,  # the 2.1 word
    "RegularExpression": MatchKind.REGEX,
}


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
    """What Envoy would refuse is left out: a route of it would cost the listener all others."""
    for rule in map(mapping, sequence(rules)):
        default = mapping(rule.get("default"))
        filters, backends = default.get("filters"), default.get("backendRefs")
        given = sequence(rule.get("matches"))
        matches = [match for match in given if not any(match_that_breaks(nowhere(match)))]
        if given and not matches:
            continue
        yield RouteRule(
            tuple(_match(mapping(match)) for match in matches),
            None if filters is None else tuple(_filters(sequence(filters))),
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
    kind = VALUE_KINDS[str(match.get("type") or "Exact")]
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


def _filters(filters: Iterable[object]) -> Iterator[RuleFilter]:
    for given in map(mapping, filters):
        mirror = given.get("requestMirror") if given.get("type") == "RequestMirror" else None
        if mirror is None or not any(mirror_that_breaks(nowhere(mirror))):
            yield _filter(given)


def _filter(given: Fields) -> RuleFilter:
    kind = str(given.get("type"))
    member = mapping(given.get(MEMBERS[kind]))
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
                remove=tuple(map(str, _usable(member.get("remove")))),
            )


def _headers(pairs: object) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((str(p["name"]), str(p["value"])) for p in map(mapping, _usable(pairs))))


def _usable(headers: object) -> list[object]:
    return [each for each in sequence(headers) if not any(header_that_breaks(nowhere(each)))]


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
    if not path or any(path_that_breaks(nowhere(path))):
        return None
    return PathRewrite(_text(path, "replaceFullPath"), _text(path, "replacePrefixMatch"))


def _text(fields: Fields, name: str) -> str | None:
    return cast("str | None", fields.get(name))


# --- check ---


def check(spec: Fields, at: At) -> Iterator[Problem]:
    yield from check_routes(POLICY, spec, at)


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
    needs_list=False,
)
