"""What one zone may see: global-owned resources of a revision, and what other zones relay
(facts/kds-wire.md 5.1).

Types that did not change keep their very mapping, so that offering them again costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.kds.codec import CarriedResource, encode_carried
from reconciler.kds.manifest import manifest
from reconciler.kds.names import wire_name
from reconciler.kds.types import GLOBAL_TO_ZONE_TYPES, MANIFEST, RELAYED_TYPES
from reconciler.model.resource import DISPLAY_NAME, ORIGIN, ZONE, MeshResource, ResourceKey
from reconciler.model.spec import ZoneSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.state import MeshState
    from xds.resource import XdsResource
    from xds.snapshot import Resources

SYNC_LABEL = "kuma.io/kds-sync"
CLUSTER_ID = "kuma-cluster-id"
_KEPT_SECRETS = frozenset(
    {"envoy-admin-ca", "admin-user-token", "inter-cp-ca", "user-token-revocations"}
)
_KEPT_SECRET_PREFIXES = ("user-token-signing-key", "zone-token-signing-key")


@dataclass(frozen=True, slots=True)
class Slice:
    """By type, by discovery name. `owned` and `relayed` are what it was made of."""

    revision: str
    types: Mapping[str, Resources]
    owned: MeshState
    relayed: MeshState
    encoded: Mapping[ResourceKey, tuple[MeshResource, XdsResource]] = field(default_factory=dict)


def next_slice(
    previous: Slice | None, zone: str, revision: str, owned: MeshState, relayed: MeshState
) -> Slice:
    """The zone's slice now; the same object when nothing of it changed. Raises ValueError for what
    cannot travel.
    """
    if previous is not None and _is_same(previous, revision, owned, relayed):
        return previous
    encoded: dict[ResourceKey, tuple[MeshResource, XdsResource]] = {}
    found: dict[str, dict[str, XdsResource]] = {type_: {} for type_ in GLOBAL_TO_ZONE_TYPES}
    held = previous.encoded if previous is not None else {}
    for resource in _visible(zone, owned, relayed):
        before = held.get(resource.key)
        frame = before[1] if before is not None and before[0] is resource else _frame(resource)
        encoded[resource.key] = (resource, frame)
        found[resource.key.type][frame.name] = frame
    types: dict[str, Resources] = {
        type_: _shared(previous, type_, resources) for type_, resources in found.items()
    }
    versions = {t: types[t] for t in GLOBAL_TO_ZONE_TYPES if t not in RELAYED_TYPES}
    types[MANIFEST] = _shared(previous, MANIFEST, _manifest(zone, revision, versions))
    return Slice(revision, types, owned, relayed, encoded)


def _manifest(zone: str, revision: str, types: Mapping[str, Resources]) -> dict[str, XdsResource]:
    found = manifest(zone, revision, types)
    return {found.name: found}


def _is_same(previous: Slice, revision: str, owned: MeshState, relayed: MeshState) -> bool:
    same = previous.owned is owned and previous.revision == revision
    return same and previous.relayed == relayed


def _shared(previous: Slice | None, type_: str, resources: Resources) -> Resources:
    """The previous mapping if it says the same."""
    if previous is None:
        return resources
    before = previous.types.get(type_, {})
    if before.keys() != resources.keys():
        return resources
    same = all(before[name].version == r.version for name, r in resources.items())
    return before if same else resources


def _visible(zone: str, owned: MeshState, relayed: MeshState) -> Iterable[MeshResource]:
    for resource in owned.by_key.values():
        if resource.key.type in GLOBAL_TO_ZONE_TYPES and _may_travel(resource):
            yield resource
    for resource in relayed.by_key.values():
        owner = resource.labels.get(ZONE)
        if owner not in (None, zone) and _is_enabled(owned, owner or "") and _syncs(resource):
            yield resource


def _syncs(resource: MeshResource) -> bool:
    return resource.labels.get(SYNC_LABEL) != "disabled"


def _may_travel(resource: MeshResource) -> bool:
    name = resource.key.name
    if resource.key.type == "Config" and name != CLUSTER_ID:
        return False
    kept = name in _KEPT_SECRETS or name.startswith(_KEPT_SECRET_PREFIXES)
    if resource.key.type == "GlobalSecret" and kept:
        return False
    return _syncs(resource)


def _is_enabled(owned: MeshState, zone: str) -> bool:
    """A zone without a Zone resource is enabled."""
    found = owned.get(ResourceKey("Zone", "", zone))
    return found is None or not isinstance(found.spec, ZoneSpec) or found.spec.enabled


def _frame(resource: MeshResource) -> XdsResource:
    key = resource.key
    labels = {**dict(resource.labels.pairs), ORIGIN: "global"}
    name = wire_name(key.type, key.mesh, key.name, resource.labels)
    if name != key.name:
        labels.setdefault(DISPLAY_NAME, key.name)
    return encode_carried(CarriedResource(key.type, key.mesh, name, labels, resource.body))
