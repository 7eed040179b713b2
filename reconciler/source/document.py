"""One document of a policy repository as (key, labels, spec), from either form people write. Pure.

Kuma's universal form: `type`, `mesh`, `name`, `labels`, then the fields (legacy kinds) or `spec`.
The Kubernetes form: `apiVersion: kuma.io/v1alpha1`, `kind`, `metadata`, `spec`, and for legacy
kinds `mesh`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, cast

from reconciler.model.kinds import KINDS, Kind
from reconciler.model.resource import MESH, NAMESPACE, ORIGIN, ZONE, ResourceKey
from reconciler.problems import Key, Position, Problem, field_of
from reconciler.secret_references import SECRETS_FILE

if TYPE_CHECKING:
    from reconciler.source.yaml import Document, Path

DEFAULT_MESH = "default"
SYSTEM_NAMESPACE = "kuma-system"
API_VERSION = "kuma.io/v1alpha1"
META_FIELDS = frozenset(
    {"type", "mesh", "name", "labels", "creationTime", "modificationTime", "kri"}
)
KUBERNETES_FIELDS = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})
OBJECT_META = frozenset(
    {"name", "namespace", "labels", "annotations", "generateName", "uid", "resourceVersion"}
    | {"generation", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"}
    | {"ownerReferences", "finalizers", "managedFields", "selfLink"}
)
NAME_MAX = 253
MESH_NAME_MAX = 63
LABEL_MAX = 63  # characters of a value, and of a key behind its prefix
RESERVED_ZONE = "global"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MESH = re.compile(r"[0-9a-z\-_.]+")  # a Mesh may be older than the rule for names
_LABEL_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LABEL_CURE = f"use at most {LABEL_MAX} letters, digits, '-', '_' and '.'"
_TIME = re.compile(
    r"[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]([.,][0-9]+)?"
    r"(Z|[-+][0-2][0-9]:[0-5][0-9])"
)


@dataclass(frozen=True, slots=True)
class Declared:
    """A resource as written. `spec_path` is where its spec begins in the document; `unknown` are
    the fields outside of it that mean nothing.
    """

    key: ResourceKey
    kind: Kind
    labels: Mapping[str, str]
    spec: Mapping[str, object]
    spec_path: Path
    document: Document = field(compare=False)
    path: str = ""
    unknown: tuple[Path, ...] = ()
    kubernetes: bool = False  # the form

    def at(self, path: Path, *, key: bool = False) -> Position:
        """Place of a part of the spec, or of the deepest part of the path that is there."""
        full = (*self.spec_path, *self._as_written(path))
        place = self.document.key_at(full) if key else self.document.value_at(full)
        root = () if self.kind.legacy else ("spec",)
        return Position(self.path, *place, field_of((*root, *path)))

    def _as_written(self, path: Path) -> Path:
        """Fields of a legacy kind may stand under their names in the .proto file, those of a JSON
        kind in upper or lower case.
        """
        same_as = json_name if self.kind.legacy else str.casefold
        value: object = self.spec
        found: list[str | int] = []
        for step in path:
            if isinstance(value, Mapping):
                if step not in value:
                    same = (name for name in value if same_as(name) == same_as(str(step)))
                    step = next(same, step)
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int) and step < len(value):
                value = value[step]
            found.append(step)
        return tuple(found)

    @property
    def position(self) -> Position:
        return Position(self.path, *self.document.value_at(()))

    def top(self, path: Path) -> Position:
        """Place of the key of a field outside the spec."""
        return Position(self.path, *self.document.key_at(path), field_of(_universal_path(path)))

    @property
    def mesh_position(self) -> Position:
        """Where the mesh is named; the whole document where it is not."""
        by_label = self.kubernetes and not self.kind.legacy
        path = ("metadata", "labels", MESH) if by_label else ("mesh",)
        found = self.document.value_at(path) if path in self.document.places else None
        at = found or self.document.value_at(())
        return Position(self.path, *at, "mesh")


def json_name(name: str) -> str:
    """What protobuf makes of a field's name: `connect_timeout` is connectTimeout."""
    first, *others = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in others)


