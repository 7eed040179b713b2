"""The policies that every mesh begins with, and the names that the global gives to what zones sync:
computed with each revision, never stored. Pure.

The bodies are those of Kuma 2.14.3 (facts/policies.md 4.1, 4.2), to the letter of its durations, so
that a zone sees no difference between the two globals. What the repository holds under the same
name is in force instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from reconciler.decode import mesh_resource
from reconciler.duration import parse_duration
from reconciler.model.resource import Labels, MeshResource, ResourceKey
from reconciler.model.spec import MeshSpec, PolicySpec
from reconciler.model.targetref import MeshRef
from reconciler.problems import Position, Problem, Severity
from reconciler.shadow import is_shadow

if TYPE_CHECKING:
    from reconciler.load import Loaded
    from reconciler.model.spec import Spec

ALL_TYPES = "*"
_PROXY_TYPES = ("Sidecar", "Gateway")
Data = Mapping[str, object]
_MESH: Data = {"kind": "Mesh"}
_RETRIES: Data = {
    "numRetries": 5,
    "perTryTimeout": "16s",
    "backOff": {"baseInterval": "25ms", "maxInterval": "250ms"},
}


def _for_all(section: str, default: Data) -> Data:
    return {section: [{"targetRef": _MESH, "default": default}]}


_SIDECARS: Data = {
    "targetRef": {"kind": "Mesh", "proxyTypes": ["Sidecar"]},
    **_for_all(
        "from",
        {
            "connectionTimeout": "10s",
            "idleTimeout": "2h0m0s",
            "http": {
                "requestTimeout": "0s",
                "streamIdleTimeout": "1h0m0s",
                "maxStreamDuration": "0s",
            },
        },
    ),
    **_for_all(
        "to",
        {
            "connectionTimeout": "5s",
            "idleTimeout": "1h0m0s",
            "http": {"requestTimeout": "15s", "streamIdleTimeout": "30m0s"},
        },
    ),
}
_GATEWAYS: Data = {
    "targetRef": {"kind": "Mesh", "proxyTypes": ["Gateway"]},
    **_for_all(
        "from",
        {
            "idleTimeout": "5m0s",
            "http": {"streamIdleTimeout": "5s", "requestHeadersTimeout": "500ms"},
        },
    ),
    **_for_all("to", {"idleTimeout": "1h0m0s", "http": {"streamIdleTimeout": "5s"}}),
}
_LIMITS: Data = {
    "maxConnections": 1024,
    "maxPendingRequests": 1024,
    "maxRequests": 1024,
    "maxRetries": 3,
}
# (type, beginning of the name, spec)
_OF_A_MESH: tuple[tuple[str, str, Data], ...] = (
    ("MeshTimeout", "mesh-timeout-all", _SIDECARS),
    ("MeshTimeout", "mesh-gateways-timeout-all", _GATEWAYS),
    (
        "MeshCircuitBreaker",
        "mesh-circuit-breaker-all",
        {"targetRef": _MESH, **_for_all("to", {"connectionLimits": _LIMITS})},
    ),
    (
        "MeshRetry",
        "mesh-retry-all",
        {
            "targetRef": _MESH,
            **_for_all("to", {"tcp": {"maxConnectAttempt": 5}, "http": _RETRIES, "grpc": _RETRIES}),
        },
    ),
)
_TYPES = frozenset(("HostnameGenerator", *(type_ for type_, _, _ in _OF_A_MESH)))
_ORIGIN = {"kuma.io/origin": "global"}
_KUBERNETES = {**_ORIGIN, "kuma.io/env": "kubernetes"}
_HEADLESS = "k8s.kuma.io/is-headless-service"
# (name, what it names, labels of that, template)
_HOSTNAMES: tuple[tuple[str, str, Mapping[str, str], str], ...] = (
    (
        "synced-mesh-multi-zone-service",
        "meshMultiZoneService",
        _ORIGIN,
        "{{ .DisplayName }}.mzsvc.mesh.local",
    ),
    (
        "synced-kube-mesh-service",
        "meshService",
        {**_KUBERNETES, _HEADLESS: "false"},
        "{{ .DisplayName }}.{{ .Namespace }}.svc.{{ .Zone }}.mesh.local",
    ),
    (
        "synced-headless-kube-mesh-service",
        "meshService",
        {**_KUBERNETES, _HEADLESS: "true"},
        '{{ label "statefulset.kubernetes.io/pod-name" }}.'
        '{{ label "k8s.kuma.io/service-name" }}.{{ .Namespace }}.svc.{{ .Zone }}.mesh.local',
    ),
    (
        "synced-universal-mesh-service",
        "meshService",
        {**_ORIGIN, "kuma.io/env": "universal"},
        "{{ .DisplayName }}.svc.{{ .Zone }}.mesh.local",
    ),
    (
        "synced-mesh-external-service",
        "meshExternalService",
        _ORIGIN,
        "{{ .DisplayName }}.extsvc.mesh.local",
    ),
)
# Those that a zone makes, for what is its own.
_OF_A_ZONE: tuple[tuple[str, str, str], ...] = (
    ("local-mesh-external-service", "meshExternalService", "extsvc"),
    ("local-universal-mesh-service", "meshService", "svc"),
)


def zone_generators(zone: str) -> tuple[MeshResource, ...]:
    """The names that a zone gives to its own services (facts/dataplane-wire.md 2.9)."""
    labels = Labels.of({"kuma.io/origin": "zone", "kuma.io/zone": zone})
    return tuple(
        mesh_resource(
            ResourceKey("HostnameGenerator", "", name),
            labels,
            {
                "selector": {kind: {"matchLabels": {"kuma.io/origin": "zone"}}},
                "template": f"{{{{ .DisplayName }}}}.{domain}.mesh.local",
            },
        )
        for name, kind, domain in _OF_A_ZONE
    )


def with_defaults(resources: Iterable[MeshResource]) -> tuple[MeshResource, ...]:
    """The resources of a repository and the defaults beside them; what was written wins."""
    written = tuple(resources)
    rivals = (r for r in written if r.key.type in _TYPES)
    held = {(r.key.type, r.key.mesh, name) for r in rivals for name in _names(r)}
    made = (
        resource
        for resource in (*_hostname_generators(), *_policies(written))
        if (resource.key.type, resource.key.mesh, resource.key.name) not in held
    )
    return (*written, *made)


def _names(resource: MeshResource) -> tuple[str, str]:
    """A default exported from a Kuma on Kubernetes has its name with that of the namespace."""
    return resource.key.name, resource.display_name


def _hostname_generators() -> Iterator[MeshResource]:
    for name, kind, labels, template in _HOSTNAMES:
        spec = {"selector": {kind: {"matchLabels": labels}}, "template": template}
        yield mesh_resource(ResourceKey("HostnameGenerator", "", name), Labels(), spec)


def _policies(resources: Iterable[MeshResource]) -> Iterator[MeshResource]:
    for mesh in resources:
        if not isinstance(mesh.spec, MeshSpec):
            continue
        skipped = mesh.spec.skip_initial_policies
        for type_, begin, spec in _OF_A_MESH:
            if ALL_TYPES not in skipped and type_ not in skipped:
                key = ResourceKey(type_, mesh.key.name, f"{begin}-{mesh.key.name}")
                yield mesh_resource(key, Labels(), spec)


# --- policies that a default overrides ---


def with_warnings(loaded: Loaded) -> Loaded:
    """What was loaded, and a warning for each policy for the whole mesh that comes behind a default
    in the order of names, and so loses what both say. As in Kuma; there it is silent.
    """
    found = strong_defaults(loaded.resources)
    warnings = overridden(loaded.resources, loaded.provenance, found)
    return replace(loaded, problems=tuple(sorted((*loaded.problems, *warnings))))


@dataclass(frozen=True, slots=True)
class StrongDefaults:
    """What a policy may lose against: the defaults in force by type and mesh, and the meshes where
    services are tags. `names` are (type, mesh, name) of all defaults there could be.
    """

    in_force: Mapping[tuple[str, str], tuple[MeshResource, ...]]
    tagged: frozenset[str]
    names: frozenset[tuple[str, str, str]]


def strong_defaults(resources: Iterable[MeshResource]) -> StrongDefaults:
    """Of all resources of a repository."""
    written = tuple(resources)
    meshes = tuple(r for r in written if isinstance(r.spec, MeshSpec))
    tagged = (
        r.key.name
        for r in meshes
        if isinstance(r.spec, MeshSpec) and r.spec.mesh_services_mode == "Disabled"
    )
    in_force: dict[tuple[str, str], tuple[MeshResource, ...]] = {}
    for default in with_defaults(written)[len(written) :]:
        if default.key.mesh:
            at = default.key.type, default.key.mesh
            in_force[at] = (*in_force.get(at, ()), default)
    every = (*_hostname_generators(), *_policies(meshes))
    names = frozenset((d.key.type, d.key.mesh, d.key.name) for d in every)
    return StrongDefaults(in_force, frozenset(tagged), names)


def has_default_name(resource: MeshResource, found: StrongDefaults) -> bool:
    """Whether a default gives way to it, or would if it were in force."""
    type_, mesh = resource.key.type, resource.key.mesh
    return any((type_, mesh, name) in found.names for name in _names(resource))


_UNENFORCED = (
    "takes the place of a default policy of the mesh and is not enforced, so that neither is; "
    "choose another name"
)


def overridden(
    written: Iterable[MeshResource],
    places: Mapping[ResourceKey, Position],
    found: StrongDefaults,
) -> Iterator[Problem]:
    """A warning for each of these that loses what it says, or takes a default out of force."""
    for resource in written:
        if is_shadow(resource) and has_default_name(resource, found):
            yield Problem(places[resource.key], "SHD003", _UNENFORCED, Severity.WARNING)
        for default in found.in_force.get((resource.key.type, resource.key.mesh), ()):
            if resource.display_name <= default.key.name or not _is_for_the_mesh(resource.spec):
                continue
            by_tags = resource.key.mesh in found.tagged
            lost = _lost(resource.body, default.body, by_tags=by_tags)
            if lost:
                text = (
                    f"{', '.join(lost)}: the default policy {default.key.name} sets it, too, and "
                    f"of two policies for the mesh the name that sorts first wins; choose a name "
                    f"before it, or add {resource.key.type} to skipCreatingInitialPolicies of "
                    f"the Mesh"
                )
                yield Problem(places[resource.key], "DOC014", text, Severity.WARNING)


def _is_for_the_mesh(spec: Spec) -> bool:
    """As far as can be told without reading the body."""
    return not isinstance(spec, PolicySpec) or isinstance(spec.target, MeshRef)


@lru_cache(maxsize=20_000)
def _lost(body: str, default: str, *, by_tags: bool) -> tuple[str, ...]:
    """What both set, differently, and for the same proxies. `by_tags`: an item for one service has
    no advantage over one for the mesh, as it has where services are resources.
    """
    mine, other = json.loads(body), json.loads(default)
    target = _fields(mine.get("targetRef")) or _MESH
    if target.get("kind", "Mesh") != "Mesh" or not _proxies(target) & _proxies(other["targetRef"]):
        return ()
    lost: dict[str, None] = {}
    for section, names in (("to", ("to",)), ("from", ("from", "rules"))):
        strong = _said(other.get(section), by_tags)
        for at, value in (said for name in names for said in _said(mine.get(name), by_tags)):
            if any(place == at and _meant(kept) != _meant(value) for place, kept in strong):
                lost[at] = None
    return tuple(lost)


def _fields(value: object) -> Data:
    return value if isinstance(value, Mapping) else {}


def _proxies(target: Data) -> frozenset[str]:
    """A type without a schema may have anything here."""
    named = target.get("proxyTypes")
    return frozenset(map(str, named if isinstance(named, list) and named else _PROXY_TYPES))


def _meant(value: object) -> object:
    """`1h` and `1h0m0s` are the same."""
    span = parse_duration(value) if isinstance(value, str) else None
    return value if span is None else span


def _said(items: object, by_tags: bool) -> list[tuple[str, object]]:
    """What the items of a section set: `http.requestTimeout` and its value."""
    found = [_fields(item) for item in items] if isinstance(items, list) else []
    return [
        pair
        for item in found
        if by_tags or (_fields(item.get("targetRef")) or _MESH).get("kind") == "Mesh"
        for pair in _flat("", item.get("default"))
    ]


def _flat(at: str, value: object) -> list[tuple[str, object]]:
    if not isinstance(value, Mapping):
        return [(at, value)]
    inner = ((f"{at}.{name}" if at else str(name), part) for name, part in value.items())
    return [pair for place, part in inner for pair in _flat(place, part)]
