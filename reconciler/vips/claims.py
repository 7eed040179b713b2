"""What services, ExternalServices and VirtualOutbounds want by way of names. Pure.

A claim is one port of one name. Equal things make equal claims, which are counted: a name is there
as long as anything claims it, and who has a port does not depend on who came first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from reconciler.addresses import is_dns_name, is_ip
from reconciler.model.resource import SERVICE
from reconciler.model.spec import (
    ExternalServiceSpec,
    TagDestination,
    Tags,
    VirtualOutboundSpec,
)
from reconciler.part import PORT_MAX
from reconciler.templates.tokens import TemplateError
from reconciler.templates.values import evaluated
from reconciler.vips.entries import (
    Entry,
    EntryKind,
    Fault,
    FaultKind,
    Holder,
    Naming,
    Port,
    to_service,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.model.resource import MeshResource

LOCAL, REMOTE, REMOTE_OUTSIDE, OUTSIDE = range(4)
ANY = "*"
BY_SERVICE = "service"
RESERVED_PORT = 49151  # of inbounds that nobody calls by a service
_DIGITS_MAX = 40

Order = tuple[int, int, int, str]  # whose it is, how exact the selector is, and the resource


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """Of several for one port the first has it."""

    order: Order
    port: int  # 0: the one of all services
    tags: Tags
    origin: str


Made = tuple[Entry, Claim]


@dataclass(frozen=True, slots=True)
class Virtual:
    """A VirtualOutbound in force."""

    name: str
    spec: VirtualOutboundSpec

    def rank(self, tags: Tags) -> tuple[int, int] | None:
        """Of its best selector that fits, negative: the smaller, the better."""
        given, best = dict(tags), None
        for selector in self.spec.selectors:
            if selector and all(
                key in given and value in (ANY, given[key]) for key, value in selector
            ):
                rank = -len(selector), -sum(value != ANY for _, value in selector)
                best = rank if best is None else min(best, rank)
        return best

    def kept(self, tags: Tags) -> Tags:
        """Those by which it calls."""
        wanted = {tag for _, tag in self.spec.parameters}
        return tuple(pair for pair in tags if pair[0] in wanted)


def virtuals(resources: Iterable[MeshResource]) -> tuple[Virtual, ...]:
    return tuple(
        Virtual(r.key.name, r.spec) for r in resources if isinstance(r.spec, VirtualOutboundSpec)
    )


def subsets(virtual: Iterable[Virtual], tags: Tags) -> Iterator[Tags]:
    """Further tags, beside that of its service, under which an instance of these is called by a
    name of its own: what leads there from another zone must know them.
    """
    for each in virtual:
        if each.rank(tags) is not None:
            yield tuple(pair for pair in each.kept(tags) if pair[0] != SERVICE)


# --- who claims what ---


def of_tags(
    virtual: tuple[Virtual, ...], naming: Naming, source: int, tags: Tags
) -> tuple[list[Made], list[Fault]]:
    """Of a service by the tags that instances of it have."""
    made: list[Made] = []
    service = dict(tags).get(SERVICE, "")
    if service and naming.services and source != REMOTE_OUTSIDE:
        claim = Claim((source, 0, 0, ""), 0, to_service(service).tags, BY_SERVICE)
        made.append((Entry(EntryKind.SERVICE, service), claim))
    named, faults = _virtual(virtual, source, tags)
    return made + named, faults


def of_external(
    virtual: tuple[Virtual, ...], naming: Naming, resource: MeshResource
) -> tuple[list[Made], list[Fault]]:
    spec = resource.spec
    assert isinstance(spec, ExternalServiceSpec)
    tags, order = to_service(dict(spec.tags)[SERVICE]).tags, (OUTSIDE, 0, 0, resource.key.name)
    made: list[Made] = []
    if naming.services:
        claim = Claim(order, spec.port, tags, BY_SERVICE)
        made.append((Entry(EntryKind.SERVICE, tags[0][1]), claim))
    if spec.host and spec.named:
        claim = Claim(order, spec.port, tags, f"external-service:{resource.key.name}")
        made.append((Entry(EntryKind.HOST, spec.host), claim))
    named, faults = _virtual(virtual, OUTSIDE, tags)
    return made + named, faults


def _virtual(
    virtual: tuple[Virtual, ...], source: int, tags: Tags
) -> tuple[list[Made], list[Fault]]:
    made: list[Made] = []
    faults: list[Fault] = []
    for each in virtual:
        rank = each.rank(tags)
        if rank is None:
            continue
        try:
            host, port = _evaluated(each.spec, tags)
        except TemplateError as error:
            resources = (f"VirtualOutbound {each.name}",)
            faults.append(Fault(FaultKind.TEMPLATE, "", 0, resources, f"{error} ({_told(tags)})"))
            continue
        kept, origin = each.kept(tags), f"virtual-outbound:{each.name}"
        claim = Claim((source, *rank, each.name), port, kept, origin)
        made.append((Entry(EntryKind.FQDN, host), claim))
    return made, faults


def _told(tags: Tags) -> str:
    return ", ".join(f"{key}={value}" for key, value in tags)


@lru_cache(maxsize=16_384)
def _evaluated(spec: VirtualOutboundSpec, tags: Tags) -> tuple[str, int]:
    """Host and port. Raises TemplateError."""
    given = dict(tags)
    values = {name: given[tag] for name, tag in spec.parameters if tag in given}
    host, port = evaluated(spec.host, values), evaluated(spec.port, values)
    if not is_dns_name(host):
        raise TemplateError(f'host becomes "{host[:60]}", which is no host name')
    digits = port.removeprefix("+")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX):
        raise TemplateError(f'port becomes "{port[:60]}", which is no port')
    if not 0 < int(digits) <= PORT_MAX:
        raise TemplateError(f"port becomes {digits}, which is not between 1 and {PORT_MAX}")
    return host, int(digits)


# --- who has it ---


def holder(entry: Entry, claims: Iterable[Claim], naming: Naming) -> tuple[Holder, list[Fault]]:
    """Of claims for one entry, at least one."""
    if entry.kind is EntryKind.SERVICE:
        return _of_service(entry, claims, naming), []
    won: dict[int, Claim] = {}
    faults: list[Fault] = []
    for claim in sorted(claims):
        other = won.setdefault(claim.port, claim)
        if other.tags != claim.tags:
            faults.append(_taken(entry, claim, other))
    ports = [_port(claim) for _, claim in sorted(won.items())]
    if entry.kind is EntryKind.HOST and is_ip(entry.name):
        return Holder(entry, tuple(ports), (), str(ip_address(entry.name))), faults
    names = _names(entry.name)
    if entry.kind is EntryKind.HOST and names and naming.port not in won:
        ports = sorted((*ports, _port(won[min(won)], naming.port)), key=lambda p: p.port)
    return Holder(entry, tuple(ports), names), faults


def _of_service(entry: Entry, claims: Iterable[Claim], naming: Naming) -> Holder:
    """On the port of all services, and on that of its ExternalService with the lowest."""
    first = min(claims, key=lambda claim: claim.port)
    numbers = sorted({first.port or naming.port, naming.port})
    own = f"{entry.name}.{naming.suffix}"
    names = _names(own, f"{entry.name.replace('_', '.')}.{naming.suffix}")
    return Holder(entry, tuple(_port(first, number) for number in numbers), names)


def _port(claim: Claim, number: int = 0) -> Port:
    return Port(number or claim.port, TagDestination(claim.tags), claim.origin)


def _names(*names: str) -> tuple[str, ...]:
    """As they are written and, for resolvers that ask so, in lower case; whoever compares names
    knows of no case, Envoy and kuma-dp. What can be no name is left out.
    """
    written = [name.rstrip(".") for name in names if is_dns_name(name)]
    return tuple(dict.fromkeys([*written, *map(str.lower, written)]))


def _taken(entry: Entry, claim: Claim, other: Claim) -> Fault:
    resources = tuple(_resource(each.origin) for each in (claim, other))
    text = (
        f"{entry.name}:{claim.port} leads to {_told(other.tags)} by {resources[1]}, "
        f"and not to {_told(claim.tags)}"
    )
    return Fault(FaultKind.PORT, entry.name, claim.port, resources, text)


def _resource(origin: str) -> str:
    kind, _, name = origin.partition(":")
    return f"{'VirtualOutbound' if kind == 'virtual-outbound' else 'ExternalService'} {name}"
