"""What the global sends of the types that it owns, beside what is in force: read once, part by part
as it comes, and compared with the revision's manifest. `zone_taking` takes it into force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpds import HashTrieMap

from reconciler.decode import mesh_resource
from reconciler.kds.codec import CarriedResource, decode_entry
from reconciler.kds.manifest import versions_frames
from reconciler.kds.names import resource_name
from reconciler.kds.receive import accept_from_global
from reconciler.kds.types import OWNED_TYPES
from reconciler.model.decode import DecodeError
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.steps.link_state import NOTHING, Digested, GlobalLink, Parts, Staged, StagedType
from xds.copying import replace
from xds.resource import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.kds.manifest import Manifest
    from reconciler.steps.zone_state import ZoneState
    from xds.discovery import DeltaResponse


def part(link: GlobalLink, received: DeltaResponse) -> Parts:
    """With what came before of the same response."""
    parts, type_ = link.parts, received.type_url
    begun = parts.staged if parts.staged is not None else link.staged.get(type_, NOTHING)
    staged, errors = staged_type(begun, received)
    names = {*received.removed, *(resource.name for resource in received.resources)}
    return Parts(staged, {**parts.errors, **errors}, parts.names | names)


def whole(
    state: ZoneState, last: DeltaResponse, *, is_initial: bool
) -> tuple[ZoneState, Mapping[str, str]]:
    """The last part: the response is staged. Returns what could not be understood. What is the same
    as before is the same object; an initial response drops what it does not bring.
    """
    type_, link = last.type_url, state.link
    parts = part(link, last)
    staged, errors, told = parts.staged or NOTHING, parts.errors, parts.names
    if is_initial:
        gone = [e.name for e in staged if e.name not in told or e.name in errors]
        staged = staged.changed(dict.fromkeys(gone)) if gone else staged
    earlier: Mapping[str, str] = link.refused.get(type_) or HashTrieMap()
    kept = {name: why for name, why in earlier.items() if not is_initial and name not in told}
    link = replace(
        link,
        parts=Parts(),
        staged=link.staged.insert(type_, staged),
        refused=link.refused.insert(type_, HashTrieMap({**kept, **errors})),
    )
    return replace(state, link=link), errors


def staged_type(
    staged: StagedType, received: DeltaResponse
) -> tuple[StagedType, Mapping[str, str]]:
    errors: dict[str, str] = {}
    changes: dict[str, Staged | None] = dict.fromkeys(received.removed)
    for resource in received.resources:
        name, carried = resource.name, decode_entry(received.type_url, resource.entry)
        refusal = accept_from_global(received.type_url, carried)
        if refusal is None:
            try:
                found = Staged(name, resource.version, typed(carried))
            except DecodeError as error:
                refusal = str(error)
            else:
                changes[name] = found
        if refusal is not None:
            errors[name] = refusal
    changes = {n: found for n, found in changes.items() if found is None or found != staged.get(n)}
    return staged.changed(changes) if changes else staged, errors


def typed(carried: CarriedResource) -> MeshResource:
    """Raises DecodeError when the spec is not one this program understands."""
    key = ResourceKey(carried.type, carried.mesh, carried.name)
    return mesh_resource(key, Labels.of(carried.labels), carried.data)


def of_disk(policies: Iterable[MeshResource]) -> HashTrieMap[str, StagedType]:
    """What is in force from an earlier session, by type and by its names on the wire."""
    found: dict[str, list[Staged]] = {}
    for resource in policies:
        name = resource_name(resource.key.mesh, resource.key.name)
        found.setdefault(resource.key.type, []).append(Staged(name, "", resource))
    return HashTrieMap({type_: NOTHING.of(entries) for type_, entries in found.items()})


# --- digests ---


def with_digests(link: GlobalLink, wanted: Manifest) -> GlobalLink:
    """Of a type that has not changed, what was computed before; of one that has, the chunks that
    are new.
    """
    digests = link.digests
    for type_ in wanted.digests:
        staged, known = link.staged.get(type_, NOTHING), digests.get(type_)
        if type_ in OWNED_TYPES and (known is None or known.staged is not staged):
            digests = digests.insert(type_, _digested(staged, known))
    return link if digests is link.digests else replace(link, digests=digests)


def _digested(staged: StagedType, known: Digested | None) -> Digested:
    before = known.frames if known is not None else {}
    frames = {
        id(chunk): before.get(id(chunk)) or (chunk, _frames(chunk)) for chunk in staged.chunks
    }
    return Digested(staged, digest_of(framed for _, framed in frames.values()), frames)


def _frames(chunk: tuple[Staged, ...]) -> bytes:
    return versions_frames([(entry.name, entry.version) for entry in chunk])
