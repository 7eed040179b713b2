"""Builtin gateways in the older Inspect API: listeners, hosts, routes, and the policies on the way
to each destination (facts/http-api.md 10). Pure. No proxy of ours is one; zones of Kuma have them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reconciler.model.resource import SERVICE
from reconciler.rest.answer import LISTED, Answer, Endpoint, document
from reconciler.rest.form import head_of
from reconciler.rest.legacy_match import PASS_THROUGH, best_selected, fits, selectors_of
from reconciler.rest.matched import listeners_of, subject_of
from reconciler.rest.reading import wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from reconciler.model.resource import MeshResource
    from reconciler.model.spec import Tags
    from reconciler.rest.answer import Asked
    from reconciler.rest.attachments import Attaching
    from reconciler.rest.catalogue import Catalogue
    from reconciler.rest.matched import Subject

GATEWAY = "MeshGatewayDataplane"
ON_THE_WAY = ("CircuitBreaker", "FaultInjection", "HealthCheck", "RateLimit", "Retry", "Timeout")
OF_HTTP = frozenset({"HTTP", "HTTPS"})
ANY_HOST = "*"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where one route of one host leads. `listener`: port and protocol."""

    listener: tuple[int, str]
    host: str
    route: str
    tags: Tags
    from_tags: Tags  # of the listener, as policies see who calls


def _key(resource: MeshResource | None) -> dict[str, str]:
    if resource is None:
        return {"mesh": "", "name": ""}
    return {"mesh": resource.key.mesh, "name": resource.key.name}


def _destinations(catalogue: Catalogue, subject: Subject) -> Iterator[Destination]:
    gateway = subject.gateway
    if gateway is None:
        return
    routes = catalogue.of("MeshGatewayRoute", gateway.key.mesh)
    for listener, tags in _listeners(gateway, subject):
        protocol = str(listener.get("protocol") or "TCP")
        place = int(listener.get("port") or 0), protocol
        for route in routes:
            if not any(fits(s, tags) for s in selectors_of(route, "selectors")):
                continue
            conf = json.loads(route.body).get("conf") or {}
            part = conf.get("http" if protocol in OF_HTTP else "tcp") or {}
            host, pairs = _host_of(listener, part), tuple(sorted(tags.items()))
            if host is None:
                continue
            for to in _backends(part):
                yield Destination(place, host, route.key.name, to, pairs)


def _listeners(
    gateway: MeshResource, subject: Subject
) -> Iterator[tuple[Mapping[str, Any], dict[str, str]]]:
    own = json.loads(gateway.body or "{}").get("tags") or {}
    for listener in listeners_of(gateway):
        tags: Any = listener.get("tags") or {}
        yield listener, {**dict(subject.spec.gateway_tags), **own, **tags}


def _host_of(listener: Mapping[str, Any], part: Mapping[str, Any]) -> str | None:
    """The listener's; None where the route is for others."""
    own = str(listener.get("hostname") or ANY_HOST)
    named = [str(host) for host in part.get("hostnames") or (ANY_HOST,)]
    return own if any(_meet(own, host) for host in named) else None


def _meet(one: str, other: str) -> bool:
    """Whether there is a name that both hold."""
    if ANY_HOST in (one, other) or one == other:
        return True
    return _holds(one, other) or _holds(other, one)


def _holds(wide: str, name: str) -> bool:
    return wide.startswith("*.") and name.endswith(wide[1:])


def _backends(part: Mapping[str, Any]) -> Iterator[Tags]:
    for rule in part.get("rules") or ():
        mirrored = [
            f["mirror"].get("backend") or {} for f in rule.get("filters") or () if "mirror" in f
        ]
        for backend in (*mirrored, *(rule.get("backends") or ())):
            tags = backend.get("destination") or {}
            if tags:
                yield tuple(sorted((str(k), str(v)) for k, v in tags.items()))


def _on_the_way(attaching: Attaching, to: Destination) -> dict[str, MeshResource]:
    service = dict(to.tags).get(SERVICE, "")
    found = {
        kind: attaching.connections(kind).towards((to.from_tags,), service) for kind in ON_THE_WAY
    }
    return {kind: policy for kind, policy in found.items() if policy is not None}


def _of_proxy(attaching: Attaching, subject: Subject) -> dict[str, MeshResource]:
    """What holds for the gateway as a whole."""
    tags = (subject.spec.gateway_tags,)
    found: dict[str, MeshResource | None] = {
        "TrafficLog": attaching.connections("TrafficLog").towards(tags, PASS_THROUGH),
        "TrafficTrace": best_selected(
            attaching.catalogue.of("TrafficTrace", attaching.mesh), tags, attaching.catalogue.times
        ),
    }
    return {kind: policy for kind, policy in found.items() if policy is not None}


