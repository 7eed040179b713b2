"""targetRef as a union: one class per kind, so that a forgotten case is a type error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.model.decode import DecodeError, list_of, tags_of, text_of
from reconciler.model.resource import Labels

if TYPE_CHECKING:
    from collections.abc import Mapping


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


def target_ref(data: Mapping[str, object]) -> TargetRef:
    """A targetRef's plain data. Raises DecodeError for a kind that does not exist."""
    kind = text_of(data.get("kind"), "targetRef.kind") or "Mesh"
    name = text_of(data.get("name"), "targetRef.name")
    namespace = text_of(data.get("namespace"), "targetRef.namespace")
    section = text_of(data.get("sectionName"), "targetRef.sectionName")
    labels = Labels(tags_of(data.get("labels"), "targetRef.labels"))
    tags = Labels(tags_of(data.get("tags"), "targetRef.tags"))
    proxy_types = tuple(
        text_of(x, "targetRef.proxyTypes")
        for x in list_of(data.get("proxyTypes"), "targetRef.proxyTypes")
    )
    match kind:
        case "Mesh":
            return MeshRef(proxy_types)
        case "Dataplane":
            return DataplaneRef(labels, name, namespace, section)
        case "MeshSubset":
            return MeshSubsetRef(tags, proxy_types)
        case "MeshService" | "MeshExternalService" | "MeshMultiZoneService":
            return ServiceRef(kind, name, namespace, labels, section)
        case "MeshServiceSubset":
            return ServiceSubsetRef(name, tags)
        case "MeshGateway":
            return GatewayRef(name, tags)
        case "MeshHTTPRoute":
            return RouteRef(name, namespace, labels)
        case _:
            raise DecodeError("targetRef.kind", f'there is no kind "{kind}"')
