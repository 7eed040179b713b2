"""Policies of every targetRef kind, with their confs as the plain JSON that people wrote. Pure.

Three kinds have typed confs; people ask about all sixteen. Matching and order are those of the data
plane (`reconciler.match`, `reconciler.rules`): what differs is only what a conf is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from reconciler.merge import merge_all
from reconciler.model.decode import DecodeError
from reconciler.model.resource import canonical_json
from reconciler.model.spec import Item, PolicySpec
from reconciler.policies.document import mapping, sequence, target_of
from reconciler.policies.inbound_match import decode_matches
from reconciler.rest.metadata import LISTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from reconciler.model.resource import MeshResource

SPECS_KEPT = 20_000
ROUTE, TCP_ROUTE = "MeshHTTPRoute", "MeshTCPRoute"
# In the order in which they are applied to a proxy (facts/policies.md 2.6 f).
ORDER = (
    ROUTE,
    TCP_ROUTE,
    "MeshTLS",
    "MeshLoadBalancingStrategy",
    "MeshPassthrough",
    "MeshAccessLog",
    "MeshTrace",
    "MeshFaultInjection",
    "MeshRateLimit",
    "MeshTimeout",
    "MeshTrafficPermission",
    "MeshHealthCheck",
    "MeshCircuitBreaker",
    "MeshRetry",
    "MeshMetric",
    "MeshProxyPatch",
)
APPENDED = "append"  # lists with such names grow, all others are replaced


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What one item says, and where in its list it stands."""

    value: Any
    index: int = 0


def plain(policy: MeshResource) -> MeshResource:
    """The same policy with plain confs. Raises DecodeError for one that cannot be read: over the
    wire anything may come.
    """
    try:
        return replace(policy, spec=_spec(policy.key.type, policy.body))
    except DecodeError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise DecodeError("", f"the spec cannot be read: {error}") from error


def has(kind: str, part: str) -> bool:
    """`part`: "t" for to, "f" for from, "r" for rules, "a" where from counts as rules."""
    return part in LISTS[kind]


def is_single(kind: str) -> bool:
    """A kind without lists has one conf for a whole proxy."""
    return not LISTS[kind]


@lru_cache(maxsize=SPECS_KEPT)
def _spec(kind: str, body: str) -> PolicySpec:
    spec = mapping(json.loads(body or "{}"))
    target = target_of(spec)
    if is_single(kind):
        return PolicySpec(target, default=Said(spec.get("default") or {}))
    return PolicySpec(
        target,
        to=tuple(_to_items(kind, spec)) if has(kind, "t") else (),
        from_=tuple(_items(spec, "from")) if has(kind, "f") else (),
        rules=tuple(_items(spec, "rules")) if has(kind, "r") else (),
    )


def _items(spec: Mapping[str, Any], section: str) -> Iterator[Item]:
    for index, item in enumerate(map(mapping, sequence(spec.get(section)))):
        conf = Said(item.get("default") or {}, index)
        yield Item(target_of(item), conf, decode_matches(item) if section == "rules" else ())


def _to_items(kind: str, spec: Mapping[str, Any]) -> Iterator[Item]:
    if kind not in (ROUTE, TCP_ROUTE):
        yield from _items(spec, "to")
        return
    for index, item in enumerate(map(mapping, sequence(spec.get("to")))):
        say = _route_rules if kind == ROUTE else _tcp_rule
        yield Item(target_of(item), Said(say(item), index))


def _route_rules(item: Mapping[str, Any]) -> dict[str, Any]:
    hostnames = sequence(item.get("hostnames"))
    found = {"rules": [mapping(rule) for rule in sequence(item.get("rules"))]}
    return {**found, "hostnames": list(map(str, hostnames))} if hostnames else found


def _tcp_rule(item: Mapping[str, Any]) -> Any:
    """Without a rule the traffic goes where it was sent to."""
    rules = sequence(item.get("rules"))
    if rules:
        return mapping(rules[0])
    there = {**mapping(item.get("targetRef")), "weight": 1}
    return {"default": {"backendRefs": [there]}}


# --- merging (facts/policies.md 2.5) ---


def merged(kind: str, said: Sequence[Said]) -> list[Any]:
    """In ascending precedence. One conf; of routes for host names, one for each name."""
    if not said:
        return []
    if kind == ROUTE:
        return list(_merged_routes(each.value for each in said))
    return [merge_all((each.value for each in said), merge)]


def merge(weak: Any, strong: Any) -> Any:
    """RFC 7396, but for lists that grow."""
    if not isinstance(weak, dict) or not isinstance(strong, dict):
        return strong
    found = dict(weak)
    for key, value in strong.items():
        if value is None:
            found.pop(key, None)
        elif key.startswith(APPENDED) and isinstance(value, list):
            found[key] = [*found.get(key, ()), *value]
        else:
            found[key] = merge(found.get(key), value)
    return found


def _merged_routes(confs: Iterable[Any]) -> Iterator[dict[str, Any]]:
    by_host: dict[str, list[list[Any]]] = {}
    for conf in confs:
        for host in conf.get("hostnames") or ("",):
            by_host.setdefault(host, []).append(conf["rules"])
    for host, lists in by_host.items():
        found: dict[str, Any] = {"rules": merged_rules(lists)}
        yield {**found, "hostnames": [host]} if host else found


def merged_rules(lists: Iterable[Sequence[Any]]) -> list[Any]:
    """As `mesh_http_route.merge`: rules with equal matches are one rule, at the place of the
    strongest.
    """
    known: dict[str, Any] = {}
    for rules in lists:
        for rule in reversed(rules):
            key = matches_key(rule)
            weak = known.pop(key, None)
            default = rule.get("default") or {}
            known[key] = {
                "matches": rule.get("matches") or [],
                "default": default if weak is None else merge(weak["default"], default),
            }
    return list(reversed(known.values()))


def matches_key(rule: Mapping[str, Any]) -> str:
    """Two rules with the same one match the same requests."""
    return canonical_json(rule.get("matches") or [])
