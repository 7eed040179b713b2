"""`_config` of the Inspect API: what a zone computes for one of its proxies, and what it would if
shadow policies were in force (facts/http-api.md 10). Pure.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from reconciler.rest.answer import (
    NOT_FOUND,
    Answer,
    Endpoint,
    Invalid,
    Parameter,
    Refused,
    bad_request,
    document,
    object_of,
)
from reconciler.rest.json_patch import json_patch
from reconciler.rest.reading import wanted

if TYPE_CHECKING:
    from reconciler.rest.answer import Asked
    from reconciler.rest.catalogue import Catalogue

BOOLEANS = {"": False, "false": False, "0": False, "true": True, "1": True}
DIFF = "diff"
QUERY = (
    Parameter(
        "shadow",
        "With policies labelled kuma.io/effect: shadow in force.",
        {"type": "string", "enum": ["true", "false"]},
    ),
    Parameter(
        "include",
        "What else to show: how it differs from what is in force.",
        {"type": "string", "enum": [DIFF]},
    ),
)


def _config(type_: str, catalogue: Catalogue, asked: Asked) -> Answer:
    compute = catalogue.compute
    if compute is None:
        text = "a global computes no configuration; ask the zone of the proxy"
        raise Refused(405, "Method not allowed", text)
    shadow, diff = _parameters(asked)
    key = wanted(catalogue, asked, type_).key
    config = compute(key, shadow)
    if config is None:
        raise Refused(404, NOT_FOUND, f"{key} is no proxy that this zone has seen")
    found: dict[str, object] = {"xds": config}
    if diff:
        found["diff"] = json_patch(compute(key, False) if shadow else config, config)
    return document(catalogue, found)


def _parameters(asked: Asked) -> tuple[bool, bool]:
    shadow = (asked.last("shadow") or "").lower()
    if shadow not in BOOLEANS:
        raise bad_request("shadow is true or false", Invalid("shadow", "Invalid format"))
    included = [each for each in (asked.last("include") or "").split(",") if each]
    if any(each != DIFF for each in included):
        raise bad_request(f"include is {DIFF}", Invalid("include", "Invalid format"))
    return BOOLEANS[shadow], bool(included)


ENDPOINTS: tuple[Endpoint, ...] = tuple(
    Endpoint(
        path=f"/meshes/{{mesh}}/{path}/{{name}}/_config",
        answer=partial(_config, type_),
        says="What the zone computes for one proxy, by type of Envoy's resource and name.",
        returns=object_of(xds="object"),
        query=QUERY,
    )
    for path, type_ in (("dataplanes", "Dataplane"), ("meshgateways", "MeshGateway"))
)