def declared(path: str, document: Document) -> tuple[Declared | None, tuple[Problem, ...]]:
    """The resource, and why it is none. What is wrong with the head alone leaves the spec to be
    looked at: the key is then as far as it could be read.
    """
    data = document.data
    if not isinstance(data, Mapping):
        text = "must be an object with type and name"
        return None, (_problem(path, document, (), "DOC001", text),)
    marks = data.keys() & {"apiVersion", "kind"}  # one of them beside a type is an unknown field
    if len(marks) == 2 or (marks and "type" not in data):
        return _kubernetes(path, document, cast("Mapping[str, object]", data))
    return _universal(path, document, cast("Mapping[str, object]", data))


def _problem(path: str, document: Document, at: Path, code: str, message: str) -> Problem:
    place = Position(path, *document.value_at(at), field_of(_universal_path(at)))
    return Problem(place, code, message)


def _universal_path(path: Path) -> Path:
    """Metadata of the Kubernetes form as the universal form has it: so the API names it."""
    inner = path[1:] if path[:1] == ("metadata",) else path
    return (inner[0], *(Key(key) for key in inner[1:])) if inner[:1] == ("labels",) else inner


def _universal(
    path: str, document: Document, data: Mapping[str, object]
) -> tuple[Declared | None, tuple[Problem, ...]]:
    kind = _kind(path, document, data.get("type"), "type")
    if isinstance(kind, Problem):
        return None, (kind,)
    mesh, name, labels = data.get("mesh"), data.get("name"), data.get("labels")
    problems = [
        *_name_problems(path, document, name, ("name",), kind),
        *_label_problems(path, document, data, ("labels",), kind),
        *_mesh_problems(path, document, mesh, ("mesh",), kind),
        *_answer_problems(path, document, data, kind),
    ]
    if kind.legacy and kind.mesh_scoped and mesh is None:
        text = f"mesh is missing; write the mesh that this is for, such as mesh: {DEFAULT_MESH}"
        problems.append(_problem(path, document, ("mesh",), "DOC003", text))
    if kind.legacy:
        spec: object = {k: v for k, v in data.items() if k not in META_FIELDS}
    else:
        spec = data.get("spec")
    if spec is None:
        problems.append(_no_spec(path, document, data))
    elif not isinstance(spec, Mapping):
        problems.append(_problem(path, document, ("spec",), "DOC004", "spec must be an object"))
    if not isinstance(spec, Mapping):
        return None, tuple(problems)
    key = _key(kind, mesh, name)
    found = _labels(labels)
    inner = cast("Mapping[str, object]", spec)
    unknown = () if kind.legacy else sorted(data.keys() - META_FIELDS - {"spec", "status"})
    spec_path = () if kind.legacy else ("spec",)
    paths = tuple((name,) for name in unknown)
    made = Declared(key, kind, found, inner, spec_path, document, path, paths)
    return made, tuple(problems)


def _key(kind: Kind, mesh: object, name: object) -> ResourceKey:
    """Of what is no text, a problem is told."""
    in_mesh = mesh if isinstance(mesh, str) and mesh else DEFAULT_MESH
    named = name if isinstance(name, str) else ""
    return ResourceKey(kind.name, in_mesh if kind.mesh_scoped else "", named)


def _no_spec(path: str, document: Document, data: Mapping[str, object]) -> Problem:
    """Kuma names no field; a misspelt one is shown."""
    near = difflib.get_close_matches("spec", data.keys() - META_FIELDS - {"spec"}, n=1)
    place = document.key_at((near[0],)) if near else document.value_at(("spec",))
    cure = f'did you mean it by "{near[0]}"?' if near else "it says what the resource does"
    return Problem(Position(path, *place), "DOC004", f"spec is missing; {cure}")


def _labels(labels: object) -> dict[str, str]:
    given = labels if isinstance(labels, Mapping) else {}
    return {key: value if isinstance(value, str) else "" for key, value in given.items()}


