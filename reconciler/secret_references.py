"""`secrets.yaml`: which secrets a repository wants, and where the global finds their values; and
which resources need them. Pure: values are read elsewhere.

A reference only names a file below a folder, or a variable with a prefix, that the operator of the
global chose. So who may write to the repository cannot make the global read anything else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from reconciler.blobs import SECRETS_FILE as SECRETS_FILE
from reconciler.model.resource import ResourceKey
from reconciler.problems import Position, Problem

if TYPE_CHECKING:
    from reconciler.source.document import Declared
    from reconciler.source.yaml import Document

# Kinds whose data sources are `{secret: NAME}`. Elsewhere such a mapping may be tags.
_REFERRING = frozenset({"Mesh", "ExternalService", "MeshExternalService", "MeshGateway"})
_FREE = frozenset({"tags", "labels", "match"})  # maps whose keys are the user's own
_MADE = (
    "dataplane-token-signing-key-", "zone-token-signing-", "user-token-signing-key",
    "admin-user-token", "envoy-admin-ca", "inter-cp-ca",
)  # fmt: skip
_MADE_CA = re.compile(r"\.ca-builtin-(cert|key)-")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class SecretReference:
    """A secret, and where its value is: `source` is "file" or "env", `place` what is there."""

    key: ResourceKey
    source: str
    place: str
    at: Position = field(compare=False)

    def __str__(self) -> str:
        return f'secret "{self.key.name}"' + (f" of mesh {self.key.mesh}" if self.key.mesh else "")


@dataclass(frozen=True, slots=True)
class Need:
    """A place in a resource that refers to a secret of its mesh; `path` is that inside the spec."""

    by: ResourceKey
    secret: ResourceKey
    path: Path
    at: Position


def secret_key(mesh: str, name: str) -> ResourceKey:
    return ResourceKey("Secret" if mesh else "GlobalSecret", mesh, name)


def references(document: Document) -> tuple[tuple[SecretReference, ...], tuple[Problem, ...]]:
    """What the document lists; entries that the schema has refused are left out."""
    found: dict[ResourceKey, SecretReference] = {}
    problems: list[Problem] = []
    for index, entry in _entries(document):
        path: Path = ("secrets", index)
        mesh, name = str(entry.get("mesh", "")), entry.get("name")
        if not isinstance(name, str):
            continue
        key, at = secret_key(mesh, name), _position(document, path)
        if key in found:
            text = f'"{name}" is here a second time (first in {found[key].at}); remove one'
            problems.append(Problem(at, "SEC004", text))
            continue
        fault = _fault(document, path, entry, key)
        if fault is not None:
            problems.append(fault)
            continue
        source = "file" if "file" in entry else "env"
        found[key] = SecretReference(key, source, str(entry[source]), at)
    return tuple(found.values()), tuple(problems)


def _entries(document: Document) -> Iterator[tuple[int, Mapping[str, object]]]:
    data = document.data if isinstance(document.data, Mapping) else {}
    listed = data.get("secrets")
    for index, entry in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(entry, Mapping):
            yield index, cast("Mapping[str, object]", entry)


def _position(document: Document, path: Path) -> Position:
    return Position(SECRETS_FILE, *document.value_at(path))


def _fault(
    document: Document, path: Path, entry: Mapping[str, object], key: ResourceKey
) -> Problem | None:
    given = [source for source in ("file", "env") if source in entry]
    if len(given) != 1:
        text = f'"{key.name}" needs exactly one of file and env'
        return Problem(_position(document, path), "SEC001", text)
    if key.name.startswith(_MADE) or _MADE_CA.search(key.name):
        text = f'"{key.name}" is made by the control plane itself; remove the entry'
        return Problem(_position(document, (*path, "name")), "SEC003", text)
    if given == ["file"] and not _is_inside(entry["file"]):
        text = (
            "file must be a path inside the global's --secrets-dir, such as default/ca.key: "
            'no "/" in front, no "..", no "\\"'
        )
        return Problem(_position(document, (*path, "file")), "SEC002", text)
    return None


def _is_inside(path: object) -> bool:
    """By its words alone; links are looked at when it is read."""
    if not isinstance(path, str) or not path.isprintable() or "\\" in path:
        return False
    return all(part not in ("", ".", "..", "~") for part in path.split("/"))


def needs(found: Declared) -> Iterator[Need]:
    """Every `{secret: NAME}` of a resource of a kind that may have them."""
    key = found.key
    if key.type not in _REFERRING:
        return
    mesh = key.name if key.type == "Mesh" else key.mesh
    for path, name in _named(found.spec, ()):
        at = found.at((*path, "secret"))
        yield Need(key, secret_key(mesh, name), path, at)


def _named(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, Mapping):
        name = value.get("secret")
        if len(value) == 1 and isinstance(name, str) and name:
            yield path, name
            return
        for key, inner in value.items():
            if key not in _FREE:
                yield from _named(inner, (*path, str(key)))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _named(inner, (*path, index))


def across(
    listed: Iterable[SecretReference], needed: Iterable[Need], meshes: frozenset[str]
) -> Iterator[Problem]:
    """What only the whole tree shows: a secret for a mesh that is not there, a need that nothing
    meets.
    """
    known = set()
    for reference in listed:
        known.add(reference.key)
        mesh = reference.key.mesh
        if mesh and mesh not in meshes:
            text = f'mesh "{mesh}" does not exist; add a Mesh of that name or correct it'
            yield Problem(reference.at, "DOC010", text)
    for need in needed:
        if need.secret not in known:
            text = (
                f'secret "{need.secret.name}" of mesh {need.secret.mesh} is not in '
                f"{SECRETS_FILE}; add it there, with the file or variable that has its value"
            )
            yield Problem(need.at, "SEC005", text)
