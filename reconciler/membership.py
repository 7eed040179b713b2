"""Who may be a member of a mesh: `constraints.dataplaneProxy` of the Mesh. Pure.

As Kuma has it: each inbound's tags, and a gateway's, must fulfil at least one of the requirements
if there are any, and none of the restrictions. It is asked when a proxy registers; a Mesh that
changes later ends no proxy.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, cast

from reconciler.model.spec import DataplaneSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.model.resource import MeshResource
    from reconciler.model.spec import Tags

ANY = "*"


def not_a_member(mesh: MeshResource, proxy: MeshResource) -> str | None:
    """Why the proxy may not join; None when it may."""
    rules = _constraints(mesh)
    if not rules or not isinstance(proxy.spec, DataplaneSpec):
        return None
    requirements, restrictions = _tags(rules, "requirements"), _tags(rules, "restrictions")
    for tags in _tag_sets(proxy.spec):
        found = dict(tags)
        said = f'dataplane cannot be a member of mesh "{mesh.key.name}" because its tags "'
        said += f'{_text(found)}" '
        if requirements and not any(_matches(wanted, found) for wanted in requirements):
            return said + "do not fulfil any requirements defined on the Mesh"
        for denied in restrictions:
            if _matches(denied, found):
                return f'{said}match restricted tags "{_text(denied)}" defined on the Mesh'
    return None


def _constraints(mesh: MeshResource) -> Mapping[str, object]:
    """Read when asked only: most meshes have none, and no view depends on them."""
    if '"constraints"' not in mesh.body:
        return {}
    data = json.loads(mesh.body).get("constraints") or {}
    return cast("Mapping[str, object]", data.get("dataplaneProxy") or {})


def _tags(rules: Mapping[str, object], name: str) -> list[Mapping[str, str]]:
    given = cast("Iterable[Mapping[str, Mapping[str, str]]]", rules.get(name) or ())
    return [rule.get("tags") or {} for rule in given]


def _tag_sets(spec: DataplaneSpec) -> list[Tags]:
    found = [inbound.tags for inbound in spec.inbounds]
    return [*found, spec.gateway_tags] if spec.gateway else found


def _matches(wanted: Mapping[str, str], tags: Mapping[str, str]) -> bool:
    return all(
        bool(tags.get(key)) if value == ANY else tags.get(key, "") == value
        for key, value in wanted.items()
    )


def _text(tags: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in sorted(tags.items()))
