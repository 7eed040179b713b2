"""One zone's pure step, driven by hand: proxies come and go, effects are collected. No clock, no
network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from reconciler.ca.tokens import Claims
from reconciler.decode import mesh_resource
from reconciler.kds.zone_node import zone_node
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.model.spec import ZoneIngressSpec
from reconciler.steps import zone_state as z
from reconciler.steps.proxy_state import AdminCertificate, Certificate
from reconciler.steps.zone_settings import ZoneSettings
from reconciler.steps.zone_step import step
from xds.build.secrets import identity_secret
from xds.discovery import DeltaRequest, DeltaResponse, Node
from xds.resource import CLUSTER, ENDPOINT, LISTENER, digest
from xds.translate import Builders
from xds.view import AdminTls

if TYPE_CHECKING:
    from collections.abc import Mapping

STATIC = ("localhost:", "kuma:")  # clusters that carry their endpoints themselves
START = 1_800_000_000.0
MESH = mesh_resource(ResourceKey("Mesh", "", "default"), Labels(), {})


def policy(kind: str, name: str, spec: dict[str, Any]) -> MeshResource:
    return mesh_resource(ResourceKey(kind, "default", name), Labels(), spec)


def dataplane(name: str, service: str, *calls: str, address: str = "10.0.0.1") -> dict[str, Any]:
    tags = {"kuma.io/service": service, "kuma.io/protocol": "http"}
    return {
        "type": "Dataplane",
        "mesh": "default",
        "name": name,
        "networking": {
            "address": address,
            "inbound": [{"port": 80, "servicePort": 8080, "tags": tags}],
            "outbound": [
                {"port": 10001 + i, "tags": {"kuma.io/service": to}} for i, to in enumerate(calls)
            ],
        },
    }


INGRESS = {
    "type": "ZoneIngress",
    "name": "ingress",
    "networking": {
        "address": "10.0.0.9",
        "port": 10001,
        "advertisedAddress": "203.0.113.7",
        "advertisedPort": 10001,
    },
}


@dataclass
class Zone:
    """`now` is moved by the test; `effects` are those of the last `deliver`."""

    state: z.ZoneState
    now: float = START
    effects: list[z.Effect] = field(default_factory=list)
    streams: int = 0
    sent: dict[str, list[DeltaResponse]] = field(default_factory=dict)
    noted: list[z.Note] = field(default_factory=list)  # since the start

    def deliver(self, event: z.Event) -> list[z.Effect]:
        """The event, then everything it asks for at once: certificates and builds."""
        self.effects = []
        queue: list[z.Event] = [event]
        while queue:
            self.state, effects = step(self.state, queue.pop(0))
            self.effects += effects
            for effect in effects:
                if isinstance(effect, z.BuildSoon):
                    queue.append(z.BuildDue(self.now))
                elif isinstance(effect, z.IssueCertificate):
                    queue.append(issued(effect, self.now))
                elif isinstance(effect, z.IssueAdminCertificate):
                    tls = AdminTls(b"ca", b"chain", b"key", effect.node_id)
                    certificate = AdminCertificate(effect.hosts, tls)
                    queue.append(z.AdminCertificateIssued(effect.node_id, certificate))
                elif isinstance(effect, z.Note):
                    self.noted.append(effect)
                elif isinstance(effect, z.ToProxy):
                    self.sent.setdefault(effect.stream, []).append(effect.response)
        return self.effects

    def connect(
        self,
        document: dict[str, Any],
        *,
        listeners: bool = True,
        said: Mapping[str, object] | None = None,
    ) -> str:
        """A proxy introduces itself, subscribes and takes its listeners; its stream. `said` is
        further node metadata.
        """
        self.streams += 1
        stream = f"s{self.streams}"
        mesh = document.get("mesh", "")
        metadata = {"dataplane.resource": json.dumps(document), **(said or {})}
        node = Node(f"{mesh}.{document['name']}", metadata=metadata)
        self.deliver(z.ProxyOpened(stream, "token"))
        self.deliver(z.ProxyRequest(stream, DeltaRequest(CLUSTER, node), self.now))
        if listeners:
            self.deliver(z.ProxyRequest(stream, DeltaRequest(LISTENER), self.now))
            for response in self.sent.get(stream, []):
                if response.type_url == LISTENER:  # It listens from here on.
                    self.request(stream, DeltaRequest(LISTENER, nonce=response.nonce))
        return stream

    def request(self, stream: str, request: DeltaRequest) -> list[z.Effect]:
        return self.deliver(z.ProxyRequest(stream, request, self.now))

    def acknowledge_all(self, stream: str) -> None:
        """ACK whatever came, until nothing more comes; endpoints are asked for by name first."""
        names: set[str] = set()
        while waiting := self.sent.pop(stream, []):
            for response in waiting:
                if response.type_url == CLUSTER:
                    found = {r.name for r in response.resources}
                    wanted = {n for n in found if not n.startswith(STATIC)} - names
                    names |= wanted
                    if wanted:
                        ask = DeltaRequest(ENDPOINT, subscribe=tuple(sorted(wanted)))
                        self.request(stream, ask)
                self.request(stream, DeltaRequest(response.type_url, nonce=response.nonce))

    def lose(self, stream: str, *, by_peer: bool = True) -> None:
        self.deliver(z.ProxyClosed(stream, by_peer, self.now))

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.deliver(z.Tick(self.now))

    @property
    def services(self) -> dict[str, int]:
        """What the ingress offers: instances by service."""
        (ingress,) = self.state.local.of("ZoneIngress")
        assert isinstance(ingress.spec, ZoneIngressSpec)
        return {
            dict(s.tags)["kuma.io/service"]: s.instances for s in ingress.spec.available_services
        }

    def closing(self) -> z.CloseStream | None:
        return next((e for e in self.effects if isinstance(e, z.CloseStream)), None)


def issued(effect: z.IssueCertificate, now: float) -> z.CertificateIssued:
    certificate = Certificate(
        identity_secret(effect.identity_secret, b"chain", b"key"),
        effect.uris,
        effect.backend,
        digest((effect.ca_cert_pem,)),
        effect.lifetime_s,
        renew_at=now + 0.8 * effect.lifetime_s,
        expires_at=now + effect.lifetime_s,
    )
    return z.CertificateIssued(effect.node_id, effect.mesh, certificate, now)


def settings(**changes: Any) -> ZoneSettings:
    made = ZoneSettings(
        zone="east",
        instance="east-1",
        node=zone_node("east", "east-1", "0"),
        verify=lambda *_: Claims(),
        builders=Builders(),
    )
    return replace(made, **changes)


def zone(*policies: MeshResource, **changes: Any) -> Zone:
    """A zone whose disk held these policies, besides the mesh."""
    made = Zone(z.ZoneState(settings=settings(**changes)))
    made.deliver(z.Restored(START, (MESH, *policies), revision="c1"))
    return made
