"""MeshLoadBalancingStrategy: which instance of a service is called, by place, load or hash.

As soon as one item matches, calls stay in the zone while it has healthy instances, unless the item
says otherwise. What is said of the own zone (`localZone`) or of others (`crossZone`) puts the
endpoints in order (`reconciler.locality`); the load balancer and what its hash is made of are
Envoy's own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import TYPE_CHECKING

from reconciler.duration import parse_duration
from reconciler.locality import (
    OVERPROVISIONING,
    AffinityTag,
    LocalityConf,
    Reach,
    Step,
    overprovisioning,
)
from reconciler.merge import over
from reconciler.model.decode import DecodeError
from reconciler.model.spec import PolicySpec
from reconciler.policies.document import Fields, decode_items, items, mapping, sequence, target_of
from reconciler.policies.mesh_load_balancing_strategy_check import (
    DEFAULT_RING_SIZE,
    check_strategy,
    is_prime,
)
from reconciler.policies.policy import GATEWAY, PROXY_KINDS, PolicyType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.part import At
    from reconciler.problems import Problem

CONNECTION, FILTER_STATE = "Connection", "FilterState"


@dataclass(frozen=True, slots=True)
class HashPolicy:
    """A part of the hash. `kind`: the policy's type; `name`: of the header, cookie, query parameter
    or filter state.
    """

    kind: str
    name: str = ""
    terminal: bool = False
    ttl: timedelta | None = None
    path: str = ""


@dataclass(frozen=True, slots=True)
class StrategyConf:
    """What one item says; None: nothing said. `local_zone`, `cross_zone`: said, be it nothing."""

    disabled: bool | None = None
    local_zone: bool | None = None
    affinity: tuple[AffinityTag, ...] | None = None
    cross_zone: bool | None = None
    failover: tuple[Step, ...] | None = None
    threshold: Decimal | None = None
    balancer: str | None = None
    choice_count: int | None = None
    active_request_bias: float | None = None
    hash_function: str | None = None
    min_ring_size: int | None = None
    max_ring_size: int | None = None
    table_size: int | None = None
    ring_hash_policies: tuple[HashPolicy, ...] | None = None
    maglev_policies: tuple[HashPolicy, ...] | None = None
    hash_policies: tuple[HashPolicy, ...] | None = None


@dataclass(frozen=True, slots=True)
class Balancer:
    """One that Envoy takes; None: its own default."""

    kind: str
    choice_count: int | None = None
    active_request_bias: float | None = None
    hash_function: str | None = None
    min_ring_size: int | None = None
    max_ring_size: int | None = None
    table_size: int | None = None


@dataclass(frozen=True, slots=True)
class Strategy:
    """In force towards one destination. `weighted`: localities have weights."""

    balancer: Balancer | None = None
    weighted: bool = False
    hash_policies: tuple[HashPolicy, ...] = ()


def merge(weak: StrategyConf, strong: StrategyConf) -> StrategyConf:
    names = [field.name for field in fields(StrategyConf)]
    return StrategyConf(*(over(getattr(weak, name), getattr(strong, name)) for name in names))


# --- what holds ---


def locality(conf: StrategyConf) -> LocalityConf:
    if conf.disabled:
        return LocalityConf(aware=False)
    percentage = conf.threshold
    return LocalityConf(
        ranked=bool(conf.local_zone or conf.cross_zone),
        affinity=conf.affinity or (),
        steps=conf.failover or (),
        overprovisioning=overprovisioning(percentage) if percentage else OVERPROVISIONING,
    )


def strategy(conf: StrategyConf) -> Strategy:
    balancer = _balancer(conf.balancer, conf) if conf.balancer is not None else None
    return Strategy(balancer, bool(locality(conf).affinity), _hash_policies(conf))


def _balancer(kind: str, conf: StrategyConf) -> Balancer:
    """What Envoy refuses would cost the proxy all of its clusters' changes: it is left out."""
    match kind:
        case "LeastRequest":
            return Balancer(
                kind, choice_count=conf.choice_count, active_request_bias=conf.active_request_bias
            )
        case "RingHash":
            least, most = conf.min_ring_size, conf.max_ring_size
            if most is not None and (least or DEFAULT_RING_SIZE) > most:
                least = most
            return Balancer(
                kind, hash_function=conf.hash_function, min_ring_size=least, max_ring_size=most
            )
        case "Maglev":
            size = conf.table_size
            return Balancer(kind, table_size=size if size is None or is_prime(size) else None)
        case _:
            return Balancer(kind)


def _hash_policies(conf: StrategyConf) -> tuple[HashPolicy, ...]:
    """Those beside the load balancer win, even if there are none."""
    inside = {"RingHash": conf.ring_hash_policies, "Maglev": conf.maglev_policies}
    return over(inside.get(conf.balancer or ""), conf.hash_policies) or ()


# --- reading ---


