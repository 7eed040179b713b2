"""What holds a virtual address, and the ports that it has. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from reconciler.model.resource import SERVICE
from reconciler.model.spec import TagDestination

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.spec import Destination


class EntryKind(IntEnum):
    """In the order in which addresses are given; of two with one name, the later one has it."""

    SERVICE = 0  # kuma.io/service
    HOST = 1  # the host of an ExternalService
    FQDN = 2  # made by a VirtualOutbound
    MESH_SERVICE = 3
    EXTERNAL = 4
    MULTI_ZONE = 5


REAL: Mapping[str, EntryKind] = {
    "MeshService": EntryKind.MESH_SERVICE,
    "MeshExternalService": EntryKind.EXTERNAL,
    "MeshMultiZoneService": EntryKind.MULTI_ZONE,
}
KINDS: Mapping[EntryKind, str] = {entry: kind for kind, entry in REAL.items()}


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """`name`: of the service, the host, or of the resource in its mesh."""

    kind: EntryKind
    name: str


@dataclass(frozen=True, slots=True)
class Port:
    """`origin`: where it is from, as Kuma writes it: `service`, `virtual-outbound:<name>`."""

    port: int
    destination: Destination
    origin: str


@dataclass(frozen=True, slots=True)
class Holder:
    """`ports` by number, `names` the one that is its own first. `address`: that it has by itself,
    and needs no other.
    """

    entry: Entry
    ports: tuple[Port, ...]
    names: tuple[str, ...]
    address: str = ""


@dataclass(frozen=True, slots=True)
class Naming:
    """How names are made. `services`: each has one by its tag."""

    suffix: str = "mesh"
    port: int = 80
    services: bool = True


class FaultKind(StrEnum):
    PORT = "port"  # another has this port of the name
    NAME = "name"  # another has the name
    TEMPLATE = "template"  # makes no name


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """`resources`: whose it is and who is in the way, as `VirtualOutbound web`."""

    kind: FaultKind
    name: str
    port: int
    resources: tuple[str, ...]
    text: str


def to_service(name: str) -> TagDestination:
    """A service, or a real destination, by its name."""
    return TagDestination(((SERVICE, name),))
