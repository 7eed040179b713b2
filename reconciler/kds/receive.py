"""Who may send what: the origin rules of both directions (facts/kds-wire.md 5.2, 5.3)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from reconciler.model.kinds import KINDS
from reconciler.model.proxy_rules import PROBLEMS_MAX, check_proxy_resource
from reconciler.model.resource import ORIGIN, SERVICE, ZONE, canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.kds.codec import CarriedResource

REFUSALS_SHOWN = 10  # in one NACK
INSTANCES_MAX = 1_000_000  # of a service: weights are added up in 32 bits


def refusals_text(errors: Mapping[str, str]) -> str:
    """A NACK's text, from why by name: the first refusals and how many more there are."""
    shown = [f"{name}: {error}" for name, error in list(errors.items())[:REFUSALS_SHOWN]]
    more = len(errors) - len(shown)
    return "; ".join([*shown, f"and {more} more"] if more else shown)


def accept_from_global(type_: str, carried: CarriedResource) -> str | None:
    """Why a zone does not take this; None when it does. Kinds that a zone may own must say they are
    the global's.
    """
    kind = KINDS.get(type_)
    if kind is None:
        return f'type "{type_}" does not travel from the global'
    if kind.in_zone and carried.labels.get(ORIGIN) != "global":
        return f"{ORIGIN} is {carried.labels.get(ORIGIN)!r}: only the global's own are taken"
    return None


def accept_from_zone(zone: str, carried: CarriedResource) -> CarriedResource | str:
    """The resource attributed to the zone that sent it, or why it is refused. The payload's own
    claim never counts.
    """
    kind = KINDS.get(carried.type)
    if kind is None or not kind.up:
        return f'type "{carried.type}" does not travel from a zone'
    claimed = carried.labels.get(ZONE, zone)
    if claimed != zone:
        return f'it claims zone "{claimed}", but came from zone "{zone}"'
    if carried.labels.get(ORIGIN, "zone") != "zone":
        return "it claims to be the global's"
    if carried.type == "ZoneIngress":
        faults = ingress_faults(carried.name, carried.data)
        if faults:
            return "; ".join(faults)
    labels = {**carried.labels, ORIGIN: "zone", ZONE: zone}
    return replace(carried, labels=labels, body=_pinned(zone, carried))


def ingress_faults(name: str, data: Mapping[str, object]) -> list[str]:
    """What would harm the zones that are to use it: one wrong port, and their proxies refuse all
    endpoints of its services.
    """
    document = {"type": "ZoneIngress", "name": name, "networking": data.get("networking")}
    faults = check_proxy_resource(document)
    services = cast("list[dict[str, Any]]", data.get("availableServices", []))
    for index, service in enumerate(services):
        path = f"availableServices[{index}]"
        if not service.get("tags", {}).get(SERVICE):
            faults.append(f'{path}.tags["{SERVICE}"]: tag has to exist')
        if service.get("instances", 0) > INSTANCES_MAX:
            faults.append(f"{path}.instances: at most {INSTANCES_MAX} can be weighed")
    return faults[:PROBLEMS_MAX]


def _pinned(zone: str, carried: CarriedResource) -> str:
    """Every place that names the owning zone says the sender's name."""
    data = json.loads(carried.body)
    if carried.type in ("ZoneIngress", "ZoneEgress"):
        data["zone"] = zone
        for service in data.get("availableServices", ()):
            _pin_tags(service, zone)
    elif carried.type == "Dataplane":
        networking = data.get("networking", {})
        for holder in (*networking.get("inbound", ()), networking.get("gateway", {})):
            _pin_tags(holder, zone)
    else:
        return carried.body
    return canonical_json(data)


def _pin_tags(holder: Mapping[str, object], zone: str) -> None:
    tags = cast("dict[str, str]", holder.get("tags", {}))
    if ZONE in tags:
        tags[ZONE] = zone
