"""`_rules` of the Inspect API: what all policies say of one Dataplane, by kind
(facts/http-api.md 10). Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from reconciler.model.resource import ResourceKey
from reconciler.model.spec import MeshSpec
from reconciler.rest.answer import Endpoint, Refused, document, object_of
from reconciler.rest.form import meta_of
from reconciler.rest.matched import Matching, Subject, gateway_subject, subject_of
from reconciler.rest.plain_policy import ORDER, ROUTE
from reconciler.rest.reading import wanted
from reconciler.rest.resource_rules import Reader, resource_rules
from reconciler.rest.rule_views import (
    by_caller,
    confs_of,
    from_rules,
    matches_hash,
    origins_of,
    policies_of,
    proxy_conf,
    to_rules,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from reconciler.model.spec import Inbound
    from reconciler.policies.inbound_match import InboundMatch
    from reconciler.rest.answer import Answer, Asked
    from reconciler.rest.catalogue import Catalogue
    from reconciler.rest.matched import Matched
    from reconciler.rest.resource_rules import Rule
    from reconciler.rest.rule_views import Origin, Subset

EXCLUSIVE = "Exclusive"


def only_real(catalogue: Catalogue, mesh: str) -> bool:
    """Whether the mesh knows real resources only, and no services by tag."""
    found = catalogue.get(ResourceKey("Mesh", "", mesh))
    spec = found.spec if found is not None else None
    return isinstance(spec, MeshSpec) and spec.mesh_services_mode == EXCLUSIVE


@dataclass(slots=True)
class _View:
    """Of one Dataplane. `matches`: of all HTTP routes, by what their rules are called."""

    matching: Matching
    subject: Subject
    reader: Reader
    by_tags: bool
    matches: dict[str, Any] = field(default_factory=dict)

    def of_kind(self, kind: str) -> dict[str, object] | None:
        """None where no policy of the kind says anything."""
        matched = self.matching.matched(kind, self.subject)
        by_tags = to_rules(matched, self.matching.route) if matched.selections else ()
        found = {
            "fromRules": list(self._from(matched)),
            "inboundRules": list(self._inbound(matched)),
            "toResourceRules": self._resources(matched),
            "toRules": [_rule(rule) for rule in by_tags] if self.by_tags else [],
        }
        proxy = proxy_conf(matched)
        if kind == ROUTE:
            self._remember(rule.conf for rule in by_tags)
            self._remember(c for rule in found["toResourceRules"] for c in rule["conf"])
        if proxy is None and not any(found.values()):
            return None
        if proxy is not None:
            found["proxyRule"] = {  # type: ignore[assignment]
                "conf": proxy[0],
                "origin": [meta_of(policy) for policy in proxy[1]],
            }
        return {**dict(sorted(found.items())), "type": kind, "warnings": list(matched.warnings)}

    def _from(self, matched: Matched) -> Iterable[dict[str, Any]]:
        for index, inbound in self._by_port():
            rules = [_rule(rule) for rule in from_rules(matched, index)]
            if rules:
                yield {"inbound": self._named(inbound), "rules": rules}

    def _inbound(self, matched: Matched) -> Iterable[dict[str, Any]]:
        for index, inbound in self._by_port():
            rules = []
            for rule, place in by_caller(matched, index):
                shown = {"conf": [rule.conf.value]}
                if rule.match is not None:
                    shown["match"] = match_of(rule.match)  # type: ignore[assignment]
                origin = {"resourceMeta": meta_of(rule.policy), "ruleIndex": place}
                rules.append({**shown, "origin": [origin]})
            if rules:
                yield {"inbound": self._named(inbound), "rules": rules}

    def _resources(self, matched: Matched) -> list[dict[str, Any]]:
        rules = resource_rules(matched.selections, self.reader).values()
        return [
            {
                "conf": confs_of(matched.kind, entries),
                "origin": [_origin(origin) for origin in origins_of(entries)],
                "resourceMeta": meta_of(section.resource),
                "resourceSectionName": section.name,
            }
            for section, entries in sorted(rules, key=_by_name)
        ]

    def _by_port(self) -> list[tuple[int, Inbound]]:
        return sorted(enumerate(self.subject.spec.inbounds), key=lambda each: each[1].port)

    def _named(self, inbound: Inbound) -> dict[str, object]:
        spec = self.subject.spec
        tags = spec.gateway_tags if spec.gateway else inbound.tags
        shown: dict[str, object] = {"port": inbound.port, "tags": dict(tags)}
        given = inbound.name != str(inbound.port)
        return {"name": inbound.name, **shown} if given else shown

    def _remember(self, confs: Iterable[Any]) -> None:
        for conf in confs:
            for rule in conf["rules"]:
                self.matches[matches_hash(rule)] = rule["matches"]


def _by_name(rule: Rule) -> tuple[str, str, str]:
    section = rule[0]
    return section.resource.key.name, section.kri.type, section.name


def _rule(rule: Subset) -> dict[str, Any]:
    pairs = [(pair, False) for pair in rule.positive] + [(pair, True) for pair in rule.negative]
    return {
        "conf": rule.conf,
        "matchers": [{"key": k, "not": negated, "value": v} for (k, v), negated in sorted(pairs)],
        "origin": [meta_of(policy) for policy in policies_of(rule.origins)],
    }


def _origin(origin: Origin) -> dict[str, object]:
    return {"resourceMeta": meta_of(origin.policy), "ruleIndex": origin.index}


def match_of(match: InboundMatch) -> dict[str, object]:
    found: dict[str, object] = {}
    if match.spiffe_exact or match.spiffe_prefix:
        kind = "Exact" if match.spiffe_exact else "Prefix"
        found["spiffeID"] = {"type": kind, "value": match.spiffe_exact or match.spiffe_prefix}
    if match.sni:
        found["sni"] = {"type": "Exact", "value": match.sni}
    return found


def _rules(type_: str, catalogue: Catalogue, asked: Asked) -> Answer:
    resource = wanted(catalogue, asked, type_)
    if type_ == "Dataplane":
        subject: Subject | None = subject_of(catalogue, resource)
    else:
        subject = gateway_subject(resource)
    if subject is None:
        raise Refused(400, "Invalid MeshGateway", "a MeshGateway without selectors has no proxies")
    mesh = resource.key.mesh
    matching, reader = Matching(catalogue, mesh), Reader(catalogue, mesh)
    view = _View(matching, subject, reader, not only_real(catalogue, mesh))
    rules = [found for kind in ORDER if (found := view.of_kind(kind)) is not None]
    matches = [{"hash": key, "match": view.matches[key]} for key in sorted(view.matches)]
    return document(
        catalogue, {"httpMatches": matches, "resource": meta_of(resource), "rules": rules}
    )


ENDPOINTS: tuple[Endpoint, ...] = tuple(
    Endpoint(
        path=f"/meshes/{{mesh}}/{path}/{{name}}/_rules",
        answer=partial(_rules, type_),
        says=f"What the policies say of one {type_}.",
        returns=object_of(httpMatches="array", resource="object", rules="array"),
    )
    for path, type_ in (("dataplanes", "Dataplane"), ("meshgateways", "MeshGateway"))
)
