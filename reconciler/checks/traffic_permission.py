"""TrafficPermission: who may call whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.checks.selectors import any_selectors
from reconciler.part import Part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    yield from any_selectors(document["sources"])
    yield from any_selectors(document["destinations"])
