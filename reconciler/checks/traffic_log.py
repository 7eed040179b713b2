"""TrafficLog: which calls are logged, by which backend of the mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.checks.selectors import service_destinations, service_sources
from reconciler.part import Part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    yield from service_sources(document["sources"])
    yield from service_destinations(document["destinations"])
