"""From the blobs of a commit to resources and problems: read, decode, check. Pure.

A commit is looked at whole, and everything wrong with it is said at once. Work is kept by (path,
blob, mode, strictness): only blobs that changed are read and checked again; what needs the whole
tree (duplicates, missing meshes) is quick.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias, cast

from reconciler.blobs import REGULAR_MODES, is_plain
from reconciler.blobs import SETTINGS_FILE as SETTINGS_FILE
from reconciler.blobs import SUBMODULE as SUBMODULE
from reconciler.blobs import SYMLINK as SYMLINK
from reconciler.blobs import Blob as Blob
from reconciler.blobs import is_policy_file as is_policy_file
from reconciler.blobs import is_read as is_read
from reconciler.checks import CHECKS
from reconciler.decode import mesh_resource
from reconciler.folded_names import read_spec
from reconciler.kds.names import hashed_place
from reconciler.legacy_fields import read_legacy
from reconciler.limits import DEFAULT, Limits, cure
from reconciler.model.decode import DecodeError
from reconciler.model.kinds import KINDS, Kind
from reconciler.model.resource import (
    DISPLAY_NAME,
    MESH,
    Labels,
    MeshResource,
    ResourceKey,
)
from reconciler.policies import CARRIED, POLICIES
from reconciler.policies.document import ROLE, check_policy
from reconciler.problems import Position, Problem, Severity, field_in_schema
from reconciler.repository_settings import RepositorySettings, decode_settings, settings_faults
from reconciler.schema import (
    UNKNOWN_FIELD,
    SchemaFault,
    schema_faults,
    unknown_field,
)
from reconciler.schema_defaults import filled
from reconciler.secret_references import (
    SECRETS_FILE,
    Need,
    SecretReference,
    across,
    needs,
    references,
)
from reconciler.shadow import effect_warnings
from reconciler.source.document import OBJECT_META, Declared, declared
from reconciler.source.yaml import Document, documents
from reconciler.withheld import withheld

MESSAGE_MAX = 1000
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


@dataclass(frozen=True, slots=True)
class Loaded:
    resources: tuple[MeshResource, ...]
    provenance: Mapping[ResourceKey, Position]
    problems: tuple[Problem, ...]  # sorted by place
    settings: RepositorySettings
    read: int = 0  # files really read, the others were known
    secrets: tuple[SecretReference, ...] = ()  # whose values the global is to find
    needs: tuple[Need, ...] = ()  # by which resources


Shown = tuple[str, str, str, str]  # type, mesh, display name, place
MemoKey = tuple[str, str, int, bool, Limits]  # path, blob, mode, strict


@dataclass(slots=True)
class LoadMemo:
    """Files read before, the least recently used go first."""

    limit: int = 40_000
    held: OrderedDict[MemoKey, Read] = field(default_factory=OrderedDict)

    def get(self, key: MemoKey) -> Read | None:
        found = self.held.get(key)
        if found is not None:
            self.held.move_to_end(key)
        return found

    def put(self, key: MemoKey, read: Read) -> None:
        self.held[key] = read
        if len(self.held) > self.limit:
            self.held.popitem(last=False)


def load(blobs: Mapping[str, Blob], memo: LoadMemo, maximum: Limits = DEFAULT) -> Loaded:
    """Everything the files say, and everything that is wrong with them. `maximum` is what the
    settings of the repository may ask for.
    """
    settings, problems = _settings(blobs.get(SETTINGS_FILE), maximum)
    limits = settings.limits
    beyond = _beyond(blobs, limits)
    if beyond is not None:
        return Loaded((), {}, (*problems, beyond), settings)
    reads: list[Read] = []
    count = 0
    for path, blob in sorted(blobs.items()):
        if not is_policy_file(path):
            continue
        read, is_new = read_once(path, blob, settings, memo)
        count += is_new
        reads.append(read)
        problems += read.problems
    named = [named for read in reads for named in read.named]
    problems += _across(named)
    secrets, faults = _secrets(blobs.get(SECRETS_FILE), limits)
    needed = tuple(need for read in reads for need in read.needs)
    meshes = frozenset(each.key.name for each in named if each.key.type == "Mesh")
    problems += [*faults, *across(secrets, needed, meshes)]
    found = [pair for read in reads for pair in read.resources]
    problems += _display_names(found)
    provenance = {resource.key: position for resource, position in reversed(found)}
    resources = tuple(sorted((r for r, _ in found), key=lambda r: r.key))
    shown = tuple(sorted(map(printable, problems)))
    return Loaded(resources, provenance, shown, settings, count, secrets, needed)


def unread(
    blobs: Mapping[str, Blob], memo: LoadMemo, maximum: Limits
) -> tuple[RepositorySettings, tuple[str, ...]]:
    """The settings, and the files that `load` of the same arguments reads."""
    settings, _ = _settings(blobs.get(SETTINGS_FILE), maximum)
    if _beyond(blobs, settings.limits) is not None:
        return settings, ()
    files = ((path, blob) for path, blob in sorted(blobs.items()) if is_policy_file(path))
    return settings, tuple(
        path
        for path, blob in files
        if not blob.oid or memo.get(memo_key(path, blob, settings)) is None
    )


def memo_key(path: str, blob: Blob, settings: RepositorySettings) -> MemoKey:
    return (path, blob.oid, blob.mode, settings.strict, settings.limits)


def read_once(
    path: str, blob: Blob, settings: RepositorySettings, memo: LoadMemo
) -> tuple[Read, bool]:
    """One file by itself, and whether it had to be read."""
    key = memo_key(path, blob, settings)
    known = memo.get(key) if blob.oid else None
    if known is not None:
        return known, False
    read = read_file(path, blob, strict=settings.strict, limits=settings.limits)
    if blob.oid:
        memo.put(key, read)
    return read, True


def printable(problem: Problem) -> Problem:
    """Messages quote what people wrote: a line break or escape in it must not reach a log or CI,
    nor a megabyte.
    """
    message = problem.message
    if message.isprintable() and len(message) <= MESSAGE_MAX:
        return problem
    if len(message) > MESSAGE_MAX:
        head, tail = message[: MESSAGE_MAX // 2], message[-MESSAGE_MAX // 2 :]
        message = f"{head} … {tail}"  # the cure is at the end
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in message)
    return replace(problem, message=text)


def _beyond(blobs: Mapping[str, Blob], limits: Limits) -> Problem | None:
    if len(blobs) > limits.tree_entries:
        text = f"the tree has over {limits.tree_entries} files; split it, or {cure('treeEntries')}"
        return Problem(Position("."), "SRC008", text)
    deep = next((path for path in sorted(blobs) if path.count("/") >= limits.tree_depth), None)
    if deep is None:
        return None
    text = f"folders are nested over {limits.tree_depth} levels; flatten them, or "
    return Problem(Position(deep), "SRC010", text + cure("treeDepth"))


def limits_in(data: bytes, maximum: Limits) -> Limits:
    """Those of a `reconciler.yaml`: they are needed before the rest is read."""
    return _settings(Blob("", data), maximum)[0].limits


def _settings(blob: Blob | None, maximum: Limits) -> tuple[RepositorySettings, list[Problem]]:
    """What cannot be read is a problem, never the defaults: they are laxer than what was meant."""
    document, problems = _single(SETTINGS_FILE, blob, maximum)
    if document is None:
        return RepositorySettings(limits=maximum), problems
    data = document.data if isinstance(document.data, Mapping) else {}
    for path, code, text in settings_faults(data, maximum):
        at = Position(SETTINGS_FILE, *document.value_at(path))
        problems.append(Problem(at, code, text))
    return decode_settings(data, maximum), problems


def _secrets(
    blob: Blob | None, limits: Limits
) -> tuple[tuple[SecretReference, ...], list[Problem]]:
    document, problems = _single(SECRETS_FILE, blob, limits)
    if document is None:
        return (), problems
    found, faults = references(document)
    said = {fault.at for fault in faults}
    return found, [*(p for p in problems if p.at not in said), *faults]


def _single(path: str, blob: Blob | None, limits: Limits) -> tuple[Document | None, list[Problem]]:
    """One of the two files of the repository itself: one document, checked by its schema."""
    if blob is None:
        return None, []
    refused = _refused(path, blob, limits)
    if refused is not None:
        return None, [refused]
    assert blob.data is not None
    found, faults = documents(blob.data, limits)
    problems = [Problem(Position(path, *f.place), f.code, f.message) for f in faults]
    if not found:
        return None, problems
    document = found[0]
    for fault in schema_faults(path, document.data):
        place = document.key_at(fault.path) if fault.key else document.value_at(fault.path)
        problems.append(Problem(Position(path, *place), fault.code, fault.message))
    if len(found) > 1:
        at = Position(path, *found[1].value_at(()))
        text = f"{path} is one document; remove this one"
        problems.append(Problem(at, "DOC012", text))
    return document, problems


def read_file(path: str, blob: Blob, *, strict: bool, limits: Limits = DEFAULT) -> Read:
    """One file by itself."""
    refused = _refused(path, blob, limits)
    if refused is not None:
        return Read(problems=(refused,))
    assert blob.data is not None
    found, faults = documents(blob.data, limits)
    problems = [
        Problem(Position(path, *fault.place), fault.code, fault.message) for fault in faults
    ]
    reads = [_document(path, document, strict=strict) for document in found]
    told = (
        p for d, read in zip(found, reads, strict=True) for p in withheld(read.problems, d.data)
    )
    return Read(
        tuple(pair for read in reads for pair in read.resources),
        (*problems, *told),
        tuple(named for read in reads for named in read.named),
        tuple(need for read in reads for need in read.needs),
    )


def _refused(path: str, blob: Blob, limits: Limits) -> Problem | None:
    at = Position(path)
    if not all(map(is_plain, path.split("/"))):
        return Problem(at, "SRC012", "has a name that no checkout would accept; rename it")
    if blob.mode == SYMLINK:
        return Problem(at, "SRC009", "is a symbolic link, which is not followed; put the file here")
    if blob.mode == SUBMODULE:
        return Problem(at, "SRC009", "is a submodule, which is not read; put the files here")
    if blob.mode not in REGULAR_MODES:
        return Problem(at, "SRC009", f"is no regular file (mode {blob.mode:o})")
    if blob.data is None:
        text = f"has over {limits.blob_bytes} bytes and was not read; split it, or "
        return Problem(at, "SRC002", text + cure("blobBytes"))
    return None


def _document(path: str, document: Document, *, strict: bool) -> Read:
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


def shown_as(resource: MeshResource) -> Shown | None:
    """What the name is made of by which zones know it; None of a type that keeps its name."""
    key = resource.key
    if not KINDS[key.type].hashed:
        return None
    return key.type, key.mesh, resource.display_name, hashed_place(resource.labels)


def _display_names(found: Iterable[tuple[MeshResource, Position]]) -> Iterator[Problem]:
    """The name by which zones know a resource is made of these: of two, one would be lost there."""
    first: dict[Shown, tuple[MeshResource, Position]] = {}
    for resource, position in found:
        parts, key = shown_as(resource), resource.key
        if parts is None:
            continue
        other, place = first.setdefault(parts, (resource, position))
        if other.key != key:
            text = (
                f'{other.key} in {place} has the display name "{resource.display_name}", too; '
                f"remove the label {DISPLAY_NAME} from one of them"
            )
            yield Problem(position, "DOC013", text)


def _across(named: Iterable[Named]) -> Iterator[Problem]:
    """What only the whole tree shows. A faulty Mesh does exist: its policies are not to blame."""
    first: dict[ResourceKey, Named] = {}
    for each in named:
        earlier = first.setdefault(each.key, each)
        if earlier is not each:
            text = f"{each.key} is here a second time (first in {earlier.at}); remove one"
            yield Problem(each.at, "DOC009", text)
    meshes = {key.name for key in first if key.type == "Mesh"}
    for key, each in first.items():
        if key.mesh and key.mesh not in meshes:
            text = f'mesh "{key.mesh}" does not exist; add a Mesh of that name or correct it'
            yield Problem(each.mesh_at, "DOC010", text)
