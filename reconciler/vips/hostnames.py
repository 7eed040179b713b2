"""The host names that HostnameGenerators make for real services. Pure.

Of several resources that a name is made for, one has it, as in Kuma: by the order of generators
(those of the zone first, then by name), then of resources. Kuma looks at who was made first before
it looks at names; what is computed from Git has no such time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from rpds import HashTrieMap

from reconciler.addresses import is_subdomain
from reconciler.model.resource import DISPLAY_NAME, NAMESPACE, ORIGIN, ZONE, Labels
from reconciler.model.spec import HostnameGeneratorSpec
from reconciler.real import Real, real_of
from reconciler.templates.functions import Record
from reconciler.templates.tokens import TemplateError
from reconciler.templates.values import evaluated
from reconciler.vips.entries import KINDS, REAL, Entry, Holder, Port, to_service

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.collection import Difference
    from reconciler.model.resource import MeshResource, ResourceKey

ZONE_ORIGIN = "zone"
GENERATED, COLLISION, TEMPLATE_ERROR = "Generated", "Collision", "TemplateError"
CONDITION = "Generated"  # the type of the only condition
ORIGIN_OF_NAMES = "HostnameGenerator"

GeneratorOrder: TypeAlias = "tuple[bool, str]"
Wish: TypeAlias = "tuple[GeneratorOrder, str]"  # whose name it is by, and of which resource
Name: TypeAlias = "tuple[str, str]"  # kind of resource and host name


@dataclass(frozen=True, slots=True)
class Generator:
    name: str
    order: GeneratorOrder
    selectors: tuple[tuple[str, Labels], ...]
    template: str

    def selects(self, kind: str, labels: Labels) -> bool:
        return any(kind == of and labels.contain(wanted) for of, wanted in self.selectors)


def generators(resources: Iterable[MeshResource]) -> tuple[Generator, ...]:
    """In the order in which they are asked."""
    found: list[Generator] = []
    for resource in resources:
        spec, name = resource.spec, resource.key.name
        if isinstance(spec, HostnameGeneratorSpec):
            order = resource.labels.get(ORIGIN) != ZONE_ORIGIN, name
            selectors = tuple((kind, Labels(wanted)) for kind, wanted in spec.selectors)
            found.append(Generator(name, order, selectors, spec.template))
    return tuple(sorted(found, key=lambda each: each.order))


def host_name(template: str, key: ResourceKey, labels: Labels, zone: str) -> str:
    """Raises TemplateError. `zone`: where a resource without one is. Whether the result can be the
    name of a host is asked by the caller.
    """

    def label(name: str) -> str:
        value = labels.get(name)
        if value is None:
            raise TemplateError(f"there is no label {name}; give it to the resource")
        return value

    shown = labels.get(DISPLAY_NAME)
    values = Record(
        Name=key.name,
        DisplayName=key.name if shown is None else shown,
        Namespace=labels.get(NAMESPACE) or "",
        Mesh=key.mesh,
        Zone=labels.get(ZONE) or zone,
    )
    return evaluated(template, values, {"label": label})


@dataclass(frozen=True, slots=True)
class Generated:
    """What a generator comes to for a resource. `hostname` is "" unless `reason` is GENERATED."""

    generator: str
    hostname: str
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class _Made:
    """By a generator for a resource, before it is known who has the name."""

    generator: str
    order: GeneratorOrder
    hostname: str
    error: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Hostnames:
    """Of one mesh. `wishes`: who wants a name; the first has it."""

    zone: str
    generators: tuple[Generator, ...] = ()
    reals: HashTrieMap[Entry, Real] = field(default_factory=HashTrieMap)
    made: HashTrieMap[Entry, tuple[_Made, ...]] = field(default_factory=HashTrieMap)
    wishes: HashTrieMap[Name, tuple[Wish, ...]] = field(default_factory=HashTrieMap)

    def generated(self, entry: Entry) -> tuple[Generated, ...]:
        """By the name of the generator."""
        found = (self._judged(entry, made) for made in self.made.get(entry, ()))
        return tuple(sorted(found, key=lambda each: each.generator))

    def _judged(self, entry: Entry, made: _Made) -> Generated:
        if made.error:
            return Generated(made.generator, "", TEMPLATE_ERROR, made.error)
        kind = KINDS[entry.kind]
        _, owner = self.wishes[kind, made.hostname][0]
        if owner == entry.name:
            return Generated(made.generator, made.hostname, GENERATED)
        text = f"Hostname collision with {kind}: {owner}"
        return Generated(made.generator, "", COLLISION, text)

    def holder(self, entry: Entry) -> Holder | None:
        real = self.reals.get(entry)
        if real is None:
            return None
        hosts = (each.hostname for each in self.generated(entry) if each.hostname)
        origin = f"{real.key.type}:{entry.name}"
        ports = {p.port: Port(p.port, to_service(real.name(p)), origin) for p in real.ports}
        held = tuple(ports[number] for number in sorted(ports) if number)
        return Holder(entry, held, tuple(dict.fromkeys(hosts)))

    def followed(
        self, found: tuple[Generator, ...], changes: Iterable[Difference]
    ) -> tuple[Hostnames, set[Entry]]:
        """After changes of real resources, and whose holders may differ. The same object when
        nothing does.
        """
        reals, differing = self.reals, set[Entry]()
        for before, after in changes:
            resource = after if after is not None else before
            assert resource is not None
            entry = Entry(REAL[resource.key.type], resource.key.name)
            real = real_of(after)
            if real == reals.get(entry):
                continue
            reals = reals.discard(entry) if real is None else reals.insert(entry, real)
            differing.add(entry)
        if found != self.generators:
            anew = Hostnames(self.zone, found, reals)
            return anew._wished(reals), {*self.reals, *reals}
        if not differing:
            return self, differing
        return self._again(reals, differing)

    def _again(
        self, reals: HashTrieMap[Entry, Real], entries: set[Entry]
    ) -> tuple[Hostnames, set[Entry]]:
        """With other resources under these entries; of few."""
        made, wishes, touched = self.made, self.wishes, set[Name]()
        for entry in sorted(entries):
            was, real = made.get(entry, ()), reals.get(entry)
            now = () if real is None else tuple(self._asked(real))
            if was == now:
                continue
            made = made.insert(entry, now) if now else made.discard(entry)
            for each, wanted in [(m, False) for m in was] + [(m, True) for m in now]:
                name, wish = (KINDS[entry.kind], each.hostname), (each.order, entry.name)
                if each.hostname:
                    touched.add(name)
                    left = [w for w in wishes.get(name, ()) if w != wish]
                    held = tuple(sorted((*left, wish))) if wanted else tuple(left)
                    wishes = wishes.insert(name, held) if held else wishes.discard(name)
        for kind, host in touched:
            others = self.wishes.get((kind, host), ())
            entries.update(Entry(REAL[kind], name) for _, name in others)
        return Hostnames(self.zone, self.generators, reals, made, wishes), entries

    def _wished(self, reals: HashTrieMap[Entry, Real]) -> Hostnames:
        """All of them anew."""
        made: dict[Entry, tuple[_Made, ...]] = {}
        wishes: dict[Name, list[Wish]] = {}
        for entry, real in reals.items():
            now = made[entry] = tuple(self._asked(real))
            for each in now:
                if each.hostname:
                    name = KINDS[entry.kind], each.hostname
                    wishes.setdefault(name, []).append((each.order, entry.name))
        held = {name: tuple(sorted(found)) for name, found in wishes.items()}
        some = {entry: now for entry, now in made.items() if now}
        return Hostnames(self.zone, self.generators, reals, HashTrieMap(some), HashTrieMap(held))

    def _asked(self, real: Real) -> Iterator[_Made]:
        for each in self.generators:
            if not each.selects(real.key.type, real.labels):
                continue
            try:
                name = host_name(each.template, real.key, real.labels, self.zone)
            except TemplateError as error:
                yield _Made(each.name, each.order, "", str(error))
                continue
            if not name:
                continue
            if is_subdomain(name):
                yield _Made(each.name, each.order, name)
            else:
                text = f'"{name[:60]}" is no host name; use lower case and dots'
                yield _Made(each.name, each.order, "", text)
