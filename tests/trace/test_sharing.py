"""What forty proxies hold, and what is kept for them, is there once."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from xds.resource import CLUSTER, ENDPOINT, LISTENER, SECRET

if TYPE_CHECKING:
    from tests.trace.world import TracedZone, World

TYPES = (CLUSTER, ENDPOINT, SECRET, LISTENER)


def copies(zone: TracedZone) -> dict[str, int]:
    """How many objects there are of one resource at most, in all snapshots and books of what was
    sent, by type.
    """
    found: dict[tuple[str, bytes], set[int]] = defaultdict(set)
    for proxy in zone.state.proxies.values():
        assert proxy.snapshot is not None
        acked = proxy.ads.acked(proxy.snapshot)
        for type_url in TYPES:
            kept = (proxy.snapshot.of(type_url), acked[type_url].sent, acked[type_url].acked)
            for resources in kept:
                for resource in resources.values():
                    found[type_url, resource.entry].add(id(resource.entry))
    most: dict[str, int] = {}
    for (type_url, _), objects in found.items():
        most[type_url] = max(most.get(type_url, 0), len(objects))
    return most


def test_equal_bytes_are_one_object_in_a_zone(world: World) -> None:
    for zone in world.zones.values():
        assert copies(zone) == dict.fromkeys(TYPES, 1)
