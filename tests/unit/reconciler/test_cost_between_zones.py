"""What one endpoint's change costs where there are many services in many zones: counters, and what
stays the same object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.views import Between, service

if TYPE_CHECKING:
    from collections.abc import Callable

    from xds.snapshot import Resources

SERVICES, ZONES = 1000, 10


def differing(before: Resources, after: Resources) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name, was in before.items() if after[name] is not was}


def assert_one_resource(between: Between, comes: Callable[[str], None]) -> None:
    snapshots, built = between.world.snapshots, dict(between.rebuilt)
    (before,) = snapshots.values()
    assert len(before.endpoints) == SERVICES
    comes(service(7))
    (after,) = snapshots.values()
    assert differing(before.endpoints, after.endpoints) == {service(7)}
    assert differing(before.clusters, after.clusters) == set()
    assert differing(before.listeners, after.listeners) == set()
    assert between.rebuilt == {**built, "endpoints": built["endpoints"] + 1}


def test_one_endpoint_among_a_thousand_services_of_ten_zones_is_one_resource() -> None:
    """In another zone, then in its own."""
    between = Between(SERVICES, ZONES)
    assert between.rebuilt["endpoints"] == SERVICES
    assert_one_resource(between, between.instance_away)
    assert_one_resource(between, between.instance_here)
