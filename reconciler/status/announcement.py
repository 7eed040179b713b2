"""What a zone says of its status ref, as a resource that travels up: who writes it, and for the
global that does it for the zone, the part of the content that the global has from nowhere else.

    direct   the zone pushes its own ref
    relay    the global writes it: ingresses and convergence it knows already, the inventory comes
             with this
    off      nobody does

A real Kuma zone answers the type empty (`NONE`): what it sends otherwise is all there is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, cast

from reconciler.kds.codec import CarriedResource, decode_entry, encode_carried
from reconciler.kds.types import STATUS
from reconciler.model.resource import ORIGIN, ZONE, canonical_json
from reconciler.status.document import Inventory, ProxyClass, ProxyEntry
from reconciler.status.shape import checked
from xds.discovery import RemoteProtocolError

if TYPE_CHECKING:
    from xds.resource import XdsResource

ROWS_MAX = 5_000  # proxies of a zone, as its own limit has it


class StatusMode(StrEnum):
    DIRECT = "direct"
    RELAY = "relay"
    OFF = "off"
    NONE = "none"  # says nothing: a real Kuma zone


@dataclass(frozen=True, slots=True)
class ZoneStatus:
    """`complete`: the rows are known, and not just not there yet."""

    mode: StatusMode
    inventory: Inventory = Inventory.CLASSES
    complete: bool = False
    classes: tuple[ProxyClass, ...] = ()
    proxies: tuple[ProxyEntry, ...] = ()


NO_STATUS = ZoneStatus(StatusMode.OFF)


def encode_status(zone: str, status: ZoneStatus) -> XdsResource:
    rows: dict[str, object] = {}
    if status.complete and status.inventory is Inventory.FULL:
        rows["proxies"] = [[p.mesh, p.name, p.address, p.shape] for p in status.proxies]
    elif status.complete:
        rows["classes"] = [[c.mesh, c.shape, c.count] for c in status.classes]
    data = {"mode": status.mode.value, "inventory": status.inventory.value, **rows}
    labels = {ORIGIN: "zone", ZONE: zone}
    return encode_carried(CarriedResource(STATUS, "", zone, labels, canonical_json(data)))


def parse_status(entry: bytes) -> ZoneStatus:
    """Raises RemoteProtocolError, which names what is wrong."""
    data = decode_entry(STATUS, entry).data
    try:
        mode = StatusMode(str(data["mode"]))
        inventory = Inventory(str(data["inventory"]))
        classes = cast("list[list[object]]", data.get("classes", []))
        proxies = cast("list[list[object]]", data.get("proxies", []))
        if max(len(classes), len(proxies)) > ROWS_MAX:
            raise ValueError(f"over {ROWS_MAX} rows")
        return ZoneStatus(
            mode,
            inventory,
            "classes" in data or "proxies" in data,
            tuple(ProxyClass(str(m), checked(shape), _count(n)) for m, shape, n in classes),
            tuple(ProxyEntry(str(m), str(n), str(at), checked(s)) for m, n, at, s in proxies),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RemoteProtocolError(f"{STATUS}: {error!r}") from error


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value
