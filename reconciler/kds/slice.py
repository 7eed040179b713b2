"""What one zone is sent: the global-owned resources of a revision, and what other zones relay.

Zones with the same features share the frames and the mappings of all that is global-owned
(`Framed`): a commit is framed once however many zones there are. What zones relay is kept up
resource by resource. `steps` says how a type's mapping came from the one before, so that a sender
that sent the one before looks at nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from rpds import HashTrieMap

from reconciler.kds.codec import CarriedResource, encode_carried
from reconciler.kds.filters import RelayRules, goes_alike, may_go_down, may_pass, one_backend
from reconciler.kds.manifest import manifest, resources_digest
from reconciler.kds.names import wire_name
from reconciler.kds.sizes import size_of
from reconciler.kds.types import GLOBAL_TO_ZONE_TYPES, MANIFEST, OWNED_TYPES, SERVICE_INSIGHT
from reconciler.model.resource import DISPLAY_NAME, ORIGIN, Labels, MeshResource, ResourceKey
from reconciler.state import EMPTY, MeshState, ResourceDiff
from xds.snapshot import NO_RESOURCES, Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from reconciler.kds.zone_node import ZoneFeatures
    from xds.resource import XdsResource
    from xds.snapshot import Resources

FRAMES_KEPT = 50_000
INSIGHTS_KEPT = 64
Pair: TypeAlias = "tuple[MeshResource | None, MeshResource | None]"  # before, after
Relayed: TypeAlias = "Mapping[str, Resources]"  # by type, by discovery name


@dataclass(frozen=True, slots=True)
class Framed:
    """What every zone with these features is sent of the global's own. `digests` and `sizes`
    (bytes) are by type.
    """

    features: ZoneFeatures
    owned: MeshState = EMPTY
    frames: HashTrieMap[ResourceKey, XdsResource] = field(default_factory=HashTrieMap)
    types: Mapping[str, Resources] = field(
        default_factory=lambda: dict.fromkeys(GLOBAL_TO_ZONE_TYPES, NO_RESOURCES)
    )
    digests: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    steps: Mapping[str, Step] = field(default_factory=dict)


def next_framed(
    previous: Framed,
    owned: MeshState,
    change: ResourceDiff | None = None,
    beside: Framed | None = None,
) -> Framed:
    """Frames only what is not the same object as before. `change` is what leads from the state
    before to this one; None: it is looked for. `beside` is the same state for zones with other
    features under the same names: its frames are shared. Raises ValueError for what cannot travel.
    No two of them have one name on the wire: `load` refuses such a commit (DOC013).
    """
    if previous.owned is owned and previous.digests:
        return previous
    before = previous.owned.by_key
    if change is None:
        changed = [r for key, r in owned.by_key.items() if before.get(key) is not r]
        gone = [key for key in before if key not in owned.by_key]
    else:
        changed, gone = list(change.put), list(change.drop)
    frames = previous.frames
    work: dict[str, _Change] = {}
    for key in (*gone, *(r.key for r in changed)):
        old = frames.get(key)
        if old is not None:
            work.setdefault(key.type, _Change()).removed.add(old.name)
            frames = frames.remove(key)
    for resource in changed:
        if may_go_down(resource, previous.features):
            made = _shared(resource, previous, beside) or _frame(resource, previous.features)
            work.setdefault(resource.key.type, _Change()).put[made.name] = made
            frames = frames.insert(resource.key, made)
    types, steps = _changed(previous.types, work)
    fresh = steps if previous.digests else GLOBAL_TO_ZONE_TYPES
    digests = {t: resources_digest(types[t]) for t in OWNED_TYPES if t in fresh}
    digests = {**previous.digests, **digests}
    sizes = _resized(previous.sizes, steps)
    return Framed(previous.features, owned, frames, types, digests, sizes, steps)


def _shared(resource: MeshResource, to: Framed, beside: Framed | None) -> XdsResource | None:
    if beside is None or not goes_alike(resource, to.features, beside.features):
        return None
    return beside.frames.get(resource.key)


@dataclass(slots=True)
class _Change:
    put: dict[str, XdsResource] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)


def _changed(
    before: Mapping[str, Resources], work: Mapping[str, _Change]
) -> tuple[Mapping[str, Resources], Mapping[str, Step]]:
    """The mappings after the work; one that says the same stays the same object."""
    types, steps = dict(before), {}
    for type_, change in work.items():
        old = before.get(type_, NO_RESOURCES)
        put = {
            name: made
            for name, made in change.put.items()
            if (known := old.get(name)) is None or known.version != made.version
        }
        removed = {name for name in change.removed - change.put.keys() if name in old}
        if not put and not removed:
            continue
        after = {**old, **put}
        for name in removed:
            del after[name]
        types[type_] = after
        steps[type_] = Step(old, after, put, frozenset(removed))
    return types, steps


def _resized(sizes: Mapping[str, int], steps: Mapping[str, Step]) -> Mapping[str, int]:
    found = dict(sizes)
    for type_, step in steps.items():
        names = (*step.put, *step.removed)
        left = [step.before[name] for name in names if name in step.before]
        found[type_] = found.get(type_, 0) + size_of(step.put.values()) - size_of(left)
    return found


@dataclass(frozen=True, slots=True)
class Slice:
    """`types` by type, by discovery name; `relayed` is the part of it that other zones gave."""

    zone: str
    revision: str
    framed: Framed
    rules: RelayRules
    relayed: Relayed
    relayed_sizes: Mapping[str, int]
    types: Mapping[str, Resources]
    digests: Mapping[str, str]  # of types that relayed policies are in
    steps: Mapping[str, Step] = field(default_factory=dict)

    def size(self, type_: str) -> int:
        """Bytes of a first response of the type."""
        return self.framed.sizes.get(type_, 0) + self.relayed_sizes.get(type_, 0)


def next_slice(
    previous: Slice | None,
    zone: str,
    revision: str,
    framed: Framed,
    rules: RelayRules,
    relayed: Relayed | None = None,
) -> Slice:
    """What the zone is sent of a revision. `relayed` is needed for a zone without a slice, and
    under other rules (`sifted`); otherwise `relay` keeps it up.
    """
    if relayed is None:
        assert previous is not None
        found, sizes = previous.relayed, previous.relayed_sizes
    else:
        found, sizes = relayed, {type_: size_of(f.values()) for type_, f in relayed.items()}
    return _composed(previous, Slice(zone, revision, framed, rules, found, sizes, {}, {}), {})


def sifted(
    before: Relayed,
    resources: Iterable[MeshResource],
    zone: str,
    features: ZoneFeatures,
    rules: RelayRules,
) -> Relayed:
    """`before` and what of these, that zones relay, passes to the zone."""
    found: dict[str, dict[str, XdsResource]] = {}
    for resource in resources:
        if _passes(resource, zone, features, rules):
            made = frame(resource, hashed=features.hash_suffix)
            found.setdefault(resource.key.type, {})[made.name] = made
    return {**before, **{t: {**before.get(t, NO_RESOURCES), **put} for t, put in found.items()}}


def merged(pairs: Iterable[Pair]) -> tuple[Pair, ...]:
    """One pair for each resource: what it was first, and what it is in the end."""
    found: dict[ResourceKey, Pair] = {}
    for before, after in pairs:
        either = after if before is None else before
        if either is not None:
            known = found.get(either.key)
            found[either.key] = before if known is None else known[0], after
    return tuple(found.values())


def relay(previous: Slice, pairs: Iterable[Pair]) -> Slice:
    """The slice after another zone's resources changed; the same object when it sees none of it."""
    features, work = previous.framed.features, dict[str, _Change]()
    for before, after in pairs:
        if before is not None:
            old = frame(before, hashed=features.hash_suffix)
            work.setdefault(before.key.type, _Change()).removed.add(old.name)
        if after is not None and _passes(after, previous.zone, features, previous.rules):
            made = frame(after, hashed=features.hash_suffix)
            work.setdefault(after.key.type, _Change()).put[made.name] = made
    types, steps = _changed(previous.relayed, work)
    if not steps:
        return previous
    sizes = _resized(previous.relayed_sizes, steps)
    return _composed(previous, replace(previous, relayed=types, relayed_sizes=sizes), steps)


