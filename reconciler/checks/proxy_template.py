"""ProxyTemplate: Envoy's resources, added to those of a proxy or changed in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reconciler.checks.selectors import service_tags
from reconciler.native import (
    CLUSTER,
    HTTP_FILTER,
    LISTENER,
    NETWORK_FILTER,
    VIRTUAL_HOST,
    native_any,
    native_patch,
    native_resource,
)
from reconciler.part import Part, not_allowed, not_empty, word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.part import At, Faults

PROFILES = ("default-proxy", "egress-proxy", "gateway-proxy", "ingress-proxy")
ADD, PATCH, REMOVE = "add", "patch", "remove"
ADD_BEFORE, ADD_AFTER = "addBefore", "addAfter"
FILTER_ADDS = ("addFirst", "addLast", ADD_BEFORE, ADD_AFTER)
_RESOURCES = {"cluster": CLUSTER, "listener": LISTENER, "virtualHost": VIRTUAL_HOST}
_FILTERS = {"networkFilter": NETWORK_FILTER, "httpFilter": HTTP_FILTER}


def check(spec: Mapping[str, object], at: At) -> Faults:
    document = Part(spec, (), at)
    for selector in document["selectors"].items():
        yield from service_tags(selector["match"])
    conf = document["conf"]
    for profile in conf["imports"].items():
        yield from word(profile, PROFILES)
    for resource in conf["resources"].items():
        yield from _raw(resource)
    for modification in conf["modifications"].items():
        for name, type_name in _RESOURCES.items():
            if modification[name]:
                yield from _resource(modification[name], type_name)
        for name, type_name in _FILTERS.items():
            if modification[name]:
                yield from _filter(modification[name], type_name)


def _raw(resource: Part) -> Faults:
    yield from not_empty(resource["name"], "write the name of the resource")
    yield from not_empty(resource["version"], "write a version such as v1")
    if resource["resource"].text:
        yield from native_any(resource["resource"])
    else:
        yield from not_empty(resource["resource"], "write the resource, with its @type")


def _resource(change: Part, type_name: str) -> Faults:
    yield from _operation(change, (ADD, PATCH, REMOVE))
    operation = change["operation"].text
    if operation == PATCH:
        yield from native_patch(change["value"], type_name)
    if operation != ADD:
        return
    why = "what is added matches nothing"
    if type_name != VIRTUAL_HOST:
        yield from not_allowed(change["match"], why)
    elif change["match"]["name"].text:
        yield from not_allowed(change["match"]["name"], why)
    yield from native_resource(change["value"], type_name)


def _filter(change: Part, type_name: str) -> Faults:
    yield from _operation(change, (*FILTER_ADDS, PATCH, REMOVE))
    operation = change["operation"].text
    if operation in (ADD_BEFORE, ADD_AFTER, PATCH):
        name = change["match"]["name"]
        yield from not_empty(name, "write the name of the filter that is meant")
    if operation in FILTER_ADDS:
        yield from native_resource(change["value"], type_name)
    elif operation == PATCH:
        yield from native_patch(change["value"], type_name)


def _operation(change: Part, words: tuple[str, ...]) -> Faults:
    operation = change["operation"]
    if operation:
        yield from word(operation, words)
    else:
        yield from not_empty(operation, f"write one of {', '.join(words)}")
