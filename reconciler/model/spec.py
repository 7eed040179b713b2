"""Typed, frozen specs of the mesh resources this control plane computes with.

Decoded from plain JSON data by `reconciler.model.decode`. Field names follow Kuma's in snake case.
Kinds that are only carried, not computed with, have `OpaqueSpec`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable

    from reconciler.model.targetref import TargetRef

Tags = tuple[tuple[str, str], ...]  # sorted by key


@dataclass(frozen=True, slots=True)
class CaSource:
    """Where a part of a provided CA is: the name of a Secret of the mesh, or the value itself."""

    secret: str = ""
    inline: bytes = b""


@dataclass(frozen=True, slots=True)
class CaBackend:
    name: str
    type: str  # "builtin" or "provided"
    permissive: bool
    certificate_s: int  # workload certificate lifetime: dpCert.rotation.expiration, default 24 h
    rsa_bits: int = 2048
    ca_lifetime_s: int = 10 * 365 * 86400
    cert: CaSource | None = None  # of a provided CA
    key: CaSource | None = None


@dataclass(frozen=True, slots=True)
class MeshSpec:
    """`mtls` is the enabled backend, or None when mTLS is off. `backends` are all that are listed:
    their CAs are trusted, certificates come from the enabled one.
    """

    mtls: CaBackend | None
    backends: tuple[CaBackend, ...] = ()
    locality_aware: bool = False
    zone_egress: bool = False
    outside_forbidden: bool = False  # MeshExternalServices, for whom nothing else is said
    passthrough: bool = True
    mesh_services_mode: str = "Disabled"
    skip_initial_policies: tuple[str, ...] = ()

    @property
    def by_egress(self) -> bool:
        """Whatever leaves a zone leaves by egresses, which know proxies by mTLS."""
        return self.zone_egress and self.mtls is not None


@dataclass(frozen=True, slots=True)
class ZoneSpec:
    enabled: bool = True


class InboundState(StrEnum):
    READY = "Ready"
    NOT_READY = "NotReady"
    IGNORED = "Ignored"


@dataclass(frozen=True, slots=True)
class Inbound:
    """One inbound with its addresses resolved to what the proxy binds and reaches.

    Kuma's defaulting rules have been applied by `decode`; no field is "inherit" any more.
    """

    name: str  # section name: the inbound's name, else its port number
    address: str  # the sidecar listens here
    port: int
    workload_address: str  # the application listens here
    workload_port: int
    advertised_address: str  # other proxies connect here
    tags: Tags
    protocol: str  # field, else tag kuma.io/protocol, else "tcp"
    healthy: bool  # state Ready and (health absent or ready)
    probed: bool = False  # by a serviceProbe, which decides whether it is healthy
    ignored: bool = False  # nobody is to call it: it makes no names

    @property
    def service(self) -> str:
        return dict(self.tags).get("kuma.io/service", "")


@dataclass(frozen=True, slots=True)
class TagDestination:
    tags: Tags  # kuma.io/service and, for a subset, more


@dataclass(frozen=True, slots=True)
class RefDestination:
    """A real resource (MeshService, MeshExternalService, MeshMultiZoneService)."""

    kind: str
    name: str
    port: int
    labels: Tags = ()


Destination = TagDestination | RefDestination


@dataclass(frozen=True, slots=True)
class Outbound:
    address: str  # default 127.0.0.1
    port: int
    destination: Destination


@dataclass(frozen=True, slots=True)
class ReachableBackend:
    """A real resource that a proxy may call. By `labels`, or by name; `port` 0 is each of its
    ports, `namespace` "" the proxy's own or none.
    """

    kind: str
    name: str = ""
    namespace: str = ""
    port: int = 0
    labels: Tags = ()


@dataclass(frozen=True, slots=True)
class TransparentProxying:
    """What is captured of an application that knows nothing of its proxy. A port of 0: that way is
    not captured.
    """

    redirect_port_inbound: int
    redirect_port_outbound: int
    ipv6: bool = True
    reachable_services: tuple[str, ...] = ()  # services by tag; none: all
    reachable_backends: tuple[ReachableBackend, ...] | None = None  # None: not said
    direct_access: tuple[str, ...] = ()  # services whose instances are called by address; "*": all


@dataclass(frozen=True, slots=True)
class ProbeEndpoint:
    """A path of the probes' port leads to a path of an inbound's application."""

    inbound_port: int  # the application's
    inbound_path: str
    path: str


@dataclass(frozen=True, slots=True)
class Probes:
    """Health checks of applications from outside of the mesh, without mTLS."""

    port: int
    endpoints: tuple[ProbeEndpoint, ...]


@dataclass(frozen=True, slots=True)
class DataplaneSpec:
    address: str
    advertised_address: str  # = address when not given
    inbounds: tuple[Inbound, ...]
    outbounds: tuple[Outbound, ...]
    gateway: bool = False
    gateway_tags: Tags = ()
    admin_port: int = 0  # 0: the default, 9901
    transparent: TransparentProxying | None = None
    probes: Probes | None = None


@dataclass(frozen=True, slots=True)
class AvailableService:
    mesh: str
    tags: Tags
    instances: int
    external: bool = False


@dataclass(frozen=True, slots=True)
class ZoneIngressSpec:
    zone: str  # "" in the zone that owns it, before it is published
    address: str
    port: int
    advertised_address: str  # "" and 0: not reachable from other zones
    advertised_port: int
    available_services: tuple[AvailableService, ...] = ()
    admin_port: int = 0


@dataclass(frozen=True, slots=True)
class ZoneEgressSpec:
    zone: str
    address: str
    port: int
    admin_port: int = 0


@dataclass(frozen=True, slots=True)
class TagsSelector:
    """Proxies with an inbound that has all of them; none selects nothing."""

    tags: Tags


@dataclass(frozen=True, slots=True)
class NameSelector:
    name: str  # of a Dataplane of the mesh, as the zone calls it


@dataclass(frozen=True, slots=True)
class LabelsSelector:
    """Proxies whose labels have all of them; none selects every proxy of the mesh."""

    labels: Tags


ServiceSelector = TagsSelector | NameSelector | LabelsSelector


@dataclass(frozen=True, slots=True)
class ServicePort:
    name: str  # the section name: its own, else its number
    port: int
    target_port: int | str  # an inbound's port or name; 0 is none
    protocol: str


@dataclass(frozen=True, slots=True)
class Identity:
    type: str  # "ServiceTag" or "SpiffeID"
    value: str


@dataclass(frozen=True, slots=True)
class MeshServiceSpec:
    available: bool
    selector: ServiceSelector | None
    ports: tuple[ServicePort, ...]
    identities: tuple[Identity, ...] = ()


@dataclass(frozen=True, slots=True)
class MultiZonePort:
    name: str  # the section name
    port: int
    protocol: str


@dataclass(frozen=True, slots=True)
class MultiZoneSpec:
    """A MeshMultiZoneService: the MeshServices of all zones with these labels are one."""

    match_labels: Tags
    ports: tuple[MultiZonePort, ...]


@dataclass(frozen=True, slots=True)
class ZoneAddressSpec:
    """A MeshZoneAddress: where other zones reach the proxies of a mesh in this one."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of to/from/rules: whom it concerns and the policy's own conf."""

    target: TargetRef  # MeshRef() for rules
    conf: Hashable  # the policy module's conf type
    matches: tuple[Hashable, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """A targetRef policy. Which lists may be filled is checked by the policy's module."""

    target: TargetRef
    to: tuple[Item, ...] = ()
    from_: tuple[Item, ...] = ()
    rules: tuple[Item, ...] = ()
    default: Hashable | None = None


@dataclass(frozen=True, slots=True)
class OpaqueSpec:
    """A kind that is carried but not computed with; its content is the resource's body."""


@dataclass(frozen=True, slots=True)
class InsightSpec:
    """What is counted of a DataplaneInsight, and its message, read when somebody asks."""

    online: bool  # a subscription that began and did not end
    backend: str = ""  # that issued its certificate
    message: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class ExternalTlsSpec:
    """How a service outside of the mesh is spoken to by TLS. Each source is None where none is
    named; one that is named and cannot be read leaves its endpoint out.
    """

    ca: CaSource | None = None
    cert: CaSource | None = None
    key: CaSource | None = None
    server_name: str = ""
    sans: Tags = ()  # further names that its certificate may have: Exact or Prefix, and the value
    any_name: bool = False  # whatever names its certificate has
    system_ca: bool = False  # without a CA: those that its host trusts; otherwise any
    allow_renegotiation: bool = False
    least: str = ""  # version, as Envoy calls it
    most: str = ""


@dataclass(frozen=True, slots=True)
class ExternalServiceSpec:
    """`named`: its host is a name of the mesh, too (not networking.disableHostDNSEntry)."""

    host: str
    port: int
    tags: Tags
    tls: ExternalTlsSpec | None = None
    named: bool = True


@dataclass(frozen=True, slots=True)
class MeshExternalServiceSpec:
    """`endpoints`: address, port and priority of each."""

    port: int
    protocol: str
    endpoints: tuple[tuple[str, int, int], ...]
    tls: ExternalTlsSpec | None = None


@dataclass(frozen=True, slots=True)
class VirtualOutboundSpec:
    """`parameters`: a name in the templates, and the tag whose value it has."""

    selectors: tuple[Tags, ...]  # of services; a value may be `*`
    host: str  # a template, as `port` is
    port: str
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class HostnameGeneratorSpec:
    """`selectors`: by kind the labels of the resources that it names; none: all of them."""

    selectors: tuple[tuple[str, Tags], ...]
    template: str


ZoneProxySpec = ZoneIngressSpec | ZoneEgressSpec
ServiceSpec = MeshServiceSpec | MultiZoneSpec | ZoneAddressSpec
Spec = (
    MeshSpec
    | ZoneSpec
    | DataplaneSpec
    | ZoneProxySpec
    | ServiceSpec
    | ExternalServiceSpec
    | MeshExternalServiceSpec
    | VirtualOutboundSpec
    | HostnameGeneratorSpec
    | PolicySpec
    | OpaqueSpec
    | InsightSpec
)