def _passes(resource: MeshResource, zone: str, features: ZoneFeatures, rules: RelayRules) -> bool:
    return resource.key.type == SERVICE_INSIGHT or may_pass(resource, zone, features, rules)


def _composed(previous: Slice | None, parts: Slice, relayed_steps: Mapping[str, Step]) -> Slice:
    """`parts` put together: mappings that say the same as before stay the same objects."""
    framed = parts.framed
    types, digests = dict(framed.types), dict[str, str]()
    for type_, others in parts.relayed.items():
        if not others:
            continue
        if previous is not None and _has_same(previous, parts, type_):
            types[type_] = previous.types[type_]
        else:
            types[type_] = {**types[type_], **others} if types[type_] else others
        if type_ in framed.digests:  # Policies of zones, beside the global's own.
            same = previous is not None and types[type_] is previous.types[type_]
            known = previous.digests.get(type_) if previous is not None and same else None
            digests[type_] = known or resources_digest(types[type_])
    made = manifest(parts.zone, parts.revision, {**framed.digests, **digests})
    before = previous.types[MANIFEST] if previous is not None else NO_RESOURCES
    known_manifest = before.get(made.name)
    is_same = known_manifest is not None and known_manifest.version == made.version
    types[MANIFEST] = before if is_same else {made.name: made}
    steps = {**framed.steps, **relayed_steps}
    steps = {t: step for t, step in steps.items() if step.after is types[t]}
    return replace(parts, types=types, digests=digests, steps=steps)


