"""What `render` answers: the configuration, or where it comes from, each with or without shadow
policies in force. Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler import shadow
from reconciler.explain.changes import changes, changes_text
from reconciler.explain.explained import explain
from reconciler.explain.shown import as_data, as_text, matching
from reconciler.explain.world import concerning, world
from reconciler.offline import Offline
from reconciler.state import from_resources
from xds.readable import readable_snapshot

if TYPE_CHECKING:
    from reconciler.explain.positions import Positions
    from reconciler.model.resource import MeshResource, ResourceKey


@dataclass(frozen=True, slots=True)
class Asked:
    """`resources`: all of the repository, and the proxies. `enforced`: shadow policies are."""

    wanted: ResourceKey
    zone: str
    resources: tuple[MeshResource, ...]
    positions: Positions
    enforced: bool = False

    @property
    def proxy(self) -> Offline:
        return Offline(self.wanted, self.zone)

    @property
    def in_force(self) -> tuple[MeshResource, ...]:
        return shadow.in_force(self.resources) if self.enforced else self.resources


def configuration(asked: Asked) -> str:
    """Raises CannotRender."""
    found = asked.proxy.rendered(from_resources(asked.in_force))
    document: dict[str, Any] = dict(readable_snapshot(found.snapshot))
    shadowed = _shadow(asked)
    if shadowed:
        document["shadow"] = shadowed
    return json.dumps(document, indent=2) + "\n"


def explanation(asked: Asked, only: str, *, as_json: bool) -> str:
    """Raises CannotRender."""
    found = explain(world(asked.proxy, asked.in_force))
    values, shadowed = matching(found.values, only), _shadow(asked)
    if as_json:
        data = as_data(found, values, asked.positions)
        return json.dumps(data | ({"shadow": shadowed} if shadowed else {}), indent=2) + "\n"
    text = as_text(found, values, asked.positions, every=bool(only))
    return text + _shadow_text(shadowed) if shadowed else text


def _shadow(asked: Asked) -> dict[str, Any]:
    """The shadow policies for the proxy; in force, what they change."""
    labelled = {r.key for r in asked.resources if shadow.is_shadow(r)}
    if not labelled:
        return {}
    proxy, then = asked.proxy, from_resources(shadow.in_force(asked.resources))
    keys = [p.key for p in concerning(proxy, then) if p.key in labelled]
    if not keys:
        return {}
    listed = [{"resource": str(key), "at": asked.positions.of(key, ())} for key in keys]
    found: dict[str, Any] = {"enforced": asked.enforced, "policies": listed}
    if asked.enforced:
        now = proxy.rendered(from_resources(asked.resources))
        found["changes"] = changes(now.snapshot, proxy.rendered(then).snapshot)
    return found


def _shadow_text(found: dict[str, Any]) -> str:
    head = (
        "with these shadow policies in force:"
        if found["enforced"]
        else "shadow policies for this proxy, not enforced (--shadow shows what they would do):"
    )
    lines = ["", head, *(f"  {each['at']}  {each['resource']}" for each in found["policies"])]
    if found["enforced"]:
        lines += ["what they change:", *(changes_text(found["changes"]) or ["  nothing"])]
    return "\n".join(lines) + "\n"
