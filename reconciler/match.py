"""Which policies select which Dataplane, and which of them is stronger. One function set for every
kind. Pure; what they say together is in `reconciler.rules`.

`PolicyIndex.select` gives the policies that select a Dataplane and its inbounds, in ascending
precedence (the later entry overrides the earlier).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from reconciler.model.resource import (
    EFFECT,
    NAMESPACE,
    ORIGIN,
    SERVICE,
    ZONE,
    Labels,
    MeshResource,
    ResourceKey,
)
from reconciler.model.spec import DataplaneSpec, Inbound, PolicySpec, Tags
from reconciler.model.targetref import (
    DataplaneRef,
    GatewayRef,
    MeshRef,
    MeshSubsetRef,
    RouteRef,
    ServiceRef,
    ServiceSubsetRef,
    TargetRef,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

ROLE = "kuma.io/policy-role"

Pair = tuple[str, str]


# --- top level ---


@dataclass(frozen=True, slots=True)
class Selection:
    """One policy that selects a Dataplane. `inbounds`: indexes into its inbounds, ascending."""

    policy: MeshResource
    inbounds: tuple[int, ...]

    @property
    def spec(self) -> PolicySpec:
        assert isinstance(self.policy.spec, PolicySpec)
        return self.policy.spec


@dataclass(frozen=True, slots=True)
class PolicyIndex:
    """The policies of one kind and mesh, ordered, found by one label or tag that they ask for."""

    everywhere: tuple[MeshResource, ...]  # not bound to any label or tag
    by_pair: Mapping[Pair, tuple[MeshResource, ...]]
    rank: Mapping[ResourceKey, int]  # ascending precedence

    @classmethod
    def of(cls, policies: Iterable[MeshResource]) -> PolicyIndex:
        ordered = by_precedence(policy for policy in policies if is_effective(policy))
        everywhere: list[MeshResource] = []
        by_pair: dict[Pair, list[MeshResource]] = {}
        for policy in ordered:
            pair = _required_pair(policy)
            (everywhere if pair is None else by_pair.setdefault(pair, [])).append(policy)
        return cls(
            tuple(everywhere),
            {pair: tuple(found) for pair, found in by_pair.items()},
            {policy.key: rank for rank, policy in enumerate(ordered)},
        )

    def select(self, dataplane: MeshResource) -> tuple[Selection, ...]:
        """The policies that select the Dataplane, in ascending precedence."""
        found: list[Selection] = []
        for policy in (*self.everywhere, *self._candidates(dataplane)):
            inbounds = select(policy, dataplane)
            if inbounds is not None:
                found.append(Selection(policy, inbounds))
        found.sort(key=lambda selection: self.rank[selection.policy.key])
        return tuple(found)

    def _candidates(self, dataplane: MeshResource) -> Iterator[MeshResource]:
        if not self.by_pair:
            return
        pairs = {*dataplane.labels.pairs, *(p for tags in _tag_sets(dataplane) for p in tags)}
        for pair in pairs:
            yield from self.by_pair.get(pair, ())


def _required_pair(policy: MeshResource) -> Pair | None:
    """A label or tag without which the policy selects nothing; None: it may select anything."""
    assert isinstance(policy.spec, PolicySpec)
    match policy.spec.target:
        case DataplaneRef(labels=labels) if labels.pairs:
            return labels.pairs[0]
        case MeshSubsetRef(tags=tags) if tags.pairs:
            return tags.pairs[0]
        case ServiceSubsetRef(name=name):
            return SERVICE, name
        case ServiceRef(kind="MeshService", name=name, namespace="") if name:
            return SERVICE, name
        case _:
            return None


def is_effective(policy: MeshResource) -> bool:
    """A shadow policy is only for inspection."""
    return isinstance(policy.spec, PolicySpec) and policy.labels.get(EFFECT) != "shadow"


def select(policy: MeshResource, dataplane: MeshResource) -> tuple[int, ...] | None:
    """Indexes of the inbounds a policy selects; None when it does not concern the Dataplane.

    A Dataplane without inbounds (a delegated gateway) can be selected with none.
    """
    spec, declared = policy.spec, dataplane.spec
    assert isinstance(spec, PolicySpec)
    assert isinstance(declared, DataplaneSpec)
    if not _in_reach(policy, dataplane):
        return None
    target = spec.target
    match target:
        case MeshRef(proxy_types):
            return _all_inbounds(declared) if _is_of_type(declared, proxy_types) else None
        case MeshSubsetRef(tags, proxy_types):
            return _by_tags(declared, tags) if _is_of_type(declared, proxy_types) else None
        case ServiceSubsetRef(name, tags):
            return _by_tags(declared, tags.with_labels({SERVICE: name}))
        case DataplaneRef():
            return _by_dataplane(target, dataplane, declared)
        case ServiceRef(kind="MeshService"):
            return _by_inbound(declared, lambda tags: names_service(target, tags))
        case RouteRef():
            return ()  # Whoever has the route's routes; `rules.to_entries` points at these alone.
        case ServiceRef() | GatewayRef():
            return None  # No proxy of ours is one.
        case _:
            assert_never(target)


def _in_reach(policy: MeshResource, dataplane: MeshResource) -> bool:
    """Zone policies stay in their zone, namespaced roles in their namespace."""
    role = policy.labels.get(ROLE)
    zonal = policy.labels.get(ORIGIN) == "zone" and dataplane.labels.get(ORIGIN) == "zone"
    if role != "producer" and zonal and policy.labels.get(ZONE) != dataplane.labels.get(ZONE):
        return False
    if role in ("consumer", "workload-owner"):
        return policy.labels.get(NAMESPACE) == dataplane.labels.get(NAMESPACE)
    return True


def _is_of_type(declared: DataplaneSpec, proxy_types: tuple[str, ...]) -> bool:
    return not proxy_types or ("Gateway" if declared.gateway else "Sidecar") in proxy_types


def _all_inbounds(declared: DataplaneSpec) -> tuple[int, ...]:
    return tuple(range(len(declared.inbounds)))


def _by_tags(declared: DataplaneSpec, wanted: Labels) -> tuple[int, ...] | None:
    return _by_inbound(declared, lambda tags: set(wanted.pairs) <= set(tags))


def _by_inbound(declared: DataplaneSpec, selects: Callable[[Tags], bool]) -> tuple[int, ...] | None:
    if declared.gateway:
        return () if selects(declared.gateway_tags) else None
    found = tuple(i for i, inbound in enumerate(declared.inbounds) if selects(inbound.tags))
    return found or None


def _by_dataplane(
    ref: DataplaneRef, dataplane: MeshResource, declared: DataplaneSpec
) -> tuple[int, ...] | None:
    if ref.name and ref.name not in (dataplane.key.name, dataplane.display_name):
        return None
    if ref.namespace and ref.namespace != dataplane.labels.get(NAMESPACE):
        return None
    if not dataplane.labels.contain(ref.labels):
        return None
    if not ref.section:
        return _all_inbounds(declared)
    found = tuple(i for i, inbound in enumerate(declared.inbounds) if _is_section(inbound, ref))
    return found or None


def _is_section(inbound: Inbound, ref: DataplaneRef) -> bool:
    return ref.section in (inbound.name, str(inbound.port))


def _tag_sets(dataplane: MeshResource) -> Iterator[Tags]:
    assert isinstance(dataplane.spec, DataplaneSpec)
    yield dataplane.spec.gateway_tags
    for inbound in dataplane.spec.inbounds:
        yield inbound.tags


def names_service(ref: ServiceRef, tags: Tags) -> bool:
    """By the service tag as it is, or in Kubernetes' form `<name>_<namespace>_svc_<port>`."""
    service = service_of(tags)
    if not ref.name or ref.name == service:
        return bool(ref.name) and not ref.section
    if not ref.namespace or not service.startswith(f"{ref.name}_{ref.namespace}_svc"):
        return False
    port = service.removeprefix(f"{ref.name}_{ref.namespace}_svc").removeprefix("_")
    return port.isdecimal() and ref.section in ("", port)