def _is_time(value: object) -> bool:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        return False
    try:
        datetime.fromisoformat(value[:19])
    except ValueError:
        return False
    return True


def _answer_problems(
    path: str, document: Document, data: Mapping[str, object], kind: Kind
) -> Iterator[Problem]:
    """What Kuma's API adds to its answers, and reads when it is sent back."""
    for name in ("creationTime", "modificationTime"):
        value = data.get(name)
        absent = value is None and (kind.legacy or name not in data)
        if not absent and not _is_time(value):
            text = f"{name} is no time as Kuma's API writes it; remove it"
            yield _problem(path, document, (name,), "DOC003", text)
    if kind.legacy:
        return
    if not isinstance(data.get("kri", ""), str):
        yield _problem(path, document, ("kri",), "DOC003", "kri is no text; remove it")
    if kind.has_status and not isinstance(data.get("status", {}), Mapping):
        yield _problem(path, document, ("status",), "DOC003", "status is no object; remove it")


def _kubernetes(
    path: str, document: Document, data: Mapping[str, object]
) -> tuple[Declared | None, tuple[Problem, ...]]:
    if data.get("apiVersion") != API_VERSION:
        missing = "apiVersion" not in data
        cure = "add it, or write type for kind" if missing else "keep other manifests elsewhere"
        text = f"apiVersion must be {API_VERSION}; {cure}"
        return None, (_problem(path, document, ("apiVersion",), "DOC001", text),)
    kind = _kind(path, document, data.get("kind"), "kind")
    if isinstance(kind, Problem):
        return None, (kind,)
    metadata = data.get("metadata")
    if not isinstance(metadata, Mapping):
        text = "metadata with a name is missing"
        return None, (_problem(path, document, ("metadata",), "DOC003", text),)
    labels = metadata.get("labels")
    spec = {} if data.get("spec") is None else data["spec"]
    problems = [
        *_name_problems(path, document, metadata.get("name"), ("metadata", "name"), kind),
        *_label_problems(path, document, metadata, ("metadata", "labels"), kind),
    ]
    mesh = data.get("mesh") if kind.legacy else None
    problems += _mesh_problems(path, document, mesh, ("mesh",), kind)
    namespace = metadata.get("namespace")
    if namespace not in (None, SYSTEM_NAMESPACE):
        text = (
            f'namespace "{namespace}" belongs to a zone; policies of this repository are of the '
            f"system namespace: use {SYSTEM_NAMESPACE}, or leave it out"
        )
        problems.append(_problem(path, document, ("metadata", "namespace"), "DOC005", text))
    if not isinstance(spec, Mapping):
        problems.append(_problem(path, document, ("spec",), "DOC004", "spec must be an object"))
        return None, tuple(problems)
    found = _labels(labels)
    key = _key(kind, mesh or found.get(MESH), metadata.get("name"))
    if namespace is not None:
        found[NAMESPACE] = SYSTEM_NAMESPACE
    unknown = sorted(data.keys() - KUBERNETES_FIELDS - ({"mesh"} if kind.legacy else set()))
    inner = cast("Mapping[str, object]", spec)
    paths = (
        *((name,) for name in unknown),
        *(("metadata", name) for name in sorted(metadata.keys() - OBJECT_META)),
    )
    made = Declared(key, kind, found, inner, ("spec",), document, path, paths, kubernetes=True)
    return made, tuple(problems)


def _mesh_problems(
    path: str, document: Document, mesh: object, at: Path, kind: Kind
) -> Iterator[Problem]:
    if mesh is None or (isinstance(mesh, str) and not kind.mesh_scoped):
        return
    if not isinstance(mesh, str) or len(mesh) > MESH_NAME_MAX or not _MESH.fullmatch(mesh):
        text = f"mesh must be the name of a Mesh, at most {MESH_NAME_MAX} characters"
        yield _problem(path, document, at, "DOC003", text)


