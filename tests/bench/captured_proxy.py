"""One simulated proxy of an application whose traffic is captured: it calls every service.

What an Envoy asks and answers, as `simulated` has it, at a thousand times three thousand resources.
The proxies of a process are sent the same bytes, so each resource is read once, whoever gets it:
what is measured is the server. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.bench import envoy_types as envoy
from tests.bench.simulated import milliseconds, request, secrets_of
from xds.names import DNS_LISTENER
from xds.proto import discovery_pb2 as pb
from xds.resource import CLUSTER, ENDPOINT, LISTENER, SECRET

if TYPE_CHECKING:
    from collections.abc import Mapping

NOTHING: frozenset[str] = frozenset()
DOMAIN = b".mesh"
ENTRIES_KEPT, BATCHES_KEPT = 20_000, 24
_TYPES = {url: b"\x22" + bytes((len(url),)) + url.encode() for url in
          (CLUSTER, ENDPOINT, LISTENER, SECRET)}  # fmt: skip


@dataclass(slots=True, eq=False)
class Entry:
    """One resource, and the little that is read of it."""

    name: str
    data: bytes  # encoded pb.Resource
    eds: bool = False
    timeout_ms: int = 0
    endpoints: int = 0
    names: int = 0  # that a DNS listener answers
    secrets: frozenset[str] = NOTHING


@dataclass(slots=True, eq=False)
class Batch:
    """The resources of one response. `subscribes` asks for the endpoints of all its clusters."""

    entries: dict[str, Entry]
    eds: frozenset[str]
    secrets: frozenset[str]
    subscribes: bytes


class Reader:
    """Remembers what it read, of a process's proxies."""

    def __init__(self) -> None:
        self._entries: dict[bytes, Entry] = {}
        self._batches: dict[tuple[str, bytes], Batch] = {}

    def read(self, data: bytes) -> tuple[pb.DeltaDiscoveryResponse, Batch]:
        """The response without its resources, and these. Raises ValueError for none."""
        type_url, at = max(
            ((url, data.rfind(mark)) for url, mark in _TYPES.items()), key=lambda found: found[1]
        )
        if at < 0:
            raise ValueError("not a response with a type")
        said = pb.DeltaDiscoveryResponse.FromString(data[at:])
        key = type_url, data[:at]
        batch = self._batches.get(key)
        if batch is None:
            while len(self._batches) >= BATCHES_KEPT:
                del self._batches[next(iter(self._batches))]
            batch = self._batches[key] = self._batch(*key)
        return said, batch

    def _batch(self, type_url: str, resources: bytes) -> Batch:
        listed = pb.DeltaDiscoveryResponse.FromString(resources).resources
        entries = {entry.name: entry for entry in (self._entry(type_url, e) for e in listed)}
        eds = frozenset(entry.name for entry in entries.values() if entry.eds)
        secrets = NOTHING.union(*{entry.secrets for entry in entries.values()})
        return Batch(entries, eds, secrets, request(ENDPOINT, resource_names_subscribe=sorted(eds)))

    def _entry(self, type_url: str, data: bytes) -> Entry:
        found = self._entries.get(data)
        if found is None:
            if len(self._entries) >= ENTRIES_KEPT:
                self._entries.clear()
            resource = pb.Resource.FromString(data)
            found = Entry(resource.name, data)
            _READ.get(type_url, _nothing)(found, resource.resource.value)
            self._entries[data] = found
        return found


def _cluster(found: Entry, body: bytes) -> None:
    cluster = envoy.Cluster.FromString(body)
    if cluster.type == envoy.EDS:
        found.eds, found.timeout_ms = True, milliseconds(cluster.connect_timeout)
        found.secrets = secrets_of(cluster.transport_socket)


def _endpoint(found: Entry, body: bytes) -> None:
    assignment = envoy.Assignment.FromString(body)
    found.endpoints = sum(len(group.endpoints) for group in assignment.groups)


def _listener(found: Entry, body: bytes) -> None:
    if found.name == DNS_LISTENER:
        found.names = body.count(DOMAIN)
        return
    chains = envoy.Listener.FromString(body).filter_chains
    found.secrets = NOTHING.union(*(secrets_of(chain.transport_socket) for chain in chains))


def _nothing(_found: Entry, _body: bytes) -> None:
    """A secret: that it came is all."""


_READ = {CLUSTER: _cluster, ENDPOINT: _endpoint, LISTENER: _listener}
READER = Reader()


@dataclass(slots=True)
class Captured:
    """`held`: what it runs now, by type and name; `warming`: clusters that wait for their
    endpoints; `came`: listeners since `came` was emptied; `heard`: the newest response.
    """

    node_id: str
    node: bytes  # encoded pb.Node
    held: dict[str, dict[str, Entry]] = field(
        default_factory=lambda: {CLUSTER: {}, ENDPOINT: {}, LISTENER: {}, SECRET: {}}
    )
    warming: frozenset[str] = NOTHING
    eds: frozenset[str] = NOTHING  # names subscribed
    secrets: frozenset[str] = NOTHING  # names subscribed
    came: dict[str, Entry] = field(default_factory=dict)
    heard: tuple[str, Mapping[str, Entry]] = ("", {})
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
        held = self.held
        return bool(held[LISTENER]) and not self.warming and held[SECRET].keys() >= self.secrets

    @property
    def names(self) -> int:
        """That it answers."""
        found = self.held[LISTENER].get(DNS_LISTENER)
        return found.names if found is not None else 0

    def on_response(self, data: bytes) -> list[bytes]:
        """The answers, in order. Raises ValueError for bytes that are no response."""
        self.responses += 1
        self.received += len(data)
        said, batch = READER.read(data)
        type_url, entries = said.type_url, batch.entries
        self.heard = type_url, entries
        before = self.held[type_url]
        after = {**before, **entries} if before else entries  # Shared until it differs.
        if said.removed_resources:
            gone = frozenset(said.removed_resources)
            after = {name: entry for name, entry in after.items() if name not in gone}
            if type_url == CLUSTER:
                self.warming, self.eds = self.warming - gone, self.eds - gone
        self.held[type_url] = after
        answers = [request(type_url, response_nonce=said.nonce)]
        if type_url == CLUSTER and batch.eds:
            self._clusters(batch, answers)
        elif type_url == ENDPOINT and self.warming:
            self.warming = self.warming.difference(entries)
        elif type_url == LISTENER:
            self.came |= entries
        fresh = batch.secrets - self.secrets
        if fresh:
            self.secrets |= fresh
            answers.append(request(SECRET, resource_names_subscribe=sorted(fresh)))
        if not self.asked_listeners and type_url in (CLUSTER, ENDPOINT) and not self.warming:
            self.asked_listeners = True
            answers.append(request(LISTENER))
        return answers

    def _clusters(self, batch: Batch, answers: list[bytes]) -> None:
        self.warming = self.warming | batch.eds if self.warming else batch.eds
        if not self.eds:
            self.eds = batch.eds
            answers.append(batch.subscribes)
        elif fresh := batch.eds - self.eds:
            self.eds |= fresh
            answers.append(request(ENDPOINT, resource_names_subscribe=sorted(fresh)))