def _has_same(previous: Slice, parts: Slice, type_: str) -> bool:
    owned = previous.framed.types[type_] is parts.framed.types[type_]
    return owned and previous.relayed.get(type_) is parts.relayed[type_]


def frame(resource: MeshResource, *, hashed: bool) -> XdsResource:
    """A zone's resource as it goes to others: all of them share one."""
    kept = _kept_insight if resource.key.type == SERVICE_INSIGHT else _kept_frame
    return kept(resource.key, resource.labels, resource.body, hashed)


@lru_cache(maxsize=INSIGHTS_KEPT)
def _kept_insight(key: ResourceKey, labels: Labels, body: str, hashed: bool) -> XdsResource:
    """A hundred kB of a large mesh, and another one every few seconds."""
    return _encoded(key, labels, body, hashed=hashed)


@lru_cache(maxsize=FRAMES_KEPT)
def _kept_frame(key: ResourceKey, labels: Labels, body: str, hashed: bool) -> XdsResource:
    """Pure: this is memory traded for time."""
    return _encoded(key, labels, body, hashed=hashed)


def _frame(resource: MeshResource, features: ZoneFeatures) -> XdsResource:
    hashed, body = features.hash_suffix, resource.body
    if resource.key.type == "Mesh" and not features.manifests:
        body = one_backend(body)
    return _encoded(resource.key, resource.labels, body, hashed=hashed)


def _encoded(key: ResourceKey, given: Labels, body: str, *, hashed: bool) -> XdsResource:
    labels = {**dict(given.pairs), ORIGIN: "global"}
    name = wire_name(key.type, key.mesh, key.name, given) if hashed else key.name
    if name != key.name and not labels.get(DISPLAY_NAME):
        labels[DISPLAY_NAME] = key.name
    return encode_carried(CarriedResource(key.type, key.mesh, name, labels, body))