def _tree(
    destinations: Iterator[Destination], leaf: Callable[[Destination], Any]
) -> list[dict[str, Any]]:
    """Listeners, their hosts, their routes, with what `leaf` says of each destination."""
    found: dict[tuple[int, str], dict[str, dict[str, dict[Tags, Any]]]] = {}
    for to in destinations:
        routes = found.setdefault(to.listener, {}).setdefault(to.host, {})
        routes.setdefault(to.route, {})[to.tags] = leaf(to)
    return [
        {"port": port, "protocol": protocol, "hosts": [_host(h, hosts[h]) for h in sorted(hosts)]}
        for (port, protocol), hosts in sorted(found.items())
    ]


def _host(name: str, routes: Mapping[str, Mapping[Tags, Any]]) -> dict[str, Any]:
    shown = [
        {"route": route, "destinations": [said for _, said in sorted(routes[route].items())]}
        for route in sorted(routes)
    ]
    return {"hostName": name, "routes": shown}


def gateway_dataplane(attaching: Attaching, subject: Subject) -> dict[str, object]:
    """The policies of a builtin gateway."""
    catalogue = attaching.catalogue

    def leaf(to: Destination) -> dict[str, object]:
        policies = _on_the_way(attaching, to).items()
        shown = {kind: head_of(policy, catalogue.times(policy)) for kind, policy in policies}
        return {"tags": dict(to.tags), "policies": shown}

    found: dict[str, object] = {
        "kind": GATEWAY,
        "gateway": _key(subject.gateway),
        "listeners": _tree(_destinations(catalogue, subject), leaf),
    }
    whole = _of_proxy(attaching, subject).items()
    policies = {kind: head_of(policy, catalogue.times(policy)) for kind, policy in whole}
    return {**found, "policies": policies} if policies else found


def gateway_entries(
    attaching: Attaching, subject: Subject, policy: MeshResource
) -> list[dict[str, object]]:
    """Where on a builtin gateway a policy is attached; [] for nowhere."""
    kind = policy.key.type
    entry: dict[str, object] = {
        "kind": GATEWAY,
        "dataplane": _key(subject.dataplane),
        "gateway": _key(subject.gateway),
    }
    if _is(policy, _of_proxy(attaching, subject).get(kind)):
        return [entry]
    if kind not in ON_THE_WAY:
        return []
    mine = (
        to
        for to in _destinations(attaching.catalogue, subject)
        if _is(policy, _on_the_way(attaching, to).get(kind))
    )
    listeners = _tree(mine, lambda to: dict(to.tags))
    return [{**entry, "listeners": listeners}] if listeners else []


def _is(policy: MeshResource, other: MeshResource | None) -> bool:
    return other is not None and other.key == policy.key


# --- Dataplanes of a gateway, and of a route ---


def _of_gateway(catalogue: Catalogue, asked: Asked) -> Answer:
    gateway = wanted(catalogue, asked, "MeshGateway")
    chosen = selectors_of(gateway, "selectors")
    return _listed(
        catalogue,
        gateway,
        lambda s: any(fits(each, dict(s.spec.gateway_tags)) for each in chosen or ({},)),
    )


def _of_route(catalogue: Catalogue, asked: Asked) -> Answer:
    route = wanted(catalogue, asked, "MeshGatewayRoute")
    return _listed(
        catalogue,
        route,
        lambda s: any(to.route == route.key.name for to in _destinations(catalogue, s)),
    )


def _listed(
    catalogue: Catalogue, resource: MeshResource, test: Callable[[Subject], bool]
) -> Answer:
    subjects = (subject_of(catalogue, d) for d in catalogue.of("Dataplane", resource.key.mesh))
    found = [s for s in subjects if s.is_builtin and test(s)]
    items = [{"dataplane": _key(subject.dataplane)} for subject in found]
    return document(catalogue, {"total": len(items), "items": items})


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        path="/meshes/{mesh}/meshgateways/{name}/dataplanes",
        answer=_of_gateway,
        says="The Dataplanes of one MeshGateway.",
        returns=LISTED,
    ),
    Endpoint(
        path="/meshes/{mesh}/meshgatewayroutes/{name}/dataplanes",
        answer=_of_route,
        says="The Dataplanes that one MeshGatewayRoute is for.",
        returns=LISTED,
    ),
)
