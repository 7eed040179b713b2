"""What the status of a real service says of its names and address (facts/dataplane-wire.md 2.7 to
2.9). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

from reconciler.collection import Sorted
from reconciler.vips.entries import EntryKind
from reconciler.vips.hostnames import CONDITION, GENERATED, ORIGIN_OF_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.vips.hostnames import Generated


FIELDS = ("addresses", "hostnameGenerators", "vip", "vips")


@dataclass(frozen=True, slots=True)
class Named:
    """A real resource with its names. `address`: "" while it has none."""

    name: str  # of the resource
    generated: tuple[Generated, ...]
    address: str


NOBODY: Sorted[Named] = Sorted(attrgetter("name"))


def status_of(
    kind: EntryKind, generated: Sequence[Generated], address: str | None
) -> Mapping[str, object]:
    """Its `FIELDS`, in the form of the API; none where there is nothing to say.

    `address`: None or "" while it has none. A MeshExternalService has one `vip`, others a list of
    `vips`.
    """
    found: dict[str, object] = {}
    addresses = [
        {
            "hostname": each.hostname,
            "origin": ORIGIN_OF_NAMES,
            "hostnameGeneratorRef": {"coreName": each.generator},
        }
        for each in generated
        if each.hostname
    ]
    if addresses:
        found["addresses"] = addresses
    if generated:
        found["hostnameGenerators"] = [
            {
                "hostnameGeneratorRef": {"coreName": each.generator},
                "conditions": [_condition(each)],
            }
            for each in generated
        ]
    if address:
        vip = {"ip": address}
        found |= {"vip": vip} if kind is EntryKind.EXTERNAL else {"vips": [vip]}
    return found


def _condition(each: Generated) -> Mapping[str, str]:
    return {
        "type": CONDITION,
        "status": "True" if each.reason == GENERATED else "False",
        "reason": each.reason,
        "message": each.message,
    }
