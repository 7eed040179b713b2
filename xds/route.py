"""Routes of an outbound as plain frozen values: what they match, change and lead to. Part of the
seam, as `xds.view` is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from xds.memo import Key

if TYPE_CHECKING:
    from xds.hooks import Applied

Pairs = tuple[tuple[str, str], ...]


class MatchKind(StrEnum):
    EXACT = "exact"
    PREFIX = "prefix"
    REGEX = "regex"
    PRESENT = "present"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class PathMatch:
    kind: MatchKind  # EXACT, PREFIX (of whole path segments) or REGEX
    value: str


@dataclass(frozen=True, slots=True)
class ValueMatch:
    """A header or query parameter; `value` is empty for PRESENT and ABSENT."""

    kind: MatchKind
    name: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class RouteMatch:
    path: PathMatch | None = None
    method: str | None = None
    headers: tuple[ValueMatch, ...] = ()
    query: tuple[ValueMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class WeightedCluster:
    name: str
    weight: int


@dataclass(frozen=True, slots=True)
class HeaderModifier:
    on_request: bool
    set: Pairs = ()
    add: Pairs = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PathRewrite:
    full: str | None = None  # replaces the whole path
    prefix: str | None = None  # replaces the matched prefix


@dataclass(frozen=True, slots=True)
class Redirect:
    scheme: str | None
    hostname: str | None
    port: int | None
    path: PathRewrite | None
    status: int


@dataclass(frozen=True, slots=True)
class Rewrite:
    hostname: str | None
    path: PathRewrite | None


@dataclass(frozen=True, slots=True)
class Mirror:
    cluster: str
    percent: str  # decimal, 0 to 100


RouteFilter = HeaderModifier | Redirect | Rewrite | Mirror


@dataclass(frozen=True, slots=True)
class Route(Key):
    """One route of an outbound.

    A prefix match other than "/" becomes two Envoy routes (exact, and prefix + "/").
    """

    name: str
    match: RouteMatch
    clusters: tuple[WeightedCluster, ...]  # empty only beside a Redirect
    filters: tuple[RouteFilter, ...] = ()
    applied: tuple[Applied, ...] = ()
    # The host header becomes the name of the endpoint, where it has one.
    host_of_endpoint: bool = False
