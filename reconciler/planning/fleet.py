"""The proxies of a zone as its status ref tells of them: by class, or each by itself. Pure.

Of a class, as many proxies are made as it has, with addresses of RFC 2544's range for tests: their
configuration is that of the real ones but for names and addresses.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import reconciler.registration as admission
from reconciler.model.spec import DataplaneSpec
from reconciler.status.document import (
    APPLIED_PATH,
    INGRESS_PATH,
    ProxyEntry,
    StatusUnreadable,
    parsed,
)
from reconciler.status.inventory_file import FOLDER, inventory_of
from reconciler.status.shape import document_of
from reconciler.status_ingress import from_status
from xds.copying import replace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.model.resource import MeshResource
    from reconciler.model.spec import Inbound
    from reconciler.status.inventory_file import Row

NAMELESS = "proxies without a service"
FIRST_ADDRESS = int(IPv4Address("198.18.0.0"))
SERVICE = "kuma.io/service"


@dataclass(frozen=True, slots=True)
class Group:
    """Proxies of one shape. `members` are in the order of their names."""

    zone: str
    mesh: str
    shape: str
    members: tuple[MeshResource, ...]
    named: bool = False  # by their real names

    @property
    def services(self) -> tuple[str, ...]:
        said = json.loads(self.shape)
        found = {i["tags"].get(SERVICE, "") for i in said["inbounds"]}
        return tuple(sorted(found or {said.get("gateway", {}).get(SERVICE, "")}))

    @property
    def title(self) -> str:
        """What people call it."""
        return ", ".join(filter(None, self.services)) or NAMELESS


@dataclass(frozen=True, slots=True)
class ZoneFleet:
    """`revision`: in force there, "" where it does not say. `native`: our own control plane, which
    told what its proxies acknowledged; a Kuma zone computes its Envoys' configuration itself.
    """

    zone: str
    groups: tuple[Group, ...] = ()
    ingresses: tuple[MeshResource, ...] = ()
    revision: str = ""
    native: bool = True
    notes: tuple[str, ...] = ()

    @property
    def proxies(self) -> tuple[MeshResource, ...]:
        return tuple(proxy for group in self.groups for proxy in group.members)


def fleets(refs: Mapping[str, Mapping[str, bytes]]) -> tuple[ZoneFleet, ...]:
    """By zone. What cannot be read of a zone is left out, and said in its notes."""
    return tuple(zone_fleet(zone, files) for zone, files in sorted(refs.items()))


def zone_fleet(zone: str, files: Mapping[str, bytes]) -> ZoneFleet:
    notes: list[str] = []
    ingresses: tuple[MeshResource, ...] = ()
    groups: tuple[Group, ...] = ()
    if INGRESS_PATH in files:
        try:
            ingresses = tuple(from_status(zone, files[INGRESS_PATH]))
        except StatusUnreadable as error:
            notes.append(f"its ingresses are left out: {error}")
    try:
        groups, refused = _groups(zone, inventory_of(files))
        notes += refused
    except StatusUnreadable as error:
        notes.append(f"its proxies are left out: {error}")
    if not any(path.startswith(FOLDER) for path in files):
        notes.append("it tells of no proxies (--inventory off, or none): effects there are unknown")
    revision, native = _applied(files)
    return ZoneFleet(zone, groups, ingresses, revision, native, tuple(notes))


def _applied(files: Mapping[str, bytes]) -> tuple[str, bool]:
    try:
        found = next(iter(parsed(files.get(APPLIED_PATH, b""), APPLIED_PATH)), {})
    except StatusUnreadable:
        return "", True
    data = found if isinstance(found, dict) else {}
    proxies = data.get("proxies")
    native = not isinstance(proxies, dict) or proxies.get("acked") is not None
    return str(data.get("revision") or ""), native


def _groups(zone: str, rows: Iterable[Row]) -> tuple[tuple[Group, ...], list[str]]:
    by_shape: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_shape.setdefault((row.mesh, row.shape), []).append(row)
    found: list[Group] = []
    refused: list[str] = []
    place = FIRST_ADDRESS
    for number, ((mesh, shape), listed) in enumerate(sorted(by_shape.items())):
        named = isinstance(listed[0], ProxyEntry)
        first = _member(zone, mesh, shape, listed[0], f"class-{number}-0")
        if isinstance(first, admission.NotAdmitted):
            refused.append(f"a class of proxies is left out: {first.reason}")
            continue
        members = tuple(_members(first, listed, number, place))
        place += len(members)
        found.append(Group(zone, mesh, shape, members, named))
    return tuple(found), refused


def _member(
    zone: str, mesh: str, shape: str, row: Row, name: str
) -> MeshResource | admission.NotAdmitted:
    address = row.address if isinstance(row, ProxyEntry) else str(IPv4Address(FIRST_ADDRESS))
    name = row.name if isinstance(row, ProxyEntry) else name
    return admission.from_document(document_of(shape, mesh, name, address), zone)


def _members(
    first: MeshResource, listed: Iterable[Row], number: int, place: int
) -> Iterator[MeshResource]:
    """The others differ in name and address only: they are copied, not read again."""
    for row in listed:
        if isinstance(row, ProxyEntry):
            yield _copy(first, row.name, row.address)
            continue
        for index in range(row.count):
            name, address = f"class-{number}-{index}", str(IPv4Address(place + index))
            yield _copy(first, name, address)


def _copy(first: MeshResource, name: str, address: str) -> MeshResource:
    spec = first.spec
    assert isinstance(spec, DataplaneSpec)
    own = spec.address

    def moved(each: str) -> str:
        return address if each == own else each

    def inbound(each: Inbound) -> Inbound:
        return replace(
            each,
            address=moved(each.address),
            workload_address=moved(each.workload_address),
            advertised_address=moved(each.advertised_address),
        )

    copied = replace(
        spec,
        address=address,
        advertised_address=moved(spec.advertised_address),
        inbounds=tuple(map(inbound, spec.inbounds)),
    )
    labels = first.labels.with_labels({"kuma.io/display-name": name})
    return replace(first, key=replace(first.key, name=name), labels=labels, spec=copied)
