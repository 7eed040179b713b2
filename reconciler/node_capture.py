"""What the node of a proxy tells of the capture of its application's traffic. Pure.

An agent that sets up the redirection, or was told of it, says so in the node's metadata (key
`transparentProxy`, facts/dataplane-wire.md 1.2): this goes before what its Dataplane says, and is
written into it, so that whoever reads the Dataplane knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

PORT_MAX = 65535
IN_METADATA = "feature-transparent-proxy-in-dataplane-metadata"
EMBEDDED_DNS = "feature-embedded-dns"
STRICT_PORTS = "feature-strict-inbound-ports"


@dataclass(frozen=True, slots=True)
class CaptureTraits:
    """`dns_port` 0: nobody is told names. `workdir`: of the agent, where it looks for its dynamic
    configuration.
    """

    dns_port: int = 0
    embedded_dns: bool = False
    strict_ports: bool = False
    probe_proxy: bool = False
    workdir: str = ""


NOTHING = CaptureTraits()
# What agents say unless they are told otherwise, for proxies of which only their file is known.
USUAL = CaptureTraits(dns_port=15054, strict_ports=True)


def told(data: Mapping[str, object], metadata: Mapping[str, object]) -> Mapping[str, object]:
    """The proxy's document with what its metadata says of the capture; the same where it says
    nothing of it.
    """
    features = metadata.get("features")
    listed = features if isinstance(features, list | tuple) else ()
    proxying, networking = metadata.get("transparentProxy"), data.get("networking")
    if IN_METADATA not in listed or data.get("type") != "Dataplane":
        return data
    if not isinstance(proxying, dict) or not isinstance(networking, dict):
        return data
    written = networking.get("transparentProxying")
    own = {k: v for k, v in written.items() if k not in _TOLD} if isinstance(written, dict) else {}
    ports = {name: _redirect(proxying, way) for name, way in _WAYS.items()}
    found = {**own, **{name: port for name, port in ports.items() if port}}
    if proxying.get("ipFamilyMode") == "ipv4":
        found["ipFamilyMode"] = "IPv4"
    if not found and not written:
        return data
    return {**data, "networking": {**networking, "transparentProxying": found}}


_WAYS: Mapping[str, str] = {"redirectPortInbound": "inbound", "redirectPortOutbound": "outbound"}
_TOLD = frozenset((*_WAYS, "ipFamilyMode"))


def _redirect(proxying: Mapping[str, object], way: str) -> int:
    """0 where it is off."""
    redirect = proxying.get("redirect")
    found = redirect.get(way) if isinstance(redirect, dict) else None
    if not isinstance(found, dict) or found.get("enabled") is not True:
        return 0
    port = found.get("port")  # Numbers of a protobuf Struct are floats.
    if isinstance(port, bool) or not isinstance(port, int | float) or not 0 < port <= PORT_MAX:
        return 0
    return int(port) if port == int(port) else 0


def traits_of(metadata: Mapping[str, object], features: Collection[object]) -> CaptureTraits:
    """A proxy that says in its metadata that it has a transparent proxy whose DNS is not captured
    is told no names.
    """
    dns_port, proxying = port_of(metadata, "dataplane.dns.port"), metadata.get("transparentProxy")
    if IN_METADATA in features and isinstance(proxying, dict):
        dns_port = dns_port if _redirect(proxying, "dns") else 0
    workdir = metadata.get("workdir")
    return CaptureTraits(
        dns_port=dns_port,
        embedded_dns=EMBEDDED_DNS in features,
        strict_ports=STRICT_PORTS in features,
        probe_proxy=metadata.get("dataplane.appProbeProxy.enabled") == "true",
        workdir=workdir if isinstance(workdir, str) else "",
    )


def port_of(metadata: Mapping[str, object], key: str) -> int:
    """Ports in node metadata are strings; what is none counts as absent."""
    value = metadata.get(key)
    if not isinstance(value, str) or not value.isdecimal() or len(value) > len(str(PORT_MAX)):
        return 0
    return int(value) if int(value) <= PORT_MAX else 0
