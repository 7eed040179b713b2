"""What an egress of zone east looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.context import mesh_context
from reconciler.topology import by_egress

if TYPE_CHECKING:
    from reconciler.context import MeshContext
    from reconciler.state import MeshState


def contexts(
    state: MeshState, before: dict[str, MeshContext] | None = None
) -> dict[str, MeshContext]:
    """Of the meshes whose calls leave by it, each made from the one before."""
    known = before or {}
    return {
        mesh: mesh_context(state, mesh, "east", frozenset(), {}, known.get(mesh))
        for mesh in by_egress(state)
    }
