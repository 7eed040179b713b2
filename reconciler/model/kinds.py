"""Every resource kind of Kuma 2.14 and where it travels (facts/kds-wire.md 3). Literal data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Kind:
    """`down`: global-owned copies go to zones. `up`: zone-owned copies go to the global. `across`:
    those are relayed
    to other zones. `in_zone`: a zone may create it. `hashed`: its name gets a hash suffix when it
    travels.
    """

    name: str
    mesh_scoped: bool
    legacy: bool  # protobuf spec, flat document; otherwise JSON `spec`
    policy: bool  # targetRef policy
    down: bool
    up: bool
    across: bool
    in_zone: bool
    hashed: bool
    has_status: bool
    read_only: bool
    path: str  # in the HTTP API
    short: str

    @property
    def zone_owned(self) -> bool:
        """Made by zones or proxies, never by the policy repository."""
        return (self.up and not self.down) or self.read_only


def _kind(name: str, flags: str, path: str, short: str = "") -> Kind:
    """`flags`: M mesh scope, L legacy, P policy, d down, u up, a across, z in_zone, h hashed, s
    status, r read-only.
    """
    return Kind(
        name=name,
        mesh_scoped="M" in flags,
        legacy="L" in flags,
        policy="P" in flags,
        down="d" in flags,
        up="u" in flags,
        across="a" in flags,
        in_zone="z" in flags,
        hashed="h" in flags,
        has_status="s" in flags,
        read_only="r" in flags,
        path=path,
        short=short,
    )


_LEGACY = (
    _kind("CircuitBreaker", "MLdh", "circuit-breakers"),
    _kind("Config", "Ldz", "configs"),
    _kind("Dataplane", "MLuzh", "dataplanes", "dp"),
    _kind("DataplaneInsight", "MLuzhr", "dataplane-insights"),
    _kind("ExternalService", "MLdh", "external-services"),
    _kind("FaultInjection", "MLdh", "fault-injections"),
    _kind("GlobalSecret", "Ldz", "globalsecrets"),
    _kind("HealthCheck", "MLdh", "health-checks"),
    _kind("Mesh", "Ld", "meshes", "m"),
    _kind("MeshGateway", "MLduzh", "meshgateways", "mgw"),
    _kind("MeshGatewayRoute", "MLdh", "meshgatewayroutes"),
    _kind("MeshInsight", "Lr", "mesh-insights"),
    _kind("ProxyTemplate", "MLdh", "proxytemplates"),
    _kind("RateLimit", "MLdh", "rate-limits"),
    _kind("Retry", "MLdh", "retries"),
    _kind("Secret", "MLdz", "secrets"),
    _kind("ServiceInsight", "MLdhr", "service-insights"),
    _kind("Timeout", "MLdh", "timeouts"),
    _kind("TrafficLog", "MLdh", "traffic-logs"),
    _kind("TrafficPermission", "MLdh", "traffic-permissions"),
    _kind("TrafficRoute", "MLdh", "traffic-routes"),
    _kind("TrafficTrace", "MLdh", "traffic-traces"),
    _kind("VirtualOutbound", "MLdh", "virtual-outbounds"),
    _kind("Zone", "Lz", "zones", "z"),
    _kind("ZoneEgress", "Luzh", "zoneegresses", "ze"),
    _kind("ZoneEgressInsight", "Luzhr", "zoneegressinsights"),
    _kind("ZoneIngress", "Luazh", "zoneingresses", "zi"),
    _kind("ZoneIngressInsight", "Luzhr", "zone-ingress-insights"),
    _kind("ZoneInsight", "Lzr", "zone-insights"),
)
_CORE = (
    _kind("HostnameGenerator", "duzh", "hostnamegenerators", "hg"),
    _kind("MeshExternalService", "Mduzhs", "meshexternalservices", "extsvc"),
    _kind("MeshIdentity", "Mduzhs", "meshidentities", "mid"),
    _kind("MeshMultiZoneService", "Mdhs", "meshmultizoneservices", "mzsvc"),
    _kind("MeshOpenTelemetryBackend", "Mduzhs", "meshopentelemetrybackends", "motb"),
    _kind("MeshService", "Muazhs", "meshservices", "msvc"),
    _kind("MeshTrust", "Mduzhs", "meshtrusts", "mtrust"),
    _kind("MeshZoneAddress", "Muazh", "meshzoneaddresses", "mza"),
    _kind("Workload", "Muzhs", "workloads", "wl"),
)
_POLICY = "MPduazh"
_POLICIES = (
    _kind("MeshAccessLog", _POLICY + "s", "meshaccesslogs", "mal"),
    _kind("MeshCircuitBreaker", _POLICY, "meshcircuitbreakers", "mcb"),
    _kind("MeshFaultInjection", _POLICY, "meshfaultinjections", "mfi"),
    _kind("MeshHTTPRoute", _POLICY, "meshhttproutes", "mhttpr"),
    _kind("MeshHealthCheck", _POLICY, "meshhealthchecks", "mhc"),
    _kind("MeshLoadBalancingStrategy", _POLICY, "meshloadbalancingstrategies", "mlbs"),
    _kind("MeshMetric", _POLICY + "s", "meshmetrics", "mm"),
    _kind("MeshPassthrough", _POLICY, "meshpassthroughs", "mp"),
    _kind("MeshProxyPatch", _POLICY, "meshproxypatches", "mpp"),
    _kind("MeshRateLimit", _POLICY, "meshratelimits", "mrl"),
    _kind("MeshRetry", _POLICY, "meshretries", "mr"),
    _kind("MeshTCPRoute", _POLICY, "meshtcproutes", "mtcpr"),
    _kind("MeshTLS", _POLICY, "meshtlses", "mtls"),
    _kind("MeshTimeout", _POLICY, "meshtimeouts", "mt"),
    _kind("MeshTrace", _POLICY + "s", "meshtraces", "mtr"),
    _kind("MeshTrafficPermission", _POLICY, "meshtrafficpermissions", "mtp"),
)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (*_LEGACY, *_CORE, *_POLICIES)}

# Subscribed by a zone: global-owned kinds, and those relayed from other zones. 45.
GLOBAL_TO_ZONE: tuple[str, ...] = tuple(k.name for k in KINDS.values() if k.down or k.across)
# Subscribed by the global. 31.
ZONE_TO_GLOBAL: tuple[str, ...] = tuple(k.name for k in KINDS.values() if k.up)
# Owned by zones and relayed, never global-owned: applied at once, outside a revision.
RELAYED: frozenset[str] = frozenset(k.name for k in KINDS.values() if k.across and not k.down)
# What a proxy is called in the request for its bootstrap -> its kind.
PROXY_TYPES: Mapping[str, str] = {
    "dataplane": "Dataplane",
    "ingress": "ZoneIngress",
    "egress": "ZoneEgress",
}
