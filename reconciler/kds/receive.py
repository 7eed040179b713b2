"""Who may send what: the origin rules of both directions (facts/kds-wire.md 5.2, 5.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from reconciler.kds.names import hashed_name
from reconciler.model.kinds import KINDS
from reconciler.model.proxy_rules import PROBLEMS_MAX, check_proxy_resource
from reconciler.model.resource import (
    DISPLAY_NAME,
    NAMESPACE,
    ORIGIN,
    SERVICE,
    ZONE,
    Labels,
    canonical_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.kds.codec import CarriedResource

CLAIMS = "claims zone"
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
    """The resource attributed to the zone that sent it, or why it is refused. What a payload says
    of another zone never counts: it is refused.
    """
    kind = KINDS.get(carried.type)
    if kind is None or not kind.up:
        return f'type "{carried.type}" does not travel from a zone'
    claimed = claimed_zone(zone, carried)
    if claimed is not None:
        place, other = claimed
        return f'{place} {CLAIMS} "{other}", but it came from zone "{zone}"; correct it there'
    if carried.labels.get(ORIGIN, "zone") != "zone":
        return "it claims to be the global's"
    body = carried.body
    if carried.type == "ZoneIngress":
        faults = ingress_faults(carried.name, carried.data)
        if faults:
            return "; ".join(faults)
    if carried.type in _NAMES_ITS_ZONE:
        body = canonical_json({**carried.data, "zone": zone})
    return replace(carried, labels={**carried.labels, ORIGIN: "zone", ZONE: zone}, body=body)


_NAMES_ITS_ZONE = ("ZoneIngress", "ZoneEgress")


def claimed_zone(zone: str, carried: CarriedResource) -> tuple[str, str] | None:
    """Where a resource says that it is another zone's, and which; None when it does not."""
    for place, said in _zones_said(carried):
        if said not in (None, "", zone):
            return place, str(said)
    return None


def _zones_said(carried: CarriedResource) -> Iterator[tuple[str, object]]:
    """Every place of a resource that names its zone."""
    yield f"label {ZONE}", carried.labels.get(ZONE)
    match carried.type:
        case "ZoneIngress" | "ZoneEgress":
            data = carried.data
            yield "zone", data.get("zone")
            services = cast("list[dict[str, Any]]", data.get("availableServices", []))
            for index, service in enumerate(services):
                tags = service.get("tags", {})
                yield f'availableServices[{index}].tags["{ZONE}"]', tags.get(ZONE)
        case "Dataplane":
            networking = cast("dict[str, Any]", carried.data.get("networking", {}))
            for index, inbound in enumerate(networking.get("inbound", ())):
                tags = inbound.get("tags", {})
                yield f'networking.inbound[{index}].tags["{ZONE}"]', tags.get(ZONE)
            gateway = networking.get("gateway", {})
            yield f'networking.gateway.tags["{ZONE}"]', gateway.get("tags", {}).get(ZONE)


def name_fault(zone: str, carried: CarriedResource, known: Iterable[str]) -> str | None:
    """Why a wire name is none that the zone can have given: every zone's own hash keeps it from
    standing in another's place. `known` are zones, so that the message can say whose it is.
    """
    if not KINDS[carried.type].hashed:
        return None
    labels = Labels.of(carried.labels)
    display = labels.get(DISPLAY_NAME) or carried.name.rpartition("-")[0]

    def name_in(owner: str | None) -> str:
        inner = {key: value for key, value in labels.pairs if key == NAMESPACE}
        told = Labels.of(inner if owner is None else {**inner, ZONE: owner})
        return hashed_name(carried.mesh, display, told)

    if carried.name == name_in(zone) or carried.name == name_in(None):
        return None
    owner = next((other for other in known if carried.name == name_in(other)), None)
    if owner is not None:
        return f'its name {CLAIMS} "{owner}", but it came from zone "{zone}"; correct it there'
    return f'its name should be "{name_in(zone)}"; send it with the hash of zone "{zone}"'


def is_claim(refusal: str) -> bool:
    """Whether a zone was refused because it spoke in the name of another."""
    return CLAIMS in refusal


def legacy_named(zone: str, carried: CarriedResource) -> CarriedResource:
    """As the global knows the resource of a zone whose names have no hash (facts 4.2)."""
    return replace(carried, name=f"{zone}.{carried.name}")


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
