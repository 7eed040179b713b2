"""From one document to a resource or what is wrong with it: by its head, its form and the rules of
its kind. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias, cast

from reconciler.checks import CHECKS
from reconciler.decode import mesh_resource
from reconciler.folded_names import read_spec
from reconciler.legacy_fields import read_legacy
from reconciler.model.decode import DecodeError
from reconciler.model.resource import (
    MESH,
    Labels,
    MeshResource,
    ResourceKey,
)
from reconciler.policies import CARRIED, POLICIES
from reconciler.policies.document import ROLE, check_policy
from reconciler.problems import Position, Problem, Severity, field_in_schema
from reconciler.schema import (
    UNKNOWN_FIELD,
    SchemaFault,
    unknown_field,
)
from reconciler.schema_defaults import filled
from reconciler.secret_references import (
    Need,
    needs,
)
from reconciler.shadow import effect_warnings
from reconciler.source.document import OBJECT_META, Declared, declared

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from reconciler.model.kinds import Kind
    from reconciler.source.yaml import Document

_POLICIES = {policy.kind: policy for policy in (*POLICIES, *CARRIED)}
_Problems: TypeAlias = tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Named:
    """A resource that a file speaks of, and where it names its mesh."""

    key: ResourceKey
    at: Position
    mesh_at: Position


@dataclass(frozen=True, slots=True)
class Read:
    """What one file holds by itself. `named` are the resources it speaks of, faulty ones too."""

    resources: tuple[tuple[MeshResource, Position], ...] = ()
    problems: tuple[Problem, ...] = ()
    named: tuple[Named, ...] = ()
    needs: tuple[Need, ...] = ()


def verdict(path: str, document: Document, *, strict: bool) -> Read:
    found, of_head = declared(path, document)
    if found is None:
        return Read(problems=of_head)
    spec, faults = _spec(found)
    of_spec = (*_checked(found, spec, faults, strict=strict), *effect_warnings(found))
    problems = (*of_head, *of_spec)
    if any(problem.at.field in ("name", "mesh") for problem in of_head):
        return Read(problems=problems)
    named = (Named(found.key, found.position, found.mesh_position),)
    needed = tuple(needs(found))
    if any(problem.severity is Severity.ERROR for problem in problems):
        return Read(problems=problems, named=named, needs=needed)
    try:
        resource = mesh_resource(found.key, Labels.of(found.labels), spec)
    except DecodeError as error:
        at = found.at(_path_of(error.path))
        return Read((), (*problems, Problem(at, "DOC006", error.message)), named)
    return Read(((resource, found.position),), problems, named, needed)


def _spec(found: Declared) -> tuple[Mapping[str, object], tuple[SchemaFault, ...]]:
    """What stands in it, with what Kuma fills in, and what is wrong with the form. A legacy kind is
    read as its message: its schema is for editors. A kind with neither is carried as it is.
    """
    kind = found.kind.name
    if found.kind.legacy:
        return read_legacy(kind, found.spec)
    given = _without_nulls(found.spec) if found.kubernetes else found.spec
    spec = filled(kind, cast("Mapping[str, object]", _whole(given)))
    return read_spec(kind, _head(found.kind), spec)


def _without_nulls(fields: Mapping[str, object]) -> dict[str, object]:
    """In Kubernetes, a field that is null is a field left out."""
    return {name: _pruned(value) for name, value in fields.items() if value is not None}


def _pruned(value: object) -> object:
    if isinstance(value, dict):
        return _without_nulls(value)
    return [_pruned(item) for item in value] if isinstance(value, list) else value


def _checked(
    found: Declared, spec: Mapping[str, object], faults: tuple[SchemaFault, ...], *, strict: bool
) -> Iterator[Problem]:
    """One field is refused once: where a kind's own rule refuses it, it does so in better words
    than a schema has. A legacy field that could not be read, and what holds it, is not what its
    kind has looked at.
    """
    yield from _outside(found, strict=strict)
    by_kind = tuple(_by_kind(found, spec))
    by_form = tuple(_by_form(found, (f for f in faults if not f.late), strict=strict))
    if found.kind.legacy:
        unread = [problem.at.field for problem in by_form if _is_error(problem)]
        second = tuple(p for p in by_kind if not _holds(p.at.field, unread))
        first, second = by_form, _of_strictness(second, strict=strict)
    else:
        late = tuple(_by_form(found, (f for f in faults if f.late), strict=strict))
        first, second = _in_two_rounds(by_form, by_kind, late)
    said = {_place(problem) for problem in first if problem.severity is Severity.ERROR}
    yield from first
    for problem in second:
        if _place(problem) not in said or problem.code == UNKNOWN_FIELD:
            yield problem


def _in_two_rounds(
    by_form: _Problems, by_kind: _Problems, late: _Problems
) -> tuple[_Problems, _Problems]:
    """Kuma's rules see no document that does not fit its schema. Of one that does not, ours are
    asked for their words alone: what else they would refuse may be meant otherwise.
    """
    misfits = {_place(problem) for problem in by_form if _is_error(problem)}
    if not misfits:
        spoken = {problem.at for problem in by_kind if _is_error(problem)}
        return by_kind, by_form + tuple(problem for problem in late if problem.at not in spoken)
    return tuple(p for p in by_kind if not _is_error(p) or _place(p) in misfits), by_form


def _of_strictness(problems: _Problems, *, strict: bool) -> _Problems:
    """The conf of a Mesh's backends is read with its rules, which find unknown fields, too."""
    if not strict:
        return problems
    return tuple(
        replace(p, severity=Severity.ERROR) if p.code == UNKNOWN_FIELD else p for p in problems
    )


