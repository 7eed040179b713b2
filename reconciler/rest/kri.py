"""Kuma's resource identifiers (facts/http-api.md 5.4): `kri_mt_default_east__timeouts_`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.kds.names import hashed_name
from reconciler.model.kinds import KINDS
from reconciler.model.resource import DISPLAY_NAME, NAMESPACE, ZONE, Labels, ResourceKey
from reconciler.rest.paths import BY_SHORT

if TYPE_CHECKING:
    from reconciler.model.resource import MeshResource

PARTS = 7


@dataclass(frozen=True, slots=True)
class Kri:
    type: str
    mesh: str
    zone: str
    namespace: str
    name: str
    section: str = ""

    def __str__(self) -> str:
        short = KINDS[self.type].short
        place = f"{self.mesh}_{self.zone}_{self.namespace}"
        return f"kri_{short}_{place}_{self.name}_{self.section}"


def kri_of(resource: MeshResource, section: str = "") -> str | None:
    """None for a kind without a short name."""
    key, labels = resource.key, resource.labels
    if not KINDS[key.type].short:
        return None
    place = labels.get(ZONE) or "", labels.get(NAMESPACE) or ""
    return str(Kri(key.type, key.mesh, *place, resource.display_name, section))


def parsed(text: str) -> Kri | None:
    """None for what is no identifier of a known kind."""
    first, *parts = text.split("_")
    if first != "kri" or len(parts) < PARTS - 1 or parts[0] not in BY_SHORT:
        return None
    short, mesh, zone, namespace, name, *section = parts
    return Kri(BY_SHORT[short].name, mesh, zone, namespace, name, "".join(section))


def key_of(kri: Kri, own_zone: str) -> ResourceKey:
    """Under which a control plane keeps it: its own by name, others by the name they came with.
    `own_zone` is "" at the global.
    """
    mesh = kri.mesh if KINDS[kri.type].mesh_scoped else ""
    if kri.zone == own_zone:
        return ResourceKey(kri.type, mesh, kri.name)
    given = {ZONE: kri.zone, NAMESPACE: kri.namespace, DISPLAY_NAME: kri.name}
    labels = Labels.of({key: value for key, value in given.items() if value})
    return ResourceKey(kri.type, mesh, hashed_name(mesh, kri.name, labels))
