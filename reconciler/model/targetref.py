"""targetRef as a union: one class per kind, so that a forgotten case is a type error."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.resource import Labels


@dataclass(frozen=True, slots=True)
class MeshRef:
    proxy_types: tuple[str, ...] = ()  # "Sidecar", "Gateway"; empty: all


@dataclass(frozen=True, slots=True)
class DataplaneRef:
    """By labels or by name; neither means all. `section` picks one inbound by name or port."""

    labels: Labels = Labels()
    name: str = ""
    namespace: str = ""
    section: str = ""


@dataclass(frozen=True, slots=True)
class MeshSubsetRef:
    tags: Labels = Labels()
    proxy_types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceRef:
    """MeshService, MeshExternalService or MeshMultiZoneService, by name or labels."""

    kind: str
    name: str = ""
    namespace: str = ""
    labels: Labels = Labels()
    section: str = ""


@dataclass(frozen=True, slots=True)
class ServiceSubsetRef:
    """MeshServiceSubset: a service by its tag, narrowed by more tags."""

    name: str
    tags: Labels = Labels()


@dataclass(frozen=True, slots=True)
class GatewayRef:
    name: str
    tags: Labels = Labels()


@dataclass(frozen=True, slots=True)
class RouteRef:
    """MeshHTTPRoute as a target."""

    name: str = ""
    namespace: str = ""
    labels: Labels = Labels()


TargetRef = (
    MeshRef | DataplaneRef | MeshSubsetRef | ServiceRef | ServiceSubsetRef | GatewayRef | RouteRef
)
