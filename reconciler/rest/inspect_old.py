"""The older Inspect API: policies and rules of a Dataplane, Dataplanes of a policy, as `kumactl
inspect` reads them (facts/http-api.md 10). Pure.
"""

from __future__ import annotations

from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

from reconciler.model.kinds import KINDS
from reconciler.model.resource import SERVICE
from reconciler.model.spec import TagDestination
from reconciler.rest.answer import LISTED, Answer, Endpoint, document, object_of
from reconciler.rest.attachments import INSPECTED, LEGACY, Attaching, Attachment
from reconciler.rest.form import head_of
from reconciler.rest.gateway_view import gateway_dataplane, gateway_entries
from reconciler.rest.matched import Matching, subject_of
from reconciler.rest.metadata import LISTS
from reconciler.rest.plain_policy import ORDER
from reconciler.rest.reading import wanted
from reconciler.rest.rule_views import from_rules, policies_of, proxy_conf, rule_for, to_rules
from xds import names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.model.resource import MeshResource
    from reconciler.model.spec import DataplaneSpec, Tags
    from reconciler.rest.answer import Asked
    from reconciler.rest.catalogue import Catalogue
    from reconciler.rest.matched import Matched, Subject
    from reconciler.rest.rule_views import Subset

SIDECAR = "SidecarDataplane"


def key_of(resource: MeshResource) -> dict[str, str]:
    return {"mesh": resource.key.mesh, "name": resource.key.name}


# --- policies of a Dataplane ---


def _policies(catalogue: Catalogue, asked: Asked) -> Answer:
    dataplane = wanted(catalogue, asked, "Dataplane")
    subject = subject_of(catalogue, dataplane)
    attaching = Attaching(catalogue, dataplane.key.mesh)
    if subject.is_builtin:
        return document(catalogue, gateway_dataplane(attaching, subject))
    found: dict[Attachment, dict[str, list[object]]] = defaultdict(dict)
    for kind in sorted(INSPECTED):
        for place, policy in attaching.of(kind, subject):
            meta = head_of(policy, catalogue.times(policy))
            found[place].setdefault(kind, []).append(meta)
    items = [{**place.shown(), "matchedPolicies": found[place]} for place in _sorted(found)]
    return document(catalogue, {"kind": SIDECAR, "total": len(items), "items": items})


def _sorted(places: Any) -> list[Attachment]:
    return sorted(places, key=lambda place: (place.type, place.name, place.service))


# --- Dataplanes of a policy ---


def _dataplanes(type_: str, catalogue: Catalogue, asked: Asked) -> Answer:
    policy = wanted(catalogue, asked, type_)
    attaching = Attaching(catalogue, policy.key.mesh)
    items: list[dict[str, object]] = []
    for dataplane in catalogue.of("Dataplane", policy.key.mesh):
        subject = subject_of(catalogue, dataplane)
        if subject.is_builtin:
            items += gateway_entries(attaching, subject, policy)
            continue
        places = _attached(attaching, policy, subject)
        if places:
            shown = [place.shown() for place in _sorted(places)]
            items.append({"kind": SIDECAR, "dataplane": key_of(dataplane), "attachments": shown})
    return document(catalogue, {"total": len(items), "items": items})


def _attached(attaching: Attaching, policy: MeshResource, subject: Subject) -> list[Attachment]:
    kind = policy.key.type
    if kind in LISTS:  # None of them keeps another one away.
        matched = attaching.matching.among(kind, (policy,), subject)
        return [Attachment("dataplane")] if matched.selections else []
    return [place for place, found in attaching.of(kind, subject) if found.key == policy.key]


# --- rules of a Dataplane ---


def _rules(catalogue: Catalogue, asked: Asked) -> Answer:
    dataplane = wanted(catalogue, asked, "Dataplane")
    subject = subject_of(catalogue, dataplane)
    matching = Matching(catalogue, dataplane.key.mesh)
    items: list[dict[str, object]] = []
    for kind in sorted(ORDER):
        matched = matching.matched(kind, subject)
        items += _inbound_rules(matched, subject)
        items += _outbound_rules(matched, matching, subject.spec)
        conf = proxy_conf(matched)
        if conf is not None:
            origins = [key_of(policy) for policy in conf[1]]
            items.append({"type": "SingleItem", **_says(kind, {}, conf[0]), "origins": origins})
    items.sort(key=lambda item: (str(item.get("name", "")), str(item["type"])))
    return document(catalogue, {"total": len(items), "items": items})


def _inbound_rules(matched: Matched, subject: Subject) -> Iterator[dict[str, object]]:
    for index, inbound in enumerate(subject.spec.inbounds):
        for rule in from_rules(matched, index):
            yield {
                "type": "ClientSubset",
                "name": _cluster(inbound.tags),
                "addresses": [f"{inbound.address}:{inbound.port}"],
                "service": inbound.service,
                "tags": dict(inbound.tags),
                **_rule(matched.kind, rule),
            }


def _outbound_rules(
    matched: Matched, matching: Matching, spec: DataplaneSpec
) -> Iterator[dict[str, object]]:
    rules = to_rules(matched, matching.route)
    found: dict[str, dict[str, Any]] = {}
    for outbound in spec.outbounds if rules else ():
        if not isinstance(outbound.destination, TagDestination):
            continue
        tags = outbound.destination.tags
        name, at = _cluster(tags), f"{outbound.address}:{outbound.port}"
        rule = rule_for(rules, tags)
        if rule is None:
            continue
        shown = found.setdefault(
            name,
            {
                "type": "DestinationSubset",
                "name": name,
                "addresses": [],
                "service": dict(tags).get(SERVICE, ""),
                "tags": dict(tags),
                **_rule(matched.kind, rule),
            },
        )
        if at not in shown["addresses"]:
            shown["addresses"].append(at)
    yield from found.values()


def _cluster(tags: Tags) -> str:
    """An inbound need not have a service where the mesh knows real resources only."""
    return names.cluster_name(tags) if SERVICE in dict(tags) else ""


def _rule(kind: str, rule: Subset) -> dict[str, object]:
    subset = {**dict(rule.positive), **{key: f"!{value}" for key, value in rule.negative}}
    origins = [key_of(policy) for policy in policies_of(rule.origins)]
    return {**_says(kind, subset, rule.conf), "origins": origins}


def _says(kind: str, subset: dict[str, str], conf: object) -> dict[str, object]:
    return {"policyType": kind, "subset": subset, "conf": conf}


def _endpoints() -> Iterator[Endpoint]:
    base = "/meshes/{mesh}/dataplanes/{name}"
    says = "The policies attached to one Dataplane, by place."
    yield Endpoint(
        path=f"{base}/policies", answer=_policies, says=says, returns=object_of(kind="string")
    )
    says = "The rules of one Dataplane, by place."
    yield Endpoint(path=f"{base}/rules", answer=_rules, says=says, returns=LISTED)
    for type_ in sorted({*LISTS, *LEGACY}):
        path = f"/meshes/{{mesh}}/{KINDS[type_].path}/{{name}}/dataplanes"
        says = f"The Dataplanes that one {type_} is attached to, and where."
        yield Endpoint(path=path, answer=partial(_dataplanes, type_), says=says, returns=LISTED)


ENDPOINTS: tuple[Endpoint, ...] = tuple(_endpoints())
