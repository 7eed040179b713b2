"""From the blobs of a commit to resources and problems: read, decode, check. Pure.

A commit is looked at whole, and everything wrong with it is said at once. Work is kept by (path,
blob, mode, strictness): only blobs that changed are read and checked again; what needs the whole
tree (duplicates, missing meshes) is quick.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from reconciler.blobs import REGULAR_MODES, is_plain
from reconciler.blobs import SETTINGS_FILE as SETTINGS_FILE
from reconciler.blobs import SUBMODULE as SUBMODULE
from reconciler.blobs import SYMLINK as SYMLINK
from reconciler.blobs import Blob as Blob
from reconciler.blobs import is_policy_file as is_policy_file
from reconciler.blobs import is_read as is_read
from reconciler.kds.names import hashed_place
from reconciler.limits import DEFAULT, Limits, cure
from reconciler.model.kinds import KINDS
from reconciler.model.resource import (
    DISPLAY_NAME,
    MeshResource,
    ResourceKey,
)
from reconciler.problems import Position, Problem
from reconciler.repository_settings import RepositorySettings, decode_settings, settings_faults
from reconciler.schema import (
    schema_faults,
)
from reconciler.secret_references import (
    SECRETS_FILE,
    Need,
    SecretReference,
    across,
    references,
)
from reconciler.source.yaml import Document, documents
from reconciler.verdict import Named, Read, verdict
from reconciler.withheld import withheld

MESSAGE_MAX = 1000


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
    reads = [verdict(path, document, strict=strict) for document in found]
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
