"""A model of Envoy as a delta ADS client: subscribes as Envoy does, keeps what it is sent, and
answers: it takes the good parts of a response and rejects the rest, by what is in it.

CDS and LDS by wildcard, EDS and SDS by the names that clusters and listeners refer to, LDS only
once the first clusters have their endpoints (facts/dataplane-wire: order of Envoy's requests after
a start).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment

from tests.simulation.documents import is_number, refused_timeout
from xds.discovery import DeltaRequest, DeltaResponse, Node
from xds.resource import CLUSTER, ENDPOINT, LISTENER, SECRET, XdsResource
from xds.wire import entry_body

if TYPE_CHECKING:
    from collections.abc import Callable

TYPES = (CLUSTER, ENDPOINT, SECRET, LISTENER)
SECRET_NAMES = (b"identity_cert:secret:default", b"mesh_ca:secret:default")


@lru_cache(maxsize=100_000)
def eds_cluster(resource: XdsResource) -> bool:
    _, body = entry_body(resource.entry)
    return Cluster().parse(body).eds_cluster_config is not None


@lru_cache(maxsize=100_000)
def secrets_of(resource: XdsResource) -> frozenset[str]:
    _, body = entry_body(resource.entry)
    return frozenset(name.decode() for name in SECRET_NAMES if name in body)


@lru_cache(maxsize=100_000)
def connect_timeout_ms(resource: XdsResource) -> int:
    _, body = entry_body(resource.entry)
    timeout = Cluster().parse(body).connect_timeout
    return round(timeout.total_seconds() * 1000) if timeout is not None else 0


@lru_cache(maxsize=100_000)
def number_of(resource: XdsResource) -> int | None:
    """The number of the commit whose timeout a cluster has; None for one without such a timeout."""
    if not eds_cluster(resource):
        return None
    milliseconds = connect_timeout_ms(resource)
    return milliseconds if is_number(milliseconds) else None


@lru_cache(maxsize=100_000)
def addresses(resource: XdsResource) -> frozenset[str]:
    """Where a load assignment sends requests."""
    _, body = entry_body(resource.entry)
    localities = ClusterLoadAssignment().parse(body).endpoints
    found = (e.endpoint for locality in localities for e in locality.lb_endpoints)
    places = (e.address.socket_address for e in found if e is not None and e.address is not None)
    return frozenset(place.address for place in places if place is not None)


def is_refused(resource: XdsResource) -> bool:
    number = number_of(resource)
    return number is not None and refused_timeout(number)


@dataclass
class SimEnvoy:
    """One running Envoy. `send` puts a request on its present stream."""

    node: Node
    send: Callable[[DeltaRequest], None]
    held: dict[str, dict[str, XdsResource]] = field(default_factory=dict)
    asked: dict[str, set[str]] = field(default_factory=dict)
    told_absent: set[str] = field(
        default_factory=set
    )  # assignments that do not exist, on this stream
    responses: int = 0

    def start(self) -> None:
        """A new stream: introduce oneself, and say what is held from earlier streams."""
        listeners_before = bool(self.held.get(LISTENER))
        self.asked, self.told_absent = {}, set()
        self._subscribe(CLUSTER, node=self.node)
        self._subscribe_names()
        if listeners_before:
            self._subscribe(LISTENER)

    def _subscribe(self, type_url: str, node: Node | None = None) -> None:
        held = self.held.get(type_url, {})
        self.asked[type_url] = set(held)
        self.send(
            DeltaRequest(
                type_url=type_url,
                node=node,
                subscribe=tuple(sorted(held)) if type_url in (ENDPOINT, SECRET) else (),
                initial_versions={name: r.version for name, r in held.items()},
            )
        )

    def receive(self, response: DeltaResponse) -> None:
        self.responses += 1
        held = self.held.setdefault(response.type_url, {})
        clusters = response.type_url == CLUSTER
        refused = {r.name for r in response.resources if clusters and is_refused(r)}
        for resource in response.resources:
            if resource.name not in refused:
                held[resource.name] = resource
        for name in response.removed:
            held.pop(name, None)
        if response.type_url == ENDPOINT:
            self.told_absent |= set(response.removed)
            self.told_absent -= held.keys()
        error = f"refused: {sorted(refused)}" if refused else None
        self.send(DeltaRequest(type_url=response.type_url, nonce=response.nonce, error=error))
        self._subscribe_names()
        if LISTENER not in self.asked and self._clusters_ready():
            self._subscribe(LISTENER)

    def _clusters_ready(self) -> bool:
        if CLUSTER not in self.held:
            return False
        answered = self.held.get(ENDPOINT, {}).keys() | self.told_absent
        return self._eds_names() <= answered

    def _eds_names(self) -> set[str]:
        return {name for name, r in self.held.get(CLUSTER, {}).items() if eds_cluster(r)}

    def _secret_names(self) -> set[str]:
        both = (*self.held.get(CLUSTER, {}).values(), *self.held.get(LISTENER, {}).values())
        return {name for resource in both for name in secrets_of(resource)}

    def _subscribe_names(self) -> None:
        """Ask for endpoints and secrets newly referred to; stop asking for those that no cluster
        has any more.
        """
        self._ask(ENDPOINT, self._eds_names())
        self._ask(SECRET, self._secret_names())

    def _ask(self, type_url: str, wanted: set[str]) -> None:
        before = self.asked.get(type_url)
        if before is None and not wanted:
            return
        new, gone = wanted - (before or set()), (before or set()) - wanted
        if before is not None and not new and not gone:
            return
        self.asked[type_url] = wanted
        for name in gone:
            self.held.get(type_url, {}).pop(name, None)
        self.send(
            DeltaRequest(
                type_url=type_url,
                subscribe=tuple(sorted(new)),
                unsubscribe=tuple(sorted(gone)),
                initial_versions=(
                    {n: r.version for n, r in self.held.get(type_url, {}).items() if n in wanted}
                    if before is None
                    else {}
                ),
            )
        )

    def versions(self) -> dict[str, dict[str, str]]:
        return {
            type_url: {name: r.version for name, r in self.held.get(type_url, {}).items()}
            for type_url in TYPES
        }
