"""Routes of an outbound: matches, splits and filters. The order of the input is kept.

A prefix match other than "/" is on whole path segments and becomes two Envoy routes: the path
itself, and everything below it.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache

from envoy_data_plane.envoy.config.core.v3 import (
    HeaderValue,
    HeaderValueOption,
    HeaderValueOptionHeaderAppendAction,
    RuntimeFractionalPercent,
)
from envoy_data_plane.envoy.config.route.v3 import (
    HeaderMatcher,
    QueryParameterMatcher,
    RedirectAction,
    RedirectActionRedirectResponseCode,
    RouteAction,
    RouteActionRequestMirrorPolicy,
    WeightedClusterClusterWeight,
)
from envoy_data_plane.envoy.config.route.v3 import Route as EnvoyRoute
from envoy_data_plane.envoy.config.route.v3 import RouteMatch as EnvoyRouteMatch
from envoy_data_plane.envoy.config.route.v3 import WeightedCluster as EnvoyWeightedCluster
from envoy_data_plane.envoy.type.matcher.v3 import (
    RegexMatchAndSubstitute,
    RegexMatcher,
    StringMatcher,
)
from envoy_data_plane.envoy.type.v3 import FractionalPercent, FractionalPercentDenominatorType

from xds.message import PARTS, new, part
from xds.route import (
    HeaderModifier,
    MatchKind,
    Mirror,
    PathMatch,
    PathRewrite,
    Redirect,
    Rewrite,
    Route,
    RouteMatch,
    ValueMatch,
    WeightedCluster,
)

NO_TIMEOUT = timedelta(0)
ROOT = PathMatch(MatchKind.PREFIX, "/")
RESPONSE_CODES = {
    301: RedirectActionRedirectResponseCode.MOVED_PERMANENTLY,
    302: RedirectActionRedirectResponseCode.FOUND,
    303: RedirectActionRedirectResponseCode.SEE_OTHER,
    307: RedirectActionRedirectResponseCode.TEMPORARY_REDIRECT,
    308: RedirectActionRedirectResponseCode.PERMANENT_REDIRECT,
}


def envoy_routes(route: Route) -> list[EnvoyRoute]:
    """One Envoy route, or two for a prefix: exact first."""
    path = route.match.path or ROOT
    if path.kind is not MatchKind.PREFIX or path.value == "/":
        return [_route(route, path)]
    value = path.value.rstrip("/")
    exact = PathMatch(MatchKind.EXACT, value)
    below = PathMatch(MatchKind.PREFIX, f"{value}/")
    return [_route(route, exact), _route(route, below)]


def _route(route: Route, path: PathMatch) -> EnvoyRoute:
    """`path` is what this Envoy route matches, one half of a prefix for example."""
    found = new(EnvoyRoute, name=route.name, match=_match(route.match, path))
    redirect = next((f for f in route.filters if isinstance(f, Redirect)), None)
    if redirect is not None:
        found.redirect = _redirect(redirect, path)
    else:
        found.route = _action(route.clusters)
    for each in route.filters:
        match each:
            case HeaderModifier():
                _modify_headers(found, each)
            case Rewrite() if found.route is not None:
                _rewrite(found.route, each, path)
            case Mirror() if found.route is not None:
                found.route.request_mirror_policies.append(_mirror(each))
            case _:
                pass
    action = found.route
    if route.host_of_endpoint and action is not None and action.host_rewrite_literal is None:
        action.auto_host_rewrite = True
    for applied in route.applied:
        if applied.hooks.on_route is not None:
            applied.hooks.on_route(found, applied.conf)
    return found


# --- matches ---


@lru_cache(PARTS)
def _match(match: RouteMatch, path: PathMatch) -> EnvoyRouteMatch:
    """A part: no policy has a say in it."""
    found = new(
        EnvoyRouteMatch,
        headers=[header_matcher(header) for header in match.headers],
        query_parameters=[
            new(QueryParameterMatcher, name=query.name, string_match=_string(query))
            for query in match.query
        ],
    )
    match path.kind:
        case MatchKind.EXACT:
            found.path = path.value
        case MatchKind.REGEX:
            found.safe_regex = new(RegexMatcher, regex=path.value)
        case _:
            found.prefix = path.value
    if match.method is not None:
        method = new(StringMatcher, exact=match.method)
        found.headers.append(new(HeaderMatcher, name=":method", string_match=method))
    return part(found)


def header_matcher(header: ValueMatch) -> HeaderMatcher:
    if header.kind in (MatchKind.PRESENT, MatchKind.ABSENT):
        absent = header.kind is MatchKind.ABSENT
        return new(HeaderMatcher, name=header.name, present_match=True, invert_match=absent)
    return new(HeaderMatcher, name=header.name, string_match=_string(header))


def _string(match: ValueMatch) -> StringMatcher:
    match match.kind:
        case MatchKind.REGEX:
            return new(StringMatcher, safe_regex=new(RegexMatcher, regex=match.value))
        case MatchKind.PREFIX:
            return new(StringMatcher, prefix=match.value)
        case _:
            return new(StringMatcher, exact=match.value)


# --- actions ---


def _action(clusters: tuple[WeightedCluster, ...]) -> RouteAction:
    """`timeout` is 0 s, no limit, unless a policy sets it."""
    assert clusters, "a route to nowhere, and no redirect"
    if len(clusters) == 1:
        return new(RouteAction, cluster=clusters[0].name, timeout=NO_TIMEOUT)
    weights = [
        new(WeightedClusterClusterWeight, name=cluster.name, weight=cluster.weight)
        for cluster in clusters
    ]
    return new(
        RouteAction,
        weighted_clusters=new(EnvoyWeightedCluster, clusters=weights),
        timeout=NO_TIMEOUT,
    )


def _modify_headers(route: EnvoyRoute, modifier: HeaderModifier) -> None:
    overwrite = HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
    append = HeaderValueOptionHeaderAppendAction.APPEND_IF_EXISTS_OR_ADD
    options = [
        new(HeaderValueOption, header=new(HeaderValue, key=key, value=value), append_action=action)
        for action, pairs in ((overwrite, modifier.set), (append, modifier.add))
        for key, value in pairs
    ]
    if modifier.on_request:
        route.request_headers_to_add.extend(options)
        route.request_headers_to_remove.extend(modifier.remove)
    else:
        route.response_headers_to_add.extend(options)
        route.response_headers_to_remove.extend(modifier.remove)


def _rewrite(action: RouteAction, rewrite: Rewrite, path: PathMatch) -> None:
    if rewrite.hostname is not None:
        action.host_rewrite_literal = rewrite.hostname
    if rewrite.path is None:
        return
    prefix, regex = _path_change(rewrite.path, path)
    if prefix is not None:
        action.prefix_rewrite = prefix
    if regex is not None:
        action.regex_rewrite = regex


def _redirect(redirect: Redirect, path: PathMatch) -> RedirectAction:
    found = new(
        RedirectAction,
        host_redirect=redirect.hostname or "",
        port_redirect=redirect.port or 0,
        response_code=RESPONSE_CODES[redirect.status],
    )
    if redirect.scheme is not None:
        found.scheme_redirect = redirect.scheme
    if redirect.path is not None:
        prefix, regex = _path_change(redirect.path, path)
        if prefix is not None:
            found.prefix_rewrite = prefix
        if regex is not None:
            found.regex_rewrite = regex
    return found


def _path_change(
    change: PathRewrite, path: PathMatch
) -> tuple[str | None, RegexMatchAndSubstitute | None]:
    """(prefix_rewrite, regex_rewrite).

    A replaced prefix keeps exactly one slash before what follows it (Kuma 2.14.3 loses it).
    """
    if change.full is not None:
        return None, whole_path(change.full)
    value = (change.prefix or "").rstrip("/")
    if path.kind is MatchKind.EXACT:
        return None, whole_path(value or "/")
    return f"{value}/", None


def whole_path(replacement: str) -> RegexMatchAndSubstitute:
    """In the place of the path, whatever it was; the query stays."""
    return _substitute(".*", replacement)


def _substitute(pattern: str, replacement: str) -> RegexMatchAndSubstitute:
    """A backslash in a replacement names a group; a path's own must not."""
    literal = re.sub(r"\\", r"\\\\", replacement)
    return new(
        RegexMatchAndSubstitute, pattern=new(RegexMatcher, regex=pattern), substitution=literal
    )


def _mirror(mirror: Mirror) -> RouteActionRequestMirrorPolicy:
    fraction = new(RuntimeFractionalPercent, default_value=fractional_percent(mirror.percent))
    return new(RouteActionRequestMirrorPolicy, cluster=mirror.cluster, runtime_fraction=fraction)


def fractional_percent(percent: str) -> FractionalPercent:
    """Of a hundred if the number is whole, else of ten thousand, else of a million."""
    value = Decimal(percent)
    denominators = FractionalPercentDenominatorType
    for factor, denominator in ((1, denominators.HUNDRED), (100, denominators.TEN_THOUSAND)):
        if value * factor == int(value * factor):
            return new(FractionalPercent, numerator=int(value * factor), denominator=denominator)
    numerator = int((value * 10_000).to_integral_value())
    return new(FractionalPercent, numerator=numerator, denominator=denominators.MILLION)
