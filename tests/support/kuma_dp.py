"""A kuma-dp 2.14 and its Envoy as a zone sees them: the bootstrap request and the frames of both
variants of ADS, as they were observed (facts/dataplane-wire.md 1.1, 1.2, 1.8, 10.2), written and
read without the product's codecs.
"""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc

from tests.support.kuma_zone import bytes_of, texts_of
from tests.support.protobuf_wire import fields, message, text
from tests.support.raw_frames import (
    CDS,
    EDS,
    LDS,
    SDS,
    delta_request,
    node,
    number,
    part,
    parts,
    sotw_request,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import grpc.aio

    from tests.support.protobuf_wire import Fields
    from tests.support.zone_link import ZoneLink

ADS = "/envoy.service.discovery.v3.AggregatedDiscoveryService/"
HDS = "/envoy.service.health.v3.HealthDiscoveryService/StreamHealthCheck"
IN_TIME_S = 20.0
FEATURES = (
    "feature-tcp-accesslog-via-named-pipe",
    "feature-otel-via-kuma-dp",
    "feature-strict-inbound-ports",
    "feature-reuse-port",
)


def tls_to(zone: ZoneLink, *protocols: str, at_most: ssl.TLSVersion | None = None) -> Any:
    """Go's client of the bootstrap offers no protocol at all."""
    context = ssl.create_default_context(cadata=zone.tls.ca_pem.decode())
    if protocols:
        context.set_alpn_protocols(list(protocols))
    if at_most is not None:
        context.maximum_version = at_most
    return context


def asking(document: Mapping[str, object], token: str, **changes: object) -> dict[str, object]:
    """The body of `POST /bootstrap`; meta fields are Go's."""
    kinds = {"Dataplane": "dataplane", "ZoneIngress": "ingress", "ZoneEgress": "egress"}
    told = {
        **document,
        "creationTime": "0001-01-01T00:00:00Z",
        "modificationTime": "0001-01-01T00:00:00Z",
        "kri": "kri_dp_default___web-1_",
    }
    found: dict[str, object] = {
        "mesh": document.get("mesh", ""),
        "name": document["name"],
        "proxyType": kinds[str(document["type"])],
        "dataplaneToken": token,
        "dataplaneTokenPath": "token",
        "dataplaneResource": json.dumps(told),
        "version": {"kumaDp": {"version": "2.14.3"}, "envoy": {"version": "1.38.2"}},
        "caCert": "",
        "dynamicMetadata": {},
        "otelEnv": {"pipeEnabled": True},
        "dnsPort": 15054,
        "readinessPort": 9902,
        "operatingSystem": "linux",
        "features": list(FEATURES),
        "resources": {"maxHeapSizeBytes": 0},
        "workdir": "/tmp/kuma-dp-1",
        "metricsResources": {"certPath": "", "keyPath": ""},
        "systemCaPath": "/etc/ssl/certs/ca-certificates.crt",
        "ipv6Enabled": True,
        "spireResources": {"socketPath": ""},
    }
    return found | changes


@dataclass(frozen=True)
class HttpAnswer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def bootstrap(self) -> Any:
        """Envoy's bootstrap inside the answer: a YAML document, of which JSON is a part."""
        assert self.status == 200, self.body
        return json.loads(base64.b64decode(json.loads(self.body)["bootstrap"]))


async def post(
    zone: ZoneLink,
    body: bytes | Mapping[str, object],
    *,
    context: ssl.SSLContext | None = None,
    host: str = "localhost",
    accept: str = "application/json",
    method: str = "POST",
) -> HttpAnswer:
    """On a connection of its own, HTTP/1.1, as Go writes it."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with asyncio.timeout(IN_TIME_S):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", zone.port, ssl=context or tls_to(zone), server_hostname="localhost"
        )
        head = (
            f"{method} /bootstrap HTTP/1.1\r\nHost: {host}:{zone.port}\r\n"
            f"User-Agent: Go-http-client/1.1\r\nContent-Length: {len(data)}\r\n"
            f"Accept: {accept}\r\nContent-Type: application/json\r\n"
            "Accept-Encoding: gzip\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + data)
        found = await reader.read()
        writer.close()
    first, _, rest = found.partition(b"\r\n")
    lines, _, answer = rest.partition(b"\r\n\r\n")
    pairs = (line.decode().split(": ", 1) for line in lines.split(b"\r\n") if line)
    headers = {name.lower(): value for name, value in pairs}
    return HttpAnswer(int(first.split(b" ")[1]), headers, answer)


@dataclass(frozen=True)
class Told:
    """A response of either variant; `resources` are the bodies by name."""

    type_url: str
    nonce: str
    version: str
    resources: Mapping[str, Fields]
    removed: tuple[str, ...] = ()


def _named(type_url: str, body: bytes) -> tuple[str, Fields]:
    """Cluster, Listener, Secret and ClusterLoadAssignment have their name as the first field."""
    found = fields(body)
    return (text(found, 1) if 1 in found else ""), found


@dataclass
class EnvoyPeer:
    """One ADS stream. `delta` decides the variant."""

    channel: grpc.aio.Channel
    token: str
    node_id: str
    cluster: str
    metadata: Mapping[str, object] = field(repr=False)
    delta: bool = False

    def __post_init__(self) -> None:
        method = "DeltaAggregatedResources" if self.delta else "StreamAggregatedResources"
        self.call = self._open(f"{ADS}{method}")

    @classmethod
    def of(
        cls, channel: grpc.aio.Channel, bootstrap: Any, token: str, *, delta: bool = False
    ) -> EnvoyPeer:
        """As the bootstrap told it."""
        told = bootstrap["node"]
        return cls(channel, token, told["id"], told["cluster"], told["metadata"], delta)

    def _open(self, method: str) -> grpc.aio.StreamStreamCall[bytes, bytes]:
        multi: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = self.channel.stream_stream(method)
        added = (("x-forwarded-for", "10.0.0.1"), ("x-envoy-internal", "true"))
        return multi(metadata=(("authorization", self.token), *added))

    def health(self) -> grpc.aio.StreamStreamCall[bytes, bytes]:
        """Its HDS stream."""
        return self._open(HDS)

    @property
    def node(self) -> bytes:
        """With what an Envoy adds: its name and version, and a long list of what it can."""
        version = part(1, number(1, 1) + number(2, 38) + number(3, 2))
        can = parts(9, (part(1, f"envoy.filters.{at}") + part(2, "x") for at in range(300)))
        told = node(self.node_id, self.metadata, self.cluster)
        return told + part(6, "envoy") + part(8, version) + can

    async def ask(
        self,
        type_url: str,
        *names: str,
        first: bool = False,
        version: str = "",
        nonce: str = "",
        initial: Mapping[str, str] | None = None,
        error: str | None = None,
    ) -> None:
        """The node comes with the first request of a stream alone."""
        of = self.node if first else None
        if self.delta:
            data = delta_request(
                type_url, of=of, subscribe=names, initial=initial, nonce=nonce, error=error
            )
        else:
            data = sotw_request(type_url, *names, of=of, version=version, nonce=nonce, error=error)
        await self.call.write(data)

    async def ack(self, found: Told, *names: str) -> None:
        """In state of the world with the version and all names; in delta the nonce alone."""
        if self.delta:
            await self.call.write(delta_request(found.type_url, nonce=found.nonce))
        else:
            await self.ask(found.type_url, *names, version=found.version, nonce=found.nonce)

    async def read(self) -> Told:
        async with asyncio.timeout(IN_TIME_S):
            data = await self.call.read()
        assert isinstance(data, bytes), await self.call.details()
        found = fields(data)
        type_url = text(found, 4)
        if self.delta:
            entries = [message(found, 2, at) for at in range(len(found.get(2, [])))]
            bodies = [message(entry, 2) for entry in entries]
            removed = texts_of(found, 6)
        else:
            bodies = [message(found, 2, at) for at in range(len(found.get(2, [])))]
            removed = ()
        assert all(text(body, 1) == type_url for body in bodies), "an Any is of the type asked for"
        named = dict(_named(type_url, bytes_of(body, 2) if 2 in body else b"") for body in bodies)
        version = text(found, 1) if 1 in found and not self.delta else ""
        return Told(type_url, text(found, 5), version, named, removed)

    async def start(self) -> dict[str, Told]:
        """The order of a starting Envoy: clusters, what they need, listeners, what those need. What
        a later response adds to a type is in its place.
        """
        told: dict[str, Told] = {}
        await self.ask(CDS, first=True)
        told[CDS] = await self.read()
        await self.ack(told[CDS])
        services = [n for n, c in told[CDS].resources.items() if 3 in c]  # with an EDS config
        for type_url, names in ((EDS, services), (SDS, secrets_of(told[CDS]))):
            if names:
                await self.ask(type_url, *names)
                told[type_url] = await self.read()
                await self.ack(told[type_url], *names)
        await self.ask(LDS)
        told[LDS] = await self.read()
        await self.ack(told[LDS])
        return told


def secrets_of(found: Told) -> list[str]:
    """Names in a cluster's or listener's TLS, wherever they stand."""
    values = [value for body in found.resources.values() for value in values_of(body)]
    names = ("identity_cert:secret:default", "mesh_ca:secret:default")
    return [name for name in names if any(name.encode() in value for value in values)]


def values_of(found: Fields) -> list[bytes]:
    return [value for values in found.values() for value in values if isinstance(value, bytes)]


def instances(found: Told) -> set[str]:
    """Addresses of `backend`, in the bytes of its assignment."""
    assert found.type_url == EDS
    data = b"".join(values_of(found.resources["backend"]))
    return {address for address in ("10.0.0.2", "10.0.0.3") if address.encode() in data}
