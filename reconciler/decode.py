"""A mesh resource from its key, labels and plain spec: the one way in, from Git, from the wire and
from disk. Pure.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.model.decode import (
    DecodeError,
    Fields,
    decode_mesh,
    decode_zone,
)
from reconciler.model.decode_external import (
    decode_external_service,
    decode_mesh_external_service,
)
from reconciler.model.decode_names import decode_hostname_generator, decode_virtual_outbound
from reconciler.model.decode_proxies import (
    decode_dataplane,
    decode_zone_egress,
    decode_zone_ingress,
)
from reconciler.model.proxy_rules import check_proxy_resource as check_proxy_resource
from reconciler.model.resource import Labels, MeshResource, ResourceKey, canonical_json
from reconciler.model.services import (
    decode_mesh_service,
    decode_multi_zone_service,
    decode_zone_address,
)
from reconciler.model.spec import OpaqueSpec, Spec
from reconciler.policies import POLICIES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DECODERS: Mapping[str, Callable[[Fields], Spec]] = {
    "Mesh": decode_mesh,
    "Zone": decode_zone,
    "Dataplane": decode_dataplane,
    "ZoneIngress": decode_zone_ingress,
    "ZoneEgress": decode_zone_egress,
    "ExternalService": decode_external_service,
    "MeshExternalService": decode_mesh_external_service,
    "MeshService": decode_mesh_service,
    "MeshMultiZoneService": decode_multi_zone_service,
    "MeshZoneAddress": decode_zone_address,
    "VirtualOutbound": decode_virtual_outbound,
    "HostnameGenerator": decode_hostname_generator,
    **{policy.kind: policy.decode for policy in POLICIES},
}
_OPAQUE = OpaqueSpec()
SPECS_KEPT = 50_000


def decode_resource(type_: str, data: Fields) -> Spec:
    """Raises DecodeError. A kind that is only carried has an OpaqueSpec.

    Decoders are written for documents that passed their schema. Over the wire anything may come:
    what they trip over is the sender's fault, and no end of this process.
    """
    decoder = _DECODERS.get(type_)
    try:
        return _OPAQUE if decoder is None else decoder(data)
    except DecodeError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise DecodeError("", f"the spec is not one of {type_}: {error}") from error


def mesh_resource(
    key: ResourceKey, labels: Labels, data: Fields, status: str | None = None
) -> MeshResource:
    """Raises DecodeError."""
    return canonical_resource(key, labels, canonical_json(data), status)


def canonical_resource(
    key: ResourceKey, labels: Labels, body: str, status: str | None
) -> MeshResource:
    """The same of canonical JSON. Raises DecodeError."""
    # Insights are many, large, and other ones every few seconds: none of them stays in a cache.
    spec = _spec(key.type, body) if key.type in _DECODERS else _OPAQUE
    return MeshResource(key, labels, body, spec, status)


@lru_cache(maxsize=SPECS_KEPT)
def _spec(type_: str, body: str) -> Spec:
    """Equal bodies share one spec; decoding is pure, so this is only memory traded for time."""
    return decode_resource(type_, json.loads(body))
