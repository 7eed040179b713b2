"""Whose fleet a control plane belongs to, by the cluster id that its keys were made with. Pure.

A global that lost its keys has another id. It must not replace the CAs and keys of zones that hold
those of the old one unless somebody wants that: the global refuses such zones until `--new-keys`,
and a zone refuses such a global unless its join file, or `--accept-global`, names the new id.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.model.resource import ResourceKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.kds.codec import CarriedResource
    from reconciler.model.resource import MeshResource
    from reconciler.state import MeshState

CLUSTER_ID = "kuma-cluster-id"
ID_MAX = 256  # characters
HELD = "mesh-reconciler/cluster-id"  # in a zone's node metadata; ours alone, a peer ignores it
_KEY = ResourceKey("Config", "", CLUSTER_ID)


def cluster_id(state: MeshState) -> str:
    """ "" when it is not known."""
    found = state.get(_KEY)
    return said_id(found) if found is not None else ""


def said_id(config: MeshResource) -> str:
    """As `carried_id`."""
    return _id_in(config.body) if config.key.name == CLUSTER_ID else ""


@lru_cache(maxsize=2)
def _id_in(body: str) -> str:
    """Asked at every message of a zone."""
    return _id(json.loads(body))


def carried_id(carried: CarriedResource) -> str:
    """The id that a Config brings, "" when it is another Config."""
    return _id(carried.data) if carried.name == CLUSTER_ID else ""


def _id(data: Mapping[str, object]) -> str:
    return str(data.get("config") or "")[:ID_MAX]


def global_refuses(zone: str, held: str, own: str, *, takes_over: bool) -> str | None:
    """Why a global does not give its keys to a zone that holds those of the cluster `held`."""
    if not held or not own or held == own or takes_over:
        return None
    return (
        f'zone "{zone}" holds the keys and CAs of another global (cluster {held}, this one is '
        f"{own}): restore that global's state directory, or start this one with --new-keys and "
        "give the zone a new join file"
    )


def zone_refuses(held: str, offered: str, accepted: str) -> str | None:
    """Why a zone does not take over what a global offers."""
    if not held or not offered or offered in (held, accepted):
        return None
    return (
        f"this is another global (cluster {offered}, this zone has the keys and CAs of {held}): "
        "join with a new join file of that global, or start once with --accept-global "
        f"{offered}"
    )
