"""One simulated proxy: what an Envoy asks and answers on its ADS stream, and what it has seen.

Wildcard CDS first; EDS and SDS for the names that clusters and listeners carry; LDS once the
first clusters have their endpoints. Every response is decoded and acknowledged. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.bench import envoy_types as envoy
from xds.proto import discovery_pb2 as pb
from xds.resource import CLUSTER, ENDPOINT, LISTENER, SECRET


def request(type_url: str, **fields: Any) -> bytes:
    return pb.DeltaDiscoveryRequest(type_url=type_url, **fields).SerializeToString()


@dataclass(slots=True)
class Proxy:
    """`timeouts_ms` of its EDS clusters, `inbound_ms` of its inbound routes, `endpoints` by cluster
    are what it runs now. `warming` are clusters that wait for their endpoints.
    """

    node_id: str
    node: bytes  # encoded pb.Node
    timeouts_ms: dict[str, int] = field(default_factory=dict)
    inbound_ms: dict[str, int] = field(default_factory=dict)
    endpoints: dict[str, int] = field(default_factory=dict)
    warming: set[str] = field(default_factory=set)
    names: dict[str, set[str]] = field(default_factory=lambda: {ENDPOINT: set(), SECRET: set()})
    secrets: set[str] = field(default_factory=set)
    listeners: int = 0
    asked_listeners: bool = False
    responses: int = 0
    received: int = 0  # bytes

    def first(self) -> bytes:
        message = pb.DeltaDiscoveryRequest(type_url=CLUSTER)
        message.node.MergeFromString(self.node)
        return message.SerializeToString()

    @property
    def served(self) -> bool:
        """It runs everything it asked for."""
        return bool(self.listeners) and not self.warming and self.secrets >= self.names[SECRET]

    def on_response(self, data: bytes) -> list[bytes]:
        """The answers, in order. Raises what protobuf raises for bytes that are no response."""
        self.responses += 1
        self.received += len(data)
        response = pb.DeltaDiscoveryResponse.FromString(data)
        new: dict[str, set[str]] = {ENDPOINT: set(), SECRET: set()}
        for entry in response.resources:
            resource = pb.Resource.FromString(entry)
            _READ[response.type_url](self, resource.name, resource.resource.value, new)
        for name in response.removed_resources:
            self.timeouts_ms.pop(name, None) if response.type_url == CLUSTER else None
        answers = [request(response.type_url, response_nonce=response.nonce)]
        for type_url, names in new.items():
            fresh = names - self.names[type_url]
            if fresh:
                self.names[type_url] |= fresh
                answers.append(request(type_url, resource_names_subscribe=sorted(fresh)))
        if (
            not self.asked_listeners
            and response.type_url in (CLUSTER, ENDPOINT)
            and not self.warming
        ):
            self.asked_listeners = True
            answers.append(request(LISTENER))
        return answers

    def _cluster(self, name: str, body: bytes, new: dict[str, set[str]]) -> None:
        cluster = envoy.Cluster.FromString(body)
        if cluster.type != envoy.EDS:
            return
        self.timeouts_ms[name] = milliseconds(cluster.connect_timeout)
        self.warming.add(name)
        new[ENDPOINT].add(name)
        new[SECRET] |= secrets_of(cluster.transport_socket)

    def _endpoint(self, name: str, body: bytes, _new: dict[str, set[str]]) -> None:
        found = envoy.Assignment.FromString(body)
        self.endpoints[name] = sum(len(group.endpoints) for group in found.groups)
        self.warming.discard(name)

    def _listener(self, name: str, body: bytes, new: dict[str, set[str]]) -> None:
        listener = envoy.Listener.FromString(body)
        self.listeners += 1
        for chain in listener.filter_chains:
            new[SECRET] |= secrets_of(chain.transport_socket)
            if not name.startswith("inbound:"):
                continue
            for each in chain.filters:
                if each.name == envoy.MANAGER:
                    config = envoy.Manager.FromString(each.typed_config.value).route_config
                    action = config.virtual_hosts[0].routes[0].route
                    self.inbound_ms[name] = milliseconds(action.timeout)

    def _secret(self, name: str, _body: bytes, _new: dict[str, set[str]]) -> None:
        self.secrets.add(name)


_READ = {
    CLUSTER: Proxy._cluster,
    ENDPOINT: Proxy._endpoint,
    LISTENER: Proxy._listener,
    SECRET: Proxy._secret,
}


def milliseconds(span: Any) -> int:
    return int(span.seconds * 1000 + span.nanos // 1_000_000)


def secrets_of(socket: Any) -> frozenset[str]:
    """Names of the secrets that a transport socket asks for."""
    if not socket.typed_config.value:
        return frozenset()
    common = envoy.Tls.FromString(socket.typed_config.value).common
    found = frozenset(each.name for each in common.certificates)
    return found | {common.combined.sds.name} if common.combined.sds.name else found
