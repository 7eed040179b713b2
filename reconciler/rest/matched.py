"""Which policies of a kind select a Dataplane, for the Inspect API: any kind, with shadow policies
where somebody asks for them, and builtin gateways, which no proxy of ours is but one of a zone of
Kuma may be. Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from reconciler.match import Selection, precedence, select
from reconciler.model.decode import DecodeError
from reconciler.model.resource import ORIGIN, ZONE, MeshResource
from reconciler.model.spec import DataplaneSpec, Inbound, PolicySpec
from reconciler.model.targetref import (
    DataplaneRef,
    GatewayRef,
    MeshSubsetRef,
    RouteRef,
)
from reconciler.rest import legacy_match
from reconciler.rest.plain_policy import ROUTE, plain
from reconciler.shadow import is_shadow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.rest.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Subject:
    """A Dataplane as policies see it: a builtin gateway with the listeners of its MeshGateway as
    inbounds.
    """

    dataplane: MeshResource
    gateway: MeshResource | None = None
    is_builtin: bool = False

    @property
    def spec(self) -> DataplaneSpec:
        assert isinstance(self.dataplane.spec, DataplaneSpec)
        return self.dataplane.spec


@dataclass(frozen=True, slots=True)
class Matched:
    """Policies of one kind, with plain confs, in ascending precedence. `warnings` tell what could
    not be looked up.
    """

    kind: str
    selections: tuple[Selection, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class Matching:
    """Of one mesh; what many Dataplanes need is looked up once."""

    catalogue: Catalogue
    mesh: str
    shadow: bool = False
    _routes: dict[str, MeshResource] | None = field(default=None, init=False)

    def matched(self, kind: str, subject: Subject) -> Matched:
        return self.among(kind, self.catalogue.of(kind, self.mesh), subject)

    def among(self, kind: str, policies: Iterable[MeshResource], subject: Subject) -> Matched:
        found: list[tuple[MeshResource, tuple[int, ...]]] = []
        warnings: list[str] = []
        for policy in policies:
            if not self.shadow and is_shadow(policy):
                continue
            try:
                inbounds = self.selected(policy, subject)
            except DecodeError as error:
                warnings.append(f"{policy.key.name}: {error}")
                continue
            if inbounds is not None:
                found.append((policy, inbounds))
        ranked = sorted((precedence(_read(p)), i) for i, (p, _) in enumerate(found))
        chosen = [found[i] for _, i in ranked]
        selections = tuple(Selection(plain(policy), inbounds) for policy, inbounds in chosen)
        return Matched(kind, selections, tuple(warnings))

    def selected(self, policy: MeshResource, subject: Subject) -> tuple[int, ...] | None:
        """Indexes of inbounds; None: not for this Dataplane. Raises DecodeError."""
        read = _read(policy)
        assert isinstance(read.spec, PolicySpec)
        target = read.spec.target
        if isinstance(target, RouteRef):
            return self._by_route(target, subject)
        if subject.is_builtin:
            return _of_gateway(read, subject)
        return select(read, subject.dataplane)

    def _by_route(self, target: RouteRef, subject: Subject) -> tuple[int, ...] | None:
        """Whoever the route is for."""
        found = self.route(target.name)
        if found is None:
            raise DecodeError("targetRef", f'there is no MeshHTTPRoute "{target.name}"')
        assert isinstance(found.spec, PolicySpec)
        return None if isinstance(found.spec.target, RouteRef) else self.selected(found, subject)

    def route(self, name: str) -> MeshResource | None:
        """By the name that policies know it by."""
        if self._routes is None:
            self._routes = {}
            for route in self.catalogue.of(ROUTE, self.mesh):
                self._routes.setdefault(route.display_name, route)
        return self._routes.get(name)


def _read(policy: MeshResource) -> MeshResource:
    return policy if isinstance(policy.spec, PolicySpec) else plain(policy)


def selects(matching: Matching, policy: MeshResource, subject: Subject) -> bool:
    """Whether a policy, in force or not, is for a Dataplane."""
    try:
        return matching.selected(policy, subject) is not None
    except DecodeError:
        return False


# --- builtin gateways ---


def subject_of(catalogue: Catalogue, dataplane: MeshResource) -> Subject:
    """Raises nothing: a builtin gateway without a MeshGateway has no listeners."""
    spec = dataplane.spec
    assert isinstance(spec, DataplaneSpec)
    if not spec.gateway or not is_builtin(dataplane):
        return Subject(dataplane)
    gateways = [g for g in catalogue.of("MeshGateway", dataplane.key.mesh) if _near(g, dataplane)]
    found = legacy_match.best_selected(gateways, (spec.gateway_tags,), catalogue.times)
    if found is None:
        return Subject(dataplane, None, is_builtin=True)
    inbounds = tuple(_inbounds(found, spec))
    return Subject(
        replace(dataplane, spec=replace(spec, inbounds=inbounds)), found, is_builtin=True
    )


def gateway_subject(gateway: MeshResource) -> Subject | None:
    """Of a proxy that the gateway's first selector would choose; None where it has none."""
    selectors = legacy_match.selectors_of(gateway, "selectors")
    if not selectors:
        return None
    tags = tuple(sorted(selectors[0].items()))
    spec = DataplaneSpec("", "", (), (), gateway=True, gateway_tags=tags)
    spec = replace(spec, inbounds=tuple(_inbounds(gateway, spec)))
    return Subject(replace(gateway, spec=spec), gateway, is_builtin=True)


def is_builtin(dataplane: MeshResource) -> bool:
    return '"type":"BUILTIN"' in dataplane.body


def listeners_of(gateway: MeshResource) -> list[dict[str, object]]:
    conf = json.loads(gateway.body or "{}").get("conf") or {}
    return list(conf.get("listeners") or ())


def _near(gateway: MeshResource, dataplane: MeshResource) -> bool:
    """One of a zone is for proxies of its zone."""
    if gateway.labels.get(ORIGIN) != "zone":
        return True
    zone = dataplane.labels.get(ZONE)
    return zone is None or gateway.labels.get(ZONE) == zone


def _inbounds(gateway: MeshResource, spec: DataplaneSpec) -> Iterable[Inbound]:
    own = json.loads(gateway.body or "{}").get("tags") or {}
    seen = set()
    for listener in listeners_of(gateway):
        port = listener.get("port")
        tags = {**dict(spec.gateway_tags), **own, **(listener.get("tags") or {})}  # type: ignore[dict-item]
        if not isinstance(port, int):
            continue
        pairs = tuple(sorted((str(key), str(value)) for key, value in tags.items()))
        if (port, pairs) in seen:
            continue
        seen.add((port, pairs))
        protocol = str(listener.get("protocol") or "tcp").lower()
        at = spec.address, port, spec.address, port, spec.advertised_address
        yield Inbound(str(port), *at, pairs, protocol, healthy=True)


def _of_gateway(policy: MeshResource, subject: Subject) -> tuple[int, ...] | None:
    """None where the gateway has no listener that the policy is for."""
    assert isinstance(policy.spec, PolicySpec)
    target, gateway = policy.spec.target, subject.gateway
    if gateway is None or isinstance(target, DataplaneRef):
        return None
    if isinstance(target, GatewayRef):
        if target.name != gateway.display_name:
            return None
        policy = replace(policy, spec=replace(policy.spec, target=MeshSubsetRef(target.tags)))
    return select(policy, subject.dataplane) or None