def service_of(tags: Tags) -> str:
    return next((value for key, value in tags if key == SERVICE), "")


# --- precedence ---

_ORIGIN_RANK = {"global": 1, "zone": 3}
_ROLE_RANK = {"producer": 2, "consumer": 3, "workload-owner": 4}


def by_precedence(policies: Iterable[MeshResource]) -> tuple[MeshResource, ...]:
    """Ascending. Of equals the lexicographically smallest display name comes last, and so wins."""
    named = sorted(policies, key=lambda p: (p.display_name, p.key), reverse=True)
    return tuple(sorted(named, key=_specificity))


def _specificity(policy: MeshResource) -> tuple[int, bool, bool, int, int]:
    assert isinstance(policy.spec, PolicySpec)
    target = policy.spec.target
    by_name = isinstance(target, DataplaneRef) and bool(target.name)
    sectioned = isinstance(target, DataplaneRef) and bool(target.section)
    return (
        _kind_rank(target),
        by_name,
        sectioned,
        _ORIGIN_RANK.get(policy.labels.get(ORIGIN) or "", 2),
        _ROLE_RANK.get(policy.labels.get(ROLE) or "", 1),
    )


def _kind_rank(target: TargetRef) -> int:
    match target:
        case MeshRef():
            return 1
        case DataplaneRef():
            return 2
        case MeshSubsetRef():
            return 3
        case GatewayRef():
            return 4
        case ServiceRef(kind=kind):
            return {"MeshService": 5, "MeshExternalService": 6}.get(kind, 7)
        case ServiceSubsetRef():
            return 8
        case RouteRef():
            return 9
        case _:
            assert_never(target)