def decode(spec: Fields) -> PolicySpec:
    return PolicySpec(target=target_of(spec), to=decode_items(spec, "to", decode_conf))


def decode_conf(default: Fields) -> StrategyConf:
    aware, balancer = (
        mapping(default.get("localityAwareness")),
        mapping(default.get("loadBalancer")),
    )
    local, cross = mapping(aware.get("localZone")), mapping(aware.get("crossZone"))
    least, ring, maglev = (
        mapping(balancer.get(name)) for name in ("leastRequest", "ringHash", "maglev")
    )
    return StrategyConf(
        disabled=_flag(aware, "disabled"),
        local_zone=_is_there(aware, "localZone"),
        affinity=_affinity(local) if "affinityTags" in local else None,
        cross_zone=_is_there(aware, "crossZone"),
        failover=_failover(cross) if "failover" in cross else None,
        threshold=_decimal(mapping(cross.get("failoverThreshold")), "percentage"),
        balancer=_text(balancer, "type"),
        choice_count=_number(least, "choiceCount"),
        active_request_bias=_bias(least),
        hash_function=_text(ring, "hashFunction"),
        min_ring_size=_number(ring, "minRingSize"),
        max_ring_size=_number(ring, "maxRingSize"),
        table_size=_number(maglev, "tableSize"),
        ring_hash_policies=_policies(ring),
        maglev_policies=_policies(maglev),
        hash_policies=_policies(default),
    )


def _is_there(of: Fields, name: str) -> bool | None:
    return True if of.get(name) is not None else None


def _flag(of: Fields, name: str) -> bool | None:
    value = of.get(name)
    return value if isinstance(value, bool) else None


def _text(of: Fields, name: str) -> str | None:
    value = of.get(name)
    return value if isinstance(value, str) else None


def _number(of: Fields, name: str) -> int | None:
    """Numbers that arrive over the wire may be floats."""
    value = of.get(name)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _decimal(of: Fields, name: str) -> Decimal | None:
    try:
        found = Decimal(str(of.get(name)))
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def _bias(of: Fields) -> float | None:
    found = _decimal(of, "activeRequestBias")
    bias = float(found) if found is not None else -1.0
    return bias if bias >= 0 and isfinite(bias) else None


def _affinity(local: Fields) -> tuple[AffinityTag, ...]:
    return tuple(
        AffinityTag(_text(tag, "key") or "", _number(tag, "weight"))
        for _, tag in items(local, "affinityTags")
    )


def _failover(cross: Fields) -> tuple[Step, ...]:
    return tuple(_step(step) for _, step in items(cross, "failover"))


def _step(step: Fields) -> Step:
    to, callers = mapping(step.get("to")), step.get("from")
    try:
        reach = Reach(_text(to, "type") or "")
    except ValueError:
        raise DecodeError("failover.to.type", f"must be one of {', '.join(Reach)}") from None
    return Step(
        reach,
        _zones(to),
        _zones(mapping(callers)) if callers is not None else None,
    )


def _zones(of: Fields) -> frozenset[str]:
    return frozenset(map(str, sequence(of.get("zones"))))


def _policies(of: Fields) -> tuple[HashPolicy, ...] | None:
    """None: nothing is said. One that hashes nothing is left out."""
    if "hashPolicies" not in of:
        return None
    found = (_policy(each) for _, each in items(of, "hashPolicies"))
    return tuple([each for each in found if each is not None])


_MEMBERS = {"Header": "header", "Cookie": "cookie", "QueryParameter": "queryParameter"}


def _policy(of: Fields) -> HashPolicy | None:
    kind, terminal = _text(of, "type") or "", bool(_flag(of, "terminal"))
    if kind in (CONNECTION, "SourceIP"):
        member = mapping(of.get("connection"))
        hashes = _flag(member, "sourceIP") if kind == CONNECTION else True
        return HashPolicy(CONNECTION, terminal=terminal) if hashes else None
    if kind == FILTER_STATE:
        name = _text(mapping(of.get("filterState")), "key") or ""
        return HashPolicy(kind, name, terminal) if name else None
    member = mapping(of.get(_MEMBERS.get(kind, "")))
    name = _text(member, "name") or ""
    if not name or not name.isprintable():
        return None
    ttl = parse_duration(_text(member, "ttl") or "")
    lasting = ttl if ttl is not None and ttl >= timedelta() else None
    return HashPolicy(kind, name, terminal, lasting, _text(member, "path") or "")


def check(spec: Fields, at: At) -> Iterator[Problem]:
    yield from check_strategy(POLICY, spec, at)


POLICY = PolicyType(
    kind="MeshLoadBalancingStrategy",
    slug="mesh_load_balancing_strategy",
    decode=decode,
    check=check,
    merge=merge,
    top_kinds=(*PROXY_KINDS, GATEWAY),
    needs_list=False,
)
