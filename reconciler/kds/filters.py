"""What the global sends to which zone, line by line (facts/kds-wire.md 5.1, 5.4)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from reconciler.fleet import CLUSTER_ID
from reconciler.kds.types import GLOBAL_TO_ZONE_TYPES
from reconciler.model.kinds import KINDS
from reconciler.model.resource import NAMESPACE, ROLE, ZONE, MeshResource, canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.kds.zone_node import ZoneFeatures

SYNC_LABEL = "kuma.io/kds-sync"
SYSTEM_NAMESPACE = "kuma-system"
PRODUCER, CONSUMER = "producer", "consumer"
WORKLOAD_OWNER, SYSTEM = "workload-owner", "system"
_KEPT_SECRETS = frozenset(
    {"envoy-admin-ca", "admin-user-token", "inter-cp-ca", "user-token-revocations"}
)
# The zone key's public half travels as a secret of its own.
_KEPT_SECRET_PREFIXES = ("user-token-signing-key", "zone-token-signing-key")


@dataclass(frozen=True, slots=True)
class RelayRules:
    """What the policy repository says of resources that zones own."""

    disabled: frozenset[str] = frozenset()  # zones whose resources go to no other
    policies: frozenset[tuple[str, str]] = frozenset()  # (zone, type) that may pass


def may_go_down(resource: MeshResource, features: ZoneFeatures) -> bool:
    """A global-owned resource, to any zone with these features."""
    type_, name = resource.key.type, resource.key.name
    if type_ not in GLOBAL_TO_ZONE_TYPES or not syncs(resource):
        return False
    match type_:
        case "Config":
            return name == CLUSTER_ID
        case "GlobalSecret":
            return name not in _KEPT_SECRETS and not name.startswith(_KEPT_SECRET_PREFIXES)
        case "HostnameGenerator" if not features.multizone_generators:
            return "meshMultiZoneService" not in _mapping(_spec(resource).get("selector"))
    return features.optional_target or not _omits_target(resource)


def goes_alike(resource: MeshResource, one: ZoneFeatures, other: ZoneFeatures) -> bool:
    """Whether zones with these features, and with the same names, are sent the same of it."""
    return resource.key.type != "Mesh" or one.manifests is other.manifests


def one_backend(body: str) -> str:
    """A Mesh as a zone of Kuma takes it, which refuses one with several CAs as a whole: with the
    enabled one alone.
    """
    data = json.loads(body)
    mtls = _mapping(data.get("mtls"))
    backends = _list(mtls.get("backends"))
    if len(backends) < 2:
        return body
    name = mtls.get("enabledBackend")
    kept = [each for each in backends if _mapping(each).get("name") == name] or backends[:1]
    return canonical_json({**data, "mtls": {**mtls, "backends": kept}})


def may_pass(resource: MeshResource, zone: str, features: ZoneFeatures, rules: RelayRules) -> bool:
    """A zone's resource, to another zone; never back to its owner."""
    owner = resource.labels.get(ZONE)
    if owner in (None, zone) or owner in rules.disabled or not syncs(resource):
        return False
    kind = KINDS[resource.key.type]
    if not kind.policy:
        return kind.across
    if (owner, kind.name) not in rules.policies or not features.producer_policies:
        return False
    if not features.optional_target and _omits_target(resource):
        return False
    if resource.labels.get(ROLE) != PRODUCER or policy_role(resource) != PRODUCER:
        return False
    top = _mapping(_spec(resource).get("targetRef"))
    to_zone = _mapping(top.get("tags")).get(ZONE) if top.get("kind") == "MeshSubset" else None
    return to_zone in (None, zone)


def policy_role(resource: MeshResource) -> str:
    """The role that a policy's content gives it; "" for one that mixes two."""
    namespace = resource.labels.get(NAMESPACE)
    if namespace in (None, "", SYSTEM_NAMESPACE):
        return SYSTEM
    spec = _spec(resource)
    to, from_ = _list(spec.get("to")), _list(spec.get("from"))
    if not to:
        return WORKLOAD_OWNER
    if from_:
        return ""
    producers = [_is_producer(_mapping(item), namespace or "") for item in to]
    if all(producers):
        return PRODUCER
    return "" if any(producers) else CONSUMER


def _is_producer(item: Mapping[str, object], namespace: str) -> bool:
    target = _mapping(item.get("targetRef"))
    named = target.get("kind") in ("MeshService", "MeshHTTPRoute") and bool(target.get("name"))
    return named and target.get("namespace") in (None, "", namespace)


def syncs(resource: MeshResource) -> bool:
    """Whether whoever made it lets it leave its control plane."""
    return resource.labels.get(SYNC_LABEL) != "disabled"


def _omits_target(resource: MeshResource) -> bool:
    return KINDS[resource.key.type].policy and not _spec(resource).get("targetRef")


def _spec(resource: MeshResource) -> Mapping[str, object]:
    return cast("Mapping[str, object]", json.loads(resource.body))


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
