"""Which policies select which Dataplane, and which of them is stronger. One function set for every
kind. Pure; what they say together is in `reconciler.rules`.

`selections` gives the policies that select a Dataplane and its inbounds, in ascending precedence
(the later entry overrides the earlier); `PolicyIndex` the few that may, out of ten thousand.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, assert_never

from rpds import HashTrieMap

from reconciler.model.resource import (
    NAMESPACE,
    ORIGIN,
    SERVICE,
    ZONE,
    Labels,
    MeshResource,
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
from reconciler.shadow import is_shadow

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from reconciler.collection import Difference
    from reconciler.model.spec import Item

ROLE = "kuma.io/policy-role"

_PORT = re.compile(r"_?\d+$")


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


Shelf = tuple[str, str, str]
Precedence = tuple[int, bool, bool, int, int, int, str, str]
Ranked = tuple[Precedence, MeshResource]  # sorts in ascending precedence

BOUND, NAMED, FORM, TOWARDS, ROUTE = "pair", "name", "form", "to", "route"
EMPTY: tuple[Ranked, ...] = ()
INBOUNDS: Shelf = ("inbounds", "", "")
ANYWHERE: Shelf = (TOWARDS, "", "")


@dataclass(frozen=True, slots=True, eq=False)
class PolicyIndex:
    """The policies in force of one kind and mesh, on shelves. Each shelf is in ascending precedence
    and stays the same object as long as nothing on it changes.

    A policy that asks for a label, tag or name of a Dataplane stands where the Dataplane's
    `wanted` leads. Those that ask for none select whole classes of Dataplanes (`class_of`): they
    stand on `INBOUNDS` with what they say of inbounds, and with what they say of destinations where
    `towards` the destination leads.
    """

    shelves: HashTrieMap[Shelf, tuple[Ranked, ...]] = field(default_factory=HashTrieMap)

    def at(self, shelf: Shelf) -> tuple[Ranked, ...]:
        return self.shelves.get(shelf, EMPTY)

    def changed(self, changes: Iterable[Difference]) -> PolicyIndex:
        out: dict[Shelf, set[int]] = {}
        into: dict[Shelf, list[Ranked]] = {}
        for before, after in changes:
            for shelf in shelves_of(before):
                out.setdefault(shelf, set()).add(id(before))
            if after is not None:
                ranked = precedence(after), after
                for shelf in shelves_of(after):
                    into.setdefault(shelf, []).append(ranked)
        shelves = self.shelves
        for shelf in out.keys() | into.keys():
            gone = out.get(shelf, ())
            left = [ranked for ranked in self.at(shelf) if id(ranked[1]) not in gone]
            found = tuple(sorted((*left, *into.get(shelf, ()))))
            shelves = shelves.insert(shelf, found) if found else shelves.discard(shelf)
        return PolicyIndex(shelves)


def selections(policies: Iterable[Ranked], dataplane: MeshResource) -> tuple[Selection, ...]:
    """Those of the policies that select the Dataplane, each once, in ascending precedence."""
    found = ((policy, select(policy, dataplane)) for _, policy in sorted(dict(policies).items()))
    return tuple(Selection(policy, inbounds) for policy, inbounds in found if inbounds is not None)


def shelves_of(policy: MeshResource | None) -> tuple[Shelf, ...]:
    """None, and a policy that selects nothing or is not in force: nowhere."""
    if policy is None or not is_effective(policy):
        return ()
    assert isinstance(policy.spec, PolicySpec)
    asked = _asked(policy.spec.target)
    if asked is not None:
        return asked
    found = dict.fromkeys(s for item in policy.spec.to for s in _aimed_at(policy.spec, item))
    return (*((INBOUNDS,) if policy.spec.from_ or policy.spec.rules else ()), *found)


def _asked(target: TargetRef) -> tuple[Shelf, ...] | None:
    """Labels, tags and names, at least one of which a Dataplane has that the policy selects. None:
    whole classes of Dataplanes have what it asks for.
    """
    match target:
        case DataplaneRef(labels=labels) if labels.pairs:
            return ((BOUND, *labels.pairs[0]),)
        case DataplaneRef(name=name) if name:
            return ((NAMED, name, ""),)
        case MeshSubsetRef(tags=tags) if tags.pairs:
            return ((BOUND, *tags.pairs[0]),)
        case ServiceSubsetRef(name=name):
            return ((BOUND, SERVICE, name),)
        case ServiceRef(kind="MeshService", name=name, namespace=namespace) if name:
            form = ((FORM, f"{name}_{namespace}_svc", ""),) if namespace else ()
            return ((BOUND, SERVICE, name), *form)
        case ServiceRef() | GatewayRef():
            return ()
        case _:
            return None


def wanted(dataplane: MeshResource) -> frozenset[Shelf]:
    """Where the policies stand that may select the Dataplane and not its whole class."""
    pairs = {*dataplane.labels.pairs, *(p for tags in tag_sets(dataplane) for p in tags)}
    services = {value for key, value in pairs if key == SERVICE}
    return frozenset(
        (
            *((BOUND, *pair) for pair in pairs),
            *((NAMED, name, "") for name in (dataplane.key.name, dataplane.display_name)),
            *((FORM, _form(service), "") for service in services),
        )
    )


def _form(service: str) -> str:
    """`<name>_<namespace>_svc_<port>` without the port."""
    return _PORT.sub("", service)


def class_of(dataplane: MeshResource) -> Hashable:
    """What it has in common with all Dataplanes that the policies of whole classes select alike."""
    spec = dataplane.spec
    assert isinstance(spec, DataplaneSpec)
    inbounds = tuple((inbound.name, inbound.port) for inbound in spec.inbounds)
    return spec.gateway, inbounds, *map(dataplane.labels.get, (ORIGIN, ZONE, NAMESPACE))


def calling_class_of(dataplane: MeshResource) -> Hashable:
    """As `class_of`, of policies that say something of destinations and ask for no section: which
    inbounds there are is nothing to them.
    """
    spec = dataplane.spec
    assert isinstance(spec, DataplaneSpec)
    return spec.gateway, *map(dataplane.labels.get, (ORIGIN, ZONE, NAMESPACE))


def asks_for_section(policy: MeshResource | None) -> bool:
    """Of calls by proxies that have one, whatever else they are."""
    if policy is None or not is_effective(policy):
        return False
    assert isinstance(policy.spec, PolicySpec)
    target = policy.spec.target
    return isinstance(target, DataplaneRef) and bool(target.section) and bool(policy.spec.to)


def towards(tags: Tags) -> tuple[Shelf, ...]:
    """Where the policies of whole classes stand that may have a `to` item for the destination."""
    service = service_of(tags)
    return ANYWHERE, (TOWARDS, SERVICE, service), (TOWARDS, FORM, _form(service))


def towards_real(kind: str, name: str, namespace: str, port: int) -> tuple[Shelf, ...]:
    """As `towards`, for one port of a real resource of that name."""
    if kind != "MeshService":
        return ANYWHERE, (TOWARDS, kind, name)
    form = f"{name}_{namespace}_svc"
    old = (form, f"{form}_{port}") if namespace else ()
    return ANYWHERE, *((TOWARDS, SERVICE, each) for each in (name, *old)), (TOWARDS, FORM, form)


def towards_route(route: MeshResource) -> tuple[Shelf, ...]:
    """As `towards`, for the routes that a MeshHTTPRoute makes."""
    names = dict.fromkeys((route.key.name, route.display_name))
    return ANYWHERE, *((TOWARDS, ROUTE, name) for name in names)


def aim(spec: PolicySpec, item: Item) -> TargetRef:
    """A policy for a MeshHTTPRoute, to the whole mesh, is one for everybody, to that route."""
    if isinstance(spec.target, RouteRef) and isinstance(item.target, MeshRef):
        return spec.target
    return item.target


def _aimed_at(spec: PolicySpec, item: Item) -> tuple[Shelf, ...]:
    match aim(spec, item):
        case MeshRef():
            return (ANYWHERE,)
        case MeshSubsetRef(tags=tags):
            service = tags.get(SERVICE)
            return (ANYWHERE,) if service is None else ((TOWARDS, SERVICE, service),)
        case ServiceSubsetRef(name=name):
            return ((TOWARDS, SERVICE, name),)
        case ServiceRef(labels=labels) | RouteRef(name="", labels=labels) if labels.pairs:
            return (ANYWHERE,)
        case ServiceRef(kind="MeshService", name=name, namespace=namespace):
            form = ((TOWARDS, FORM, f"{name}_{namespace}_svc"),) if namespace else ()
            return ((TOWARDS, SERVICE, name), *form)
        case ServiceRef(kind=kind, name=name) if name:
            return ((TOWARDS, kind, name),)
        case RouteRef(name=name) if name:
            return ((TOWARDS, ROUTE, name),)
        case _:
            return ()


def is_effective(policy: MeshResource) -> bool:
    """A shadow policy is only looked at."""
    return isinstance(policy.spec, PolicySpec) and not is_shadow(policy)


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
    if declared.gateway and not declared.inbounds:
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


def tag_sets(dataplane: MeshResource) -> Iterator[Tags]:
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


class _Reversed(dict[int, int]):
    def __missing__(self, key: int) -> int:
        return self.setdefault(key, sys.maxunicode - key)


_REVERSED, _LAST = _Reversed(), chr(sys.maxunicode)
_ORIGIN_RANK = {"global": 1, "zone": 3}
_ROLE_RANK = {"producer": 2, "consumer": 3, "workload-owner": 4}


def precedence(policy: MeshResource) -> Precedence:
    """Sorts ascending. Of equals the lexicographically smallest display name comes last, and so
    wins.
    """
    assert isinstance(policy.spec, PolicySpec)
    target = policy.spec.target
    by_name = isinstance(target, DataplaneRef) and bool(target.name)
    sectioned = isinstance(target, DataplaneRef) and bool(target.section)
    return (
        kind_rank(target),
        by_name,
        sectioned,
        _ORIGIN_RANK.get(policy.labels.get(ORIGIN) or "", 2),
        len(target.tags.pairs) if isinstance(target, GatewayRef) else 0,
        _ROLE_RANK.get(policy.labels.get(ROLE) or "", 1),
        _reversed(policy.display_name),
        _reversed(policy.key.name),
    )


def _reversed(text: str) -> str:
    """Sorts in the opposite order."""
    return text.translate(_REVERSED) + _LAST


def kind_rank(target: TargetRef) -> int:
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
