"""Control planes, proxies of any shape and several meshes, as processes on loopback.

A test names the applications of a proxy and what it calls. Zones have addresses of their own, so
that an address tells whose it is.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from reconciler.api.client import UnixConnection
from reconciler.demo.ports import free_ports
from tests.support.planes import Planes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOSTS = {"east": "127.0.1.1", "west": "127.0.2.1", "north": "127.0.3.1"}
ALLOW_ALL = {
    "type": "MeshTrafficPermission",
    "mesh": "default",
    "name": "allow-all",
    "spec": {"from": [{"targetRef": {"kind": "Mesh"}, "default": {"action": "Allow"}}]},
}


@dataclass(frozen=True, slots=True)
class App:
    """An application behind a proxy; `port` is its own, on 127.0.0.1."""

    service: str
    port: int
    protocol: str = "http"
    tags: Mapping[str, str] = field(default_factory=dict)
    probe: Mapping[str, object] | None = None


@dataclass(slots=True)
class Peer:
    """A proxy that runs: where its inbounds are, and where it takes calls, both by service."""

    name: str
    inbounds: dict[str, tuple[str, int]]
    calls: dict[str, int]


def a_mesh(name: str = "default", **more: object) -> dict[str, object]:
    backend = {"name": "ca-1", "type": "builtin"}
    return {
        "type": "Mesh",
        "name": name,
        "mtls": {"enabledBackend": "ca-1", "backends": [backend]},
    } | more


class Fleet(Planes):
    """`documents`: what the repository holds at first, by file name."""

    def __init__(self, folder: Path, **documents: Mapping[str, object]) -> None:
        super().__init__(folder)
        self.documents = documents or {"mesh": a_mesh(), "allow": ALLOW_ALL}
        self.peers: dict[str, Peer] = {}

    def seed(self) -> None:
        super().seed()
        self.git(self.work, "rm", "--quiet", "-r", "meshes", "policies")
        self.push(self.documents)

    def push(self, files: Mapping[str, Mapping[str, object] | None]) -> str:
        """One commit; None removes a file."""
        for name, document in files.items():
            file = self.work / f"{name}.yaml"
            if document is None:
                file.unlink()
            else:
                file.write_text(json.dumps(document))  # JSON is YAML
        self.git(self.work, "add", "--all")
        self.git(self.work, "commit", "--quiet", "--message", "change")
        self.git(self.work, "push", "--quiet")
        return self.git(self.work, "rev-parse", "HEAD").strip()

    async def commit(self, **files: Mapping[str, object] | None) -> None:
        """Pushed, and acknowledged by every proxy of every zone."""
        commit = await asyncio.to_thread(self.push, files)
        await asyncio.to_thread(
            self.run_once, "wait", "--commit", commit, "--timeout", "60s",
            "--state-dir", str(self.state("global")),
        )  # fmt: skip

    def sidecar(
        self,
        name: str,
        zone: str,
        *apps: App,
        to: Mapping[str, Mapping[str, str]] | tuple[str, ...] = (),
        mesh: str = "default",
        **networking: Any,
    ) -> Peer:
        """`to`: the services it calls, or their tags by a name of the test."""
        called = to if not isinstance(to, tuple) else {each: {} for each in to}
        ports = free_ports(1 + len(apps) + len(called))
        host = networking.setdefault("address", HOSTS[zone])
        networking["admin"] = {"port": ports.pop()}
        peer = Peer(name, {}, {})
        for app in apps:
            peer.inbounds[app.service] = host, ports.pop()
            networking.setdefault("inbound", []).append(
                _inbound(app, peer.inbounds[app.service][1])
            )
        for each, tags in called.items():
            peer.calls[each] = ports.pop()
            outbound = {"port": peer.calls[each], "tags": {"kuma.io/service": each, **tags}}
            networking.setdefault("outbound", []).append(outbound)
        document = {"type": "Dataplane", "mesh": mesh, "name": name, "networking": networking}
        self._dataplane(
            name, zone, document, ("token", "dataplane", "--mesh", mesh, "--name", name)
        )
        self.peers[name] = peer
        return peer

    def ingress(
        self, name: str, zone: str, *, advertised: tuple[str, int] | None = None, address: str = ""
    ) -> tuple[str, int]:
        """Where it listens; that is what it advertises, unless said otherwise."""
        port, admin = free_ports(2)
        at = address or HOSTS[zone], port
        to_all = advertised or at
        networking = {
            "address": at[0], "port": port, "admin": {"port": admin},
            "advertisedAddress": to_all[0], "advertisedPort": to_all[1],
        }  # fmt: skip
        document = {"type": "ZoneIngress", "name": name, "networking": networking}
        token = ("token", "zone-proxy", "--zone", zone, "--scope", "ingress")
        self._dataplane(name, zone, document, token)
        return at

    def egress(self, name: str, zone: str) -> tuple[str, int]:
        """Where it listens."""
        host, (port, admin) = HOSTS[zone], free_ports(2)
        networking = {"address": host, "port": port, "admin": {"port": admin}}
        document = {"type": "ZoneEgress", "name": name, "networking": networking}
        token = ("token", "zone-proxy", "--zone", zone, "--scope", "egress")
        self._dataplane(name, zone, document, token)
        return host, port

    async def all_acked(self, **counts: int) -> None:
        for zone, count in counts.items():
            await self.until(
                f"{count} proxies of {zone}",
                lambda zone=zone, count=count: self.acked(zone) == count,
            )

    async def leaves(self, name: str) -> None:
        """A clean end. Many that are killed at once are taken for an outage."""
        popen = self.processes.pop(f"proxy-{name}").popen
        popen.terminate()
        assert await asyncio.to_thread(popen.wait, 30) == 0

    # --- what an Envoy says of itself ---

    def asked(self, name: str, path: str) -> str:
        """An answer of the proxy's admin interface."""
        socket = self.folder / "proxies" / name / "kuma-envoy-admin.sock"
        connection = UnixConnection(socket, timeout_s=10)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def stats(self, name: str, pattern: str) -> dict[str, int]:
        found = json.loads(self.asked(name, f"/stats?format=json&filter={pattern}"))["stats"]
        return {each["name"]: int(each["value"]) for each in found if "value" in each}

    def endpoints(self, name: str) -> dict[str, dict[tuple[str, int], int]]:
        """Weights by address and port, by cluster, as the proxy's Envoy has them."""
        dump = json.loads(self.asked(name, "/config_dump?include_eds"))
        found: dict[str, dict[tuple[str, int], int]] = {}
        for section in dump["configs"]:
            if section["@type"].endswith("EndpointsConfigDump"):
                for each in section.get("dynamic_endpoint_configs", ()):
                    config = each["endpoint_config"]
                    found[config["cluster_name"]] = dict(_places(config))
        return found

    def pid(self, name: str) -> int:
        """Of the proxy's Envoy."""
        log = (self.folder / "logs" / f"proxy-{name}.log").read_text()
        return int(log.rpartition("envoy runs as process ")[2].split()[0])


def _places(config: Any) -> Any:
    for locality in config.get("endpoints", ()):
        for each in locality.get("lb_endpoints", ()):
            at = each["endpoint"]["address"].get("socket_address")
            if at is not None:  # Envoy's own admin interface is a file.
                yield (at["address"], at["port_value"]), each.get("load_balancing_weight", 1)


def _inbound(app: App, port: int) -> dict[str, object]:
    tags = {"kuma.io/service": app.service, "kuma.io/protocol": app.protocol, **app.tags}
    found: dict[str, object] = {
        "port": port, "servicePort": app.port, "serviceAddress": "127.0.0.1", "tags": tags
    }  # fmt: skip
    return found if app.probe is None else {**found, "serviceProbe": app.probe}
