"""What the control plane says of itself and of the kinds it serves (facts/http-api.md 3). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.kds.zone_node import KUMA_VERSION
from reconciler.rest.answer import Answer, Endpoint, document, object_of
from reconciler.rest.form import time_text
from reconciler.rest.paths import (
    LEGACY_POLICIES,
    SHOWN,
    SYSTEM_MANAGED,
    display_name,
    plural_name,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.model.kinds import Kind
    from reconciler.rest.answer import Asked
    from reconciler.rest.catalogue import Catalogue

PRODUCT = "Kuma"  # kumactl adds no control plane that says another name
# Lists that a policy may have: to, from, rules, and whether `from` counts as rules.
LISTS: Mapping[str, str] = {
    "MeshAccessLog": "tfra",
    "MeshCircuitBreaker": "tfra",
    "MeshRateLimit": "tfra",
    "MeshTimeout": "tfra",
    "MeshFaultInjection": "tfr",
    "MeshTLS": "fra",
    "MeshTrafficPermission": "fr",
    "MeshHealthCheck": "t",
    "MeshHTTPRoute": "t",
    "MeshTCPRoute": "t",
    "MeshLoadBalancingStrategy": "t",
    "MeshRetry": "t",
    "MeshMetric": "",
    "MeshPassthrough": "",
    "MeshProxyPatch": "",
    "MeshTrace": "",
}
POLICIES = frozenset({*LISTS, *LEGACY_POLICIES})


def _index(catalogue: Catalogue, _asked: Asked) -> Answer:
    return document(
        catalogue,
        {
            "hostname": catalogue.hostname,
            "product": PRODUCT,
            "version": KUMA_VERSION,
            "instanceId": catalogue.instance,
            "clusterId": catalogue.cluster_id,
            "gui": "",
        },
    )


def _who(catalogue: Catalogue, asked: Asked) -> Answer:
    return document(catalogue, {"name": asked.caller.name, "groups": list(asked.caller.groups)})


def _policy(kind: Kind) -> dict[str, bool] | None:
    if kind.name not in POLICIES:
        return None
    lists = LISTS.get(kind.name, "")
    return {
        "hasFromTargetRef": "f" in lists,
        "hasRulesTargetRef": "r" in lists,
        "hasToTargetRef": "t" in lists,
        "isFromAsRules": "a" in lists,
        "isTargetRef": kind.name in LISTS,
    }


def _resource_type(kind: Kind) -> dict[str, object]:
    found: dict[str, object] = {
        "includeInFederation": kind.down and kind.name not in SYSTEM_MANAGED,
        "name": kind.name,
        "path": kind.path,
        "pluralDisplayName": plural_name(kind),
    }
    policy = _policy(kind)
    if policy is not None:
        found["policy"] = policy
    return {
        **found,
        "readOnly": True,  # Whatever is written belongs into Git.
        "scope": "Mesh" if kind.mesh_scoped else "Global",
        "shortName": kind.short,
        "singularDisplayName": display_name(kind),
    }


RESOURCE_TYPES = tuple(map(_resource_type, SHOWN))


def _resources(catalogue: Catalogue, _asked: Asked) -> Answer:
    return document(catalogue, {"resources": list(RESOURCE_TYPES)})


def _policies(catalogue: Catalogue, _asked: Asked) -> Answer:
    found = [
        {
            "name": kind.name,
            "readOnly": True,
            "path": kind.path,
            "singularDisplayName": display_name(kind),
            "pluralDisplayName": plural_name(kind),
            "isExperimental": False,
            "isTargetRefBased": kind.name in LISTS,
            "isInbound": "f" in LISTS.get(kind.name, ""),
            "isOutbound": "t" in LISTS.get(kind.name, ""),
        }
        for kind in SHOWN
        if kind.name in POLICIES
    ]
    return document(catalogue, {"policies": found})


def _config(catalogue: Catalogue, _asked: Asked) -> Answer:
    return document(catalogue, config_of(catalogue))


def config_of(catalogue: Catalogue) -> dict[str, object]:
    """As much of Kuma's configuration as has a meaning here: who we are and where state lives."""
    return {
        "environment": "universal",
        "mode": catalogue.mode,
        "store": {"type": "git" if catalogue.mode == "global" else "sqlite"},
        "apiServer": {"readOnly": True},
        "multizone": {"zone": {"name": catalogue.zone}} if catalogue.zone else {},
        "gitops": {
            "repository": catalogue.repository,
            "branch": catalogue.branch,
            "revision": catalogue.revision or "",
            "version": catalogue.version,
        },
    }


def _global_insights(catalogue: Catalogue, _asked: Asked) -> Answer:
    """The older counters, of types without a mesh."""
    counts = {
        kind.name: {"total": len(catalogue.of(kind.name))}
        for kind in SHOWN
        if not kind.mesh_scoped and kind.name not in SYSTEM_MANAGED
    }
    found = {"type": "GlobalInsights", "creationTime": time_text(catalogue.now)}
    return document(catalogue, {**found, "resources": counts})


_TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        path="/",
        answer=_index,
        says="Which control plane this is.",
        returns={**_TEXTS, "required": ["product", "version", "hostname", "instanceId"]},
        is_open=True,
    ),
    Endpoint(
        path="/who-am-i",
        answer=_who,
        says="Who the caller is.",
        returns=object_of(name="string", groups="array"),
    ),
    Endpoint(
        path="/_resources",
        answer=_resources,
        says="The kinds that are served.",
        returns=object_of(resources="array"),
    ),
    Endpoint(
        path="/policies",
        answer=_policies,
        says="The kinds that are policies.",
        returns=object_of(policies="array"),
    ),
    Endpoint(
        path="/config",
        answer=_config,
        says="What the control plane is set to.",
        returns=object_of(mode="string", store="object", gitops="object"),
    ),
    Endpoint(
        path="/global-insights",
        answer=_global_insights,
        says="How many of each global type.",
        returns=object_of(type="string", resources="object"),
    ),
)
