"""What a MeshLoadBalancingStrategy may not say, and what Envoy would refuse of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.part import Part, not_empty, percent_of, percentage, required
from reconciler.policies.document import check_sections, check_target
from reconciler.policies.policy import GATEWAY, ROUTE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults
    from reconciler.policies.policy import PolicyRules

_SERVICES = ("MeshService", "MeshMultiZoneService")
_MEMBERS = {
    "Header": "header",
    "Cookie": "cookie",
    "QueryParameter": "queryParameter",
    "FilterState": "filterState",
    "Connection": "connection",
    "SourceIP": "connection",
}
DEFAULT_RING_SIZE = 1024  # Envoy's, at least
_HASHING = {"RingHash": "ringHash", "Maglev": "maglev"}
_WITH_ZONES, _WITHOUT_ZONES = ("Only", "AnyExcept"), ("Any", "None")


def check_strategy(policy: PolicyRules, spec: Mapping[str, object], at: At) -> Faults:
    yield from check_sections(policy, spec, at)
    document = Part(spec, (), at)
    top_kind = document["targetRef"]["kind"].text
    for item in document["to"].items():
        target, default = item["targetRef"], item["default"]
        if target:
            kinds = _kinds(top_kind, default)
            yield from check_target(target.fields, kinds, target.path, at)
        if target["kind"].text == ROUTE:
            for name in ("loadBalancer", "localityAwareness"):
                if default[name]:
                    text = f"{name} cannot depend on the route; a {ROUTE} has hashPolicies alone"
                    yield default[name].fault("VAL011", text)
        else:
            yield from _check_load_balancer(default)
            yield from _check_locality(default["localityAwareness"], target)
        yield from _check_hash_policies(default["hashPolicies"])


def _kinds(top_kind: str, default: Part) -> tuple[str, ...]:
    """A gateway has one cluster for a service, whichever of its routes leads there."""
    if top_kind == GATEWAY:
        return ("Mesh",) if default["loadBalancer"] else ("Mesh", *_SERVICES)
    return ("Mesh", *_SERVICES, ROUTE)


def _check_load_balancer(default: Part) -> Faults:
    balancer = default["loadBalancer"]
    kind = balancer["type"].text
    if kind in _HASHING:
        yield from _check_hash_policies(balancer[_HASHING[kind]]["hashPolicies"])
    if kind == "LeastRequest":
        bias = balancer["leastRequest"]["activeRequestBias"]
        number = percent_of(bias)
        if bias and (bias.text or bias.value == "") and number is None:
            yield bias.fault("VAL005", f'"{bias.text[:60]}" is not a number; write it like 1.5')
        elif number is not None and number < 0:
            yield bias.fault("VAL003", f"{bias.name} is {bias.value}; it must be at least 0")
    for name in _HASHING.values():
        inner = balancer[name]["hashPolicies"]
        if default["hashPolicies"] and inner:
            text = "hashPolicies stands beside loadBalancer already; keep that one"
            yield inner.fault("VAL007", text)
    yield from _check_rings(balancer)


def _check_rings(balancer: Part) -> Faults:
    """What Kuma takes and Envoy refuses: a proxy of Kuma's zones would keep what it has."""
    least, most = (balancer["ringHash"][f"{end}RingSize"] for end in ("min", "max"))
    size = DEFAULT_RING_SIZE if least.number is None else least.number
    if most.number is not None and size > most.number:
        text = "minRingSize is over maxRingSize, which Envoy refuses; make it smaller"
        if not least:
            text = f"maxRingSize is under {size}, which is minRingSize when left out; write both"
        yield (least or most).warning("VAL003", text)
    table = balancer["maglev"]["tableSize"].value
    if isinstance(table, int) and not is_prime(table):
        text = f"{table} is no prime number, which Envoy refuses; write one such as 65537"
        yield balancer["maglev"]["tableSize"].warning("VAL003", text)


def is_prime(number: int) -> bool:
    return number > 1 and all(number % each for each in range(2, int(number**0.5) + 1))


def _check_locality(locality: Part, target: Part) -> Faults:
    tags = locality["localZone"]["affinityTags"]
    for tag in tags.items():
        yield from not_empty(tag["key"], "write the name of a tag")
        if tag["weight"].number == 0:
            yield tag["weight"].fault("VAL003", "weight is 0; it must be at least 1")
    weighted = [bool(tag["weight"]) for tag in tags.items()]
    if any(weighted) and not all(weighted):
        yield tags.fault("VAL001", "some tags have no weight; write it for all of them or for none")
    cross = locality["crossZone"]
    if not cross:
        return
    by_section = target["sectionName"].text or target["labels"].fields
    if target["kind"].text == "MeshService" and by_section:
        text = "crossZone cannot be set here: a MeshService is of one zone; remove it"
        yield cross.fault("VAL011", text)
    for step in cross["failover"].items():
        yield from _check_step(step)
    yield from _check_threshold(cross["failoverThreshold"])


def _check_step(step: Part) -> Faults:
    if step["from"]:
        zones = step["from"]["zones"]
        yield from not_empty(zones, "name a zone, or leave out from")
        for zone in zones.items():
            yield from not_empty(zone, "write the name of a zone")
    kind, zones = step["to"]["type"].text, step["to"]["zones"]
    if kind in _WITHOUT_ZONES and zones.value:
        yield zones.fault("VAL011", f"zones cannot be set here: {kind} has none; remove it")
    if kind in _WITH_ZONES and not zones.value:
        yield zones.fault("VAL001", f"zones is missing; {kind} needs the name of a zone")


def _check_threshold(threshold: Part) -> Faults:
    percent = threshold["percentage"]
    if threshold and (not percent or percent_of(percent) == 0):
        yield percent.fault("VAL005", "percentage must be over 0; write it like 50")
    elif percent.value == "":
        yield percent.fault("VAL005", "percentage is empty; write it like 50")
    else:
        yield from percentage(percent)


def _check_hash_policies(policies: Part) -> Faults:
    for policy in policies.items():
        kind = policy["type"].text
        if kind in _MEMBERS:
            yield from required(policy[_MEMBERS[kind]], f"{kind} needs it")
        path = policy["cookie"]["path"]
        if kind == "Cookie" and path and not path.text.startswith("/"):
            yield path.fault("VAL010", f'"{path.text[:60]}" is no path; begin it with "/"')
        if kind == "SourceIP":
            yield policy["type"].warning("VAL006", "SourceIP is the old word; write Connection")
