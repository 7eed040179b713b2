"""Where in which file a field stands: the files concerned are read again, with the place of every
part. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.problems import Key, field_of
from reconciler.source.document import Declared, declared
from reconciler.source.yaml import Document, documents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.resource import ResourceKey
    from reconciler.problems import Path, Position

DEFAULT_OF_MESH = "a default of the mesh"


@dataclass(slots=True)
class Positions:
    """`provenance`: of policies. `contents`: of files by path. `proxies`: files of proxies, each
    with one document.
    """

    provenance: Mapping[ResourceKey, Position]
    contents: Mapping[str, bytes]
    proxies: Mapping[ResourceKey, tuple[str, bytes]]
    _read: dict[str, dict[ResourceKey, Declared]] = field(default_factory=dict)
    _documents: dict[str, Document] = field(default_factory=dict)

    def of(self, key: ResourceKey, path: Path) -> str:
        """`policies/web.yaml:12:28`, or what stands in no file."""
        if key in self.proxies:
            return self._of_proxy(key, path)
        at = self.at(key, path)
        if at is None:
            return DEFAULT_OF_MESH if key.mesh else "its zone"
        return str(at)

    def at(self, key: ResourceKey, path: Path) -> Position | None:
        """Of a policy's field, or the deepest part of the path that is there; None: no file has
        the policy.
        """
        at = self.provenance.get(key)
        if at is None:
            return None
        found = self._declared(at.path).get(key)
        return at if found is None or not path else found.at(_keys(path))

    def has_read(self, path: str) -> bool:
        return path in self._read

    @property
    def files_read(self) -> int:
        return len(self._read)

    def _of_proxy(self, key: ResourceKey, path: Path) -> str:
        name, data = self.proxies[key]
        if name not in self._documents:
            self._documents[name] = documents(data)[0][0]
        line, column = self._documents[name].value_at(path)
        return f"{name}:{line}:{column}"

    def _declared(self, path: str) -> dict[ResourceKey, Declared]:
        if path not in self._read:
            all_ = (declared(path, document) for document in documents(self.contents[path])[0])
            self._read[path] = {found.key: found for found, _ in all_ if found is not None}
        return self._read[path]


def field_text(key: ResourceKey, path: Path) -> str:
    """As Kuma's API names it."""
    from reconciler.model.kinds import KINDS

    root: Path = () if KINDS[key.type].legacy else ("spec",)
    plain = (part if isinstance(part, int) else str(part) for part in path)
    return field_of((*root, *_keys(tuple(plain)))) if path else ""


def _keys(path: Path) -> Path:
    """Below these stand names that people choose."""
    return tuple(
        Key(part) if at and path[at - 1] in ("tags", "labels") and isinstance(part, str) else part
        for at, part in enumerate(path)
    )
