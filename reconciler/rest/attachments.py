"""Which policies are attached where on one Dataplane: the older Inspect API's way to see it
(facts/http-api.md 10). Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from reconciler.model.resource import SERVICE
from reconciler.model.spec import DataplaneSpec, TagDestination
from reconciler.rest.legacy_match import ANY, PASS_THROUGH, Connections, best_selected
from reconciler.rest.matched import Matching
from reconciler.rest.metadata import LISTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconciler.model.resource import MeshResource
    from reconciler.model.spec import Inbound, Outbound
    from reconciler.rest.catalogue import Catalogue
    from reconciler.rest.legacy_match import TagSets
    from reconciler.rest.matched import Subject

INBOUND, OUTBOUND, TO_SERVICE, DATAPLANE = "inbound", "outbound", "service", "dataplane"
AT_INBOUND = ("TrafficPermission", "FaultInjection", "RateLimit")
AT_OUTBOUND = ("Timeout", "RateLimit", "TrafficRoute")
AT_SERVICE = ("HealthCheck", "CircuitBreaker", "Retry")
AT_DATAPLANE = ("TrafficTrace", "ProxyTemplate")
LEGACY = (*AT_INBOUND, *AT_OUTBOUND[::2], "TrafficLog", *AT_SERVICE, *AT_DATAPLANE)
INSPECTED = frozenset((*LISTS, *LEGACY))


@dataclass(frozen=True, slots=True)
class Attachment:
    type: str
    name: str = ""  # of an inbound: address, port and that of the application
    service: str = ""

    def shown(self) -> dict[str, str]:
        """What is empty is left out."""
        given = {"type": self.type, "name": self.name, "service": self.service}
        return {key: value for key, value in given.items() if value}


Attached = tuple[Attachment, "MeshResource"]


@dataclass(slots=True)
class Attaching:
    """Of one mesh; policies are looked through once for all Dataplanes."""

    catalogue: Catalogue
    mesh: str
    matching: Matching = field(init=False)
    _legacy: dict[str, Connections] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.matching = Matching(self.catalogue, self.mesh)

    def connections(self, kind: str) -> Connections:
        if kind not in self._legacy:
            policies = self.catalogue.of(kind, self.mesh)
            self._legacy[kind] = Connections(policies, self.catalogue.times)
        return self._legacy[kind]

    def of(self, kind: str, subject: Subject) -> Iterator[Attached]:
        """Policies of one kind, each with its places, in the order in which they are looked at."""
        if kind in LISTS:
            for selection in self.matching.matched(kind, subject).selections:
                yield Attachment(DATAPLANE), selection.policy
            return
        spec = subject.spec
        if kind in AT_INBOUND:
            yield from self._inbound(kind, spec)
        if kind in AT_OUTBOUND:
            yield from self._outbound(kind, spec)
        if kind in AT_SERVICE:
            yield from self._services(kind, spec, self.destinations(spec))
        if kind == "TrafficLog":
            named = [_service(outbound) for outbound in _by_tags(spec)]
            yield from self._services(kind, spec, (*named, PASS_THROUGH))
        if kind in AT_DATAPLANE:
            policies = self.catalogue.of(kind, self.mesh)
            found = best_selected(policies, tag_sets(spec), self.catalogue.times)
            if found is not None:
                yield Attachment(DATAPLANE), found

    def _inbound(self, kind: str, spec: DataplaneSpec) -> Iterator[Attached]:
        connections = self.connections(kind)
        for inbound in spec.inbounds:
            place = Attachment(INBOUND, _inbound_name(inbound), inbound.service)
            if kind == "TrafficPermission":
                found = connections.at_inbound(inbound.tags)
                policies = [found] if found is not None else []
            else:
                policies = connections.all_at_inbound(inbound.tags)
            for policy in policies:
                yield place, policy

    def _outbound(self, kind: str, spec: DataplaneSpec) -> Iterator[Attached]:
        for outbound in _by_tags(spec):
            service = _service(outbound)
            policy = self.connections(kind).towards(tag_sets(spec), service)
            if policy is not None:
                name = f"{outbound.address}:{outbound.port}"
                yield Attachment(OUTBOUND, name, service), policy

    def _services(
        self, kind: str, spec: DataplaneSpec, services: Iterable[str]
    ) -> Iterator[Attached]:
        for service in dict.fromkeys(services):
            policy = self.connections(kind).towards(tag_sets(spec), service)
            if policy is not None:
                yield Attachment(TO_SERVICE, service, service), policy

    def destinations(self, spec: DataplaneSpec) -> Iterator[str]:
        """The services that its outbounds lead to, after the routes."""
        routes = self.connections("TrafficRoute")
        for outbound in _by_tags(spec):
            service = _service(outbound)
            route = routes.towards(tag_sets(spec), service)
            for named in _splits(route) if route is not None else ({},):
                wanted = named.get(SERVICE, ANY)
                yield service if wanted == ANY else wanted


def _splits(route: MeshResource) -> list[dict[str, str]]:
    conf = json.loads(route.body or "{}").get("conf") or {}
    if conf.get("destination"):
        return [conf["destination"]]
    return [split.get("destination") or {} for split in conf.get("split") or ()]


def tag_sets(spec: DataplaneSpec) -> TagSets:
    own = (spec.gateway_tags,) if spec.gateway_tags else ()
    return (*(inbound.tags for inbound in spec.inbounds), *own)


def _by_tags(spec: DataplaneSpec) -> Iterator[Outbound]:
    for outbound in spec.outbounds:
        if isinstance(outbound.destination, TagDestination):
            yield outbound


def _service(outbound: Outbound) -> str:
    assert isinstance(outbound.destination, TagDestination)
    return dict(outbound.destination.tags).get(SERVICE, "")


def _inbound_name(inbound: Inbound) -> str:
    return f"{inbound.address}:{inbound.port}:{inbound.workload_port}"