def _place(problem: Problem) -> tuple[Position, str]:
    """Two fields that are missing in an object have one position."""
    return problem.at, problem.at.field


def _holds(field: str, others: Iterable[str]) -> bool:
    return any(other.startswith((f"{field}.", f"{field}[")) for other in others)


def _is_error(problem: Problem) -> bool:
    return problem.severity is Severity.ERROR and problem.code != UNKNOWN_FIELD


def _whole(value: object) -> object:
    """2.0 is 2 to Kuma, also where a whole number is asked for."""
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _path_of(dotted: str) -> tuple[str | int, ...]:
    """`a.b[0].c` as a path."""
    parts: list[str | int] = []
    for part in dotted.replace("[", ".[").split("."):
        parts += [int(part[1:-1]) if part.startswith("[") else part]
    return tuple(parts)


def _outside(found: Declared, *, strict: bool) -> Iterator[Problem]:
    """Fields beside the spec that mean nothing."""
    for path in found.unknown:
        text = _unknown_outside(found, path)
        severity = Severity.ERROR if strict else Severity.WARNING
        yield Problem(found.top(path), UNKNOWN_FIELD, text, severity)


def _by_form(found: Declared, faults: Iterable[SchemaFault], *, strict: bool) -> Iterator[Problem]:
    """The schema is of the universal form; paths are mapped back to where the document has them."""
    unknown = Severity.ERROR if strict else Severity.WARNING
    strip = 0 if found.kind.legacy else 1
    for fault in faults:
        inner = fault.path[strip:] if fault.path[:1] == ("spec",) or not strip else ()
        at = found.at(inner, key=fault.key)
        if strip and not fault.late:
            at = replace(at, field=field_in_schema(("spec", *inner)))
        severity = Severity.WARNING if fault.warning else Severity.ERROR
        severity = unknown if fault.unknown_field else severity
        yield Problem(at, fault.code, fault.message, severity)


def _unknown_outside(found: Declared, path: tuple[str | int, ...]) -> str:
    """The two forms are easily mixed up, and then the mesh or the labels are not what was meant."""
    name = str(path[-1])
    if len(path) > 1:
        return unknown_field(name, sorted(OBJECT_META))
    if found.kubernetes and name == "mesh":
        return f'unknown field "mesh"; in this form the label {MESH} names the mesh'
    if found.kubernetes and name in OBJECT_META:
        return f'unknown field "{name}"; move it into metadata'
    known = ("metadata", "spec") if found.kubernetes else ("spec", "labels", "mesh", "name")
    return unknown_field(name, known)


def _head(kind: Kind) -> dict[str, object]:
    """What a schema, which is for editors too, wants beside the spec; ours was looked at before."""
    head: dict[str, object] = {"type": kind.name, "name": "sound"}
    return {**head, "mesh": "sound"} if kind.mesh_scoped else head


def _by_kind(found: Declared, spec: Mapping[str, object]) -> Iterator[Problem]:
    check = CHECKS.get(found.kind.name)
    if check is not None:
        yield from check(spec, found.at)
    policy = _POLICIES.get(found.kind.name)
    if policy is not None:
        yield from check_policy(policy, spec, found.labels.get(ROLE, ""), found.at)
