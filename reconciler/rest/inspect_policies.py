"""`_policies` and `_routes` of the Inspect API: the confs in force at one place of a Dataplane: the
proxy itself, an inbound, an outbound, a route (facts/http-api.md 10). Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reconciler.rest import kri
from reconciler.rest.answer import (
    Answer,
    Endpoint,
    Invalid,
    Refused,
    bad_request,
    document,
    object_of,
)
from reconciler.rest.inspect_rules import only_real
from reconciler.rest.matched import Matched, Matching, subject_of
from reconciler.rest.plain_policy import ORDER, ROUTE, TCP_ROUTE
from reconciler.rest.reading import mesh_of, wanted
from reconciler.rest.resource_rules import Reader, kri_of, places, resource_rules, rule_at
from reconciler.rest.rule_views import (
    by_caller,
    confs_of,
    matches_hash,
    origins_of,
    proxy_conf,
    said,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from reconciler.model.resource import MeshResource
    from reconciler.rest.answer import Asked
    from reconciler.rest.catalogue import Catalogue
    from reconciler.rest.kri import Kri
    from reconciler.rest.matched import Subject
    from reconciler.rest.resource_rules import Rule
    from reconciler.rules import Entry

ROUTES = (ROUTE, TCP_ROUTE)
OTHERS = tuple(kind for kind in ORDER if kind not in ROUTES)


class _Place:
    """What one request is about: a Dataplane of a mesh that knows real resources only."""

    def __init__(self, catalogue: Catalogue, asked: Asked) -> None:
        mesh = mesh_of(catalogue, asked)
        dataplane = wanted(catalogue, asked, "Dataplane")
        need_real(catalogue, mesh)
        self.mesh, self.asked = mesh, asked
        self.subject: Subject = subject_of(catalogue, dataplane)
        self.matching, self.reader = Matching(catalogue, mesh), Reader(catalogue, mesh)

    def matched(self, kinds: Sequence[str]) -> Iterator[Matched]:
        return (self.matching.matched(kind, self.subject) for kind in kinds)

    def kri(self, place: str) -> Kri:
        return kri_in(self.asked, place)

    def rule(self, matched: Matched, *ids: Kri) -> Rule | None:
        return rule_at(resource_rules(matched.selections, self.reader), *ids)


def kri_in(asked: Asked, place: str) -> Kri:
    found = kri.parsed(asked.places[place])
    if found is None:
        text = "not a resource identifier: kri_<type>_<mesh>_<zone>_<namespace>_<name>_<section>"
        raise bad_request(text, Invalid(place, text))
    return found


def need_real(catalogue: Catalogue, mesh: str) -> None:
    if not only_real(catalogue, mesh):
        raise bad_request(f'needs meshServices.mode: Exclusive in mesh "{mesh}"')


def _of_proxy(catalogue: Catalogue, asked: Asked) -> Answer:
    found = []
    for matched in _Place(catalogue, asked).matched(ORDER):
        conf = proxy_conf(matched)
        if conf is not None:
            found.append(_policy(matched.kind, conf[0], conf[1]))
    return document(catalogue, {"policies": found})


def _of_inbound(catalogue: Catalogue, asked: Asked) -> Answer:
    place = _Place(catalogue, asked)
    index = _inbound(place, place.kri("inbound"))
    found = []
    for matched in place.matched(ORDER):
        rules = by_caller(matched, index)
        if rules:
            shown = [{"conf": r.conf.value, "kri": str(kri_of(r.policy))} for r, _ in rules]
            policies = {rule.policy.key: rule.policy for rule, _ in rules}
            origins = _origins(policies.values())
            found.append({"kind": matched.kind, "origins": origins, "rules": shown})
    return document(catalogue, {"policies": found})


def _inbound(place: _Place, wanted_kri: Kri) -> int:
    for index, inbound in enumerate(place.subject.spec.inbounds):
        if wanted_kri.section in ("", inbound.name):
            return index
    raise Refused(404, "Could not retrieve an inbound", f"no inbound {wanted_kri.section}")


def _of_outbound(catalogue: Catalogue, asked: Asked) -> Answer:
    place = _Place(catalogue, asked)
    ids = places(place.kri("outbound"), place.mesh)
    return document(catalogue, {"policies": list(_at(place, ORDER, ids))})


def _of_route(catalogue: Catalogue, asked: Asked) -> Answer:
    place = _Place(catalogue, asked)
    ids = place.kri("route"), *places(place.kri("outbound"), place.mesh)
    return document(catalogue, {"policies": list(_at(place, OTHERS, ids))})


def _at(place: _Place, kinds: Sequence[str], ids: tuple[Kri, ...]) -> Iterator[dict[str, Any]]:
    for matched in place.matched(kinds):
        rule = place.rule(matched, *ids)
        if rule is not None:
            yield _policy(matched.kind, confs_of(matched.kind, rule[1]), _contributors(rule[1]))


def _routes(catalogue: Catalogue, asked: Asked) -> Answer:
    place = _Place(catalogue, asked)
    ids = places(place.kri("outbound"), place.mesh)
    found = []
    for matched in place.matched(ROUTES):
        rule = place.rule(matched, *ids)
        if rule is None:
            continue
        show = _http_rules if matched.kind == ROUTE else _tcp_rules
        origins = _origins(_contributors(rule[1]))
        found.append({"kind": matched.kind, "origins": origins, "rules": show(rule[1])})
    return document(catalogue, {"routes": found})


def _http_rules(entries: tuple[Entry, ...]) -> list[dict[str, Any]]:
    """Each with the last policy that said something of it."""
    last = {matches_hash(rule): e.policy for e in entries for rule in said(e).value["rules"]}
    return [
        {
            "conf": rule["default"],
            "kri": str(kri_of(last[matches_hash(rule)])),
            "matches": rule["matches"],
        }
        for conf in confs_of(ROUTE, entries)
        for rule in conf["rules"]
    ]


def _tcp_rules(entries: tuple[Entry, ...]) -> list[dict[str, Any]]:
    kri_ = str(kri_of(entries[-1].policy))
    return [
        {"conf": conf.get("default") or {}, "kri": kri_, "matches": []}
        for conf in confs_of(TCP_ROUTE, entries)
    ]


def _policy(kind: str, conf: Any, policies: Iterable[MeshResource]) -> dict[str, Any]:
    return {"conf": conf, "kind": kind, "origins": _origins(policies)}


def _contributors(entries: Iterable[Entry]) -> list[MeshResource]:
    return [origin.policy for origin in origins_of(entries)]


def _origins(policies: Iterable[MeshResource]) -> list[dict[str, str]]:
    return [{"kri": str(kri_of(policy))} for policy in policies]


_BASE = "/meshes/{mesh}/dataplanes/{name}"
_PLACES: tuple[tuple[str, Callable[[Catalogue, Asked], Answer], str], ...] = (
    ("/_policies", _of_proxy, "Confs of the proxy itself."),
    ("/_inbounds/{inbound}/_policies", _of_inbound, "Confs of one inbound."),
    ("/_outbounds/{outbound}/_policies", _of_outbound, "Confs of one outbound."),
    ("/_outbounds/{outbound}/_routes", _routes, "Routes of one outbound."),
    ("/_outbounds/{outbound}/_routes/{route}/_policies", _of_route, "Confs of one route."),
)
ENDPOINTS: tuple[Endpoint, ...] = tuple(
    Endpoint(
        path=f"{_BASE}{path}",
        answer=answer,
        says=says,
        returns=object_of(**{"routes" if answer is _routes else "policies": "array"}),
    )
    for path, answer, says in _PLACES
)