def _kind(path: str, document: Document, value: object, field_name: str) -> Kind | Problem:
    """That of a resource which may stand in Git."""
    kind = _known_kind(path, document, value, field_name)
    if isinstance(kind, Problem):
        return kind
    if kind.zone_owned:
        text = f"{kind.name} is made by zones and their proxies, not by the repository; remove it"
        return _problem(path, document, (), "DOC007", text)
    if kind.name in ("Secret", "GlobalSecret"):
        text = f"a {kind.name} must not stand in Git; name where its value is in {SECRETS_FILE}"
        return _problem(path, document, (), "DOC008", text)
    if kind.name == "Config":
        text = "Config is the control plane's own; remove it"
        return _problem(path, document, (), "DOC007", text)
    return kind


def _known_kind(path: str, document: Document, value: object, field_name: str) -> Kind | Problem:
    if not isinstance(value, str) or not value:
        text = f"{field_name} is missing; it says what the document is, such as MeshTimeout"
        return _problem(path, document, (field_name,), "DOC001", text)
    kind = KINDS.get(value)
    if kind is not None:
        return kind
    near = difflib.get_close_matches(value, KINDS, n=1)
    hint = f'; did you mean "{near[0]}"?' if near else "; name one such as Mesh or MeshTimeout"
    return _problem(path, document, (field_name,), "DOC002", f'there is no type "{value}"{hint}')


def _name_problems(
    path: str, document: Document, name: object, at: Path, kind: Kind
) -> Iterator[Problem]:
    limit = MESH_NAME_MAX if kind.name in ("Mesh", "MeshExternalService") else NAME_MAX
    if name is None or name == "":
        yield _problem(path, document, at, "DOC003", "name is missing; every resource has one")
    elif not isinstance(name, str):
        yield _problem(path, document, at, "DOC003", "name must be text; put it in quotes")
    elif len(name) > limit:
        yield _problem(
            path, document, at, "DOC003", f"name has over {limit} characters; shorten it"
        )
    elif _NAME.fullmatch(name) is None:
        text = (
            "name may have lower-case letters, digits, '-' and '.' only, and begins and ends, also "
            "around each '.', with a letter or digit"
        )
        yield _problem(path, document, at, "DOC003", text)
    elif kind.name == "Zone" and name == RESERVED_ZONE:
        text = f'the zone name "{name}" is reserved; choose another'
        yield _problem(path, document, at, "DOC003", text)


def _label_problems(
    path: str, document: Document, head: Mapping[str, object], at: Path, kind: Kind
) -> Iterator[Problem]:
    """`head` is where the labels stand."""
    labels = head.get("labels")
    if labels is None and (kind.legacy or "labels" not in head):
        return
    if not isinstance(labels, Mapping):
        yield _problem(path, document, at, "DOC003", "labels must be an object of texts")
        return
    for key, value in labels.items():
        inner = (*at, key)
        if not isinstance(value, str) and not (value is None and kind.legacy):
            text = f'label "{key}" must be text; put it in quotes'
            yield _problem(path, document, inner, "DOC003", text)
        elif key == ORIGIN and value not in ("global", "", None):
            text = f"what stands in Git is global; remove {ORIGIN} and {ZONE}, which a zone has set"
            yield _problem(path, document, inner, "DOC003", text)
        elif not _is_label(key):
            place = Position(path, *document.key_at(inner), field_of(_universal_path(inner)))
            yield Problem(place, "DOC011", f'"{key[:80]}" is no name of a label; {_LABEL_CURE}')
        elif value and not _is_label_part(str(value)):
            text = f'this is no value of label "{key}"; {_LABEL_CURE}, or nothing'
            yield _problem(path, document, inner, "DOC011", text)


def _is_label(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    is_prefixed = len(prefix) <= NAME_MAX and _NAME.fullmatch(prefix) is not None
    return _is_label_part(name) and (is_prefixed or not slash)


def _is_label_part(text: str) -> bool:
    return len(text) <= LABEL_MAX and _LABEL_PART.fullmatch(text) is not None
