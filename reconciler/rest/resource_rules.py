"""What `to` items say of real resources: one rule for each resource, or port of one, that an item
names (facts/policies.md 2.6 d). Pure.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.model.resource import DISPLAY_NAME, NAMESPACE, ZONE, Labels, ResourceKey
from reconciler.model.targetref import MeshRef, RouteRef, ServiceRef
from reconciler.policies.document import mapping, sequence
from reconciler.rest.kri import Kri
from reconciler.rules import Entry, resource_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from reconciler.match import Selection
    from reconciler.model.resource import MeshResource
    from reconciler.model.targetref import TargetRef
    from reconciler.rest.catalogue import Catalogue

MESH, MESH_SERVICE, ROUTE = "Mesh", "MeshService", "MeshHTTPRoute"
SERVICE_TYPES = (MESH_SERVICE, "MeshExternalService", "MeshMultiZoneService")
_FORM = re.compile(r"([^_]+)_([^_]+)_[^_]*?(?:_(\d+))?")  # of a service tag in Kubernetes


@dataclass(frozen=True, slots=True)
class Port:
    """Of a real service. `name` is its number where it has no other."""

    name: str
    value: int
    protocol: str


@dataclass(frozen=True, slots=True)
class Section:
    """A resource, or with `name` one port of it."""

    kri: Kri
    resource: MeshResource = field(compare=False)

    @property
    def name(self) -> str:
        return self.kri.section


Rule = tuple[Section, tuple[Entry, ...]]  # in ascending precedence
Rules = dict[Kri, Rule]


def kri_of(resource: MeshResource, section: str = "") -> Kri:
    """Of a kind that has one."""
    key, labels = resource.key, resource.labels
    place = labels.get(ZONE) or "", labels.get(NAMESPACE) or ""
    return Kri(key.type, key.mesh, *place, resource.display_name, section)


def ports_of(resource: MeshResource) -> tuple[Port, ...]:
    """Of an external service: the one it is called at."""
    spec = mapping(json.loads(resource.body or "{}"))
    given = sequence(spec.get("ports")) or ([spec["match"]] if "match" in spec else [])
    return tuple(_port(mapping(each)) for each in given)


def _port(given: Mapping[str, object]) -> Port:
    value = given.get("port")
    number = value if isinstance(value, int) else 0
    protocol = given.get("appProtocol") or given.get("protocol") or "tcp"
    return Port(str(given.get("name") or number), number, str(protocol))


@dataclass(slots=True)
class Reader:
    """The real resources of one mesh; each type is indexed when somebody names one of it."""

    catalogue: Catalogue
    mesh: str
    _by_kri: dict[str, dict[Kri, MeshResource]] = field(default_factory=dict, init=False)

    def get(self, kri: Kri) -> MeshResource | None:
        return self._all(kri.type).get(whole(kri))

    def _all(self, type_: str) -> dict[Kri, MeshResource]:
        if type_ not in self._by_kri:
            found = self.catalogue.of(type_, self.mesh)
            self._by_kri[type_] = {kri_of(resource): resource for resource in found}
        return self._by_kri[type_]

    def ports(self, type_: str) -> Iterator[tuple[Kri, Port]]:
        for kri, resource in self._all(type_).items():
            for port in ports_of(resource):
                yield replace(kri, section=port.name), port

    def labelled(self, type_: str, labels: Labels) -> list[MeshResource]:
        return [r for r in self._all(type_).values() if r.labels.contain(labels)]

    def mesh_resource(self) -> MeshResource | None:
        return self.catalogue.get(ResourceKey(MESH, "", self.mesh))

    def sections(self, target: TargetRef, policy: MeshResource) -> Iterator[Section]:
        """What a policy's item names; nothing where it names no real resource."""
        if isinstance(target, MeshRef):
            mesh = self.mesh_resource()
            if mesh is not None:
                yield Section(kri_of(mesh), mesh)
        elif isinstance(target, RouteRef):
            for route in self._named(ROUTE, target, policy):
                yield Section(kri_of(route), route)
        elif isinstance(target, ServiceRef):
            yield from self._services(target, policy)

    def _services(self, target: ServiceRef, policy: MeshResource) -> Iterator[Section]:
        found = self._named(target.kind, target, policy)
        fits: Callable[[Port], bool] | None = None
        if target.section:
            fits = lambda port: port.name == target.section  # noqa: E731 - one of two tests
        form = _FORM.fullmatch(target.name) if target.kind == MESH_SERVICE and not fits else None
        if form is not None:
            labels = Labels.of({DISPLAY_NAME: form[1], NAMESPACE: form[2]})
            found, number = self.labelled(MESH_SERVICE, labels), form[3]
            if number:
                fits = lambda port: port.value == int(number)  # noqa: E731
        for resource in found:
            if fits is None:
                yield Section(kri_of(resource), resource)
                continue
            port = next(filter(fits, ports_of(resource)), None)
            if port is not None:
                yield Section(kri_of(resource, port.name), resource)

    def _named(
        self, type_: str, target: ServiceRef | RouteRef, policy: MeshResource
    ) -> Sequence[MeshResource]:
        if target.labels.pairs:
            return self.labelled(type_, target.labels)
        labels = policy.labels
        namespace = target.namespace or labels.get(NAMESPACE) or ""
        kri = Kri(type_, policy.key.mesh, labels.get(ZONE) or "", namespace, target.name)
        found = self.get(kri)
        return () if found is None else (found,)


def resource_rules(selections: Iterable[Selection], reader: Reader) -> Rules:
    """By resource or port. A policy that is for a route's callers has no place in it."""
    entries = [
        Entry(s.policy, item)
        for s in selections
        if not isinstance(s.spec.target, RouteRef)
        for item in s.spec.to
    ]
    entries.sort(key=resource_order)
    resolved = [(e, s) for e in entries for s in reader.sections(e.item.target, e.policy)]
    found: Rules = {}
    for section in dict.fromkeys(section for _, section in resolved):
        relevant = tuple(entry for entry, named in resolved if _concerns(named, section))
        found[section.kri] = section, relevant
    return found


def _concerns(named: Section, other: Section) -> bool:
    """Whether what is said of one holds for the other."""
    if named.kri.type == MESH:
        return True
    if named.kri.type != other.kri.type or whole(named.kri) != whole(other.kri):
        return False
    return named.name in ("", other.name)


def whole(kri: Kri) -> Kri:
    """Of the resource that a section is of."""
    return replace(kri, section="")


def rule_at(rules: Rules, *ids: Kri) -> Rule | None:
    """The first that there is, of the most specific place first."""
    return next((rules[kri] for kri in ids if kri in rules), None)


def places(kri: Kri, mesh: str) -> tuple[Kri, ...]:
    """Where to look for what holds for a resource: its port, itself, its mesh."""
    return kri, whole(kri), Kri(MESH, "", "", "", mesh)
