"""What the status of a real service says of its names and address (facts/dataplane-wire.md 2.7 to
2.9). Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.vips.entries import EntryKind
from reconciler.vips.hostnames import CONDITION, GENERATED, ORIGIN_OF_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from reconciler.vips.hostnames import Generated


def status_of(
    kind: EntryKind, generated: Sequence[Generated], address: str | None
) -> Mapping[str, object]:
    """Its fields, in the form of the API; none where there is nothing to say.

    `address`: None while it has none. A MeshExternalService has one `vip`, others a list of `vips`.
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
