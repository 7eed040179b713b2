"""Names of the system's own secrets, as Kuma has them, and which of them verify what. Pure."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.resource import MeshResource
    from reconciler.state import MeshState

ZONE_SIGNING_KEY = "zone-token-signing-key-"
ZONE_PUBLIC_KEY = "zone-token-signing-public-key-"
ZONE_REVOCATIONS = "zone-token-revocations"
USER_SIGNING_KEY = "user-token-signing-key-"  # of a control plane's own; it leaves none
USER_REVOCATIONS = "user-token-revocations"


def dataplane_signing_key(mesh: str) -> str:
    """Prefix of the names; the kid follows."""
    return f"dataplane-token-signing-key-{mesh}-"


def dataplane_revocations(mesh: str) -> str:
    return f"dataplane-token-revocations-{mesh}"


def secret_data(value: bytes) -> Mapping[str, object]:
    """The spec of a Secret or GlobalSecret with this value."""
    return {"data": base64.b64encode(value).decode()}


def secret_value(resource: MeshResource) -> bytes:
    return base64.b64decode(str(json.loads(resource.body).get("data", "")))


def keys_of(state: MeshState, type_: str, mesh: str, prefix: str) -> dict[str, bytes]:
    """Keys by kid. Un-hashed names, so the kid is what follows the prefix."""
    return {
        resource.key.name.removeprefix(prefix): secret_value(resource)
        for resource in state.of(type_, mesh)
        if resource.key.name.startswith(prefix)
    }


def revoked(state: MeshState, type_: str, mesh: str, name: str) -> frozenset[str]:
    """Token ids of a revocation list: comma-separated."""
    for resource in state.of(type_, mesh):
        if resource.key.name == name:
            text = secret_value(resource).decode(errors="replace")
            return frozenset(part.strip() for part in text.split(",") if part.strip())
    return frozenset()
