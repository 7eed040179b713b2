"""What a zone with all features is sent, for tests that need no global."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.kds.filters import RelayRules
from reconciler.kds.slice import Framed, Slice, next_framed, next_slice, sifted
from reconciler.kds.zone_node import ALL_FEATURES, ZoneFeatures
from reconciler.steps.global_down import disabled_zones

if TYPE_CHECKING:
    from reconciler.state import MeshState


def sliced(
    previous: Slice | None,
    zone: str,
    commit: str,
    owned: MeshState,
    relayed: MeshState,
    features: ZoneFeatures = ALL_FEATURES,
) -> Slice:
    """`relayed` counts for a first slice only."""
    framed = next_framed(previous.framed if previous else Framed(features), owned)
    rules = RelayRules(disabled_zones(owned))
    found = None
    if previous is None or previous.rules != rules:
        found = sifted({}, relayed.by_key.values(), zone, features, rules)
    return next_slice(previous, zone, commit, framed, rules, found)
