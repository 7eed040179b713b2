"""TrafficTrace: whose calls are traced, by which backend of the mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.checks.selectors import any_selectors
from reconciler.part import Part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults


def check(spec: Mapping[str, object], at: At) -> Faults:
    yield from any_selectors(Part(spec, (), at)["selectors"])
