"""What a hint is, and what all of them read. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from reconciler.model.resource import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.problems import Path

    Fields = Mapping[str, object]

_BOTH_PROXY_TYPES = {"Gateway", "Sidecar"}


@dataclass(frozen=True, slots=True)
class Hint:
    """`path` is inside the spec of `key`. `other`: a place that `what` ends with."""

    key: ResourceKey
    path: Path
    code: str
    what: str
    cure: str
    other: tuple[ResourceKey, Path] | None = None


@lru_cache(maxsize=20_000)
def _read(body: str) -> object:
    return json.loads(body) if body else None


def spec_of(resource: MeshResource) -> Fields:
    """Shared: to be read only."""
    return fields(_read(resource.body))


def fields(value: object) -> Fields:
    return cast("Fields", value) if isinstance(value, dict) else {}


def items(spec: Fields, name: str) -> Iterator[tuple[Path, Fields]]:
    """The entries of a list that are objects, and where they stand."""
    found = spec.get(name)
    for index, item in enumerate(found if isinstance(found, list) else ()):
        if isinstance(item, dict):
            yield (name, index), item


def same(value: object) -> str:
    """Equal texts for equal values."""
    return canonical_json(value)


def aim(target: object) -> str:
    """Equal texts for targetRefs that mean the same."""
    said = {name: value for name, value in fields(target).items() if value not in ("", {}, [])}
    types = said.pop("proxyTypes", None)
    if isinstance(types, list) and set(map(str, types)) != _BOTH_PROXY_TYPES:
        said["proxyTypes"] = sorted(set(map(str, types)))
    return same({"kind": "Mesh", **said})
