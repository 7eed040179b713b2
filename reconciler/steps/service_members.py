"""Which proxies are behind each service of a zone, and the sums its MeshService tells: kept while
proxies come and go, so that one of a thousand costs no look at the others. Pure.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from rpds import HashTrieMap, HashTrieSet

from reconciler.model.resource import SERVICE
from reconciler.model.spec import DataplaneSpec, ServicePort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from reconciler.model.resource import MeshResource, ResourceKey
    from reconciler.steps.proxy_state import Proxy

At: TypeAlias = "tuple[str, str]"  # mesh and service
Ports: TypeAlias = "tuple[ServicePort, ...]"
Kind = TypeVar("Kind")

# What Kubernetes takes for a Service's name (RFC 1035): of another none is generated.
_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Share:
    """What one proxy is to one of its services."""

    ports: Ports
    healthy: bool  # its endpoints are in
    connected: bool
    backend: str  # that issued its certificate; "" for none
    identities: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """The proxies of one service. `ports`: how many have which, and how many of those are
    healthy.
    """

    members: HashTrieMap[str, Share] = field(default_factory=HashTrieMap)  # by proxy
    ports: HashTrieMap[Ports, tuple[int, int]] = field(default_factory=HashTrieMap)
    backends: HashTrieMap[str, int] = field(default_factory=HashTrieMap)
    identities: HashTrieMap[str, int] = field(default_factory=HashTrieMap)
    connected: int = 0

    def with_member(self, name: str, share: Share | None) -> Held:
        """With the proxy as it is now; None: without it."""
        before = self.members.get(name)
        if before == share:
            return self
        members = self.members.remove(name) if before is not None else self.members
        found = Held(members, self.ports, self.backends, self.identities, self.connected)
        if before is not None:
            found = found._counted(before, -1)
        if share is None:
            return found
        found = found._counted(share, 1)
        members = members.insert(name, share)
        return Held(members, found.ports, found.backends, found.identities, found.connected)

    def _counted(self, share: Share, sign: int) -> Held:
        total, healthy = self.ports.get(share.ports, (0, 0))
        both = total + sign, healthy + sign * share.healthy
        ports = self.ports.insert(share.ports, both) if both[0] else self.ports.remove(share.ports)
        backends = _added(self.backends, (share.backend,), sign)
        identities = _added(self.identities, share.identities, sign)
        connected = self.connected + sign * share.connected
        return Held(self.members, ports, backends, identities, connected)

    def chosen(self, known: Ports) -> Ports:
        """The ports of the service: proxies that differ cannot all be right. Those that are `known`
        hold as long as some proxy has them, else those of the first by name count, as in Kuma.
        """
        if known in self.ports:
            return known
        return self.members[min(self.members.keys())].ports

    def healthy(self, ports: Ports) -> int:
        """Proxies that can be reached at all of these ports."""
        wanted = {port.target_port for port in ports}
        return sum(
            healthy
            for held, (_, healthy) in self.ports.items()
            if wanted <= {port.target_port for port in held}
        )


def _added(
    counts: HashTrieMap[Kind, int], kinds: Iterable[Kind], sign: int
) -> HashTrieMap[Kind, int]:
    for kind in kinds:
        count = counts.get(kind, 0) + sign
        counts = counts.insert(kind, count) if count else counts.remove(kind)
    return counts


@dataclass(frozen=True, slots=True)
class Members:
    by_service: HashTrieMap[At, Held] = field(default_factory=HashTrieMap)
    services: HashTrieMap[ResourceKey, tuple[str, ...]] = field(
        default_factory=HashTrieMap
    )  # of each Dataplane

    def followed(
        self,
        keys: Iterable[ResourceKey],
        dataplane: Callable[[ResourceKey], MeshResource | None],
        proxy: Callable[[ResourceKey], Proxy | None],
    ) -> tuple[Members, set[At]]:
        """With these Dataplanes as they are now, and the services that this concerns."""
        by_service, services = self.by_service, self.services
        touched: set[At] = set()
        for key in keys:
            resource = dataplane(key)
            now = shares_of(resource, proxy(key)) if resource is not None else {}
            had = services.get(key, ())
            for service in {*had, *now}:
                at = key.mesh, service
                before = by_service.get(at) or Held()
                after = before.with_member(key.name, now.get(service))
                if after is before:
                    continue
                touched.add(at)
                by_service = (
                    by_service.insert(at, after) if after.members else by_service.discard(at)
                )
            if tuple(now) != had:
                services = services.insert(key, tuple(now)) if now else services.discard(key)
        return Members(by_service, services), touched


def shares_of(dataplane: MeshResource, proxy: Proxy | None) -> Mapping[str, Share]:
    """By service that a MeshService can stand for. A proxy that only sends is behind none."""
    spec = dataplane.spec
    if not isinstance(spec, DataplaneSpec):
        return {}
    named = {inbound.service for inbound in spec.inbounds}
    identities = sorted(filter(None, {*named, dict(spec.gateway_tags).get(SERVICE)}))
    present = proxy is not None and proxy.present
    certificate = proxy.own.certificate if proxy is not None else None
    backend = certificate.backend if certificate is not None else ""
    found: dict[str, Share] = {}
    for service in sorted(name for name in named if _LABEL.fullmatch(name)):
        inbounds = [inbound for inbound in spec.inbounds if inbound.service == service]
        ports = {
            inbound.port: ServicePort(inbound.name, inbound.port, inbound.port, inbound.protocol)
            for inbound in reversed(inbounds)  # Of two on one port the first counts.
        }
        order = dict.fromkeys(inbound.port for inbound in inbounds)
        found[service] = Share(
            ports=tuple(ports[port] for port in order),
            healthy=present and all(inbound.healthy for inbound in inbounds),
            connected=proxy is not None and proxy.stream is not None,
            backend=backend,
            identities=tuple(identities),
        )
    return found


@dataclass(frozen=True, slots=True)
class Services:
    """What the generator of MeshServices knows. `queue` are those to be looked at; True: for what
    is counted, too. `waiting` differ in what is counted only.
    """

    members: Members = field(default_factory=Members)
    absent: HashTrieSet[ResourceKey] = field(default_factory=HashTrieSet)  # as followed
    queue: Mapping[At, bool] = field(default_factory=dict)
    waiting: frozenset[At] = frozenset()
    counted_at: float = 0.0  # the last round of what is counted; long ago
    ends: Mapping[At, float] = field(default_factory=dict)  # when those without proxies go
    wake_at: float = math.inf
    differing: frozenset[At] = frozenset()  # whose proxies have different ports
    left_out: frozenset[At] = frozenset()  # beyond the limit
    written: int = 0  # MeshServices, since the start
